"""Graphs and pictures that the host tests share."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

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
