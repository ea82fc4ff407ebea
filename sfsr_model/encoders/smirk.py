"""SMIRK's expression encoder in plain PyTorch: 55 numbers of a face in its crop.

The network is TensorFlow's MobileNetV3 large, minimal, and a linear layer behind its mean over the picture. Its file,
SMIRK_em1.pt of the project `smirk` by georgeretsi, holds more than it; the rest is not read.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import torch
from safetensors import SafetensorError
from torch import Tensor, nn
from torch.nn import functional as F

from ..expressions import FLAME_NAMES, clamp_flame
from ..face.crop import apply_affine, similarity, template
from ..files import read_tensors

SIDE = 224
"""Pixels of a crop's side."""
CHANNELS = ("BGR", "RGB")
"""Orders in which the network can be given a picture's channels. The first is what the Arc2Face Expression Adapter's own demo
does, the second what SMIRK was trained with."""
PREFIXES = ("smirk_encoder.expression_encoder.", "expression_encoder.", "")
WHAT = (
    "a SMIRK file (SMIRK_em1.pt of the project smirk by georgeretsi; its code is under the MIT License, its weights without "
    "stated terms)"
)
# A file's keys stand near its beginning, whether it is a safetensors or a PyTorch file.
_HEAD = 1 << 20
_MARKS = (b"expression_layers.0.weight", b"conv_stem.weight")
_ENLARGED = 1.4
# Where the square around MediaPipe's landmarks lies in the unit square of the one crop rule: medians over the sample portraits.
_CROP_CENTRE, _CROP_SIDE = (0.5, 0.437), 1.08
_EPSILON = 1e-3
_WIDTH = 960
# Of each stage its blocks: channels between the two pointwise convolutions, channels out, stride.
_STAGES = (
    ((64, 24, 2), (72, 24, 1)),
    ((72, 40, 2), (120, 40, 1), (120, 40, 1)),
    ((240, 80, 2), (200, 80, 1), (184, 80, 1), (184, 80, 1)),
    ((480, 112, 1), (672, 112, 1)),
    ((672, 160, 2), (960, 160, 1), (960, 160, 1)),
)
# Interpolated values a hair below a whole number are that number, not the one before it.
_WHOLE = 1e-4


class SmirkFileError(ValueError):
    """The file is no SMIRK file; the message names it, what was found and what was expected."""


class Square(NamedTuple):
    """A region of a picture in pixels, integers being pixel centres: its centre, and the length of its sides."""

    x: float
    y: float
    side: int


def square_around(landmarks: Tensor) -> Square:
    """The region that SMIRK sees of a face whose landmarks [P, 2 or more], MediaPipe's 478, are known."""
    low, high = landmarks[:, :2].double().amin(0).tolist(), landmarks[:, :2].double().amax(0).tolist()
    size = ((high[0] - low[0]) + (high[1] - low[1])) / 2
    return Square((low[0] + high[0]) / 2, (low[1] + high[1]) / 2, int(size * _ENLARGED))


def square_at(points: Tensor) -> Square:
    """As `square_around` of a face of which only the five points [5, 2] are known; of an upright one within a few hundredths.

    Raises ValueError for points that coincide.
    """
    transform = similarity(template(), points.detach().cpu())
    x, y = apply_affine(transform, torch.tensor([_CROP_CENTRE], dtype=torch.float64))[0].tolist()
    return Square(x, y, int(_CROP_SIDE * torch.linalg.det(transform[:, :2]).sqrt().item()))


def smirk_crop(picture: Tensor, square: Square) -> Tensor:
    """The region of a picture [H, W, 3], RGB in 0..1, as [3, 224, 224] in steps of 1/255.

    Bilinear, black beyond the picture, cut down to 8 bits. Raises ValueError for a region without an extent.
    """
    if square.side < 1:
        raise ValueError(f"the face has a side of {square.side} pixels; expected at least 1")
    pixels = (picture.double() * 255).round().movedim(-1, 0)[None]
    steps = torch.arange(SIDE, dtype=pixels.dtype, device=pixels.device) * (square.side / (SIDE - 1)) - square.side / 2
    down, across = torch.meshgrid(steps + square.y, steps + square.x, indexing="ij")
    height, width = picture.shape[:2]
    unit = pixels.new_tensor([2 / width, 2 / height])
    grid = (torch.stack((across, down), -1) + 0.5) * unit - 1
    seen = F.grid_sample(pixels, grid[None], mode="bilinear", padding_mode="zeros", align_corners=False)[0]
    return ((seen + _WHOLE).floor() / 255).float()


class SmirkNetwork(nn.Module):
    """The network; keys of its state are the file's. Made by `smirk_network`."""

    def __init__(self, operations: Any = nn) -> None:
        super().__init__()
        self.encoder = _Backbone()
        self.expression_layers = nn.Sequential(operations.Linear(_WIDTH, len(FLAME_NAMES)))

    def forward(self, crops: Tensor) -> Tensor:
        """Numbers [N, 55] in `FLAME_NAMES` order, within their bounds, of crops [N, 3, 224, 224] in 0..1."""
        if crops.ndim != 4 or tuple(crops.shape[1:]) != (3, SIDE, SIDE):
            raise ValueError(f"crops: expected [N, 3, {SIDE}, {SIDE}], got {tuple(crops.shape)}")
        return clamp_flame(self.expression_layers(self.encoder(crops).mean((2, 3))))


