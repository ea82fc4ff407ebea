"""The detector's task: where faces are, and their five points, in scenes composed of rendered heads and of photos."""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from .data import PHOTO, Sample, collated, length, open_mixed, peek
from .detector_loss import assign, detector_loss
from .detector_network import Candidates, DetectorNetwork, boxes_at, export_detector, joined, places
from .exported import take_over
from .face_network import load_averages
from .onnx_export import about_run
from .scenes import compose, draw_scenes
from .settings import Settings

_KINDS = ("triplets", "pictures")
_FIRST = 16
# A picture is used so often in a step, on average: two faces lie in a scene.
_PICTURES_A_SCENE = 2
_SHOWN, _MIN_SCORE = 8, 0.5
# insightface's scale of pixels for detectors: (bytes - 127.5) / 128.
_SCALE = 255 / 128


class DetectorTask:
    """Rendered pictures or triplets in, with labelled photos where the settings have them; scenes of their heads before the
    network, SCRFD's outputs out."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        with torch.random.fork_rng():
            torch.manual_seed(settings.seed)
            self.network = DetectorNetwork()
            if settings.encoder.initial is not None:
                take_over(self.network, settings.encoder.initial, self._first_scenes())
        self.modules: dict[str, nn.Module] = {"network": self.network}

    def dataset(self) -> Dataset[Sample]:
        """What the loop draws its samples from."""
        return open_mixed(self._settings, _KINDS)

    def _first_scenes(self) -> Tensor:
        dataset = peek(self._settings.data, _KINDS)
        sample = collated(dataset, 0, min(_FIRST, length(dataset)))
        return scaled(compose(sample, _FIRST, torch.Generator().manual_seed(0)).images)

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The loss of one batch, and its parts for the log."""
        scenes = draw_scenes(sample, _count(sample), generator)
        place = next(self.network.parameters()).device
        found = joined(modules["network"](scaled(scenes.images.to(place))))
        parts = detector_loss(found, scenes, assign(scenes, *scenes.images.shape[-2:]))
        total = parts["score"] + parts["box"] + parts["points"]
        return total, parts

    @torch.no_grad()
    def show(self, sample: Sample) -> Tensor:
        """Scenes above the same with the boxes found in them, [2, N, 3, H, W] in 0..1."""
        images = compose(sample, _count(sample), torch.Generator().manual_seed(0)).images[:_SHOWN]
        training, place = self.network.training, next(self.network.parameters()).device
        self.network.eval()
        found = joined(self.network(scaled(images.to(place))))
        self.network.train(training)
        marked = images.clone()
        for picture, boxes in zip(marked, found_boxes(found, *images.shape[-2:]), strict=True):
            _frame(picture, boxes)
        return torch.stack((images, marked))

    def export(self, settings: Settings, path: Path, step: int | None = None) -> None:
        """Write the averages of the newest state, or of a step's, as an ONNX file that insightface loads.

        Raises StateError without a state.
        """
        load_averages(settings, step, "network", self.network)
        export_detector(self.network, path, about_run(settings))


def scaled(images: Tensor) -> Tensor:
    """Pictures in 0..1 as the network takes them."""
    return (images - 0.5) * _SCALE


def found_boxes(found: Candidates, height: int, width: int, least: float = _MIN_SCORE) -> list[Tensor]:
    """The boxes [M, 4] in pixels of each picture's anchors that score at least so much, on the CPU."""
    centres, strides = places(height, width)
    boxes = boxes_at(centres, found.boxes.cpu() * strides[:, None])
    return [row[score >= least] for row, score in zip(boxes, found.scores.sigmoid().cpu(), strict=True)]


def _frame(picture: Tensor, boxes: Tensor) -> None:
    green = torch.tensor([0.0, 1.0, 0.0])[:, None, None]
    for left, top, right, bottom in boxes.round().long().clamp(0, picture.shape[-1] - 1).tolist():
        for edge in (top, bottom):
            picture[:, edge : edge + 1, left : right + 1] = green
        for edge in (left, right):
            picture[:, top : bottom + 1, edge : edge + 1] = green


def _count(sample: Sample) -> int:
    """How many scenes a batch makes."""
    photos = len(sample[PHOTO + "image"]) if PHOTO + "image" in sample else 0
    return max((sample["landmarks"].flatten(0, -3).shape[0] + photos) // _PICTURES_A_SCENE, 1)
