"""A checkpoint in plain PyTorch: the same network, conditioning and latents as in the host, without a host."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..compound import CompoundEncoder
from ..estimators import denoiser
from ..estimators.midpoint import Denoiser, Level
from ..face.faceless import soft_latent_mask, without_face
from ..network import Checkpoint, CheckpointError, UNetConfig
from ..network.diffusers_names import autoencoder_arguments, autoencoder_to_diffusers, unet_arguments, unet_to_diffusers
from ..network.layout import HOST_FACTOR
from ..schedule import ScaledLinearSchedule


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What the network is shown of the targets, in its own latents.

    known [B, C, h, w]: the whole target. faceless [B, C, h, w]: without its face. mask [B, 1, h, w]: bilinear. hole: rounded.
    """

    known: Tensor
    faceless: Tensor
    mask: Tensor

    @property
    def hole(self) -> Tensor:
        return self.mask.round()


@dataclass(frozen=True)
class Guidance:
    """Scales of the two streams in eps = eps(0,0) + s_id [eps(id,0) - eps(0,0)] + s_exp [eps(id,exp) - eps(id,0)].

    In ComfyUI they are the guider's cfg times the stream's guidance. Equal scales are plain cfg: two evaluations, or one at 1.
    """

    identity: float = 2.0
    expression: float = 2.0


