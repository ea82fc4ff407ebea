"""Key names and shapes of a Stable Diffusion 1.x UNet and of a TAESD autoencoder, for any size of the UNet."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

Shape = tuple[int, ...]
LATENT_CHANNELS = 4
HOST_FACTOR = 0.18215
"""What the host multiplies an autoencoder's latents by before an SD 1.x network sees them; `vae_scale` takes it back."""
TAESD_WIDTH = 64


@dataclass(frozen=True)
class UNetConfig:
    """A UNet in SD 1.x's layout; the defaults are the demo network's.

    attention[i]: whether level i (a halving each) carries cross-attention. num_heads: attention heads at every level, or -1 for
    as many as heads of `head_channels` channels fill. in_channels: of a noisy latent, the mask and the faceless latent;
    out_channels: of a latent.
    """

    model_channels: int = 64
    channel_mult: tuple[int, ...] = (1, 2, 3)
    num_res_blocks: int = 2
    attention: tuple[bool, ...] = (False, True, True)
    context_dim: int = 256
    head_channels: int = 32
    num_heads: int = -1
    in_channels: int = 2 * LATENT_CHANNELS + 1
    out_channels: int = LATENT_CHANNELS

    @property
    def latent_channels(self) -> int:
        return self.out_channels

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> UNetConfig:
        fields: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in values.items()}
        return cls(**fields)

    @property
    def picture_multiple(self) -> int:
        """What the sides of pictures in pixels must be multiples of, for the latents to be halved at every level."""
        return 8 * 2 ** (len(self.channel_mult) - 1)

    @property
    def ldm_arguments(self) -> dict[str, Any]:
        """The same sizes in the argument names of the latent diffusion UNetModel, which ComfyUI builds."""
        levels = len(self.channel_mult)
        depth = [int(self.attention[level]) for level in range(levels) for _ in range(self.num_res_blocks)]
        depth_output = [int(self.attention[level]) for level in range(levels) for _ in range(self.num_res_blocks + 1)]
        return {
            "image_size": 32,
            "use_spatial_transformer": True,
            "legacy": False,
            "use_checkpoint": False,
            "in_channels": self.in_channels,
            "out_channels": self.out_channels,
            "model_channels": self.model_channels,
            "num_res_blocks": [self.num_res_blocks] * levels,
            "channel_mult": list(self.channel_mult),
            "transformer_depth": depth,
            "transformer_depth_output": depth_output,
            "transformer_depth_middle": 1,
            "context_dim": self.context_dim,
            "use_linear_in_transformer": False,
            "adm_in_channels": None,
            "num_head_channels": self.head_channels if self.num_heads == -1 else -1,
            "num_heads": self.num_heads,
        }


SD15_INPAINTING = UNetConfig(
    model_channels=320,
    channel_mult=(1, 2, 4, 4),
    attention=(True, True, True, False),
    context_dim=768,
    num_heads=8,
)


def unet_shapes(config: UNetConfig) -> dict[str, Shape]:
    """Every parameter of the UNet by its SD 1.x name (without the checkpoint's prefix)."""
    shapes: dict[str, Shape] = {}
    width, embedding = config.model_channels, 4 * config.model_channels
    _linear(shapes, "time_embed.0", width, embedding)
    _linear(shapes, "time_embed.2", embedding, embedding)
    _conv(shapes, "input_blocks.0.0", config.in_channels, width, 3)

    skips, channels, block = [width], width, 1
    last = len(config.channel_mult) - 1
    for level, factor in enumerate(config.channel_mult):
        for _ in range(config.num_res_blocks):
            _res_block(shapes, f"input_blocks.{block}.0", channels, factor * width, embedding)
            channels = factor * width
            if config.attention[level]:
                _transformer(shapes, f"input_blocks.{block}.1", channels, config.context_dim)
            skips.append(channels)
            block += 1
        if level != last:
            _conv(shapes, f"input_blocks.{block}.0.op", channels, channels, 3)
            skips.append(channels)
            block += 1

    _res_block(shapes, "middle_block.0", channels, channels, embedding)
    _transformer(shapes, "middle_block.1", channels, config.context_dim)
    _res_block(shapes, "middle_block.2", channels, channels, embedding)

    block = 0
    for level in range(last, -1, -1):
        for index in range(config.num_res_blocks + 1):
            out = config.channel_mult[level] * width
            _res_block(shapes, f"output_blocks.{block}.0", channels + skips.pop(), out, embedding)
            channels = out
            if config.attention[level]:
                _transformer(shapes, f"output_blocks.{block}.1", channels, config.context_dim)
            if level and index == config.num_res_blocks:
                upsample = 2 if config.attention[level] else 1
                _conv(shapes, f"output_blocks.{block}.{upsample}.conv", channels, channels, 3)
            block += 1

    _norm(shapes, "out.0", channels)
    _conv(shapes, "out.2", channels, config.out_channels, 3)
    return shapes


