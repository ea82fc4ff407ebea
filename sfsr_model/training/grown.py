"""A trained network carried over to another autoencoder's latents and another recogniser's identities.

What it knows of faces is in its middle, which stays as it is. Its first and last layers and the identity stream's first one get
a linear map before or behind them, fitted to what both autoencoders and both recognisers make of the same pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from torch import Tensor
from torch.nn import functional as F

from ..encoders.differentiable import TorchRecogniser
from ..encoders.pack import space_of
from ..network import Checkpoint, CheckpointError, load_checkpoint, save_checkpoint
from .codec import Codec, load_codec
from .data import Batch, batch_of, collated, length, open_photos, peek
from .frozen import recogniser
from .photo_crops import PhotoCrops
from .settings import Settings, SettingsError
from .state import in_half

PICTURES, PEOPLE = 768, 2048
"""How many pictures the latents' maps are fitted to, and how many people the identities' one."""
_AT_ONCE = 32
# Of the ridge regression between identities, as a share of the embeddings' own variance: directions in which people hardly
# differ say nothing.
_RIDGE = 0.02
_FIRST, _LAST, _EXPAND = "input_blocks.0.0.weight", "out.2", "identity.expand"


@dataclass(frozen=True)
class Fit:
    """How much of one side's variance the other explains: of the old latents, of the new ones, and of the old identities."""

    into_old: float
    into_new: float
    identities: float


def grow(settings: Settings, forerunner: Path, known: Path, out: Path) -> Fit:
    """Write a checkpoint, `forerunner`, for the settings' autoencoder and identities.

    known: the recogniser that it was trained on. Raises SettingsError or CheckpointError naming what does not fit.
    """
    if settings.task != "sfsr" or settings.autoencoder is None or settings.encoders.identity is None:
        raise SettingsError("a network is grown for settings of the task sfsr with an autoencoder and encoders.identity")
    old = load_checkpoint(forerunner)
    seen_before, seen_after = recogniser(known, "--recogniser"), recogniser(settings.encoders.identity)
    assert seen_before is not None
    assert seen_after is not None
    if old.metadata.identity_space != space_of(known):
        raise CheckpointError(
            f"{old.name}: trained on identities of {old.metadata.identity_space}, those of {known.name} are {space_of(known)}; "
            "give the recogniser that it was trained on"
        )
    before, after = load_codec(forerunner), load_codec(settings.autoencoder)
    config = replace(old.metadata.unet, in_channels=2 * after.channels + 1, out_channels=after.channels)
    if config != settings.network.unet:
        raise SettingsError(f"network: {old.name} would become {config}; found {settings.network.unet}: set these sizes")
    into_old, back, first_fit, last_fit = _latent_maps(before, after, torch.cat(list(_pictures(settings))))
    unet, compound = dict(old.unet), dict(old.compound)
    unet[_FIRST] = _fed_by(unet[_FIRST], into_old)
    unet[_LAST + ".weight"] = torch.einsum("kihw,kn->nihw", unet[_LAST + ".weight"].float(), back)
    unet[_LAST + ".bias"] = unet[_LAST + ".bias"].float() @ back
    # Of rendered people alone: the forerunner tells no others apart.
    weight, shift, identity_fit = _identity_map(seen_before, seen_after, list(_renders(settings, PEOPLE)))
    expand = compound[_EXPAND + ".weight"].float()
    # The stream brings unit vectors to unit deviation, by the root of their length.
    compound[_EXPAND + ".bias"] = compound[_EXPAND + ".bias"].float() + expand.shape[1] ** 0.5 * (expand @ shift)
    compound[_EXPAND + ".weight"] = (expand.shape[1] / len(weight)) ** 0.5 * (expand @ weight.T)
    metadata = replace(
        old.metadata,
        unet=config,
        compound=replace(old.metadata.compound, identity_dim=len(weight)),
        identity_space=space_of(settings.encoders.identity),
        trained=False,
        step=None,
        latent_rgb=(),
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    save_checkpoint(Checkpoint(out.name, in_half(unet), in_half(after.stored), in_half(compound), metadata), out)
    return Fit(first_fit, last_fit, identity_fit)


def _renders(settings: Settings, most: int) -> Iterator[Batch]:
    """The first renders, at most so many."""
    data = peek(settings.data)
    count = min(most, length(data))
    for first in range(0, count, _AT_ONCE):
        yield batch_of(collated(data, first, min(first + _AT_ONCE, count)))


def _pictures(settings: Settings) -> Iterator[Tensor]:
    """Crops [N, S, S, 3] of renders, and of as many photos where the settings have some."""
    share = PICTURES if settings.photos is None else PICTURES // 2
    for batch in _renders(settings, share):
        yield batch.answer
    if settings.photos is not None:
        photos = PhotoCrops(open_photos(settings.photos), settings.data.size, settings.seed)
        generator = torch.Generator().manual_seed(settings.seed)
        for numbers in torch.randperm(len(photos), generator=generator)[:share].split(_AT_ONCE):
            yield photos.__getitems__(numbers.tolist())["image"].movedim(1, -1).float() / 255


def _latent_maps(before: Codec, after: Codec, pictures: Tensor) -> tuple[Tensor, Tensor, float, float]:
    """Linear maps [N, K] of new latents to old ones and [K, N] back, and how well each fits."""

    def rows(codec: Codec) -> Tensor:
        return codec.encode(pictures).movedim(1, -1).flatten(0, 2)

    old, new = rows(before), rows(after)
    into_old, first_fit = _least_squares(new, old)
    back, last_fit = _least_squares(old, new)
    return into_old, back, first_fit, last_fit


def _least_squares(given: Tensor, wanted: Tensor) -> tuple[Tensor, float]:
    """The linear part of the best affine map [A, B], and the share of the variance that it explains."""
    centred, target = given - given.mean(0), wanted - wanted.mean(0)
    found = torch.linalg.lstsq(centred, target).solution
    return found, 1 - float((centred @ found - target).square().sum() / target.square().sum())


def _fed_by(weight: Tensor, into_old: Tensor) -> Tensor:
    """A first layer [O, 2K + 1, h, w] for noisy and faceless latents of N channels, mask between them; into_old [N, K]."""
    channels = into_old.shape[1]
    noisy, mask, faceless = weight.float().split((channels, 1, channels), 1)
    mapped = (torch.einsum("okhw,nk->onhw", part, into_old) for part in (noisy, faceless))
    return torch.cat((next(mapped), mask, next(mapped)), 1)


@torch.no_grad()
def _identity_map(before: TorchRecogniser, after: TorchRecogniser, batches: list[Batch]) -> tuple[Tensor, Tensor, float]:
    """Weight [N, K] and shift [K] that turn new unit identities into old ones, by ridge regression, and how well they do."""

    def embedded(by: TorchRecogniser) -> Tensor:
        return torch.cat([F.normalize(by.embed(batch.reference, batch.reference_points), dim=-1) for batch in batches])

    old, new = embedded(before), embedded(after)
    given, wanted = new - new.mean(0), old - old.mean(0)
    covariance = given.T @ given
    ridge = _RIDGE * covariance.trace() / len(covariance) * torch.eye(len(covariance))
    weight = torch.linalg.solve(covariance + ridge, given.T @ wanted)
    left = float((given @ weight - wanted).square().sum() / wanted.square().sum())
    return weight, old.mean(0) - new.mean(0) @ weight, 1 - left