@dataclass(frozen=True, eq=False)
class SmirkReader:
    """The network of a file under its name. channels: one of CHANNELS. digest: SHA-256 of the file, in hexadecimal."""

    name: str
    network: SmirkNetwork = field(repr=False)
    channels: str = CHANNELS[0]
    digest: str = ""

    @torch.no_grad()
    def read(self, picture: Tensor, square: Square) -> Tensor:
        """Numbers [1, 55], float32 on the CPU, of the face in a square of a picture [H, W, 3], RGB in 0..1."""
        crop = smirk_crop(picture, square)[None]
        crop = crop.flip(1) if self.channels == "BGR" else crop
        return self.network(crop.to(next(self.network.parameters()))).float().cpu()


def smirk_network(tensors: Mapping[str, Tensor], name: str) -> SmirkNetwork:
    """The network of a file's tensors by their keys, with or without the file's prefix. name: of the file.

    Raises SmirkFileError for other keys, shapes or values that are not finite.
    """
    prefix = next((prefix for prefix in PREFIXES if f"{prefix}expression_layers.0.weight" in tensors), None)
    if prefix is None:
        held = f"{len(tensors)} tensors, such as '{next(iter(tensors))}'" if tensors else "no tensor"
        raise SmirkFileError(f"{name}: found {held}, and no '{PREFIXES[0]}expression_layers.0.weight'; expected {WHAT}")
    with torch.inference_mode(False):
        network = SmirkNetwork()
        state = {}
        for key, place in network.state_dict().items():
            found = tensors.get(prefix + key)
            if key.endswith("num_batches_tracked"):  # which says nothing of the network
                state[key] = place
            elif not isinstance(found, Tensor):
                raise SmirkFileError(f"{name}: '{prefix}{key}' is missing; expected {WHAT}, whole")
            elif found.shape != place.shape:
                raise SmirkFileError(
                    f"{name}: '{prefix}{key}' has shape {list(found.shape)}; expected {list(place.shape)}, as in {WHAT}"
                )
            elif not bool(found.isfinite().all()):
                raise SmirkFileError(f"{name}: '{prefix}{key}' holds values that are not finite; get the file again")
            else:
                state[key] = found.float().clone()
        network.load_state_dict(state)
    return network.eval().requires_grad_(False)


def looks_like_smirk(path: Path) -> bool:
    """Whether a file's keys are a SMIRK file's, told from its first megabyte; nothing in it is loaded."""
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD)
    except OSError:
        return False
    return all(mark in head for mark in _MARKS)


def load_smirk(path: Path) -> SmirkNetwork:
    """The network of a safetensors file; raises SmirkFileError."""
    try:
        tensors = read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise SmirkFileError(f"{path.name}: not a readable safetensors file ({error}); expected {WHAT}") from error
    return smirk_network(tensors, path.name)


class _Convolution(nn.Conv2d):
    """As TensorFlow pads it: of an even side with stride 2, one pixel at its end and none at its start."""

    def forward(self, input: Tensor) -> Tensor:
        (size, _), (stride, _) = self.kernel_size, self.stride
        across, down = ((-(-side // stride) - 1) * stride + size - side for side in (input.shape[-1], input.shape[-2]))
        across, down = max(across, 0), max(down, 0)
        padded = F.pad(input, (across // 2, across - across // 2, down // 2, down - down // 2))
        return F.conv2d(padded, self.weight, self.bias, self.stride, groups=self.groups)


def _convolution(channels: int, out: int, size: int = 1, stride: int = 1, groups: int = 1) -> _Convolution:
    return _Convolution(channels, out, size, stride, groups=groups, bias=False)


def _norm(channels: int) -> nn.BatchNorm2d:
    return nn.BatchNorm2d(channels, eps=_EPSILON)


class _First(nn.Module):
    """A depthwise and a pointwise convolution beside the identity."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_dw, self.bn1 = _convolution(channels, channels, 3, groups=channels), _norm(channels)
        self.conv_pw, self.bn2 = _convolution(channels, channels), _norm(channels)

    def forward(self, value: Tensor) -> Tensor:
        return value + self.bn2(self.conv_pw(F.relu(self.bn1(self.conv_dw(value)))))


class _Inverted(nn.Module):
    """Wider, a depthwise convolution, narrower; beside the identity where the shape stays."""

    def __init__(self, channels: int, wide: int, out: int, stride: int) -> None:
        super().__init__()
        self.conv_pw, self.bn1 = _convolution(channels, wide), _norm(wide)
        self.conv_dw, self.bn2 = _convolution(wide, wide, 3, stride, wide), _norm(wide)
        self.conv_pwl, self.bn3 = _convolution(wide, out), _norm(out)
        self.residual = stride == 1 and channels == out

    def forward(self, value: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv_pw(value)))
        inner = self.bn3(self.conv_pwl(F.relu(self.bn2(self.conv_dw(inner)))))
        return value + inner if self.residual else inner


class _Last(nn.Module):
    def __init__(self, channels: int, out: int) -> None:
        super().__init__()
        self.conv, self.bn1 = _convolution(channels, out), _norm(out)

    def forward(self, value: Tensor) -> Tensor:
        return F.relu(self.bn1(self.conv(value)))


class _Backbone(nn.Module):
    """Pictures [N, 3, H, W] to features [N, 960, H / 32, W / 32]."""

    def __init__(self) -> None:
        super().__init__()
        channels = 16
        self.conv_stem, self.bn1 = _convolution(3, channels, 3, 2), _norm(channels)
        stages: list[nn.Module] = [nn.Sequential(_First(channels))]
        for stage in _STAGES:
            blocks = []
            for wide, out, stride in stage:
                blocks.append(_Inverted(channels, wide, out, stride))
                channels = out
            stages.append(nn.Sequential(*blocks))
        self.blocks = nn.Sequential(*stages, nn.Sequential(_Last(channels, _WIDTH)))

    def forward(self, pictures: Tensor) -> Tensor:
        return self.blocks(F.relu(self.bn1(self.conv_stem(pictures))))
