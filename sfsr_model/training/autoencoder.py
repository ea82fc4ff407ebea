"""The autoencoder's task: TAESD's layout, trained to give pictures back from latents of about unit deviation."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, autocast, nn
from torch.utils.data import Dataset

from ..files import whole_file
from ..losses import colour_loss, pyramid_loss
from ..network.diffusers_names import autoencoder_arguments, autoencoder_from_diffusers, autoencoder_to_diffusers
from ..network.layout import HOST_FACTOR, LATENT_CHANNELS
from .data import PHOTO, Sample, batch_of, length, open_mixed, peek, pictures
from .frozen import expression_reader, recogniser
from .picture_losses import Judged, PictureLosses
from .settings import Settings, SettingsError
from .state import averages_of, trained_state

# Places of the blocks that a thin autoencoder leaves out, in diffusers' lists of layers.
_THIN_ENCODER, _THIN_DECODER = (1, 4, 5), (13, 14, 17)


class AutoencoderTask:
    """Pictures in, the same pictures out; with losses of identity and expression, also what encoders see in them."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._losses, self._codec = settings, settings.losses, settings.codec
        self.autoencoder = new_autoencoder(settings.seed, settings.codec.channels, settings.codec.thin)
        if settings.codec.initial is not None:
            begin_with(self.autoencoder, load_autoencoder(settings.codec.initial, "codec.initial")[0])
        if settings.codec.decoder_only:
            self.autoencoder.encoder.requires_grad_(False)
        # Twice as fast on a CPU.
        self.autoencoder.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.modules: dict[str, nn.Module] = {"autoencoder": self.autoencoder}
        likeness = recogniser(settings.encoders.identity) if settings.losses.identity else None
        self._picture_losses = PictureLosses(settings.losses, likeness, expression_reader(settings))

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_mixed(self._settings)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log, before the settings' weights."""
        kinds = [sample[name] for name in ("image", PHOTO + "image") if name in sample]
        shown = [pictures({"image": images.to(self._place())}) for images in kinds]
        if self._codec.crop is not None:
            shown = [cut_out(images, self._codec.crop, generator) for images in shown]
        images = torch.cat(shown)
        if self._codec.shuffled:
            images = with_shuffled_colours(images, self._codec.shuffled, generator)
        back, latents = self._there_and_back(modules["autoencoder"], images, generator)
        parts = {
            "absolute": 2 * (back - images).abs().mean(),
            "bands": 2 * pyramid_loss(back, images).mean(),
            "colour": colour_loss(back, images).mean(),
            "latent": latents.square().mean(),
        }
        weights = {"colour": self._losses.colour, "latent": self._losses.latent}
        total = torch.stack([weights.get(name, 1.0) * value for name, value in parts.items()]).sum()
        if self._losses.on_pictures:
            for name, (weight, value) in self._on_faces(modules["autoencoder"], sample, generator).items():
                total = total + weight * value
                parts[name] = value
        return total, parts | {"spread": latents.detach().std()}

    def _there_and_back(self, autoencoder: nn.Module, images: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        """Pictures [N, 3, H, W] in 0..1 from their latents with some noise on them, and the latents."""
        values = images.to(memory_format=torch.channels_last) * 2 - 1
        latents = autoencoder(values, encode=True).float()
        noise = torch.randn(latents.shape, generator=generator).to(latents.device)
        back = autoencoder(latents + noise * self._codec.noise * latents.detach().std(), encode=False).float()
        return (back + 1) / 2, latents

    def _on_faces(self, autoencoder: nn.Module, sample: Sample, generator: torch.Generator) -> dict[str, tuple[float, Tensor]]:
        """Weights and losses on whole faces, the answers of the batch's first samples: each is to be read as what it is."""
        place = self._place()
        few = max(1, round(self._losses.share * len(sample["image"])))
        batch = batch_of({name: values[:few] for name, values in sample.items()})
        answer, points = batch.answer.to(place), batch.answer_points
        back, _ = self._there_and_back(autoencoder, answer.movedim(-1, 1), generator)
        self._picture_losses.to(place)
        with autocast(place.type, enabled=False):
            likeness = self._picture_losses.likeness(answer.movedim(-1, 1), points)
            mask, own = batch.mask.to(place)[:, None], torch.ones(few, device=place)
            expression = batch.expression.to(place)
            return self._picture_losses(Judged(back, points, likeness, expression, mask, answer.movedim(-1, 1), own))

    def _place(self) -> torch.device:
        return next(self.autoencoder.parameters()).device

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """Originals above round trips, [2, N, 3, H, W] in 0..1."""
        images = pictures(sample)[:16].to(self._place())
        return torch.stack((images, round_trip(self.autoencoder, images))).cpu()

    @torch.no_grad()
    def export(self, settings: Settings, path: Path, step: int | None = None, pictures_measured: int = 64) -> None:
        """Write the averages of the newest state, or of a step's.

        The latents' deviation is measured on samples of the settings' data. Raises StateError where there is no state yet.
        """
        averages = averages_of(trained_state(settings.state, step), "autoencoder")
        self.autoencoder.load_state_dict(averages)
        dataset = peek(settings.data)
        samples = [dataset[index] for index in range(min(pictures_measured // 4, length(dataset)))]
        images = torch.cat([pictures({"image": sample["image"][None]}) for sample in samples])
        spread = float(self.autoencoder(images * 2 - 1, encode=True).std())
        export_autoencoder(averages, spread, path)


def cut_out(images: Tensor, side: int, generator: torch.Generator) -> Tensor:
    """A square of `side` pixels out of each picture [B, C, H, W], anywhere in it."""
    tops, lefts = (torch.randint(size - side + 1, (len(images),), generator=generator).tolist() for size in images.shape[-2:])
    return torch.stack(
        [image[:, top : top + side, left : left + side] for image, top, left in zip(images, tops, lefts, strict=True)]
    )


def with_shuffled_colours(images: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Pictures [B, 3, H, W], about `share` of them with their colour channels in another order."""
    orders = torch.stack([torch.randperm(3, generator=generator) for _ in images])
    kept = torch.rand(len(images), generator=generator) >= share
    orders[kept] = torch.arange(3)
    return images.gather(1, orders.to(images.device)[:, :, None, None].expand_as(images))


class TinyAutoencoder(nn.Module):
    """Diffusers' AutoencoderTiny with one call for both ways, so that wrappers of a module see both.

    channels: C, of the latents. thin: two thirds of the work lie in the blocks at the full and half resolution. All but the
    first at the half are then left out: their last convolution is 0, so that only their last activation remains, in every
    program that runs the file.
    """

    def __init__(self, channels: int = LATENT_CHANNELS, thin: bool = False) -> None:
        super().__init__()
        from diffusers import AutoencoderTiny

        model: Any = AutoencoderTiny(**autoencoder_arguments(channels))
        self.encoder, self.decoder = model.encoder, model.decoder
        if thin:
            for layers, left_out in ((self.encoder.layers, _THIN_ENCODER), (self.decoder.layers, _THIN_DECODER)):
                for index in left_out:
                    nn.init.zeros_(layers[index].conv[-1].weight)
                    nn.init.zeros_(layers[index].conv[-1].bias)
            _leave_out_silent(self)

    def forward(self, values: Tensor, encode: bool) -> Tensor:
        """Pictures [B, 3, H, W] in -1..1 to latents [B, C, H / 8, W / 8], or back."""
        return self.encoder(values) if encode else self.decoder(values)


class _LeftOut(nn.Module):
    """A block of the autoencoder, under its own names, of which its last activation alone works."""

    def __init__(self, block: nn.Module) -> None:
        super().__init__()
        self.conv = block.conv.requires_grad_(False)

    def forward(self, x: Tensor) -> Tensor:
        return x.relu()


def _leave_out_silent(autoencoder: TinyAutoencoder) -> None:
    for layers in (autoencoder.encoder.layers, autoencoder.decoder.layers):
        for index, layer in enumerate(layers):
            if isinstance(getattr(layer, "conv", None), nn.Sequential) and not any(
                bool(values.any()) for values in layer.conv[-1].parameters()
            ):
                layers[index] = _LeftOut(layer)


def new_autoencoder(seed: int, channels: int = LATENT_CHANNELS, thin: bool = False) -> TinyAutoencoder:
    """An autoencoder of random weights, the same for the same seed."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return TinyAutoencoder(channels, thin)


@torch.no_grad()
def begin_with(autoencoder: TinyAutoencoder, trained: TinyAutoencoder) -> None:
    """Take over trained weights. The decoder begins deaf to channels that they lack; blocks that are left out stay so."""
    left_out = [name for name, module in autoencoder.named_modules() if isinstance(module, _LeftOut)]
    found = trained.state_dict()
    for name, own in autoencoder.state_dict().items():
        there = found[name]
        if any(name.startswith(block + ".") for block in left_out):
            continue
        if name == "decoder.layers.0.weight":
            own.zero_()
        own[tuple(slice(size) for size in there.shape)] = there


def round_trip(autoencoder: TinyAutoencoder, images: Tensor) -> Tensor:
    """Pictures [B, 3, H, W] in 0..1 through the latents and back."""
    latents = autoencoder(images * 2 - 1, encode=True)
    return ((autoencoder(latents, encode=False) + 1) / 2).clamp(0, 1)


def export_autoencoder(state: dict[str, Tensor], spread: float, path: Path) -> None:
    """Write the weights in the host's layout, half precision; spread: the latents' deviation, which the host takes off."""
    shift, scale = torch.tensor(0.0), torch.tensor(HOST_FACTOR * spread)
    tensors = autoencoder_from_diffusers(state, scale, shift)
    half = {name: (value if value.ndim == 0 else value.half()).cpu().contiguous() for name, value in tensors.items()}
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with whole_file(path) as partial:
            save_file(half, partial, {"format": "sfsr-autoencoder"})
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error}); free the disk, and export again") from error


def load_autoencoder(path: Path, entry: str = "autoencoder") -> tuple[TinyAutoencoder, float, dict[str, Tensor]]:
    """An exported autoencoder, frozen, the latents' deviation, and its entries as they are stored.

    Raises SettingsError naming the file for one that is no such file.
    """
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise SettingsError(f"{entry}: {path} cannot be read as safetensors ({error}); give an exported autoencoder") from error
    return *autoencoder_of(stored, path, entry), stored


def autoencoder_of(stored: dict[str, Tensor], path: Path, entry: str = "autoencoder") -> tuple[TinyAutoencoder, float]:
    """The autoencoder of entries in the host's names, frozen, and the latents' deviation; path, entry: for messages.

    Raises SettingsError for entries of another kind.
    """
    try:
        model = TinyAutoencoder(stored["taesd_decoder.1.weight"].shape[1])
        model.load_state_dict({name: value.float() for name, value in autoencoder_to_diffusers(stored).items()})
        spread = float(stored["vae_scale"]) / HOST_FACTOR
        _leave_out_silent(model)
    except (KeyError, ValueError, RuntimeError) as error:
        reason = str(error).splitlines()[0]
        raise SettingsError(f"{entry}: {path} is no autoencoder of this program ({reason}); train and export one") from error
    return model.requires_grad_(False).eval(), spread
