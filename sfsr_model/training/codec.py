"""The frozen autoencoder of the network's task: pictures to latents exactly as ComfyUI's network sees them, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, autocast, nn

from ..network.checkpoint import PREFIXES
from ..network.layout import HOST_FACTOR, LATENT_CHANNELS
from .autoencoder import autoencoder_of
from .settings import SettingsError

_PREFIX = PREFIXES["autoencoder"]
# Pictures that are encoded at once: a full-size autoencoder needs much memory for each.
_CHUNK = 16


class Codec(nn.Module):
    """An autoencoder with frozen weights. stored: its entries under the host's names, for the checkpoint.

    deviation: what the host divides an encoder's output by before the network sees it. in_bfloat16: compute in it, several
    times as fast on a CPU; latents then err by half a percent of their deviation, gradients through decode by two.
    """

    in_bfloat16 = False

    def __init__(self, model: nn.Module, deviation: float, stored: dict[str, Tensor]) -> None:
        super().__init__()
        self.model = model.requires_grad_(False).eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.deviation, self.stored = deviation, stored

    @property
    def channels(self) -> int:
        """Of the latents."""
        entry = self.stored.get("taesd_decoder.1.weight")
        return LATENT_CHANNELS if entry is None else entry.shape[1]

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Latents [B, C, H / 8, W / 8] of about unit deviation of pictures [B, H, W, 3] in 0..1."""
        values = images.movedim(-1, 1) * 2 - 1
        with self._precision(values):
            latents = torch.cat([self.model(part, encode=True) for part in values.split(_CHUNK)])
        return latents.float() / self.deviation

    def decode(self, latents: Tensor) -> Tensor:
        """Pictures [B, 3, H, W], about 0..1 and not clamped, with gradients."""
        with self._precision(latents):
            made = self.model(latents * self.deviation, encode=False)
        return (made.float() + 1) / 2

    def _precision(self, values: Tensor) -> autocast:
        return autocast(values.device.type, torch.bfloat16, enabled=self.in_bfloat16)


def preview_colours(latents: Tensor, pictures: Tensor) -> tuple[tuple[float, ...], ...]:
    """Rows [C + 1, 3] that turn latents [B, C, h, w] into the colours in -1..1 of pictures [B, 3, H, W] in 0..1, as well as a
    linear map can; the last row is added to all."""
    channels = latents.shape[1]
    wanted = nn.functional.interpolate(pictures, size=latents.shape[-2:], mode="area") * 2 - 1
    rows = latents.movedim(1, -1).reshape(-1, channels)
    rows = torch.cat((rows, torch.ones(len(rows), 1).to(rows)), 1)
    found = torch.linalg.lstsq(rows, wanted.movedim(1, -1).reshape(-1, 3)).solution
    return tuple(tuple(round(float(value), 4) for value in row) for row in found)


class _Full(nn.Module):
    """Stable Diffusion's own autoencoder with the one call of `TinyAutoencoder`; a latent is its distribution's mode."""

    def __init__(self, stored: dict[str, Tensor]) -> None:
        super().__init__()
        from diffusers import AutoencoderKL
        from diffusers.loaders.single_file_utils import convert_ldm_vae_checkpoint

        widths: list[int] = []
        while (first := stored.get(f"encoder.down.{len(widths)}.block.0.conv1.weight")) is not None:
            widths.append(first.shape[0])
        blocks = len(widths)
        model: Any = AutoencoderKL(
            block_out_channels=tuple(widths),
            down_block_types=("DownEncoderBlock2D",) * blocks,
            up_block_types=("UpDecoderBlock2D",) * blocks,
            layers_per_block=2,
            latent_channels=4,
        )
        named = convert_ldm_vae_checkpoint({_PREFIX + name: value.float() for name, value in stored.items()}, model.config)
        model.load_state_dict(named)
        self.inner = model

    def forward(self, values: Tensor, encode: bool) -> Tensor:
        return self.inner.encode(values).latent_dist.mode() if encode else self.inner.decode(values).sample


def load_codec(path: Path) -> Codec:
    """The autoencoder of an exported one, of an SFSR checkpoint, or of a Stable Diffusion 1.x checkpoint or autoencoder.

    Raises SettingsError naming the file for anything else.
    """
    try:
        with safe_open(path, framework="pt") as file:
            names = list(file.keys())
            prefix = _PREFIX if any(name.startswith(_PREFIX) for name in names) else ""
            stored = {name.removeprefix(prefix): file.get_tensor(name) for name in names if name.startswith(prefix)}
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"autoencoder: {path} cannot be read as safetensors ({error})") from error
    if "encoder.conv_in.weight" not in stored:
        model, deviation = autoencoder_of(stored, path)
        return Codec(model, deviation, stored)
    try:
        return Codec(_Full(stored), 1 / HOST_FACTOR, stored)
    except (KeyError, RuntimeError, ValueError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(
            f"autoencoder: {path} holds an autoencoder that is not Stable Diffusion 1.x's ({reason}); give a whole checkpoint"
        ) from error
