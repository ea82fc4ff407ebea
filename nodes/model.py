"""Loading an SFSR checkpoint, and conditioning it on a person, an expression and a scene."""

from __future__ import annotations

import logging
from contextlib import nullcontext
from typing import Any

import torch
from comfy_api.latest import io

from ..sfsr_model.batch import common_length
from ..sfsr_model.bundled import restorable
from ..sfsr_model.encoders.identity_batch import PEOPLE, IdentityBatch, per_frame
from ..sfsr_model.expressions import Expression
from ..sfsr_model.face.crop import apply_affine
from ..sfsr_model.naming import naming
from ..sfsr_model.network import load_checkpoint, untrained_checkpoint
from ..sfsr_model.network.untrained import UNTRAINED
from .face import require_frames
from .given import checked
from .host.checks import LATENT_FACTOR, size_problem
from .host.conditioning import Conditioned, StreamSettings, condition
from .host.folders import checkpoint_names, checkpoint_path, default_checkpoint, fingerprint, is_bundled
from .host.network import build_model, build_vae, require_vae_of
from .host.smirk_files import flame_maps
from .host.streams import Asked, Traits, attachment
from .sockets import (
    CATEGORY,
    ExpressionSocket,
    FaceFrameSocket,
    IdentitySocket,
    require,
    require_images,
    require_masks,
    told_beforehand,
)

logger = logging.getLogger(__name__)


class SFSRLoadModel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRLoadModel",
            display_name="Load SFSR Model",
            category=CATEGORY,
            description="An SFSR checkpoint as ComfyUI's own MODEL and VAE.",
            search_aliases=["checkpoint", "diffsfsr", "load sfsr", "face swap model"],
            inputs=[
                io.Combo.Input(
                    "checkpoint",
                    options=checkpoint_names(),
                    default=default_checkpoint(),
                    tooltip="The checkpoint that comes with the pack, or one of yours in models/sfsr.",
                )
            ],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="For SFSR Conditioning; any sampler runs it."),
                io.Vae.Output("vae", display_name="vae", tooltip="The autoencoder that belongs to the model."),
            ],
        )

    @classmethod
    def validate_inputs(cls, checkpoint: str | None = None) -> bool | str:
        """As Load ID Encoder's."""
        return told_beforehand(checkpoint_path, None if checkpoint == UNTRAINED else checkpoint)

    @classmethod
    def fingerprint_inputs(cls, checkpoint: str | None) -> str | float:
        return fingerprint(checkpoint, lambda name: [] if name == UNTRAINED else [checkpoint_path(name)])

    @classmethod
    @checked
    def execute(cls, checkpoint: str) -> io.NodeOutput:
        path = None if checkpoint == UNTRAINED else checkpoint_path(checkpoint)
        with naming("checkpoint"), restorable() if is_bundled(checkpoint) else nullcontext():
            loaded = untrained_checkpoint() if path is None else load_checkpoint(path)
            model, vae = build_model(loaded), build_vae(loaded)
        if not loaded.metadata.trained:
            logger.warning("SFSR: the checkpoint '%s' is not trained, the new face will be noise", loaded.name)
        return io.NodeOutput(model, vae)


def _weight(stream: str) -> io.Float.Input:
    return io.Float.Input(
        f"{stream}_weight",
        default=1.0,
        min=0.0,
        max=1.0,
        step=0.05,
        tooltip=f"How much of the {stream} reaches the network: 0 is none of it, exactly.",
    )


def _edge(stream: str, edge: str, default: float) -> io.Float.Input:
    return io.Float.Input(
        f"{stream}_{edge}",
        default=default,
        min=0.0,
        max=1.0,
        step=0.01,
        advanced=True,
        tooltip=f"Share of the sampling run at which the {stream} {edge}s to act; with its end before its start it never does."
        if edge == "start"
        else f"Share of the sampling run at which the {stream} stops acting.",
    )


def _guidance(stream: str) -> io.Float.Input:
    return io.Float.Input(
        f"{stream}_guidance",
        default=1.0,
        min=0.0,
        max=5.0,
        step=0.05,
        advanced=True,
        tooltip=f"Part of the sampler's cfg that pushes the {stream}. Two different numbers cost a third evaluation a step; "
        "both at 1 are plain cfg.",
    )


def stream_inputs() -> list[io.Input]:
    """How much person and expression act, when, and with how much of the guidance."""
    streams = ("identity", "expression")
    return [
        *(_weight(stream) for stream in streams),
        *(_edge(stream, edge, default) for stream in streams for edge, default in (("start", 0.0), ("end", 1.0))),
        *(_guidance(stream) for stream in streams),
    ]


