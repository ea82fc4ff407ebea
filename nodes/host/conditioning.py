"""Identity, expression and background as ComfyUI's CONDITIONING and LATENT."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...sfsr_model.compound import segments
from ...sfsr_model.face.faceless import without_face
from .anchoring import TARGET
from .guidance import IDENTITY_ONLY, SCALES, set_stream_guidance
from .streams import Acting, Asked, Given, attachment


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
    asked: Asked,
    image: Tensor,
    mask: Tensor,
    identity: StreamSettings,
    expression: StreamSettings,
    same_noise: bool = False,
) -> Conditioned:
    """Build what a sampler needs for a batch of B pictures.

    image [B or 1, H, W, 3] in 0..1; mask [B or 1, H, W]. A single image is encoded once, whatever B is. same_noise: all
    pictures start from the noise of the first. The model is cloned; the one given stays as it was. Raises TypeError or
    ValueError naming the input at fault.
    """
    streams = attachment(model)
    streams.check(asked)
    cloned = model.clone()
    streams.install(cloned, Acting(identity.weight), Acting(expression.weight))
    scales = (identity.guidance, expression.guidance)
    set_stream_guidance(cloned, *scales)

    def given(identity_on: bool, expression_on: bool, prompt: bool = True) -> Given:
        acting = Acting(identity.weight, identity_on), Acting(expression.weight, expression_on)
        return streams.given(asked, *acting, prompt)

    samples = vae.encode(image)
    background = _background(model, vae, image, mask) | {TARGET: samples, SCALES: scales}
    positive = []
    for segment in segments((identity.start, identity.end), (expression.start, expression.end)):
        extra = dict(background)
        if (segment.start, segment.end) != (0.0, 1.0):
            extra |= {"start_percent": segment.start, "end_percent": segment.end}
        if scales[0] != scales[1]:
            extra[IDENTITY_ONLY] = given(segment.identity, False).all_conds()
        positive.append(as_pair(given(segment.identity, segment.expression), extra))
    negative = [as_pair(given(False, False, prompt=False), background)]
    count = max(len(asked.people), len(asked.look), len(samples))
    latent: dict[str, Any] = {"samples": samples.expand(count, *samples.shape[1:]), "noise_mask": mask[:, None]}
    if same_noise:
        # The host draws a picture's noise by its number here.
        latent["batch_index"] = [0] * count
    return Conditioned(cloned, positive, negative, latent)


def as_pair(given: Given, extra: dict[str, Any]) -> list:
    """A condition as the host's nodes hand it on."""
    conds = {"model_conds": dict(given.model_conds)} if given.model_conds else {}
    return [given.context, {**extra, **given.entries, **conds}]


def _background(model: Any, vae: Any, image: Tensor, mask: Tensor) -> dict[str, Any]:
    """The target without its face, removed in pixel space before encoding, in the host's inpainting terms; nothing for a model
    that takes no such channels."""
    if not model.model.concat_keys:
        return {}
    return {"concat_latent_image": vae.encode(without_face(image, mask)), "concat_mask": mask[:, None]}
