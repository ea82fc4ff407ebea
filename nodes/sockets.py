"""The pack's own socket types, inputs that several nodes share, and the check that what arrived on one is what it says.

Other packs may use the same type names; the page cannot tell their values apart, so the nodes do.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import torch
from comfy_api.latest import io

from ..sfsr_model.encoders.detection import ORDERS, REFUSED_POLICIES, TAKE
from ..sfsr_model.encoders.expression_photos import PhotoReader
from ..sfsr_model.landmarker import ExpressionEncoder

IDEncoderSocket = io.Custom("ID_ENCODER")
IdentitySocket = io.Custom("IDENTITY")
ExpressionSocket = io.Custom("EXPRESSION")
ExpressionEncoderSocket = io.Custom("EXPRESSION_ENCODER")
FaceLandmarksSocket = io.Custom("FACE_LANDMARKS")  # ComfyUI's own, from 0.23 on
# ComfyUI's own as well; its class gives an input that nothing is connected to a box all the same.
BoundingBoxSocket = io.Custom("BOUNDING_BOX")
FaceFrameSocket = io.Custom("FACE_FRAME")

CATEGORY = "SFSR"
_NOT_FINITE = " (NaN or infinity); check the node before this one"

Value = TypeVar("Value")


def face_choice(orders: tuple[str, ...] = ORDERS, optional: bool = False) -> list[io.Input]:
    """Which face of a picture: the order they are numbered in, and the number. Optional ones are advanced as well."""
    return [
        io.Combo.Input(
            "face_order",
            options=list(orders),
            default=ORDERS[0],
            tooltip="How the faces of a picture are numbered when there is more than one.",
            optional=optional,
            advanced=optional or None,
        ),
        io.Int.Input(
            "face_index",
            default=0,
            min=0,
            max=99,
            tooltip="Which face of each picture, counted from 0 in that order.",
            optional=optional,
            advanced=optional or None,
        ),
    ]


def given_face_inputs() -> list[io.Input]:
    """Faces that somebody else found, and what becomes of finds that are refused."""
    return [
        FaceLandmarksSocket.Input(
            "face_landmarks",
            optional=True,
            tooltip="From ComfyUI's Detect Face Landmarks (MediaPipe), for the same pictures; no other detector looks then.",
        ),
        BoundingBoxSocket.Input(
            "bboxes",
            optional=True,
            extra_dict={"forceInput": True},
            tooltip="Boxes of faces, for the same pictures: the detector looks in each of them alone, which finds "
            "small faces too. Not used where face_landmarks are connected.",
        ),
    ]


def refused_choice() -> io.Combo.Input:
    """Whether finds that were refused are taken all the same."""
    return io.Combo.Input(
        "refused_faces",
        options=list(REFUSED_POLICIES),
        default=REFUSED_POLICIES[0],
        optional=True,
        advanced=True,
        tooltip=f"'{TAKE}': where a picture has no other face, its surest find counts as one though the pack takes it for "
        "none, and each box or set of points that is connected does. The report names them.",
    )


def require(value: Any, expected: type[Value] | tuple[type[Value], ...], name: str, made_by: str) -> Value:
    """The value itself when it is of an expected class. Raises TypeError naming the input and what to connect."""
    if not isinstance(value, expected):
        classes = expected if isinstance(expected, tuple) else (expected,)
        raise TypeError(
            f"{name}: found {type(value).__name__}, expected this pack's {' or '.join(one.__name__ for one in classes)}; "
            f"connect the output of {made_by}"
        )
    return value


def told_beforehand(read: Callable[[Any], Any], value: Any, name: str = "") -> bool | str:
    """What a node's `validate_inputs` answers for an input that `read` reads: True, or the error's message behind the name.

    A value that comes over a link is not known yet (None) and is read when the node runs; a list is a link that leads nowhere,
    which the host itself refuses.
    """
    try:
        if value is not None and not isinstance(value, list):
            read(value)
    except (ValueError, FileNotFoundError) as error:
        return f"{name}: {error}" if name else str(error)
    return True


def require_expression_encoder(value: Any) -> ExpressionEncoder | PhotoReader:
    """What came over an `expression_encoder` socket, of either kind; raises TypeError as `require` does."""
    return require(value, (ExpressionEncoder, PhotoReader), "expression_encoder", "Load Expression Encoder")


def require_images(images: Any, name: str, alpha: bool = False) -> Any:
    """A batch of pictures [B, H, W, 3] in 0..1: gray becomes RGB, an alpha channel is left out, or kept where `alpha` says so.

    Raises TypeError for what is no tensor of floating-point numbers, ValueError for an empty batch, a wrong shape or values
    that are not finite, naming the picture at fault.
    """
    if not isinstance(images, torch.Tensor):
        raise TypeError(f"{name}: found a {type(images).__name__}, expected pictures [B, H, W, 3]; connect an IMAGE")
    if not images.is_floating_point():
        raise TypeError(
            f"{name}: found pictures of {images.dtype}, expected floating-point numbers from 0 to 1; divide whole numbers by "
            "255 in the node that made them"
        )
    shape = tuple(images.shape)
    if len(shape) != 4 or shape[-1] not in (1, 3, 4):
        raise ValueError(f"{name}: expected pictures [B, H, W, 3], found shape {shape}; connect an IMAGE")
    if 0 in shape:
        raise ValueError(f"{name}: the batch holds no picture (shape {shape}); check the node before this one")
    for index, picture in enumerate(images):
        # A sum is many times faster than asking each value, and not finite where one is not; it may also just be too large.
        if not bool(picture.sum().isfinite()) and not bool(picture.isfinite().all()):
            raise ValueError(f"{name}: picture {index} holds values that are not finite{_NOT_FINITE}")
    if shape[-1] == 1:
        return images.expand(*shape[:3], 3)
    return images if alpha else images[..., :3]


def require_masks(mask: Any, size: tuple[int, int], count: int, meant_for: str, advice: str) -> Any:
    """Masks [1 or count, H, W] in 0..1 of a mask [H, W] or [B, H, W].

    size: (height, width) they must have. Raises ValueError for another shape or values that are not finite; `meant_for` says
    what they must fit and `advice` what to connect; TypeError for what is no tensor of floating-point numbers.
    """
    if not isinstance(mask, torch.Tensor) or not mask.is_floating_point():
        found = f"a mask of {mask.dtype}" if isinstance(mask, torch.Tensor) else f"a {type(mask).__name__}"
        raise TypeError(f"mask: found {found}, expected a MASK of floating-point numbers from 0 to 1; {advice}")
    masks = mask[None] if mask.ndim == 2 else mask
    if masks.ndim != 3 or tuple(masks.shape[1:]) != size or len(masks) not in (1, count):
        raise ValueError(f"mask: shape {tuple(mask.shape)} does not fit {meant_for}; {advice}")
    if not bool(masks.isfinite().all()):
        raise ValueError(f"mask: it holds values that are not finite{_NOT_FINITE}")
    return masks.clamp(0.0, 1.0)


def require_latent(latent: Any, name: str, channels: int) -> dict[str, Any]:
    """A LATENT of pictures, samples [B, channels, h, w], and its mask where it has one.

    Raises TypeError for another kind, ValueError for other channels, an empty batch or values that are not finite.
    """
    advice = "connect the latent of SFSR Conditioning"
    samples = latent.get("samples") if isinstance(latent, dict) else None
    if not isinstance(samples, torch.Tensor) or samples.ndim != 4:
        shape = f"samples of shape {tuple(samples.shape)}" if isinstance(samples, torch.Tensor) else None
        found = shape or f"a {type(latent).__name__} without samples"
        raise TypeError(f"{name}: found {found}, expected latents of pictures [B, {channels}, h, w]; {advice}")
    if samples.shape[1] != channels or 0 in samples.shape:
        raise ValueError(
            f"{name}: found samples of shape {tuple(samples.shape)}, expected [B, {channels}, h, w] as this model's; {advice}"
        )
    if not isinstance(latent.get("noise_mask"), torch.Tensor | None):
        raise TypeError(f"{name}: its noise mask is a {type(latent['noise_mask']).__name__}, expected a MASK; {advice}")
    if not bool(samples.isfinite().all()):
        raise ValueError(f"{name}: it holds values that are not finite{_NOT_FINITE}")
    return latent


def require_conditioning(conditioning: Any, name: str, width: int) -> list:
    """A CONDITIONING: pairs of tokens [B, T, width] and a dictionary. Raises TypeError for another kind, ValueError for tokens
    of another model."""
    pairs = conditioning if isinstance(conditioning, list) and conditioning else [conditioning]
    for pair in pairs:
        tokens = pair[0] if isinstance(pair, list | tuple) and len(pair) == 2 and isinstance(pair[1], dict) else None
        if not isinstance(tokens, torch.Tensor) or tokens.ndim != 3:
            raise TypeError(
                f"{name}: found a {type(conditioning).__name__}, expected a CONDITIONING; connect {name} of SFSR Conditioning"
            )
        if tokens.shape[-1] != width:
            raise ValueError(
                f"{name}: its tokens have {tokens.shape[-1]} numbers, this model takes {width}; connect {name} of the SFSR "
                "Conditioning that the model comes from"
            )
    return conditioning
