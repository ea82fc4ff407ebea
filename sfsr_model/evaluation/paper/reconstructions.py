"""Figure 2 of the paper: the same noisy faces as every estimator sees them, with eyes and mouth enlarged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import torch
from torch import Tensor

from ...estimators import ESTIMATORS
from ...estimators.sheet import grid
from ...estimators.study import remembering
from ..estimator_errors import noisy_at
from ..sheet import save_sheet
from ..store import out_folder
from ..study import Batch, Samples, Study
from .curve import METHODS

COLUMNS = ("noisy", *METHODS, "decoded answer", "answer")
_EYES, _MOUTH = (2.2, 0.9), (1.6, 0.9)
"""Width and height of the enlarged parts, in distances of the eyes."""


def reconstructions(study: Study, people: int, times: Sequence[int], put_back: bool, rendered: Path, out: Path) -> Path:
    """Draw reconstructions.jpg, a row for each of a study's first triplets and each timestep; returns its path.

    put_back: whether the known background takes the place of every estimate outside the mask. rendered: folder that keeps the
    triplets. Raises ValueError or OSError naming what is wrong.
    """
    samples = Samples(study, rendered)
    out_folder(out)
    pictures: list[list[Tensor]] = []
    labels = []
    for numbers in samples.ranges(people):
        batch = samples.batch(numbers)
        by_time = [_row(samples, batch, time, put_back) for time in times]
        for place, number in enumerate(numbers[: people - numbers.start]):
            for time, columns in zip(times, by_time, strict=True):
                pictures.append([with_details(column[place], batch.points[place]) for column in columns])
                labels.append(f"{number}, t {time}")
    path = out / "reconstructions.jpg"
    save_sheet(grid(pictures, labels, COLUMNS)[0], path)
    return path


@torch.no_grad()
def _row(samples: Samples, batch: Batch, time: int, put_back: bool) -> list[Tensor]:
    """A batch of pictures [B, S, S, 3] for each of COLUMNS."""
    noisy = noisy_at(batch, time)
    denoise = remembering(samples.denoiser(batch), noisy)
    assert isinstance(noisy.sigma, float)
    seen = samples.network.decode(noisy.x / (1 + noisy.sigma**2) ** 0.5)
    found = [samples.network.decode(ESTIMATORS[name](denoise, noisy).x0) for name in METHODS]
    found.append(samples.network.decode(batch.x0))
    if put_back:
        found = [torch.lerp(batch.target, picture, batch.mask[..., None]) for picture in found]
    return [picture.cpu() for picture in (seen, *found, batch.answer)]


def with_details(picture: Tensor, points: Tensor) -> Tensor:
    """A picture [S, S, 3] with eyes and mouth enlarged to its full width below it, [H, S, 3].

    points [5, 2]: eyes, nose and corners of the mouth in pixels.
    """
    apart = float((points[1] - points[0]).norm())
    details = [(points[:2].mean(0), _EYES), (points[3:].mean(0), _MOUTH)]
    return torch.cat([picture, *(_enlarged(picture, centre, apart, part) for centre, part in details)])


def _enlarged(picture: Tensor, centre: Tensor, apart: float, part: tuple[float, float]) -> Tensor:
    """The box of `part` times `apart` pixels around a centre (x, y); beyond the border the border's pixels go on."""
    side = picture.shape[1]
    height = round(side * part[1] / part[0])
    steps = [torch.linspace(-0.5, 0.5, count) * extent * apart for count, extent in ((height, part[1]), (side, part[0]))]
    y, x = torch.meshgrid(steps[0] + float(centre[1]), steps[1] + float(centre[0]), indexing="ij")
    # Where the middle of pixel p lies between -1 and 1, both ends of the picture.
    places = torch.stack([(2 * x + 1) / side - 1, (2 * y + 1) / picture.shape[0] - 1], -1)
    sampled = torch.nn.functional.grid_sample(
        picture.movedim(-1, 0)[None], places[None].float(), mode="bilinear", padding_mode="border", align_corners=False
    )
    return sampled[0].movedim(0, -1)
