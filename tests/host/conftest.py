"""Graphs and pictures that the host tests share."""

from __future__ import annotations

import copy
import json
import re
import shutil
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.client import PromptFailed
from harness.graph import Node
from PIL import Image
from safetensors.torch import load_file
from testkit.small_graph import SmallGraph

from sfsr_model.encoders.detection import detect_faces
from sfsr_model.encoders.untrained import UntrainedEncoder
from sfsr_model.face.crop import template
from sfsr_model.samples import load_sample

REPOSITORY = Path(__file__).resolve().parents[2]
PORTRAIT = json.loads((REPOSITORY / "workflows" / "api" / "portrait.json").read_text(encoding="utf-8"))


def node_titled(prompt: dict[str, Any], title: str) -> str:
    """Id of the one node with that title, in which _ may stand for what is no letter."""
    (found,) = [key for key, entry in prompt.items() if title in (said := entry["_meta"]["title"], re.sub(r"\W+", "_", said))]
    return found


@pytest.fixture(scope="session")
def other_packs() -> tuple[Path, ...]:
    """A pack whose values are nobody's, for test_any_input.py; the other tests show that it is in nobody's way."""
    return (Path(__file__).parent / "data" / "stranger",)


@pytest.fixture
def portrait() -> Callable[..., dict[str, Any]]:
    """Builds the bundled portrait workflow with inputs changed: portrait(Steps={"steps": 2})."""

    def build(**changes: dict[str, Any]) -> dict[str, Any]:
        prompt = copy.deepcopy(PORTRAIT)
        changes.setdefault("Steps", {})
        changes["Steps"] = {"steps": 2, **changes["Steps"]}
        for title, inputs in changes.items():
            prompt[node_titled(prompt, title)]["inputs"] |= inputs
        return prompt

    return build


@pytest.fixture
def run_portrait(client, portrait, tmp_path) -> Callable[..., np.ndarray]:
    """Runs the portrait workflow with changes and returns the saved picture, uint8 [H, W, 3]."""

    def run(extra: dict[str, Any] | None = None, **changes: dict[str, Any]) -> np.ndarray:
        result = client.run(portrait(**changes) | (extra or {}), timeout=600)
        (saved,) = [image for image in result.images if image.type == "output"]
        path = client.download(saved, tmp_path / saved.filename)
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))

    return run


@pytest.fixture
def small() -> SmallGraph:
    return SmallGraph()


@pytest.fixture
def latents(client, server) -> Callable[..., list[torch.Tensor]]:
    """Runs a small graph and returns the latents of these sampling nodes, exactly as they are."""

    def run(graph: SmallGraph, *samples: Node) -> list[torch.Tensor]:
        kept = [graph.keep(one) for one in samples]
        outputs = client.run(graph.prompt(), timeout=600).outputs
        files = [outputs[one.id]["latents"][0] for one in kept]
        folder = server.base_dir / "output"
        return [load_file(folder / file["subfolder"] / file["filename"])["latent_tensor"] for file in files]

    return run


@pytest.fixture
def refused(server, client) -> Callable[[dict[str, Any]], str]:
    """Runs a prompt that must fail at one node with an error of this pack; returns the message."""

    def run(prompt: dict[str, Any]) -> str:
        with server.expecting_error(""), pytest.raises(PromptFailed) as caught:
            client.run(prompt, timeout=600)
        return str(caught.value)

    return run


@pytest.fixture
def small_refused(refused) -> Callable[..., str]:
    """Runs a small graph that must fail at one node with an error of this pack; returns the message."""

    def run(graph: SmallGraph, *samples: Node) -> str:
        for one in samples:
            graph.keep(one)
        return refused(graph.prompt())

    return run


@pytest.fixture(scope="session")
def astronaut(client, tmp_path_factory) -> str:
    """A real photo of a person, uploaded (public domain; it comes with scikit-image)."""
    from skimage import data

    path = tmp_path_factory.mktemp("photos") / "astronaut.png"
    Image.fromarray(data.astronaut()).save(path)
    return client.upload_image(path)


