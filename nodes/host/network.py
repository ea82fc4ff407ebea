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
import comfy.taesd.taesd
import torch
from torch import Tensor

from ...sfsr_model.bundled import BUNDLED_NAME
from ...sfsr_model.compound import CompoundEncoder
from ...sfsr_model.encoders.bundled import bundled_space
from ...sfsr_model.network import Checkpoint, CheckpointError, Metadata
from ...sfsr_model.network.checkpoint import ANY_SPACE, RENDERED_SPACE
from ...sfsr_model.network.layout import HOST_FACTOR
from .anchoring import hold_to_target
from .checks import check_runs
from .streams import ATTACHMENT, Acting, Asked, Given, Traits, attachment

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
class CompoundStreams:
    """The streams of an SFSR checkpoint: the compound encoder, managed by the host, and the checkpoint's description."""

    compound: Any
    metadata: Metadata

    @property
    def traits(self) -> Traits:
        return traits_of(self.metadata)

    def check(self, asked: Asked) -> None:
        """Raise ValueError for a person of another recogniser than the checkpoint's."""
        wanted, given = self.metadata.identity_space, asked.people.space
        if wanted not in (ANY_SPACE, given):
            raise ValueError(
                f"identity: it was made by a recogniser of the space '{given}', but this checkpoint was trained on '{wanted}', "
                f"and two recognisers do not understand each other's numbers; {_right_encoder(wanted)}"
            )
        dim, found = self.metadata.compound.identity_dim, asked.people.people[0].dim
        if found != dim:
            raise ValueError(f"identity: its embeddings have {found} numbers, this checkpoint takes {dim}")

    def install(self, model: Any, identity: Acting, expression: Acting) -> None:
        """Nothing: the tokens are the whole context."""

    def given(self, asked: Asked, identity: Acting, expression: Acting, prompt: bool = True) -> Given:
        """The compound encoder's tokens, on the host's intermediate device. A stream of weight 0 is its null."""
        look = asked.look
        count = max(len(asked.people), len(look))
        inputs = asked.people.means().expand(count, -1), look.coefficients, look.pose
        comfy.model_management.load_models_gpu([self.compound])
        device = self.compound.load_device
        moved = [None if value is None else value.expand(count, -1).to(device) for value in inputs]
        weights = [torch.full((count,), one.weight if one.on else 0.0, device=device) for one in (identity, expression)]
        return Given(self.compound.model(*moved, *weights).to(comfy.model_management.intermediate_device()))


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
    patcher = patched(model, load_device, offload_device)
    patcher.set_attachments(ATTACHMENT, CompoundStreams(_compound(checkpoint), metadata))
    hold_to_target(patcher)
    check_runs(patcher, traits_of(metadata))
    return patcher


def build_vae(checkpoint: Checkpoint) -> Any:
    """The autoencoder as ComfyUI's VAE."""
    vae = comfy.sd.VAE(sd=dict(checkpoint.autoencoder))
    if getattr(vae, "first_stage_model", None) is None:
        raise CheckpointError(f"{checkpoint.name}: the autoencoder's keys are of no kind that ComfyUI knows")
    return vae


def traits_of(metadata: Metadata) -> Traits:
    """What a checkpoint is good for. Only those that began as Stable Diffusion make faces of other sizes."""
    return Traits(metadata.resolution, metadata.trained, one_size_only=metadata.base == "demo")


def metadata_of(model: Any) -> Metadata:
    """The description of the SFSR checkpoint that a model is. Raises TypeError, saying what was connected, for any other."""
    found = attachment(model)
    if not isinstance(found, CompoundStreams):
        raise TypeError("model: it is made of adapters, and this node works on a checkpoint; connect that of Load SFSR Model")
    return found.metadata


def require_vae(vae: Any) -> Any:
    """What came over a `vae` socket. Raises TypeError for what is no VAE of the host's."""
    if not isinstance(vae, comfy.sd.VAE):
        raise TypeError(f"vae: found a {type(vae).__name__}, expected a VAE; connect the VAE output of Load SFSR Model")
    return vae


def require_vae_of(model: Any, vae: Any) -> Any:
    """The same; raises ValueError for another model's, told by its latents' channels and the pixels of a cell, and for one of
    TAESD's layout by its factor. model: a patcher. Where two models' latents differ in their meaning alone nothing can tell."""
    form = model.model.latent_format
    found, wanted = require_vae(vae).latent_channels, form.latent_channels
    if found != wanted:
        raise ValueError(_of_another(model, vae, f"latents have {found} channels", f"have {wanted}"))
    found, wanted = vae.spacial_compression_decode(), form.spacial_downscale_ratio
    if found != wanted:
        raise ValueError(_of_another(model, vae, f"latents have {found} pixels to a cell", f"have {wanted}"))
    # A checkpoint of this project has a factor of its own. Half precision keeps three digits of it.
    if is_taesd(vae) and not isinstance(form, SFSRLatents):
        factor = float(vae.first_stage_model.vae_scale)
        if abs(factor / form.scale_factor - 1) > 0.01:
            raise ValueError(_of_another(model, vae, f"factor is {factor:.4g}", f"is {form.scale_factor:.4g}"))
    return vae


def _of_another(model: Any, vae: Any, found: str, wanted: str) -> str:
    return (
        f"vae: its {found}, this model's {wanted}; connect the VAE output of the node that loaded the model (found "
        f"{type(getattr(vae, 'first_stage_model', None)).__name__}, the model is {type(model.model).__name__} with latents of "
        f"{type(model.model.latent_format).__name__})"
    )


def is_taesd(vae: Any) -> bool:
    """Whether a VAE is of TAESD's layout."""
    return isinstance(vae.first_stage_model, comfy.taesd.taesd.TAESD)


def _compound(checkpoint: Checkpoint) -> Any:
    load_device = comfy.model_management.text_encoder_device()
    offload_device = comfy.model_management.text_encoder_offload_device()
    encoder = CompoundEncoder(
        checkpoint.metadata.compound, operations=comfy.ops.manual_cast, dtype=torch.float32, device=offload_device
    )
    _load_strictly(encoder, checkpoint.compound, f"{checkpoint.name}: compound encoder")
    return patched(encoder.eval().requires_grad_(False), load_device, offload_device)


def patched(model: torch.nn.Module, load_device: torch.device, offload_device: torch.device) -> Any:
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


def _right_encoder(wanted: str) -> str:
    """What to do where a checkpoint wants identities of this space and was given others."""
    if wanted == bundled_space():
        return (
            f"choose '{BUNDLED_NAME}' in the Load ID Encoder before Identity, and make a saved identity anew with it: this "
            "checkpoint was trained on its identities"
        )
    if wanted == RENDERED_SPACE:
        return "it knows rendered people alone and takes no photos; choose another checkpoint in Load SFSR Model"
    return "choose the recogniser that it was trained with in the Load ID Encoder before Identity"
