"""Aligned faces of collated triplets, varied as photos vary."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..encoders.alignment import align_faces
from ..face import five_points
from .data import Sample, collated, length, peek
from .order import generator_on
from .settings import Data

# Deviation of each of the five points, as a share of the eyes' distance: detectors err by about that much.
_JITTER = 0.04
_FIRST = 64


def faces_of(
    sample: Sample, template: Tensor, size: int, generator: torch.Generator | None = None, device: torch.device | None = None
) -> Tensor:
    """Every picture's face [4 B, 3, size, size] in 0..1 on a device, in the order of the triplets, aligned to template [5, 2].

    generator: draws jitter of the points, mirror-free changes of light and colour, blur and noise; None leaves them out.
    device: None is the CPU.
    """
    images = sample["image"].to(device or "cpu").flatten(0, 1).movedim(1, -1).float() / 255
    points = five_points(sample["landmarks"].flatten(0, 1)).double()
    if generator is None:
        return align_faces(images, points, template, size)
    eyes = (points[:, 1] - points[:, 0]).norm(dim=-1)[:, None, None]
    points = points + torch.randn(points.shape, generator=generator, dtype=torch.float64) * _JITTER * eyes
    return varied(align_faces(images, points, template, size), generator_on(images.device, generator))


def first_faces(data: Data, template: Tensor, size: int) -> Tensor:
    """The faces of the data's first triplets, as `faces_of` without a generator gives them."""
    dataset = peek(data)
    return faces_of(collated(dataset, 0, min(_FIRST, length(dataset))), template, size)


def varied(faces: Tensor, generator: torch.Generator) -> Tensor:
    """Pictures [N, 3, H, W] in 0..1, each in another light, in other colours, a little blurred or noisy.

    generator: of the pictures' device.
    """

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return low + (high - low) * torch.rand(len(faces), *shape, generator=generator, device=faces.device)

    faces = faces.clamp(1e-4, 1) ** uniform(-0.35, 0.35, 1, 1, 1).exp() * uniform(0.85, 1.15, 3, 1, 1)
    gray = faces.mean(1, keepdim=True)
    faces = torch.lerp(gray, faces, uniform(0.5, 1.2, 1, 1, 1))
    # Blurred as a small picture is when it is enlarged: down to a half or a third of the side, and up again.
    for share, factor in ((0.25, 2), (0.1, 3)):
        chosen = uniform(0, 1, 1, 1, 1) < share
        small = F.interpolate(faces, scale_factor=1 / factor, mode="area")
        faces = torch.where(chosen, F.interpolate(small, size=faces.shape[-2:], mode="bilinear"), faces)
    noise = torch.randn(faces.shape, generator=generator, device=faces.device) * uniform(0, 0.03, 1, 1, 1)
    return (faces + noise).clamp(0, 1)