class SFSRConditioning(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRConditioning",
            display_name="SFSR Conditioning",
            category=CATEGORY,
            description="Tells the model whose face, with which expression, in which picture. Works with KSampler and every "
            "other sampler.",
            search_aliases=["face swap", "faceswap", "reenactment", "expression transfer", "inpaint face", "apply identity"],
            inputs=[
                io.Model.Input("model", tooltip="From Load SFSR Model or SFSR Model from Adapters; it is cloned, not changed."),
                io.Vae.Input("vae", tooltip="The VAE from Load SFSR Model, or that of your own checkpoint."),
                IdentitySocket.Input(
                    "identity", tooltip="Whose face it shall be, from Identity; from Identity Batch another one a frame."
                ),
                ExpressionSocket.Input("expression", tooltip="Which expression it shall wear, from Expression Embed."),
                io.Image.Input("image", tooltip="The target's upright face from Face Crop; sides divisible by 8."),
                io.Mask.Input("mask", tooltip="The part to replace, from Face Crop. The rest is what the model sees."),
                *stream_inputs(),
                FaceFrameSocket.Input(
                    "face", optional=True, tooltip="Where the face is, from Face Crop; InstantID's ControlNet wants to know."
                ),
            ],
            outputs=[
                io.Model.Output("model", display_name="model", tooltip="The conditioned model, for the sampler or guider."),
                io.Conditioning.Output("positive", display_name="positive", tooltip="Person and expression, for the sampler."),
                io.Conditioning.Output("negative", display_name="negative", tooltip="Nobody, no expression, for the sampler."),
                io.Latent.Output("latent", display_name="latent", tooltip="The target's latent with its noise mask."),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str | float:
        """A map that the calibration writes while ComfyUI runs says something new of the same expression."""
        return fingerprint("", lambda _: flame_maps())

    @classmethod
    @checked
    def execute(
        cls,
        model,
        vae,
        identity,
        expression,
        image,
        mask,
        identity_weight: float,
        expression_weight: float,
        identity_start: float,
        identity_end: float,
        expression_start: float,
        expression_end: float,
        identity_guidance: float,
        expression_guidance: float,
        face=None,
    ) -> io.NodeOutput:
        result = conditioned(
            model,
            vae,
            per_frame(require(identity, PEOPLE, "identity", "Identity")),
            require(expression, Expression, "expression", "Expression Embed"),
            image,
            mask,
            StreamSettings(identity_weight, identity_start, identity_end, identity_guidance),
            StreamSettings(expression_weight, expression_start, expression_end, expression_guidance),
            face,
        )
        return io.NodeOutput(result.model, result.positive, result.negative, result.latent)


def conditioned(
    model,
    vae,
    people: IdentityBatch,
    look: Expression,
    image,
    mask,
    identity: StreamSettings,
    expression: StreamSettings,
    face=None,
    same_noise: bool = False,
) -> Conditioned:
    """What a sampler needs for crops and their masks, enlarged where the network wants it; batches meet by the one rule."""
    traits = attachment(model).traits
    require_vae_of(model, vae)
    image = require_images(image, "image")
    times = _enlargement(traits, image)
    image, mask = _enlarged(image, _checked_mask(mask, image), times)
    framed = {} if face is None else {"face": len(require_frames(face))}
    batch = common_length(image=len(image), identity=len(people), expression=len(look), mask=len(mask), **framed)
    asked = Asked(people.expand(batch), look.expand(batch), *_place(face, image))
    return condition(model, vae, asked, image, mask, identity, expression, same_noise)


def _place(face, image: torch.Tensor) -> tuple[tuple[int, int], torch.Tensor | None]:
    """Height and width of the latents of crops [B, H, W, 3], and each face's five points in pixels where a frame says them."""
    size = image.shape[1] // LATENT_FACTOR, image.shape[2] // LATENT_FACTOR
    if face is None:
        return size, None
    frames = [frame.resized(image.shape[1]) for frame in require_frames(face)]
    return size, torch.stack([apply_affine(frame.transform, frame.landmarks) for frame in frames])


def _enlargement(traits: Traits, image: torch.Tensor) -> int:
    """How many times the crops must be enlarged for the network; raises ValueError for those that no whole number helps.

    A network of the bundled one's kind makes no face but at the size it was trained at; one that began as Stable Diffusion
    does.
    """
    height, width = image.shape[1:3]
    side, found = traits.resolution, size_problem(traits, height, width)
    if found is None:
        return 1
    if not traits.one_size_only:
        logger.warning("SFSR: %s: set Face Crop's size to %d, or expect a worse face", found, side)
        return 1
    if height != width or side % height:
        raise ValueError(f"image: {found}, of which it would make no face; set Face Crop's size to {side}")
    logger.info("SFSR: %s, so it is enlarged; set Face Crop's size to %d for a sharper face", found, side)
    return side // height


def _enlarged(image: torch.Tensor, mask: torch.Tensor, times: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Image [B, H, W, 3] and mask [B, H, W], so many times as large."""
    if times == 1:
        return image, mask
    larger = torch.nn.functional.interpolate(image.movedim(-1, 1), scale_factor=times, mode="bicubic")
    soft = torch.nn.functional.interpolate(mask[:, None], scale_factor=times, mode="bilinear")
    return larger.movedim(1, -1).clamp(0, 1), soft[:, 0]


def _checked_mask(mask: torch.Tensor, image: torch.Tensor) -> torch.Tensor:
    """The mask as [B, H, W] in 0..1, of the image's size, leaving some background."""
    height, width = image.shape[1:3]
    if height % LATENT_FACTOR or width % LATENT_FACTOR:
        raise ValueError(
            f"image: {width} x {height} pixels; both sides must be divisible by {LATENT_FACTOR}, as Face Crop's are"
        )
    fits = f"the image's {len(image)} x {height} x {width}"
    # Batches that do not meet are named together with the expression's.
    count = len(mask) if getattr(mask, "ndim", 0) == 3 else 1
    mask = require_masks(mask, (height, width), count, fits, "use Face Crop's mask")
    if bool((mask.round() == 1).all()):
        raise ValueError("mask: it covers the whole image, which leaves no background to condition on; use Face Crop's mask")
    if not bool((mask.round() == 1).any()):
        logger.warning("SFSR: the mask is below one half everywhere, so the model sees no face to replace (no face found?)")
    return mask


NODES = [SFSRLoadModel, SFSRConditioning]
