"""The pack's own socket types, inputs that several nodes share, and the check that what arrived on one is what it says.

Other packs may use the same type names; the page cannot tell their values apart, so the nodes do.
"""

from __future__ import annotations

from typing import Any, TypeVar

from comfy_api.latest import io

from ..sfsr_model.encoders.detection import ORDERS

IDEncoderSocket = io.Custom("ID_ENCODER")
IdentitySocket = io.Custom("IDENTITY")
ExpressionSocket = io.Custom("EXPRESSION")
FaceFrameSocket = io.Custom("FACE_FRAME")

CATEGORY = "SFSR"

Value = TypeVar("Value")


def face_choice() -> list[io.Input]:
    """Which face of a picture: the order they are numbered in, and the number."""
    return [
        io.Combo.Input(
            "face_order",
            options=list(ORDERS),
            default=ORDERS[0],
            tooltip="How the faces of a picture are numbered when there is more than one.",
        ),
        io.Int.Input(
            "face_index", default=0, min=0, max=99, tooltip="Which face of each picture, counted from 0 in that order."
        ),
    ]


def require(value: Any, expected: type[Value] | tuple[type[Value], ...], name: str, made_by: str) -> Value:
    """The value itself when it is of an expected class. Raises TypeError naming the input and what to connect."""
    if not isinstance(value, expected):
        classes = expected if isinstance(expected, tuple) else (expected,)
        raise TypeError(
            f"{name}: found a {type(value).__name__}, expected this pack's {' or '.join(one.__name__ for one in classes)}; "
            f"connect the output of {made_by}"
        )
    return value


def require_images(images: Any, name: str) -> Any:
    """A batch of pictures [B, H, W, 3] in 0..1: gray becomes RGB, an alpha channel is left out.

    Raises ValueError for an empty batch, a wrong shape or values that are not finite, naming the picture at fault.
    """
    shape = tuple(getattr(images, "shape", ()))
    if len(shape) != 4 or shape[-1] not in (1, 3, 4):
        raise ValueError(f"{name}: expected pictures [B, H, W, 3], found shape {shape}; connect an IMAGE")
    if 0 in shape:
        raise ValueError(f"{name}: the batch holds no picture (shape {shape}); check the node before this one")
    for index, picture in enumerate(images):
        if not bool(picture.isfinite().all()):
            raise ValueError(f"{name}: picture {index} holds values that are not finite (NaN or infinity)")
    return images.expand(*shape[:3], 3) if shape[-1] == 1 else images[..., :3]
