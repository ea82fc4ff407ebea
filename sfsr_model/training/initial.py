"""The network's first weights: random, an SFSR checkpoint's, or those of Stable Diffusion 1.5 for inpainting."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn

from ..compound import CompoundConfig, CompoundEncoder
from ..network import CheckpointError, UNetConfig, load_checkpoint
from ..network.checkpoint import ANY_SPACE, FORMAT, PREFIXES
from ..network.diffusers_names import unet_arguments, unet_to_diffusers
from ..network.layout import unet_shapes
from .settings import Settings, SettingsError

_PREFIX = PREFIXES["unet"]
_EMBEDDING_DEVIATION = 0.5


def new_unet(config: UNetConfig, seed: int) -> nn.Module:
    """Diffusers' UNet of random weights, the same for the same seed."""
    from diffusers import UNet2DConditionModel

    with torch.random.fork_rng():
        torch.manual_seed(seed)
        arguments: dict[str, Any] = unet_arguments(config)
        unet: Any = UNet2DConditionModel(**arguments)
        return unet


def new_compound(config: CompoundConfig, seed: int) -> CompoundEncoder:
    """A compound encoder of random weights: PyTorch's own for the layers, nulls as loud as tokens."""
    with torch.random.fork_rng():
        torch.manual_seed(seed + 1)
        encoder = CompoundEncoder(config)
        for stream in (encoder.identity, encoder.expression, encoder.pose):
            nn.init.normal_(stream.null)
            nn.init.normal_(stream.embedding, std=_EMBEDDING_DEVIATION)
        return encoder


def start(settings: Settings, compound: CompoundConfig, space: str) -> tuple[nn.Module, CompoundEncoder]:
    """The UNet and the compound encoder to train; space: of the identities that will be used.

    Raises SettingsError where `network.initial` does not fit the settings, naming what differs.
    """
    config = settings.network.unet
    unet, encoder = new_unet(config, settings.seed), new_compound(compound, settings.seed)
    path = settings.network.initial
    if path is None:
        return unet, encoder
    kind = _format(path)
    if kind == FORMAT:
        state, tokens = _from_sfsr(path, settings, compound, space)
        encoder.load_state_dict(tokens)
    elif kind.startswith(f"{FORMAT}-"):
        raise SettingsError(f"network.initial: {path} is a file of the format {kind}; expected an SFSR checkpoint")
    else:
        state = _from_stable_diffusion(path, settings, config)
    unet.load_state_dict(unet_to_diffusers({name: value.float() for name, value in state.items()}, config))
    return unet, encoder


def _format(path: Path) -> str:
    if path.suffix != ".safetensors":
        raise SettingsError(
            f"network.initial: {path} is no .safetensors file; other formats can run programs when they are read, so convert it"
        )
    try:
        with safe_open(path, framework="pt") as file:
            return (file.metadata() or {}).get("format", "")
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"network.initial: {path} cannot be read as safetensors ({error}); get the file again") from error


def _from_sfsr(
    path: Path, settings: Settings, compound: CompoundConfig, space: str
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    try:
        found = load_checkpoint(path)
    except CheckpointError as error:
        raise SettingsError(f"network.initial: {error}") from error
    about, network = found.metadata, settings.network
    # Heads are counted in one of two ways that come to the same; the shapes below settle the rest.
    pairs = [
        ("network", about.unet, network.unet),
        ("network.prediction", about.prediction, network.prediction),
        ("encoders.identity: the identities' space", about.identity_space, space),
        ("the compound encoder", about.compound, replace(compound, hidden_dim=about.compound.hidden_dim)),
    ]
    for name, there, here in pairs:
        if there not in (here, ANY_SPACE):
            raise SettingsError(f"network.initial: {path} does not fit these settings; {name}: {there} there, {here} here")
    return found.unet, found.compound


def _from_stable_diffusion(path: Path, settings: Settings, config: UNetConfig) -> dict[str, Tensor]:
    if settings.network.prediction != "eps":
        raise SettingsError(
            "network.prediction: Stable Diffusion 1.5 predicts eps; set it to eps, or leave out network.initial"
        )
    with safe_open(path, framework="pt") as file:
        names = [name for name in file.keys() if name.startswith(_PREFIX)]  # noqa: SIM118 - no mapping
        state = {name.removeprefix(_PREFIX): file.get_tensor(name) for name in names}
    if not state:
        raise SettingsError(
            f"network.initial: {path} holds no entry {_PREFIX}...; expected an SFSR checkpoint, or a whole one of Stable "
            "Diffusion 1.5 for inpainting in its original layout"
        )
    wanted = unet_shapes(config)
    first = state.get("input_blocks.0.0.weight")
    if first is not None and first.shape[1] == 4:
        raise SettingsError(f"network.initial: {path} takes 4 channels, so it is not for inpainting; expected one that takes 9")
    missing, unknown = sorted(wanted.keys() - state.keys()), sorted(state.keys() - wanted.keys())
    wrong = [name for name, shape in wanted.items() if name in state and tuple(state[name].shape) != shape]
    if missing or unknown or wrong:
        examples = ", ".join([*missing[:1], *unknown[:1], *wrong[:1]])
        raise SettingsError(
            f"network.initial: the UNet of {path} has other sizes than network asks for: {len(missing)} entries are missing, "
            f"{len(unknown)} unknown, {len(wrong)} of another shape ({examples}); see configs/full_network.yaml for "
            "Stable Diffusion 1.5's sizes"
        )
    return state