def taesd_shapes(channels: int = LATENT_CHANNELS) -> dict[str, Shape]:
    """Every parameter of TAESD's encoder and decoder, and the two scalars the host reads; channels: of the latents."""
    shapes: dict[str, Shape] = {"vae_scale": (), "vae_shift": ()}
    width = TAESD_WIDTH

    def block(name: str) -> None:
        for index in (0, 2, 4):
            _conv(shapes, f"{name}.conv.{index}", width, width, 3)

    # The positions in each sequence: a convolution at the ends, blocks between, a resampling step after each group.
    _conv(shapes, "taesd_encoder.0", 3, width, 3)
    for position in (1, 3, 4, 5, 7, 8, 9, 11, 12, 13):
        block(f"taesd_encoder.{position}")
    for position in (2, 6, 10):
        _conv(shapes, f"taesd_encoder.{position}", width, width, 3, bias=False)
    _conv(shapes, "taesd_encoder.14", width, channels, 3)

    _conv(shapes, "taesd_decoder.1", channels, width, 3)
    for position in (3, 4, 5, 8, 9, 10, 13, 14, 15, 18):
        block(f"taesd_decoder.{position}")
    for position in (7, 12, 17):
        _conv(shapes, f"taesd_decoder.{position}", width, width, 3, bias=False)
    _conv(shapes, "taesd_decoder.19", width, 3, 3)
    return shapes


def _linear(shapes: dict[str, Shape], name: str, inputs: int, outputs: int, bias: bool = True) -> None:
    shapes[f"{name}.weight"] = (outputs, inputs)
    if bias:
        shapes[f"{name}.bias"] = (outputs,)


def _conv(shapes: dict[str, Shape], name: str, inputs: int, outputs: int, kernel: int, bias: bool = True) -> None:
    shapes[f"{name}.weight"] = (outputs, inputs, kernel, kernel)
    if bias:
        shapes[f"{name}.bias"] = (outputs,)


def _norm(shapes: dict[str, Shape], name: str, channels: int) -> None:
    shapes[f"{name}.weight"] = (channels,)
    shapes[f"{name}.bias"] = (channels,)


def _res_block(shapes: dict[str, Shape], name: str, inputs: int, outputs: int, embedding: int) -> None:
    _norm(shapes, f"{name}.in_layers.0", inputs)
    _conv(shapes, f"{name}.in_layers.2", inputs, outputs, 3)
    _linear(shapes, f"{name}.emb_layers.1", embedding, outputs)
    _norm(shapes, f"{name}.out_layers.0", outputs)
    _conv(shapes, f"{name}.out_layers.3", outputs, outputs, 3)
    if inputs != outputs:
        _conv(shapes, f"{name}.skip_connection", inputs, outputs, 1)


def _transformer(shapes: dict[str, Shape], name: str, channels: int, context: int) -> None:
    _norm(shapes, f"{name}.norm", channels)
    _conv(shapes, f"{name}.proj_in", channels, channels, 1)
    inner = f"{name}.transformer_blocks.0"
    for attention, keys in (("attn1", channels), ("attn2", context)):
        _linear(shapes, f"{inner}.{attention}.to_q", channels, channels, bias=False)
        _linear(shapes, f"{inner}.{attention}.to_k", keys, channels, bias=False)
        _linear(shapes, f"{inner}.{attention}.to_v", keys, channels, bias=False)
        _linear(shapes, f"{inner}.{attention}.to_out.0", channels, channels)
    # GEGLU doubles the hidden width: one half gates the other.
    _linear(shapes, f"{inner}.ff.net.0.proj", channels, 8 * channels)
    _linear(shapes, f"{inner}.ff.net.2", 4 * channels, channels)
    for index in (1, 2, 3):
        _norm(shapes, f"{inner}.norm{index}", channels)
    _conv(shapes, f"{name}.proj_out", channels, channels, 1)
