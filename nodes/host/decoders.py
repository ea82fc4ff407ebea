"""What decodes x0* for guidance: the model's own autoencoder, whole or the face alone, or the host's tiny decoder."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import comfy.model_management
import comfy.sd
import comfy.taesd.taesd
import folder_paths
import torch
from torch import Tensor

from .network import is_taesd

AUTOMATIC, FACE, WHOLE, TINY = "automatic", "face only", "whole", "tiny"
DECODERS = (AUTOMATIC, FACE, WHOLE, TINY)
_FOLDER = "vae_approx"
# A backward pass keeps what the decoder's forward pass made on its way; the host's own figure is for forward alone.
_BACKWARD_MEMORY = 3

Decode = Callable[[Tensor], Tensor]


def tiny_file(model: Any) -> str | None:
    """The path of TAESD's decoder for a model's latents below the host's vae_approx folder; None where there is none."""
    name = model.model.latent_format.taesd_decoder_name
    # Those of films have a layout of their own.
    if name is None or not name.startswith("tae") or name == "taehv" or model.model.latent_format.latent_dimensions != 2:
        return None
    found = next((one for one in folder_paths.get_filename_list(_FOLDER) if one.startswith(name)), None)
    return None if found is None else folder_paths.get_full_path(_FOLDER, found)


def chosen(choice: str, model: Any, vae: Any) -> str:
    """FACE, WHOLE or TINY; raises ValueError where a tiny decoder was asked for and there is none."""
    if choice == AUTOMATIC:
        # Nothing is smaller than TAESD.
        return WHOLE if is_taesd(vae) else TINY if tiny_file(model) is not None else FACE
    if choice == TINY and tiny_file(model) is None:
        name = model.model.latent_format.taesd_decoder_name
        advice = f"put {name}.safetensors into models/{_FOLDER}, or choose" if name else "there is none for its latents; choose"
        raise ValueError(
            f"decoder: found '{TINY}', but the host has no tiny decoder for latents of "
            f"{type(model.model.latent_format).__name__}; {advice} '{FACE}'"
        )
    return choice


def with_gradients(vae: Any) -> Any:
    """A VAE of the same weights through which gradients pass.

    Graphs run in inference mode, where weights cannot take part in autograd; call this outside it.
    """
    # What the host reads off the weights alone it may read wrongly: latents of 128 channels have a note beside their file.
    about = {"tae_latent_channels": vae.latent_channels}
    weights = {key: value.detach().clone() for key, value in vae.get_sd().items()}
    copied = comfy.sd.VAE(sd=weights, device=vae.device, dtype=torch.float32, metadata=about if is_taesd(vae) else None)
    copied.first_stage_model.requires_grad_(False)
    return copied


def decoding_memory(decoder: Any, shape: torch.Size) -> int:
    """Bytes that decoding latents of a shape forth and back may take."""
    fitting = _fitting(decoder, torch.empty(shape, device="meta")).shape
    return int(_BACKWARD_MEMORY * decoder.memory_used_decode(fitting, torch.float32))


def vae_decode(decoder: Any, model: Any, device: torch.device) -> Decode:
    """Latents [B, C, h, w] or [B, C, 1, h, w] of the model's own space to pictures [B, H, W, 3] in 0..1 on a device.

    decoder: as `with_gradients` gives it; model: a patcher.
    """
    form = copy.copy(model.model.latent_format)
    with torch.inference_mode(False):
        # Some formats scale by tensors of their own, which autograd saves.
        vars(form).update({name: value.clone() for name, value in vars(form).items() if isinstance(value, Tensor)})

    def decode(latents: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        scaled = _fitting(decoder, form.process_out(latents)).to(decoder.device, torch.float32)
        pixels = decoder.process_output(decoder.first_stage_model.decode(scaled))
        return _pictures(pixels).to(device)

    return decode


def tiny_decode(model: Any, device: torch.device) -> Decode:
    """The same by TAESD, which takes the model's own space as it is. model: a patcher. Read anew for each run: it is small."""
    path, channels = tiny_file(model), model.model.latent_format.latent_channels
    with torch.inference_mode(False):
        tiny = (
            comfy.taesd.taesd.TAESD(None, path, latent_channels=channels).to(device, torch.float32).eval().requires_grad_(False)
        )

    def decode(latents: Tensor) -> Tensor:
        comfy.model_management.throw_exception_if_processing_interrupted()
        return _pictures(((tiny.decode(latents.to(device, torch.float32)) + 1) / 2).clamp(0, 1))

    return decode


def require_pictures(latents: Tensor) -> None:
    """Raise ValueError for latents of more than one frame, or of none."""
    if latents.ndim == 4 or (latents.ndim == 5 and latents.shape[2] == 1):
        return
    raise ValueError(
        f"guidance: found latents {list(latents.shape)}, expected single pictures ([B, C, h, w], or [B, C, 1, h, w] of one "
        "frame); sample single frames, or set both guidances to 0"
    )


def _fitting(decoder: Any, latents: Tensor) -> Tensor:
    """Latents with a dimension of frames where the VAE wants one, and without where it does not."""
    if decoder.latent_dim == 2 and latents.ndim == 5:
        return latents[:, :, 0]
    return latents[:, :, None] if decoder.latent_dim == 3 and latents.ndim == 4 else latents


def _pictures(pixels: Tensor) -> Tensor:
    """Pixels [B, 3, H, W] or [B, 3, 1, H, W] as [B, H, W, 3]."""
    return (pixels[:, :, 0] if pixels.ndim == 5 else pixels)[:, :3].movedim(1, -1)
