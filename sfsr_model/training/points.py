"""The second look's task: where the five points of a roughly found face lie, and whether there is a face."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import Dataset

from ..encoders.points import SIDE, looked_for
from ..face import five_points
from ..face.crop import apply_affine, similarity
from .aligned import as_they_are, compressed, first_faces, misplaced_faces, photos_of, shifted, some_mirrored, varied
from .data import Sample, open_mixed
from .exported import take_over
from .face_network import load_averages
from .onnx_export import about_run
from .order import generator_on
from .points_network import STRIDE, PointsNetwork, centres, export_points, points_of
from .settings import Settings

# How many times as far off as usual the points of half the faces are from which a crop is cut out: a detector's worst.
_FAR = 3.0
# Weight of the points beside the score. Where the loss of points turns from square to straight, in sides of the crop.
_WEIGHT, _TURN = 40.0, 0.01
# How much more than usual the points of a turned head may count.
_TURNED = 3.0
_SHOWN = 16


class PointsTask:
    """Crops about roughly found faces in; the five points in them, and whether they show a face, out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = PointsNetwork()
            if settings.encoder.initial is not None:
                seen = first_faces(settings.data, looked_for(), SIDE)
                take_over(self.network, settings.encoder.initial, seen * 2 - 1)
        self.modules: dict[str, nn.Module] = {"network": self.network}

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_mixed(self._settings)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log: error is the mean one of the points, in eye distances."""
        place = next(self.network.parameters()).device
        shown, wanted = self._faces(sample, generator, place)
        count = len(shown)
        if self._settings.photos is not None:
            shown = torch.cat((shown, misplaced_faces(sample, looked_for(), SIDE, generator, place)))
        heat, score = modules["network"](shown * 2 - 1)
        points, score = points_of(heat[:count]), score.float()
        there = (torch.arange(len(score), device=place) < count).float()
        eyes = (wanted[:, 1] - wanted[:, 0]).norm(dim=-1)
        # In eye distances, as crops are cut out by them: eyes of a turned head lie near each other.
        scale = (eyes.mean() / eyes).clamp_max(_TURNED)[:, None, None] / SIDE
        parts = {
            "cells": F.cross_entropy(heat[:count].float().flatten(0, 1).flatten(1), cells_of(wanted).flatten(0, 1)),
            "points": _WEIGHT * F.smooth_l1_loss(points * scale, wanted * scale, beta=_TURN),
            "score": F.binary_cross_entropy_with_logits(score, there),
        }
        error = ((points - wanted).norm(dim=-1).mean(-1) / eyes).mean()
        return torch.stack(list(parts.values())).sum(), parts | {"error": error.detach()}

    def _faces(self, sample: Sample, generator: torch.Generator, place: torch.device) -> tuple[Tensor, Tensor]:
        """Crops [N, 3, SIDE, SIDE] in 0..1 about points that are off, and where the true ones lie in them, [N, 5, 2]."""
        kinds = [(sample["image"].flatten(0, 1), five_points(sample["landmarks"].flatten(0, 1)).double())]
        if self._settings.photos is not None:
            mirrored = some_mirrored(sample, generator)
            kinds.append(photos_of(sample, mirrored))
        template, found, wanted = looked_for(), [], []
        for images, points in kinds:
            rough = torch.where(
                (torch.arange(len(points)) % 2 == 0)[:, None, None],
                shifted(points, generator, _FAR),
                shifted(points, generator),
            )
            found.append(as_they_are(images, rough, template, SIDE, place))
            wanted.append(apply_affine(similarity(rough, template), points))
        faces = torch.cat(found)
        faces = compressed(varied(faces, generator_on(faces.device, generator)), generator)
        return faces, torch.cat(wanted).float().to(place)

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """Crops above the same cut out anew by the points that the network sees in them, [2, N, 3, H, W] in 0..1."""
        place = next(self.network.parameters()).device
        faces, _ = self._faces(sample, torch.Generator().manual_seed(0), place)
        faces = faces[-_SHOWN:]
        training = self.network.training
        seen = points_of(self.network.eval()(faces * 2 - 1)[0]).double().cpu()
        self.network.train(training)
        again = as_they_are((faces * 255).byte(), seen, looked_for(), SIDE, place)
        return torch.stack((faces, again))

    def export(self, settings: Settings, path: Path, step: int | None = None) -> None:
        """Write the averages of the newest state, or of a step's, as an ONNX file; raises StateError without a state."""
        load_averages(settings, step, "network", self.network)
        export_points(self.network, path, about_run(settings))


def cells_of(points: Tensor) -> Tensor:
    """In which cells points [N, 5, 2], in pixels of the crop, lie: shares [N, 5, CELLS * CELLS] of the four nearest."""
    away = (points[:, :, None] - centres(points.device)).abs() / STRIDE
    shares = (1 - away).clamp_min(0).prod(-1)
    # A point beyond the crop's border is looked for at the cells nearest to it.
    return torch.where(shares.sum(-1, keepdim=True) > 0, shares, (-away.sum(-1)).softmax(-1))
