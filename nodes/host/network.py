"""A checkpoint as ComfyUI's own MODEL and VAE, with the compound encoder travelling inside MODEL."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import comfy.latent_formats
import comfy.model_base
import comfy.model_management
import comfy.model_patcher
import comfy.ops
import comfy.sd
import comfy.supported_models_base
import torch
from torch import Tensor

from ...sfsr_model.compound import CompoundEncoder
from ...sfsr_model.network import Checkpoint, CheckpointError, Metadata
from ...sfsr_model.network.layout import HOST_FACTOR
from .anchoring import hold_to_target
from .checks import check_runs

ATTACHMENT = "sfsr"
MODEL_TYPES = {"eps": comfy.model_base.ModelType.EPS, "v": comfy.model_base.ModelType.V_PREDICTION}


class SFSRLatents(comfy.latent_formats.LatentFormat):
    """Latents of a checkpoint's own autoencoder, scaled as Stable Diffusion 1.x's are.

    The host previews them by linear factors where the checkpoint has some: its own tiny decoders know other latents.
    """

    scale_factor = HOST_FACTOR

    def __init__(self, metadata: Metadata | None = None) -> None:
        if metadata is not None:
            self.latent_channels = metadata.unet.latent_channels
            if metadata.latent_rgb:
                *factors, bias = metadata.latent_rgb
                self.latent_rgb_factors, self.latent_rgb_factors_bias = factors, bias


class SFSRModelConfig(comfy.supported_models_base.BASE):
    """Stable Diffusion 1.x in every respect but the sizes of UNet and latents, which the checkpoint's metadata gives."""

    unet_extra_config: dict[str, Any] = {}  # noqa: RUF012 - the host reads the class attribute
    latent_format = SFSRLatents
    memory_usage_factor = 1.0


@dataclass(frozen=True)
class Attachment:
    """What rides along with MODEL: the compound encoder, managed by the host, and the checkpoint's description."""

    compound: Any
    metadata: Metadata

    def tokens(self, *inputs: Tensor | None) -> Tensor:
        """The compound encoder's tokens, on the host's intermediate device; arguments as in CompoundEncoder.forward."""
        comfy.model_management.load_models_gpu([self.compound])
        device = self.compound.load_device
        moved = [None if value is None else value.to(device) for value in inputs]
        return self.compound.model(*moved).to(comfy.model_management.intermediate_device())


def build_model(checkpoint: Checkpoint) -> Any:
    """The UNet in ComfyUI's patcher. Raises CheckpointError when keys or shapes do not fit the metadata."""
    metadata = checkpoint.metadata
    config = SFSRModelConfig(metadata.unet.ldm_arguments)
    config.latent_format = SFSRLatents(metadata)
    load_device = comfy.model_management.get_torch_device()
    offload_device = comfy.model_management.unet_offload_device()
    parameters = sum(tensor.numel() for tensor in checkpoint.unet.values())
    dtype = comfy.model_management.unet_dtype(model_params=parameters, supported_dtypes=config.supported_inference_dtypes)
    config.set_inference_dtype(dtype, comfy.model_management.unet_manual_cast(dtype, load_device))
    model = comfy.model_base.BaseModel(config, model_type=MODEL_TYPES[metadata.prediction], device=offload_device)
    model.set_inpaint()
    _load_strictly(model.diffusion_model, checkpoint.unet, f"{checkpoint.name}: UNet")
    patcher = _patcher(model, load_device, offload_device)
    patcher.set_attachments(ATTACHMENT, Attachment(_compound(checkpoint), metadata))
    hold_to_target(patcher)
    check_runs(patcher, metadata)
    return patcher


def build_vae(checkpoint: Checkpoint) -> Any:
    """The autoencoder as ComfyUI's VAE."""
    vae = comfy.sd.VAE(sd=dict(checkpoint.autoencoder))
    if getattr(vae, "first_stage_model", None) is None:
        raise CheckpointError(f"{checkpoint.name}: the autoencoder's keys are of no kind that ComfyUI knows")
    return vae


def attachment(model: Any) -> Attachment:
    """What an SFSR model carries. Raises TypeError, saying what was connected, for any other model."""
    found = getattr(model, "attachments", {}).get(ATTACHMENT)
    if not isinstance(found, Attachment):
        inner = type(getattr(model, "model", model)).__name__
        raise TypeError(f"model: found a {inner} that is no SFSR model; connect the MODEL output of Load SFSR Model")
    return found


def require_vae(vae: Any) -> Any:
    """What came over a `vae` socket. Raises TypeError for what is no VAE of the host's."""
    if not isinstance(vae, comfy.sd.VAE):
        raise TypeError(f"vae: found a {type(vae).__name__}, expected a VAE; connect the VAE output of Load SFSR Model")
    return vae


def require_vae_of(model: Any, vae: Any) -> Any:
    """The same; raises ValueError for another model's, told by its latents' channels. model: a patcher."""
    found, wanted = require_vae(vae).latent_channels, model.model.latent_format.latent_channels
    if found != wanted:
        raise ValueError(
            f"vae: its latents have {found} channels, this model's have {wanted}; connect the VAE output of the node that "
            "loaded the model"
        )
    return vae


def _compound(checkpoint: Checkpoint) -> Any:
    load_device = comfy.model_management.text_encoder_device()
    offload_device = comfy.model_management.text_encoder_offload_device()
    encoder = CompoundEncoder(
        checkpoint.metadata.compound, operations=comfy.ops.manual_cast, dtype=torch.float32, device=offload_device
    )
    _load_strictly(encoder, checkpoint.compound, f"{checkpoint.name}: compound encoder")
    return _patcher(encoder.eval().requires_grad_(False), load_device, offload_device)


def _patcher(model: torch.nn.Module, load_device: torch.device, offload_device: torch.device) -> Any:
    # Looked up here and not imported by name: the host rebinds it at its start.
    return comfy.model_patcher.CoreModelPatcher(model, load_device=load_device, offload_device=offload_device)


def _load_strictly(module: torch.nn.Module, state: dict[str, Tensor], label: str) -> None:
    own = module.state_dict()
    missing, unknown = sorted(own.keys() - state.keys()), sorted(state.keys() - own.keys())
    if missing or unknown:
        raise CheckpointError(
            f"{label}: {len(missing)} keys are missing ({', '.join(missing[:3])}) and {len(unknown)} are unknown "
            f"({', '.join(unknown[:3])}); the file does not fit its own metadata"
        )
    for key, tensor in state.items():
        if own[key].shape != tensor.shape:
            raise CheckpointError(
                f"{label}: '{key}' has shape {tuple(tensor.shape)}, its metadata asks for {tuple(own[key].shape)}"
            )
    module.load_state_dict(state)
