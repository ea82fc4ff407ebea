"""Aligned faces for recognisers, in PyTorch: gradients pass from the aligned face to the picture.

The same crop as insightface's `face_align.norm_crop` makes with OpenCV: a least-squares similarity from the five points to a
template, bilinear sampling without a reduction filter, black beyond the picture. OpenCV works on bytes and on positions rounded
to 1/32 pixel, so the two agree to a few grey levels, not to the bit.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F

from ..face.crop import invert_affine, similarity

# The five points of ArcFace's 112 x 112 crop, in pixels (insightface, `face_align.arcface_dst`): every ArcFace-type recogniser
# was trained on faces that lie there.
_ARCFACE_112 = (
    (38.2946, 51.6963),
    (73.5318, 51.5014),
    (56.0252, 71.7366),
    (41.5493, 92.3655),
    (70.7299, 92.2041),
)


def arcface_template(size: int) -> Tensor:
    """The five points [5, 2] in a size x size crop, float64.

    Sizes divisible by 112 scale the template; those divisible by 128 keep its scale per 128 and centre it, as insightface does.
    Raises ValueError for any other size.
    """
    points = torch.tensor(_ARCFACE_112, dtype=torch.float64)
    if size > 0 and size % 112 == 0:
        return points * (size / 112)
    if size > 0 and size % 128 == 0:
        return points * (size / 128) + torch.tensor([8.0 * size / 128, 0.0], dtype=torch.float64)
    raise ValueError(f"aligned face: found a side of {size} pixels, expected a multiple of 112 or of 128")


def align_faces(images: Tensor, points: Tensor, template: Tensor, size: int) -> Tensor:
    """The aligned faces [N, 3, size, size] of pictures [N, H, W, 3] with five points each [N, 5, 2], in picture pixels.

    template [5, 2]: where the points shall lie, in pixels of the result. Gradients reach the pictures, not the points.
    Raises ValueError for other shapes, or points that coincide.
    """
    if images.ndim != 4 or images.shape[-1] != 3 or points.shape != (len(images), 5, 2):
        raise ValueError(
            f"aligned face: expected pictures [N, H, W, 3] with points [N, 5, 2], got {tuple(images.shape)} and "
            f"{tuple(points.shape)}"
        )
    height, width = images.shape[1:3]
    # Where an accelerator lacks float64, places are computed on the CPU.
    place = images.device if images.device.type == "cuda" else torch.device("cpu")
    back = invert_affine(similarity(points.detach().to("cpu", torch.float64), template)).to(place)
    steps = torch.arange(size, dtype=torch.float64, device=place)
    pixels = torch.stack(torch.meshgrid(steps, steps, indexing="xy"), -1)
    source = torch.einsum("nij,hwj->nhwi", back[:, :, :2], pixels) + back[:, None, None, :, 2]
    # grid_sample measures a picture from -1 at its left edge to 1 at its right one; pixel 0's centre is half a pixel inside.
    grid = (2 * source + 1) / torch.tensor([width, height], dtype=torch.float64, device=place) - 1
    return F.grid_sample(images.movedim(-1, 1), grid.to(images), padding_mode="zeros", align_corners=False)
