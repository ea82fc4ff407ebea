"""Graphs and pictures that the host tests share."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from harness.client import PromptFailed
from harness.graph import Node
from harness.small_graph import SmallGraph
from PIL import Image
from safetensors.torch import load_file

REPOSITORY = Path(__file__).resolve().parents[2]
PORTRAIT = json.loads((REPOSITORY / "workflows" / "api" / "portrait.json").read_text(encoding="utf-8"))


def node_titled(prompt: dict[str, Any], title: str) -> str:
    """Id of the one node with that title."""
    (found,) = [node_id for node_id, entry in prompt.items() if entry["_meta"]["title"] == title]
    return found


@pytest.fixture
def portrait() -> Callable[..., dict[str, Any]]:
    """Builds the bundled portrait workflow with inputs changed: portrait(Steps={"steps": 2})."""

    def build(**changes: dict[str, Any]) -> dict[str, Any]:
        prompt = copy.deepcopy(PORTRAIT)
        changes.setdefault("Steps", {})
        changes["Steps"] = {"steps": 2, **changes["Steps"]}
        for title, inputs in changes.items():
            prompt[node_titled(prompt, title.replace("_", " "))]["inputs"] |= inputs
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
