"""Held-out triplets under noise: what the studies of balance and of estimators look at."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..estimators.midpoint import Denoiser
from ..schedule import ScaledLinearSchedule
from .cases import MAIN, Case, check_seed, render_case
from .generate import Wanted
from .network import Guidance, Surroundings
from .pictures import case_noise, identities_of, stack, wanted_of
from .store import Arrays, RunFolder, digest
from .subject import load_subject

TIMESTEPS = tuple(range(100, 1000, 100))
_FRESH = 1 << 19


@dataclass(frozen=True)
class Study:
    """What is looked at. Fields as in `run.Plan`; timesteps 1 to 999. pose: whether the network is told the head's pose."""

    checkpoint: Path
    cache: Path
    recogniser: str
    seed: int
    samples: int
    batch: int
    size: int | None
    device: str
    pose: bool = True
    timesteps: tuple[int, ...] = TIMESTEPS

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name in ("samples", "batch"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name}: expected at least 1, found {getattr(self, name)}")
        check_timesteps("timesteps", self.timesteps)


def check_timesteps(option: str, timesteps: Sequence[int]) -> None:
    """Raise ValueError, naming the option, where noise levels are missing or not of the schedule."""
    last = ScaledLinearSchedule().timesteps - 1
    wrong = [time for time in timesteps if not 1 <= time <= last]
    if wrong or not timesteps:
        raise ValueError(f"{option}: expected some from 1 to {last}, found {', '.join(map(str, wrong)) or 'none'}")


@dataclass(frozen=True, eq=False)
class Batch:
    """Triplets in a network's latents: the answers x0 with unit noise and some more of it; conditions, surroundings, pictures.

    answer, target [B, S, S, 3] in 0..1, mask [B, S, S]. points [B, 5, 2]: of the answers, in pixels.
    """

    x0: Tensor
    noise: Tensor
    fresh: Tensor
    identity: Tensor
    expression: Tensor
    pose: Tensor | None
    shown: Surroundings
    answer: Tensor
    target: Tensor
    mask: Tensor
    points: Tensor


class Samples:
    """A study's network and its batches. Raises ValueError or OSError naming what is wrong, before anything is rendered."""

    def __init__(self, study: Study, faces: Path | None = None) -> None:
        """faces: a folder that keeps what is rendered, for the next time and for other checkpoints."""
        subject = load_subject(study.checkpoint, study.cache, study.recogniser, study.seed, study.size, study.device)
        self.study, self.note = study, subject.held_out
        self.network, self.size, self.identities = subject.network, subject.size, subject.identities
        self._model, self._encoder = subject.model, subject.encoder
        self._faces = None if faces is None else RunFolder(faces, self.faces(), "faces")

    def faces(self) -> dict[str, Any]:
        """What the rendered pictures depend on."""
        study = self.study
        return {"faces": digest(study.cache), "seed": study.seed, "samples": study.samples, "batch": study.batch,
                "size": self.size}  # fmt: skip

    def settings(self) -> dict[str, Any]:
        """What anything made of these samples depends on: the pictures, the network and who conditions it."""
        return self.faces() | {"checkpoint": digest(self.study.checkpoint), "identities": self.identities}

    def ranges(self, least: int | None = None) -> Iterator[range]:
        """The numbers of the samples of each batch, a progress bar beside them; least: whole batches up to that many."""
        from tqdm import tqdm

        study = self.study
        wanted = study.samples if least is None else min(least, study.samples)
        with tqdm(total=wanted, unit="triplet") as bar:
            for first in range(0, wanted, study.batch):
                yield range(first, min(first + study.batch, study.samples))
                bar.update(min(study.batch, wanted - first))

    def rendered(self, numbers: range) -> Arrays:
        """The fields of `Example` of samples, stacked; numbers: one of `ranges`."""

        def make() -> Arrays:
            return stack([render_case(self._model, self.study.seed, Case(MAIN, n, n, n), self.size) for n in numbers])

        return make() if self._faces is None else self._faces.part(numbers.start // self.study.batch, make)

    def batch(self, numbers: range) -> Batch:
        """Samples under noise; numbers: one of `ranges`."""
        study, device, arrays = self.study, self.network.device, self.rendered(numbers)
        answer, target = (torch.from_numpy(arrays[name]).float().to(device) / 255 for name in ("answer", "target"))
        mask, shape = torch.from_numpy(arrays["mask"]).to(device), self.network.latent_shape(self.size)
        return Batch(
            x0=self.network.encode(answer),
            noise=case_noise(study.seed, numbers.start, len(numbers), shape).to(device),
            # Far beyond any number of samples.
            fresh=case_noise(study.seed, _FRESH + numbers.start, len(numbers), shape).to(device),
            identity=identities_of(self._encoder, arrays),
            expression=torch.from_numpy(arrays["coefficients"]),
            pose=torch.from_numpy(arrays["pose"]) if study.pose else None,
            shown=self.network.surroundings(target, mask),
            answer=answer,
            target=target,
            mask=mask,
            points=torch.from_numpy(arrays["answer_points"]),
        )

    def wanted(self, arrays: Arrays) -> Wanted:
        """What the rendered fields ask of the network."""
        return wanted_of(self._encoder, arrays)

    def denoiser(self, batch: Batch) -> Denoiser:
        """The network under the full condition of a batch, without guidance, as in training."""
        return self.network.denoiser(batch.identity, batch.expression, batch.pose, batch.shown, Guidance(1.0, 1.0))

    def batches(self) -> Iterator[Batch]:
        """All samples under noise, a progress bar beside them."""
        return map(self.batch, self.ranges())
