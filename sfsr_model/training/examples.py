"""What one step of the network's training needs of a batch, as latents and vectors."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any

import torch
from torch import Tensor, nn

from ..encoders.differentiable import TorchRecogniser
from ..face.faceless import latent_mask, without_face
from .codec import Codec
from .data import Batch, Sample

LATENT_FIELDS = ("latent", "faceless", "hole", "identity", "expression", "pose", "crosses")
"""Fields that never change from one pass over the data to the next."""


@dataclass(frozen=True, eq=False)
class Examples:
    """latent, faceless [B, C, h, w]: of the answer, and of the target without its face. hole [B, 1, h, w]: 0 or 1.
    identity [B, D], expression [B, 52], pose [B, 3]: the conditions.

    crosses [B]: 1 where nothing is known of the face but a single picture of it, so that it may be asked for other people and
    expressions.

    For the losses on pictures alone: picture [B, 3, H, W], the answer in 0..1; mask [B, 1, H, W]; points [B, 5, 2].
    """

    latent: Tensor
    faceless: Tensor
    hole: Tensor
    identity: Tensor
    expression: Tensor
    pose: Tensor
    crosses: Tensor
    picture: Tensor | None = None
    mask: Tensor | None = None
    points: Tensor | None = None

    def part(self, first: int, last: int) -> Examples:
        """Examples first .. last - 1."""
        return self.rows(slice(first, last))

    def rows(self, which: slice | Tensor) -> Examples:
        """Some of the examples."""
        chosen: dict[str, Any] = {name: value[which] for name, value in self._tensors().items()}
        return replace(self, **chosen)

    def beside(self, others: Examples) -> Examples:
        """These and others, which hold the same fields."""
        theirs = others._tensors()
        joined: dict[str, Any] = {name: torch.cat((value, theirs[name])) for name, value in self._tensors().items()}
        return replace(self, **joined)

    def to(self, device: torch.device) -> Examples:
        """The same on a device; the points stay where they are, as only cropping reads them."""
        moved: dict[str, Any] = {name: value.to(device) for name, value in self._tensors().items() if name != "points"}
        return replace(self, **moved)

    def _tensors(self) -> dict[str, Tensor]:
        values = {field.name: getattr(self, field.name) for field in fields(self)}
        return {name: value for name, value in values.items() if value is not None}


def examples_of(batch: Batch, codec: Codec, recogniser: TorchRecogniser | None, device: torch.device) -> Examples:
    """Encode a batch on a device. Without a recogniser a person is the vector that the data hold."""
    target, answer, mask = batch.target.to(device), batch.answer.to(device), batch.mask.to(device)
    latent = codec.encode(answer)
    height, width = latent.shape[-2:]
    return Examples(
        latent=latent,
        faceless=codec.encode(without_face(target, mask)),
        hole=latent_mask(mask, height, width),
        identity=_identity(batch, recogniser, device),
        expression=batch.expression.to(device),
        pose=batch.pose.to(device),
        crosses=torch.full((len(latent),), float(batch.single), device=device),
        picture=answer.movedim(-1, 1),
        mask=mask[:, None],
        points=batch.answer_points,
    )


def stored_examples(sample: Sample) -> Examples:
    """Examples of a collated sample of `latents.LatentDataset`."""
    values: dict[str, Any] = {name: sample[name].float() for name in LATENT_FIELDS}
    if "picture" in sample:
        picture, mask = sample["picture"].float() / 255, sample["mask"][:, None].float() / 255
        values |= {"picture": picture, "mask": mask, "points": sample["points"]}
    return Examples(**values)


def network_input(noisy: Tensor, hole: Tensor, faceless: Tensor) -> Tensor:
    """The UNet's channels in the order of ComfyUI's inpainting models: noisy latent (C), mask (1), faceless latent (C)."""
    return torch.cat((noisy, hole, faceless), dim=1)


@torch.no_grad()
def _identity(batch: Batch, recogniser: TorchRecogniser | None, device: torch.device) -> Tensor:
    if recogniser is None:
        return batch.person.to(device)
    return nn.functional.normalize(recogniser.embed(batch.reference.to(device), batch.reference_points), dim=-1)