@pytest.fixture(scope="session")
def group_pixels() -> np.ndarray:
    """insightface's own test picture, uint8 [H, W, 3]."""
    import insightface

    with Image.open(Path(insightface.__file__).parent / "data" / "images" / "t1.jpg") as picture:
        return np.asarray(picture.convert("RGB"))


@pytest.fixture(scope="session")
def group_photo(client, group_pixels, tmp_path_factory) -> str:
    """A real photo of six people, uploaded (it comes with insightface)."""
    # As PNG: hosts decode JPEG files with different libraries, which differ in the last bit.
    path = tmp_path_factory.mktemp("photos") / "group.png"
    Image.fromarray(group_pixels).save(path)
    return client.upload_image(path)


@pytest.fixture
def in_host(host_path) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs code in a fresh interpreter that has the host on its path, after blocking some packages."""

    def run(code: str, *, without: tuple[str, ...] = ()) -> subprocess.CompletedProcess[str]:
        preamble = f"""
            import asyncio, importlib.util, logging, sys
            from pathlib import Path

            class Blocked:
                def find_spec(self, name, path=None, target=None):
                    if name.partition(".")[0] in {tuple(without)!r}:
                        raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)

            sys.path.insert(0, {str(host_path)!r})
            sys.argv = ["main.py", "--cpu"]
            import comfy.options
            comfy.options.enable_args_parsing()
            import nodes as host_nodes
            import comfy_api.latest, comfy.sd, comfy.samplers

            # Only from here on: the host itself may look for some of them.
            sys.meta_path.insert(0, Blocked())

            def load(folder):
                '''Import the pack as the host does: a package under its folder's name, whatever that is.'''
                folder = Path(folder)
                spec = importlib.util.spec_from_file_location(str(folder).replace(".", "_x_"), folder / "__init__.py")
                module = importlib.util.module_from_spec(spec)
                sys.modules[spec.name] = module
                spec.loader.exec_module(module)
                return module

            def node_ids(module):
                extension = asyncio.run(module.comfy_entrypoint())
                return sorted(one.GET_SCHEMA().node_id for one in asyncio.run(extension.get_node_list()))
        """
        source = textwrap.dedent(preamble) + "\n" + textwrap.dedent(code)
        answer = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=False, timeout=600)
        assert answer.returncode == 0, answer.stderr[-4000:]
        return answer

    return run


@pytest.fixture
def copy_of_pack() -> Callable[[Path], Path]:
    """Copies what the host needs of the pack, without the weights."""

    def copy_to(folder: Path) -> Path:
        folder.mkdir()
        shutil.copy(REPOSITORY / "__init__.py", folder)
        for name in ("nodes", "sfsr_model", "workflows"):
            shutil.copytree(REPOSITORY / name, folder / name, ignore=shutil.ignore_patterns("__pycache__", "weights"))
        return folder

    return copy_to


@pytest.fixture
def decoded_cosine(client, tmp_path) -> Callable[..., float]:
    """Cosine of a small graph's decoded latent to its person, by the encoder itself at the place that the crop aims at."""

    def run(graph: SmallGraph, sampled: Node) -> float:
        picture = graph.node("PreviewImage", images=graph.node("VAEDecode", samples=sampled, vae=graph.vae))
        result = client.run(graph.prompt(), timeout=600)
        (shown,) = [image for image in result.images if image.node_id == picture.id]
        with Image.open(client.download(shown, tmp_path / shown.filename)) as file:
            pixels = torch.frombuffer(bytearray(file.convert("RGB").tobytes()), dtype=torch.uint8).reshape(64, 64, 3) / 255
        encoder, person = UntrainedEncoder(), load_sample("portrait_05")[0]
        goal = encoder.embed(person, detect_faces(person)[0].points)
        return torch.cosine_similarity(encoder.embed(pixels, template() * 64 - 0.5), goal, dim=0).item()

    return run
