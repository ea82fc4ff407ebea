"""Triplets: what face swapping with reenactment is given, and what it should answer.

Reference: person B. Expression: person D wearing expression A. Target: person C in scene T. Answer: B wearing A on C's head in
T, equal to the target outside the target's face mask. All four are aligned crops.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from .face_blend import blend_heads, face_share
from .look import Look
from .model import FaceModel
from .render import Frame, Picture, Wearer, finish, render, render_light, wearer
from .sample import sample_parts
from .scene import MAX_YAW, Scene

REFERENCE, SOURCE, TARGET = 1, 2, 3
"""Roles of a triplet's pictures, as random streams of `sample_parts`."""
Parts = tuple[np.ndarray, np.ndarray, Look, Scene]
"""Identity, coefficients, look and scene of a picture, as `sample_parts` gives them."""


@dataclass(frozen=True)
class Triplet:
    """mask float32 [H, W]: the target's `face_mask`, 0 where answer and target are bit-equal. The answer's identity is the
    reference's, its coefficients the source's."""

    reference: Picture
    source: Picture
    target: Picture
    answer: Picture
    mask: np.ndarray


def sample_triplet(
    model: FaceModel, seed: int, number: int, size: int, max_yaw: float = MAX_YAW, finish_strength: float = 1.0
) -> Triplet:
    """The numbered triplet of a seed, the same in every process; size in pixels, max_yaw in radians."""
    reference, source, target = triplet_parts(model, seed, number, max_yaw, finish_strength)
    pictures = [render(model, *parts, size, aligned=True) for parts in (reference, source)]
    shown, answer, mask = target_and_answer(model, reference[0], source[1], target, size)
    return Triplet(pictures[0], pictures[1], shown, answer, mask)


def triplet_parts(
    model: FaceModel, seed: int, number: int, max_yaw: float = MAX_YAW, finish_strength: float = 1.0
) -> tuple[Parts, Parts, Parts]:
    """What a numbered triplet's reference, source and target are rendered from; arguments as those of `sample_triplet`."""
    reference = sample_parts(model, seed, number, REFERENCE, max_yaw, finish_strength)
    source = sample_parts(model, seed, number, SOURCE, max_yaw, finish_strength)
    identity, coefficients, look, scene = sample_parts(model, seed, number, TARGET, max_yaw, finish_strength)
    # What lies before the face cannot be known once the face is masked out, so targets have neither spectacles nor occluders.
    return reference, source, (identity, coefficients, replace(look, glasses=None), replace(scene, occluder=None))


def target_and_answer(
    model: FaceModel, identity: np.ndarray, coefficients: np.ndarray, target: Parts, size: int
) -> tuple[Picture, Picture, np.ndarray]:
    """Target, answer and mask: a person's face with an expression in the place of the target's.

    target: identity, coefficients, look and scene as `sample_parts` gives them.
    """
    host_identity, host_coefficients, look, scene = target
    host = wearer(model, host_identity, host_coefficients)
    host_light, host_truth = render_light(model, host, None, look, scene, size, aligned=True)
    shown = finish(host_light, host_truth, scene)
    mask = _mask(shown.landmarks, size)

    guest = wearer(model, identity, coefficients)
    share = face_share(model)
    shape = blend_heads(model, guest.shape, host.shape, share)
    face = Wearer(guest.identity, guest.details, shape)
    light, truth = render_light(model, face, Frame(host, share, host_truth.view), look, scene, size)
    worn = finish(light, truth, scene)
    return shown, composite(worn, shown, mask), mask


def composite(inside: Picture, outside: Picture, mask: np.ndarray) -> Picture:
    """`inside` where the mask [H, W] is 1, `outside` bit for bit where it is 0; labels and depth switch at one half."""
    share = mask[..., None]
    mixed = np.round(outside.image * (1 - share) + inside.image * share).astype(np.uint8)
    image = np.where(share > 0, mixed, outside.image)
    labels = np.where(mask > 0.5, inside.labels, outside.labels)
    depth = np.where(mask > 0.5, inside.depth, outside.depth)
    return replace(inside, image=image, labels=labels, depth=depth)


def _mask(landmarks: np.ndarray, size: int) -> np.ndarray:
    import torch

    from ..face import face_mask

    return face_mask(torch.from_numpy(landmarks), size).numpy()


__all__ = ["Triplet", "composite", "sample_triplet", "target_and_answer", "triplet_parts"]
