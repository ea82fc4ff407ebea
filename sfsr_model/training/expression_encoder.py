"""The expression encoder's task: 52 ARKit coefficients and the head's pose of a face, whoever wears it."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..encoders.expression import ANGLES, COEFFICIENTS
from ..face.crop import template
from .aligned import faces_of
from .data import Sample, open_dataset
from .face_network import export_onnx, face_network, load_averages
from .settings import Settings

SIDE = 128
# Most coefficients of most faces are nearly 0; those that are not count as much more.
_ACTIVE, _ACTIVE_FACTOR = 0.05, 3.0
# Added to a batch's variance of a coefficient, that none counts for much which hardly varies in it.
_LEAST_VARIANCE = 0.005


class ExpressionTask:
    """Rendered triplets in, what every face of them does out. Takes crops of the project's own crop rule."""

    def __init__(self, settings: Settings) -> None:
        self._data, self._errors = settings.data, settings.encoder.errors
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = face_network(settings, SIDE, COEFFICIENTS + ANGLES, crop_points())
        self.modules: dict[str, nn.Module] = {"network": self.network}

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_dataset(self._data)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log: the coefficients' errors, the angles' mean one in radians.

        Absolute errors ask for the median, which is 0 for whatever is seldom sure. Squared ones ask for the mean; as shares of
        each coefficient's variance they count all alike, the faint ones too.
        """
        place = next(self.network.parameters()).device
        faces = faces_of(sample, crop_points(), SIDE, generator, place)
        read = modules["network"](faces * 2 - 1).float()
        wanted, pose = sample["coefficients"].flatten(0, 1).to(place), sample["pose"].flatten(0, 1).to(place)
        error = (read[:, :COEFFICIENTS] - wanted).abs()
        active = wanted > _ACTIVE
        if self._errors == "squared":
            apart = (error.square().mean(0) / (wanted.var(0) + _LEAST_VARIANCE)).mean()
        else:
            apart = (error * torch.where(active, _ACTIVE_FACTOR, 1.0)).mean()
        parts = {
            "coefficients": apart,
            "pose": (read[:, COEFFICIENTS:] - pose).abs().mean(),
        }
        total = torch.stack(list(parts.values())).sum()
        return total, parts | {"active": error[active].mean(), "all": error.mean()}

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """The faces as the network takes them, [1, N, 3, H, W] in 0..1."""
        return faces_of(sample, crop_points(), SIDE, torch.Generator().manual_seed(0))[None, :16]

    def export(self, settings: Settings, path: Path, step: int | None = None) -> None:
        """Write the averages of the newest state, or of a step's, as an ONNX file; raises StateError without a state."""
        load_averages(settings, step, "network", self.network)
        export_onnx(self.network, path, "expression")


def crop_points() -> Tensor:
    """Where the crop rule puts the five points, [5, 2] in pixels of the crop, float64."""
    return template() * SIDE - 0.5
