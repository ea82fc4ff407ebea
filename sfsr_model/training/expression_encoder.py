"""The expression encoder's task: 52 ARKit coefficients and the head's pose of a face, whoever wears it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from ..encoders.expression import ANGLES, COEFFICIENTS
from ..expressions import ARKIT_NAMES
from ..expressions.arkit import MIRRORED
from ..face.crop import template
from ..landmarker import UNREAD
from .aligned import faces_of, photo_faces, some_mirrored
from .data import PHOTO, Sample, open_mixed
from .face_network import export_onnx, face_network, load_averages
from .onnx_export import about_run
from .settings import Settings

SIDE = 128
# Most coefficients of most faces are nearly 0; those that are not count as much more.
_ACTIVE, _ACTIVE_FACTOR = 0.05, 3.0
# The signs of a mirrored face's pitch, yaw and roll.
_MIRRORED_POSE = torch.tensor([1.0, -1.0, -1.0])
# Added to a batch's variance of a coefficient, that none counts for much which hardly varies in it.
_LEAST_VARIANCE = 0.005


class ExpressionTask:
    """Faces in, what they do out: rendered triplets by the renderer's truth, labelled photos by MediaPipe's readings, where the
    settings have them. What MediaPipe cannot see, the renders alone teach. Takes crops of the project's own crop rule."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = face_network(settings, SIDE, COEFFICIENTS + ANGLES, crop_points())
        self.modules: dict[str, nn.Module] = {"network": self.network}

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_mixed(self._settings)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log: the coefficients' errors, the angles' mean one in radians.

        Absolute errors ask for the median, which is 0 for whatever is seldom sure. Squared ones ask for the mean; as shares of
        each coefficient's variance they count all alike, the faint ones too.
        """
        place = next(self.network.parameters()).device
        faces = faces_of(sample, crop_points(), SIDE, generator, place)
        wanted, pose = (sample[name].flatten(0, 1).to(place) for name in ("coefficients", "pose"))
        known = torch.ones_like(wanted[0], dtype=torch.bool)
        given = [_Wanted(wanted, pose, known)]
        if self._settings.photos is not None:
            mirrored = some_mirrored(sample, generator)
            faces = torch.cat((faces, photo_faces(sample, crop_points(), SIDE, generator, place, mirrored)))
            given.append(_of_photos(sample, mirrored).to(place))
        read = modules["network"](faces * 2 - 1).float().split([len(one.pose) for one in given])
        errors = [self._error(some[:, :COEFFICIENTS], one) for some, one in zip(read, given, strict=True)]
        angles = [_pose_error(some[:, COEFFICIENTS:], one.pose) for some, one in zip(read, given, strict=True)]
        parts = {"coefficients": torch.stack(errors).mean(), "pose": torch.stack(angles).mean()}
        total = torch.stack(list(parts.values())).sum()
        return total, parts | {
            f"{name} error": (some[:, :COEFFICIENTS] - one.coefficients).detach().abs()[:, one.known].mean()
            for name, some, one in zip(("rendered", "photos"), read, given, strict=False)
        }

    def _error(self, read: Tensor, wanted: _Wanted) -> Tensor:
        apart = (read - wanted.coefficients)[:, wanted.known]
        shown = wanted.coefficients[:, wanted.known]
        if self._settings.encoder.errors == "squared":
            return (apart.square().mean(0) / (shown.var(0) + _LEAST_VARIANCE)).mean()
        return (apart.abs() * torch.where(shown > _ACTIVE, _ACTIVE_FACTOR, 1.0)).mean()

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """The faces as the network takes them, [1, N, 3, H, W] in 0..1."""
        return faces_of(sample, crop_points(), SIDE, torch.Generator().manual_seed(0))[None, :16]

    def export(self, settings: Settings, path: Path, step: int | None = None) -> None:
        """Write the averages of the newest state, or of a step's, as an ONNX file; raises StateError without a state."""
        load_averages(settings, step, "network", self.network)
        export_onnx(self.network, path, "expression", about_run(settings))


@dataclass(frozen=True, eq=False)
class _Wanted:
    """coefficients [N, 52], pose [N, 3] with NaN where it is not known, known [52]: which coefficients are told at all."""

    coefficients: Tensor
    pose: Tensor
    known: Tensor

    def to(self, device: torch.device) -> _Wanted:
        return _Wanted(self.coefficients.to(device), self.pose.to(device), self.known.to(device))


def _of_photos(sample: Sample, mirrored: Tensor) -> _Wanted:
    coefficients, pose = sample[PHOTO + "coefficients"], sample[PHOTO + "pose"]
    seen = mirrored[:, None]
    known = torch.tensor([name not in UNREAD for name in ARKIT_NAMES])
    # A mirror changes the signs of yaw and roll, and left and right.
    return _Wanted(
        torch.where(seen, coefficients[:, list(MIRRORED)], coefficients), torch.where(seen, pose * _MIRRORED_POSE, pose), known
    )


def _pose_error(read: Tensor, wanted: Tensor) -> Tensor:
    known = wanted.isfinite().all(-1)
    return (read[known] - wanted[known]).abs().mean() if bool(known.any()) else read.sum() * 0


def crop_points() -> Tensor:
    """Where the crop rule puts the five points, [5, 2] in pixels of the crop, float64."""
    return template() * SIDE - 0.5
