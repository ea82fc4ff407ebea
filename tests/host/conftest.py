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
from harness.graph import GraphBuilder, Node
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


class SmallGraph(GraphBuilder):
    """A graph for pictures of 64 x 64: model, person, expression and target are there, conditioning and sampling are added."""

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.model = self.node("SFSRLoadModel", checkpoint="untrained (random weights)")
        self.vae = self.model.out(1)
        self.encoder = self.node("LoadIDEncoder", encoder="untrained demo recogniser (random weights)", provider="auto")
        self.identity = self.person("portrait_05")
        self.expression = self.node("ExpressionEmbed", source="word", word="amazement", intensity=1.0)
        target = self.node("SFSRSamplePortrait", sample="portrait_20")
        choice = {"face_order": "largest first", "face_index": 0, "no_face": "error"}
        self.crop = self.node("SFSRFaceCrop", images=target, size=size, **choice)

    def person(self, sample: str) -> Node:
        photo = self.node("SFSRSamplePortrait", sample=sample)
        choice = {"face_order": "largest first", "face_index": 0}
        return self.node("SFSRIdentity", id_encoder=self.encoder, images=photo, **choice)

    def conditioned(self, **changes: Any) -> Node:
        """SFSR Conditioning with inputs changed."""
        streams = {"identity": self.identity, "expression": self.expression}
        numbers = {
            f"{stream}_{name}": value
            for stream in streams
            for name, value in (("weight", 1.0), ("start", 0.0), ("end", 1.0), ("guidance", 1.0))
        }
        scene = {"image": self.crop.out(0), "mask": self.crop.out(1)}
        return self.node("SFSRConditioning", **{"model": self.model, "vae": self.vae, **streams, **scene, **numbers, **changes})

    def sampler(self, **changes: Any) -> Node:
        """Improved Midpoint Sampler with inputs changed."""
        place = {"midpoint_location": "half log-SNR", "midpoint_fraction": 0.5, "guidance_start": 0.0, "guidance_end": 1.0}
        numbers = {"order": 2, "background_anchoring": 1.0, "eta": 0.0, "identity_guidance": 0.0, "expression_guidance": 0.0}
        return self.node("ImprovedMidpointSampler", **{**place, **numbers, **changes})

    def sampled(self, conditioned: Node, seed: int = 1, **changes: Any) -> Node:
        """KSampler behind a conditioning, two steps; `changes` may put other wires or numbers in."""
        wires = {
            "model": conditioned.out(0),
            "positive": conditioned.out(1),
            "negative": conditioned.out(2),
            "latent_image": conditioned.out(3),
        }
        numbers = {"seed": seed, "steps": 2, "cfg": 2.0, "denoise": 1.0, "sampler_name": "euler", "scheduler": "normal"}
        return self.node("KSampler", **{**wires, **numbers, **changes})

    def custom(self, conditioned: Node, sampler: Node, seed: int = 1, **changes: Any) -> Node:
        """SamplerCustomAdvanced behind a conditioning, two steps."""
        steps = self.node("BasicScheduler", model=conditioned, scheduler="normal", steps=2, denoise=1.0)
        wires = {"model": conditioned.out(0), "positive": conditioned.out(1), "negative": conditioned.out(2)}
        wires = {
            "noise": self.node("RandomNoise", noise_seed=seed),
            "guider": changes.pop("guider", None) or self.node("CFGGuider", **wires, cfg=2.0),
            "sampler": sampler,
            "sigmas": steps,
            "latent_image": conditioned.out(3),
        }
        return self.node("SamplerCustomAdvanced", **{**wires, **changes})

    def keep(self, samples: Node) -> Node:
        """Save latents so that a test can read them."""
        return self.node("SaveLatent", samples=samples, filename_prefix="kept")


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
def small_refused(server, client) -> Callable[..., str]:
    """Runs a small graph that must fail at one node with an error of this pack; returns the message."""

    def run(graph: SmallGraph, *samples: Node) -> str:
        for one in samples:
            graph.keep(one)
        with server.expecting_error(""), pytest.raises(PromptFailed) as caught:
            client.run(graph.prompt(), timeout=600)
        return str(caught.value)

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