class Network:
    """UNet, autoencoder and compound encoder of a checkpoint, frozen, float32.

    Raises CheckpointError naming the checkpoint where its entries do not fit its metadata, or the autoencoder is not TAESD's,
    and ValueError for a device that is not there.
    """

    def __init__(self, checkpoint: Checkpoint, device: str | torch.device = "cpu") -> None:
        from diffusers import AutoencoderTiny, UNet2DConditionModel

        self.metadata, self.name, self.device = checkpoint.metadata, checkpoint.name, _device(device)
        config = self.metadata.unet
        try:
            unet: Any = UNet2DConditionModel(**unet_arguments(config))
            unet.load_state_dict(unet_to_diffusers(_floats(checkpoint.unet), config))
            autoencoder: Any = AutoencoderTiny(**autoencoder_arguments(config.latent_channels))
            autoencoder.load_state_dict(autoencoder_to_diffusers(_floats(checkpoint.autoencoder)))
            self.compound = CompoundEncoder(self.metadata.compound)
            self.compound.load_state_dict(_floats(checkpoint.compound))
            scale, shift = (float(checkpoint.autoencoder[name]) for name in ("vae_scale", "vae_shift"))
        except (KeyError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise CheckpointError(f"{checkpoint.name}: does not fit its own metadata ({reason}); export it again") from error
        self.unet, self.autoencoder = unet, autoencoder
        for module in (self.unet, self.autoencoder, self.compound):
            module.to(self.device).eval().requires_grad_(False)
        for module in (self.unet, self.autoencoder):  # convolutions are fastest so
            module.to(memory_format=torch.channels_last)
        self._scale, self._shift = scale, shift
        self._schedule = ScaledLinearSchedule()

    def latent_shape(self, size: int) -> tuple[int, int, int]:
        """Of the latents of a picture of size x size pixels."""
        return self.metadata.unet.latent_channels, size // 8, size // 8

    @torch.no_grad()
    def encode(self, images: Tensor) -> Tensor:
        """Pictures [B, H, W, 3] in 0..1 to the latents [B, C, H / 8, W / 8] that the UNet works on."""
        latents = self.autoencoder.encoder(images.to(self.device).movedim(-1, 1) * 2 - 1)
        return (latents / self._scale + self._shift) * HOST_FACTOR

    def decode(self, latents: Tensor) -> Tensor:
        """The way back, to pictures [B, H, W, 3] in 0..1."""
        pictures = self.autoencoder.decoder((latents / HOST_FACTOR - self._shift) * self._scale)
        return ((pictures + 1) / 2).clamp(0, 1).movedim(1, -1)

    def surroundings(self, targets: Tensor, masks: Tensor) -> Surroundings:
        """Targets [B, H, W, 3] in 0..1 and masks [B, H, W] as the network sees them."""
        targets, masks = targets.to(self.device), masks.to(self.device)
        known = self.encode(targets)
        height, width = known.shape[-2:]
        return Surroundings(known, self.encode(without_face(targets, masks)), soft_latent_mask(masks.float(), height, width))

    @torch.no_grad()
    def tokens(self, identity: Tensor, expression: Tensor, pose: Tensor | None, *weights: float) -> Tensor:
        """Tokens [B, T, C] at the weights of identity and expression, one number each."""
        ones = torch.ones(len(identity), device=self.device)
        inputs = [None if value is None else value.to(self.device).float() for value in (identity, expression, pose)]
        return self.compound(*inputs, *(ones * weight for weight in weights))

    def predict(self, x_t: Tensor, sigma: Level, tokens: Tensor, surroundings: Surroundings) -> Tensor:
        """The UNet's raw output for x_t at noise levels (a number or [B])."""
        levels = torch.as_tensor(sigma, dtype=torch.float32, device=self.device).expand(len(x_t))
        times = self._schedule.nearest_timesteps(levels)
        inputs = torch.cat((x_t, surroundings.hole, surroundings.faceless), 1)
        return self.unet(inputs, times, encoder_hidden_states=tokens).sample

    def denoiser_of(self, tokens: Tensor, surroundings: Surroundings) -> Denoiser:
        """D(x, sigma) on x = x0 + sigma eps under tokens [B, T, C], without guidance."""
        return denoiser(lambda x, level: self.predict(x, level, tokens, surroundings), self.metadata.prediction)

    def denoiser(
        self, identity: Tensor, expression: Tensor, pose: Tensor | None, surroundings: Surroundings, guidance: Guidance
    ) -> Denoiser:
        """D(x, sigma) on x = x0 + sigma eps with both scales, all conditions of a step in one batch."""
        weights = [(1.0, 1.0)]
        if not guidance.identity == guidance.expression == 1.0:
            weights += [(0.0, 0.0)]
        if guidance.identity != guidance.expression:
            weights += [(1.0, 0.0)]
        tokens = torch.cat([self.tokens(identity, expression, pose, *pair) for pair in weights])
        count = len(weights)
        denoise = self.denoiser_of(tokens, Surroundings(*(one.repeat(count, 1, 1, 1) for one in vars(surroundings).values())))

        def guided(x: Tensor, sigma: Level) -> Tensor:
            level = sigma.repeat(count) if isinstance(sigma, Tensor) and sigma.ndim else sigma
            full, *others = denoise(x.repeat(count, 1, 1, 1), level).chunk(count)
            if not others:
                return full
            null, *rest = others
            middle = rest[0] if rest else null
            return null + guidance.identity * (middle - null) + guidance.expression * (full - middle)

        return guided


def check_size(size: int, config: UNetConfig) -> int:
    """The size itself; raises ValueError for a side in pixels that a UNet of these levels cannot halve often enough."""
    multiple = config.picture_multiple
    if size < 1 or size % multiple:
        raise ValueError(f"size: expected a multiple of {multiple} pixels for this network, found {size}")
    return size


def anchored(denoise: Denoiser, known: Tensor, hole: Tensor, noise: Tensor) -> Callable[..., Tensor]:
    """The denoiser with the known background put back before and after each evaluation, as the host does with a noise mask.

    known, hole, noise: as in `Surroundings`, and unit noise like the latents. The solver's own arguments are understood:
    denoise_mask stands in for the hole, seed is not needed.
    """

    def model(x: Tensor, sigma: Level, denoise_mask: Tensor | None = None, seed: int | None = None) -> Tensor:
        open_ = hole if denoise_mask is None else denoise_mask
        level = sigma.reshape(-1, 1, 1, 1) if isinstance(sigma, Tensor) else sigma
        x0 = denoise(torch.lerp(known + level * noise, x, open_), sigma)
        return torch.lerp(known, x0, open_)

    return model


def _device(name: str | torch.device) -> torch.device:
    try:
        device = torch.device(name)
        torch.zeros(1, device=device)
    # A PyTorch without CUDA asserts that it has it.
    except (RuntimeError, AssertionError) as error:
        raise ValueError(f"device: '{name}' cannot be used here ({str(error).splitlines()[0]}); try cpu") from error
    return device


def _floats(state: dict[str, Tensor]) -> dict[str, Tensor]:
    return {name: value.float() for name, value in state.items()}
