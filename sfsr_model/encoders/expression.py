"""The project's own expression encoder: an ONNX file that reads 52 coefficients and the head's pose from a face in its crop.

The file takes faces [N, 3, S, S], RGB as (pixels - 127.5) / 127.5, cut out by the one crop rule, and gives [N, 55]: the
ARKit coefficients in their usual order, then pitch, yaw and roll in radians. `python -m sfsr_model.training export` writes it.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from ..expressions import ARKIT_NAMES
from ..face.crop import MIN_CROP_SIZE
from ..face.warp import crop_faces
from .onnx_torch import OnnxError, OnnxModule

COEFFICIENTS, ANGLES = len(ARKIT_NAMES), 3
_EXPECTED = (
    f"expected a network of one output that takes [N, 3, S, S] and gives [N, {COEFFICIENTS + ANGLES}] "
    f"({COEFFICIENTS} coefficients, {ANGLES} angles), as the training command's export writes it"
)


class ExpressionFileError(ValueError):
    """The file is no expression encoder; the message names it, what was found and what was expected."""


class ExpressionReader(nn.Module):
    """A frozen expression encoder, made by `load_expression_reader`. Gradients pass from what is read to the picture.

    name: of the file. side: pixels of the crops that it takes. `.to()` moves it to a device.
    """

    def __init__(self, network: OnnxModule, side: int) -> None:
        super().__init__()
        self.network, self.name, self.side = network.eval().requires_grad_(False), network.name, side

    def forward(self, crops: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients [N, 52], not clamped, and pose [N, 3] in radians of crops [N, 3, side, side], RGB in 0..1."""
        if crops.ndim != 4 or tuple(crops.shape[1:]) != (3, self.side, self.side):
            raise ValueError(f"crops: expected [N, 3, {self.side}, {self.side}], got {tuple(crops.shape)}")
        read = self.network(crops * 2 - 1)
        return read[:, :COEFFICIENTS], read[:, COEFFICIENTS:]

    def crops(self, pictures: Tensor, points: Tensor) -> Tensor:
        """Crops [N, 3, side, side] of pictures [N, H, W, 3], RGB in 0..1, with five points each [N, 5, 2].

        Larger faces are reduced with an antialiasing filter. Raises ValueError for other shapes, no picture at all,
        or points that coincide.
        """
        if not len(pictures) or pictures.ndim != 4 or pictures.shape[-1] != 3 or points.shape != (len(pictures), 5, 2):
            raise ValueError(
                f"pictures: expected [N, H, W, 3] with points [N, 5, 2], got {tuple(pictures.shape)} and {tuple(points.shape)}"
            )
        return crop_faces(pictures, points, self.side)

    def measure(self, pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """What `forward` gives for the faces with five points [N, 5, 2] in pictures [N, H, W, 3], with gradients."""
        return self(self.crops(pictures, points))

    @torch.no_grad()
    def read(self, pictures: Tensor, points: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients [N, 52] in 0..1 and pose [N, 3] of the faces with five points [N, 5, 2] in pictures [N, H, W, 3]."""
        coefficients, pose = self.measure(pictures, points)
        return coefficients.clamp(0, 1), pose


def load_expression_reader(path: Path) -> ExpressionReader:
    """The expression encoder of an ONNX file; raises ExpressionFileError for a file that is none."""
    if not path.is_file():
        raise ExpressionFileError(f"{path}: there is no such file; {_EXPECTED}")
    try:
        network = OnnxModule(path)
        side = _side(network)
        with torch.no_grad(), torch.inference_mode(False):
            read = network(torch.zeros(2, 3, side, side))
    except OnnxError as error:
        raise ExpressionFileError(f"{error}; {_EXPECTED}") from error
    found = f"{len(read)} outputs" if isinstance(read, tuple) else f"an output of {list(read.shape)} for two faces"
    if isinstance(read, tuple) or tuple(read.shape) != (2, COEFFICIENTS + ANGLES):
        raise ExpressionFileError(f"{path.name}: gives {found}; {_EXPECTED}")
    return ExpressionReader(network, side)


def _side(network: OnnxModule) -> int:
    shape = network.input_shape
    side = shape[-1] if len(shape) == 4 and shape[:2] == (None, 3) and shape[2] == shape[3] else None
    if side is None or side < MIN_CROP_SIZE:
        sizes = ", ".join("any" if axis is None else str(axis) for axis in shape)
        raise ExpressionFileError(f"{network.name}: takes an input of [{sizes}]; {_EXPECTED}")
    return side
