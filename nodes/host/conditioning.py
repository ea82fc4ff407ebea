"""Identity, expression and background as ComfyUI's CONDITIONING and LATENT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ...sfsr_model.bundled import DEMO, ID_ENCODERS, PHOTOS
from ...sfsr_model.compound import segments
from ...sfsr_model.encoders.bundled import bundled_space
from ...sfsr_model.face.faceless import without_face
from ...sfsr_model.network.checkpoint import ANY_SPACE, RENDERED_SPACE
from .anchoring import TARGET
from .guidance import IDENTITY_ONLY, SCALES, set_stream_guidance
from .network import Attachment, attachment


@dataclass(frozen=True)
class StreamSettings:
    """How strongly a stream acts (0 is its null), over which share of the run, and its part of the guidance."""

    weight: float
    start: float
    end: float
    guidance: float


@dataclass(frozen=True)
class Conditioned:
    model: Any
    positive: list
    negative: list
    latent: dict[str, Any]


def condition(
    model: Any,
    vae: Any,
    identity: Tensor,
    identity_space: str,
    expression: Tensor,
    pose: Tensor | None,
    image: Tensor,
    mask: Tensor,
    identity_settings: StreamSettings,
    expression_settings: StreamSettings,
) -> Conditioned:
    """Build what a sampler needs for a batch of B pictures.

    identity [B, D] of unit length; expression [B, 52]; pose [B, 3] or None; image [B or 1, H, W, 3] in 0..1; mask [B or 1, H,
    W].
    A single image is encoded once, whatever B is. The model is cloned; the one given stays as it was. Raises TypeError or
    ValueError naming the input at fault.
    """
    attached = attachment(model)
    _check_identity(attached, identity, identity_space)
    cloned = model.clone()
    scales = (identity_settings.guidance, expression_settings.guidance)
    set_stream_guidance(cloned, *scales)
    two_scales = scales[0] != scales[1]

    samples = vae.encode(image)
    background = _background(vae, image, mask) | {TARGET: samples, SCALES: scales}
    inputs = (identity, expression, pose)
    positive = []
    for segment in segments(
        (identity_settings.start, identity_settings.end), (expression_settings.start, expression_settings.end)
    ):
        identity_weight = identity_settings.weight if segment.identity else 0.0
        expression_weight = expression_settings.weight if segment.expression else 0.0
        extra = dict(background)
        if (segment.start, segment.end) != (0.0, 1.0):
            extra |= {"start_percent": segment.start, "end_percent": segment.end}
        if two_scales:
            extra[IDENTITY_ONLY] = _tokens(attached, inputs, identity_weight, 0.0)
        positive.append([_tokens(attached, inputs, identity_weight, expression_weight), extra])
    negative = [[_tokens(attached, inputs, 0.0, 0.0), dict(background)]]
    latent = {"samples": samples.expand(len(identity), *samples.shape[1:]), "noise_mask": mask[:, None]}
    return Conditioned(cloned, positive, negative, latent)


def _tokens(attached: Attachment, inputs: tuple, identity_weight: float, expression_weight: float) -> Tensor:
    identity, expression, pose = inputs
    ones = torch.ones(len(identity))
    return attached.tokens(identity, expression, pose, ones * identity_weight, ones * expression_weight)


def _background(vae: Any, image: Tensor, mask: Tensor) -> dict[str, Any]:
    """The target without its face, removed in pixel space before encoding, in the host's inpainting terms."""
    return {"concat_latent_image": vae.encode(without_face(image, mask)), "concat_mask": mask[:, None]}


def _check_identity(attached: Attachment, identity: Tensor, space: str) -> None:
    wanted = attached.metadata.identity_space
    if wanted not in (ANY_SPACE, space):
        raise ValueError(
            f"identity: it was made by a recogniser of the space '{space}', but this checkpoint was trained on '{wanted}', and "
            f"two recognisers do not understand each other's numbers; {_right_encoder(wanted, space)}"
        )
    dim = attached.metadata.compound.identity_dim
    if identity.shape[-1] != dim:
        raise ValueError(f"identity: its embeddings have {identity.shape[-1]} numbers, this checkpoint takes {dim}")


def _right_encoder(wanted: str, given: str) -> str:
    """What to do where a checkpoint wants identities of one space and was given those of another."""
    for name in ID_ENCODERS:
        if wanted == bundled_space(name=name):
            advice = f"choose '{name}' in the Load ID Encoder before Identity: this checkpoint was trained on its identities"
            if name == DEMO and given == bundled_space(name=PHOTOS):
                advice += f"; '{PHOTOS}' serves detection, reports and checkpoints that were trained on it"
            return advice
    if wanted == RENDERED_SPACE:
        return "it knows rendered people alone and takes no photos; choose another checkpoint in Load SFSR Model"
    return "choose the recogniser that it was trained with in the Load ID Encoder before Identity"
