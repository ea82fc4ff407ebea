"""The network's task: the UNet and the compound encoder on triplets or photos, in latents."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor, autocast, nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.data import Dataset

from ..compound import CompoundConfig
from ..estimators import Noisy, denoiser, estimator, sample_improved_midpoint, target
from ..estimators.midpoint import Level, beside
from ..guidance import random_view
from ..losses import LatentCritic, diffusion_loss, realism_loss, snr_weight, time_gate
from ..network import Checkpoint, Metadata, save_checkpoint
from ..network.checkpoint import RENDERED_SPACE
from ..network.diffusers_names import unet_from_diffusers
from ..network.layout import SD15_INPAINTING
from ..schedule import ScaledLinearSchedule
from ..synthetic.torch_data import ShardDataset
from .codec import load_codec, preview_colours
from .data import Batch, Mixed, Sample, batch_of, collated, length, open_dataset, open_photos, peek, picked, split_mixed
from .examples import LATENT_FIELDS, Examples, examples_of, network_input, stored_examples
from .frozen import expression_reader, measure_expressions, recogniser
from .initial import start
from .latents import LatentDataset, cache_latents, state_digest
from .photo_crops import OtherPictures, PhotoCrops
from .photo_data import PhotoDataset
from .picture_losses import Judged, PictureLosses
from .settings import Settings, SettingsError
from .state import StateError, averages_of, in_half, step_of, trained_state

_SHOWN, _SHOWN_STEPS = 8, 8
_LATENTS = "latents"


class NetworkTask:
    """Noisy latents in, their noise (or v) out, given a person, an expression and a scene without its face."""

    def __init__(self, settings: Settings, quiet: bool = False) -> None:
        """Raises SettingsError for anything the settings name that does not fit the rest. quiet: no progress bar."""
        self._settings, self._losses, self._quiet = settings, settings.losses, quiet
        path = settings.autoencoder or settings.network.initial
        assert path is not None
        self.codec = load_codec(path)
        if self.codec.channels != settings.network.latent_channels:
            raise SettingsError(
                f"network.latent_channels: found {settings.network.latent_channels}; expected what {path.name} has, "
                f"{self.codec.channels}"
            )
        self.codec.in_bfloat16 = settings.precision == "bf16"
        self.raw = peek(settings.data)
        self._recogniser, self._reader = recogniser(settings.encoders.identity), expression_reader(settings)
        self.photos: PhotoCrops | None = None
        if settings.photos is not None:
            self.photos = PhotoCrops(open_photos(settings.photos), settings.data.size, settings.seed)
        self.space, dim = self._identities()
        self.compound_config = CompoundConfig(
            identity_dim=dim,
            context_dim=settings.network.context_dim,
            tokens_per_stream=settings.network.tokens_per_stream,
            balanced=settings.network.balanced,
        )
        unet, self.compound = start(settings, self.compound_config, self.space)
        if settings.network.gradient_checkpointing:
            cast("Any", unet).enable_gradient_checkpointing()
        self.unet = unet
        self.modules: dict[str, nn.Module] = {"unet": self.unet, "compound": self.compound}
        if settings.losses.realism:
            with torch.random.fork_rng():
                torch.manual_seed(settings.seed)
                self.modules["critic"] = LatentCritic(self.codec.channels)
        self._schedule = ScaledLinearSchedule()
        self.sigmas = self._schedule.sigmas.float()
        # The first noise level has none below it to take a second look at.
        self._judged_steps = time_gate(self.sigmas[1:], self._losses.highest_sigma).nonzero()[:, 0] + 1
        if self._losses.on_pictures and not len(self._judged_steps):
            raise SettingsError(
                f"losses.highest_sigma: {self._losses.highest_sigma} lies below every noise level, the lowest is "
                f"{float(self.sigmas[1]):.3f}; raise it"
            )
        self._estimator = estimator(self._losses.estimator)
        likeness = recogniser(settings.encoders.likeness, "encoders.likeness") or self._recogniser
        self._picture_losses = PictureLosses(self._losses, likeness, self._reader)

    def dataset(self) -> Dataset[Sample]:
        """The samples; of a fixed set with their latents, which are computed now where the state folder lacks them."""
        if self._settings.data.kind == "rendered":
            return self.raw
        renders = self._with_latents(open_dataset(self._settings.data), self._settings.data.path, "")
        if self.photos is None:
            return renders
        assert self._settings.photos is not None
        photos = self._with_latents(self.photos, self._settings.photos.path, "photos")
        self._others = OtherPictures(self.photos.people, photos.identities)
        return Mixed(renders, photos)

    def _with_latents(self, raw: Dataset[Sample], path: Path, folder: str) -> LatentDataset:
        about = {
            "data": str(path.resolve()),
            "count": str(length(raw)),
            "size": str(self._settings.data.size),
            "autoencoder": state_digest(self.codec.stored),
            "identities": self.space,
            "expressions": "" if self._reader is None else self._reader.name,
            "in_bfloat16": str(self.codec.in_bfloat16),
            "fields": ",".join(LATENT_FIELDS),
        }
        latents = self._settings.latents or self._settings.state / _LATENTS
        return cache_latents(raw, self._encoded, latents / folder, about, self._losses.on_pictures, self._quiet)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log, before their weights."""
        examples = self._examples(sample, generator)
        diffusion = self._diffusion(modules, examples, generator)
        total, parts = diffusion, {"diffusion": diffusion}
        if self._losses.on_pictures:
            for name, (weight, value) in self._on_pictures(modules, examples, generator).items():
                total = total + weight * value
                parts[name] = value
        return total, parts

    def _examples(self, sample: Sample, generator: torch.Generator) -> Examples:
        """A step's renders and photos, mixed; of a photo's person another picture says who it is, wherever there is one."""
        place = self._place()
        renders, photos = split_mixed(sample)
        examples = stored_examples(renders).to(place) if "latent" in renders else self._encoded(renders)
        if not photos:
            return examples
        shown = replace(stored_examples(photos), identity=self._others.draw(photos["number"], generator)).to(place)
        joined = examples.beside(shown)
        return joined.rows(torch.randperm(len(joined.latent), generator=generator))

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """Rows of the first renders, and of photos that are asked for each other's people: reference, target, the first x0*
        from pure noise, what the network makes of them in some steps, answer; [5, N, 3, H, W] in 0..1.

        The first x0* is what the network knows without seeing anything of the face, soft as a mean is. Each step takes fresh
        noise: along one and the same noise a network that has seen little takes dark noise for dark skin, step after step.
        """
        (reference, target, answer), examples = self._shown
        examples = examples.to(self._place())
        level = self.sigmas[torch.linspace(len(self.sigmas) - 1, 0, _SHOWN_STEPS).round().long()]
        noise = torch.randn(examples.latent.shape, generator=torch.Generator().manual_seed(self._settings.seed))
        ones = torch.ones(len(noise), device=self._place())
        tokens = self.compound(examples.identity, examples.expression, examples.pose, ones, ones)
        denoise = self._denoiser(self.modules, examples, tokens)
        x = noise.to(self._place()) * float(level[0])
        first = denoise(x, float(level[0]))
        made = sample_improved_midpoint(denoise, x, torch.cat((level, torch.zeros(1))), eta=1.0)
        decoded = [self.codec.decode(one).clamp(0, 1).cpu() for one in (first, made)]
        return torch.stack((reference, target, *decoded, answer))

    @torch.no_grad()
    def export(self, settings: Settings, path: Path, step: int | None = None) -> None:
        """Write the averages of the newest state, or of a step's, as one SFSR checkpoint in half precision.

        Raises StateError where there is no state yet, or one of other sizes or of weights beyond half precision.
        """
        state = trained_state(settings.state, step)
        for name, module in (("unet", self.unet), ("compound", self.compound)):
            try:
                module.load_state_dict(averages_of(state, name))
            except RuntimeError as error:
                raise StateError(f"{state}: left by a network of other sizes; restore the settings it was made with") from error
        config = settings.network.unet
        metadata = Metadata(
            unet=config,
            compound=self.compound_config,
            base="sd15" if config == SD15_INPAINTING else "demo",
            resolution=settings.data.size,
            prediction=settings.network.prediction,
            identity_space=self.space,
            trained=True,
            training_data=self._about_data(),
            licence=settings.licence,
            step=step_of(state),
            latent_rgb=self._preview_colours(),
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        save_checkpoint(
            Checkpoint(
                path.name,
                in_half(unet_from_diffusers(self.unet.state_dict(), config)),
                in_half(self.codec.stored),
                in_half(self.compound.state_dict()),
                metadata,
            ),
            path,
        )

    def _preview_colours(self) -> tuple[tuple[float, ...], ...]:
        _, examples = self._shown
        assert examples.picture is not None
        return preview_colours(examples.latent.cpu(), examples.picture.cpu())

    def _about_data(self) -> str:
        """What the data are. Evaluation reads the seed, so as not to draw the same people."""
        data = self._settings.data
        seed: int | None = data.seed if data.kind == "rendered" else None
        if isinstance(self.raw, ShardDataset):
            seed = self.raw.manifest["seed"]
        drawn = "" if seed is None else f", seed {seed}"
        text = f"{data.kind}: {data.path.name}, {length(self.raw)} samples{drawn}"
        if self.photos is not None:
            text += f"; labelled photos: {self.photos.photos.folder.name}, {len(self.photos.photos)}"
        return f"{self._settings.about}; {text}" if self._settings.about else text

    def _diffusion(self, modules: dict[str, nn.Module], examples: Examples, generator: torch.Generator) -> Tensor:
        count, losses, place = len(examples.latent), self._losses, self._place()
        steps = torch.randint(len(self.sigmas), (count,), generator=generator)
        noise = torch.randn(examples.latent.shape, generator=generator).to(place)
        drops = torch.tensor([[losses.identity_drop], [losses.expression_drop], [losses.pose_drop]])
        kept = torch.rand(3, count, generator=generator) >= drops
        identity_weight, expression_weight, pose_kept = kept.to(place, torch.float32)
        sigma = self.sigmas[steps].to(place)
        # An expression without a pose is what a word gives; a pose without its expression is nothing that anybody asks for.
        pose_weight = expression_weight * pose_kept
        tokens = modules["compound"](
            examples.identity, examples.expression, examples.pose, identity_weight, expression_weight, pose_weight
        )
        level = beside(sigma, noise)
        noisy = (examples.latent + level * noise) / (1 + level**2) ** 0.5
        output = self._predict(modules, noisy, steps.to(place), examples, tokens)
        prediction = self._settings.network.prediction
        wanted = target(examples.latent, noise, sigma, prediction)
        weight = snr_weight(sigma, prediction, losses.weighting)
        return diffusion_loss(output, wanted, weight, examples.hole, losses.outside)

    def _on_pictures(
        self, modules: dict[str, nn.Module], examples: Examples, generator: torch.Generator
    ) -> dict[str, tuple[float, Tensor]]:
        """Weights and losses on the decoded x0* of the batch's first examples; neither stream is dropped in them."""
        count, place = len(examples.latent), self._place()
        few = max(1, round(self._losses.share * count))
        steps = self._judged_steps[torch.randint(len(self._judged_steps), (few,), generator=generator)]
        noise, fresh = torch.randn(2, few, *examples.latent.shape[1:], generator=generator).to(place)
        crossed = torch.rand(few, generator=generator).to(place) < self._losses.cross * examples.crosses[:few]
        whose, which = _crossed(crossed, len(examples.latent))
        own = (whose == which).float()
        part, expression = examples.part(0, few), examples.expression[which]
        ones = torch.ones(few, device=place)
        tokens = modules["compound"](examples.identity[whose], expression, part.pose, ones, ones)
        sigma = self.sigmas[steps].to(place)
        started = part.latent + beside(sigma, noise) * noise
        if self._losses.walked and bool(own.min() == 0):
            rows = (own == 0).nonzero()[:, 0]
            started[rows] = self._walked(modules, part.rows(rows), tokens[rows], noise[rows], sigma[rows], generator)
        noisy = Noisy(
            started,
            sigma,
            self.sigmas[steps // 2].to(place),
            background=part.latent,
            hole=part.hole,
            noise=fresh,
        )
        found = self._estimator(self._denoiser(modules, part, tokens), noisy, self._losses.gradient).x0
        assert examples.picture is not None
        assert examples.points is not None
        assert part.picture is not None
        assert part.mask is not None
        assert part.points is not None
        picture = self.codec.decode(found.float())
        realism = self._realism(modules, found.float(), part, sigma)
        with autocast(place.type, enabled=False):
            likeness = self._picture_losses.likeness(examples.picture[whose], examples.points[whose.cpu()])
            view = random_view(generator, mirrored=bool(torch.rand((), generator=generator) < 0.5))
            judged = Judged(picture, part.points, likeness, expression, part.mask, part.picture, own, view)
            return self._picture_losses(judged) | realism

    def _realism(
        self, modules: dict[str, nn.Module], x0: Tensor, part: Examples, sigma: Tensor
    ) -> dict[str, tuple[float, Tensor]]:
        """Weight and loss of x0* over the known background against true latents, where the settings ask for it."""
        rows = (sigma <= self._losses.realism_sigma).nonzero()[:, 0]
        if not self._losses.realism or not len(rows):
            return {}
        true, hole = part.latent[rows], part.hole[rows]
        made = torch.lerp(true, x0[rows], hole)
        return {"realism": (self._losses.realism, realism_loss(modules["critic"], made, true, hole))}

    @torch.no_grad()
    def _walked(
        self,
        modules: dict[str, nn.Module],
        part: Examples,
        tokens: Tensor,
        noise: Tensor,
        sigma: Tensor,
        generator: torch.Generator,
    ) -> Tensor:
        """Where the network's own walk from pure noise is at noise levels [N], over the known background, in even log steps.

        Each step takes fresh noise, for what `show` says of it.
        """
        denoise, count = self._denoiser(modules, part, tokens), self._losses.walked
        highest = self.sigmas[-1].to(sigma)

        def over_background(x: Tensor, level: Tensor) -> Tensor:
            return part.hole * x + (1 - part.hole) * (part.latent + beside(level, x) * noise)

        x, level = noise * highest, highest.expand(len(sigma))
        for step in range(1, count + 1):
            found = denoise(over_background(x, level), level)
            level = highest * (sigma / highest) ** (step / count)
            x = found + beside(level, x) * torch.randn(x.shape, generator=generator).to(x)
        return over_background(x, level)

    def _denoiser(self, modules: dict[str, nn.Module], examples: Examples, tokens: Tensor) -> Callable[..., Tensor]:
        def predict(noisy: Tensor, sigma: Level) -> Tensor:
            level = torch.as_tensor(sigma, device=noisy.device).float().expand(len(noisy))
            return self._predict(modules, noisy, self._schedule.nearest_timesteps(level), examples, tokens)

        return denoiser(predict, self._settings.network.prediction)

    def _predict(
        self, modules: dict[str, nn.Module], noisy: Tensor, steps: Tensor, examples: Examples, tokens: Tensor
    ) -> Tensor:
        channels = network_input(noisy, examples.hole, examples.faceless)
        with self._attention(noisy.device):
            return modules["unet"](channels, steps, tokens, return_dict=False)[0].float()

    def _attention(self, place: torch.device) -> AbstractContextManager[Any]:
        """On a CPU, attention by plain matrix products: the fused kernel's backward is a third slower in bf16 on so few tokens.

        Checkpointed layers are run again outside of this, where they must choose the same kernel.
        """
        plain = place.type == "cpu" and not self._settings.network.gradient_checkpointing
        return sdpa_kernel(SDPBackend.MATH) if plain else nullcontext()

    def _encoded(self, sample: Sample) -> Examples:
        batch, place = batch_of(sample), self._place()
        if batch.single and self._reader is not None and self.photos is not None:
            with torch.no_grad():
                read, pose = measure_expressions(
                    self._reader.to(place), batch.answer.movedim(-1, 1).to(place), batch.answer_points
                )
            batch = replace(batch, expression=read.clamp(0, 1), pose=pose)
        return examples_of(batch, self.codec, self._recogniser, place)

    @cached_property
    def _shown(self) -> tuple[Tensor, Examples]:
        """Reference, target and answer [3, N, 3, H, W] of the first renders and of some photos, and their examples.

        A photo's own person is known in one picture mostly, so it is asked for the next one's: its reference and identity.
        """
        first = collated(self.raw, 0, min(_SHOWN, length(self.raw)))
        pictures, examples = _seen(batch_of(first), self._settings.data.size), self._encoded(first)
        if self.photos is None:
            return pictures, examples
        spread = torch.linspace(0, len(self.photos) - 1, min(_SHOWN, len(self.photos))).long().tolist()
        some = picked(self.photos, spread)
        shown, others = _seen(batch_of(some), self._settings.data.size), self._encoded(some)
        shown[0] = shown[0].roll(-1, 0)
        return torch.cat((pictures, shown), 1), examples.beside(replace(others, identity=others.identity.roll(-1, 0)))

    def _place(self) -> torch.device:
        """The trained networks' device; the frozen ones follow them."""
        place = next(self.unet.parameters()).device
        if next(self.codec.parameters()).device != place:
            self.codec.to(place)
            self._picture_losses.to(place)
            if self._recogniser is not None:
                self._recogniser.to(place)
        return place

    def _identities(self) -> tuple[str, int]:
        """Space and length of the identity vectors."""
        if isinstance(self.raw, PhotoDataset):
            return self.raw.identities(self._recogniser)
        if self._recogniser is not None:
            return self._recogniser.space, self._recogniser.dim
        return RENDERED_SPACE, self.raw[0]["identity"].shape[-1]


def _crossed(crossed: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """Whose identity and whose expression the first of `count` examples take, by number: in the crossed ones [few] those of
    the next two, else their own.

    A batch of one or two photos has no others to take from: the numbers are then alike.
    """
    rows = torch.arange(count, device=crossed.device)
    few = rows[: len(crossed)]
    return torch.where(crossed, rows.roll(-1)[few], few), torch.where(crossed, rows.roll(-2)[few], few)


def _seen(batch: Batch, size: int) -> Tensor:
    """Reference, target and answer of a batch [3, N, 3, size, size]."""
    rows = (batch.reference, batch.target, batch.answer)
    return torch.stack([nn.functional.interpolate(row.movedim(-1, 1), (size, size), mode="area") for row in rows])
