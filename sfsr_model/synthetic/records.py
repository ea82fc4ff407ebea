"""Samples as plain arrays: what a shard holds and a training loop gets."""

from __future__ import annotations

import numpy as np

from .model import FaceModel
from .render import Picture
from .sample import sample_picture
from .scene import MAX_YAW
from .triplet import Triplet, sample_triplet

KINDS = ("pictures", "triplets")
_TRIPLET_PICTURES = ("reference", "source", "target", "answer")

Record = dict[str, np.ndarray]


def make_record(
    model: FaceModel, kind: str, seed: int, number: int, size: int, aligned: bool = True, max_yaw: float = MAX_YAW
) -> Record:
    """The numbered sample of a seed. Images are uint8 [H, W, 3]; labels uint8 [H, W]; mask uint8 [H, W], 255 inside.

    pictures: image, labels, depth float16, identity, coefficients, pose, landmarks. triplets: image, labels, identity and so on
    stacked over reference, source, target, answer; and mask. Raises ValueError for an unknown kind.
    """
    if kind == "pictures":
        return _of_picture(sample_picture(model, seed, number, size, aligned, max_yaw))
    if kind == "triplets":
        return _of_triplet(sample_triplet(model, seed, number, size, max_yaw))
    raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")


def _of_picture(picture: Picture) -> Record:
    return {
        "image": picture.image,
        "labels": picture.labels,
        "depth": picture.depth.astype(np.float16),
        **_truth(picture),
    }


def _truth(picture: Picture) -> Record:
    return {
        "identity": picture.identity.astype(np.float32),
        "coefficients": picture.coefficients.astype(np.float32),
        "pose": np.array(picture.pose, np.float32),
        "landmarks": picture.landmarks.astype(np.float32),
    }


def _of_triplet(triplet: Triplet) -> Record:
    pictures = [getattr(triplet, name) for name in _TRIPLET_PICTURES]
    truths = [_truth(picture) for picture in pictures]
    stacked = {name: np.stack([truth[name] for truth in truths]) for name in truths[0]}
    images = {"image": np.stack([picture.image for picture in pictures]), "labels": np.stack([p.labels for p in pictures])}
    return {**images, "mask": np.round(triplet.mask * 255).astype(np.uint8), **stacked}
