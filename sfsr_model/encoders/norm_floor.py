"""A recogniser's own word on whether it saw a face: the length of its embedding, before it is normalised.

Recognisers tend to give clear faces longer embeddings than blurred ones, and those longer than anything else (Meng et al.,
MagFace, CVPR 2021, train for it). The scale is each network's own, so each is measured once: on portraits that come with this
pack, and on patterns without a face. Only where the two are well apart does the length tell anything; then whatever is no
longer than the longest pattern is refused. Elsewhere nothing is.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional as F

from ..samples import load_sample, sample_names
from .detection import detect_faces
from .identity import IDEncoder

PORTRAITS = 3
# The shortest embedding of a portrait must be this many times the longest of a pattern for lengths to count.
SEPARATION = 1.5
_SIZE = 224

_floors: dict[tuple[str, str], NormFloor | None] = {}


@dataclass(frozen=True)
class NormFloor:
    """pattern: how long embeddings of what is no face become. face: the shortest of a face's."""

    pattern: float
    face: float

    def refusal(self, norm: float) -> str | None:
        """Why an embedding of this length is of no face, or None when it may be."""
        if norm > self.pattern:
            return None
        return (
            f"the recogniser saw no face: its embedding has the length {norm:.3g}; what is no face reaches {self.pattern:.3g}, "
            f"faces {self.face:.3g} and more"
        )


def norm_floor(encoder: IDEncoder) -> NormFloor | None:
    """The recogniser's floor, or None where the length of its embeddings does not tell faces from patterns.

    An encoder may bring one, measured on more than this looks at, as its `floor`.
    """
    own: NormFloor | None = getattr(encoder, "floor", None)
    if own is not None:
        return own
    key = (encoder.space, encoder.provider)
    if key not in _floors:
        _floors[key] = _measure(encoder) if encoder.trained else None
    return _floors[key]


def _measure(encoder: IDEncoder) -> NormFloor | None:
    portraits = [load_sample(name)[0] for name in sample_names()[:PORTRAITS]]
    found = [(picture, detect_faces(picture)) for picture in portraits]
    faces = [encoder.align(encoder.prepare(picture), some[0].points) for picture, some in found if some]
    if not faces:
        return None
    # Where a face would be: the middle of the picture, eyes a quarter of its side apart.
    points = torch.tensor([[0.37, 0.4], [0.63, 0.4], [0.5, 0.55], [0.4, 0.7], [0.6, 0.7]], dtype=torch.float64) * _SIZE
    patterns = [encoder.align(encoder.prepare(picture), points) for picture in faceless_patterns()]
    face = encoder.embed_aligned(faces).norm(dim=-1).min().item()
    pattern = encoder.embed_aligned(patterns).norm(dim=-1).max().item()
    return NormFloor(pattern, face) if face >= SEPARATION * pattern else None


def faceless_patterns() -> list[Tensor]:
    """Pictures [S, S, 3] in 0..1 with nothing of a face: flat, noise, blobs, stripes, a ramp."""
    generator = torch.Generator().manual_seed(0)
    noise = torch.rand(1, 3, _SIZE, _SIZE, generator=generator)
    blobs = F.interpolate(torch.rand(1, 3, 7, 7, generator=generator), size=_SIZE, mode="bicubic").clamp(0, 1)
    steps = torch.linspace(0, 1, _SIZE)
    stripes = (0.5 + 0.4 * torch.sin(40 * steps)).expand(1, 3, _SIZE, _SIZE)
    ramp = steps[:, None].expand(1, 3, _SIZE, _SIZE)
    return [picture[0].movedim(0, -1) for picture in (torch.full_like(noise, 0.5), noise, blobs, stripes, ramp)]
