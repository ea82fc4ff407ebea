"""Film, measured on rendered films whose truth is known: `python -m sfsr_model.evaluation film`.

The driver's half is here: how well the expressions that are read from a film follow what the face did. `film_target.py` has the
other: what flickers or trembles in a film whose face is exchanged.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import fmean

import numpy as np
import torch

from ..encoders.bundled import load_bundled_photo_reader
from ..encoders.expression_photos import PhotoEncoder
from ..expressions import ARKIT_NAMES
from ..files import whole_file
from ..film.driver import ABSOLUTE, AS_READ, DriverSettings, Readings, drive, resting_frames
from ..film.performance import REST
from ..film.reading import DriverWatcher
from ..film.smoothing import LIDS, METHODS, ONE_EURO, SYMMETRIC
from .film_rows import Row, row_table
from .markdown import table

RATE = 30
# A coefficient counts that moves by this standard deviation in the truth.
_ACTIVE = 0.05
# Lags are looked for up to so many frames, in tenths of a frame.
_MOST_LAG, _PARTS = 4, 10
_CLOSED = 0.6


@dataclass(frozen=True, eq=False)
class DriverFilm:
    """What was read of a rendered driver, and the truth: coefficients [T, 52], pose [T, 3].

    seconds: the processor's, to read a frame.
    """

    readings: Readings
    coefficients: np.ndarray
    pose: np.ndarray
    seconds: float


def read_driver(pictures: Iterable, reader: PhotoEncoder) -> DriverFilm:
    """Rendered frames (`Picture`) as the node *Expression from Film* reads them."""
    watcher, truth, spent = DriverWatcher(reader), [], 0.0
    for picture in pictures:
        began = time.process_time()
        watcher.watch(torch.from_numpy(picture.image).float() / 255)
        spent += time.process_time() - began
        truth.append((picture.coefficients, picture.pose))
    coefficients, pose = (np.array(column, np.float64) for column in zip(*truth, strict=True))
    return DriverFilm(watcher.followed().readings, coefficients, pose, spent / len(truth))


def driver_rows(films: Sequence[DriverFilm], rate: float = RATE) -> list[Row]:
    """The driver's figures, means over the films."""
    settings = {method: DriverSettings(method=method) for method in METHODS}
    whole = {method: [_driven(film, one, rate) for film in films] for method, one in settings.items()}
    raw = [_driven(film, DriverSettings(smoothing=0, rest=AS_READ, pose=ABSOLUTE), rate) for film in films]
    calm = [_driven(film, DriverSettings(rest=AS_READ), rate) for film in films]
    own = [_driven(film, DriverSettings(smoothing=0), rate) for film in films]
    done = whole[SYMMETRIC]

    def over(values: Sequence[np.ndarray], measure) -> float:
        return fmean(measure(one, film.coefficients) for one, film in zip(values, films, strict=True))

    rest = int(REST * rate) - 6
    truth = [film.coefficients for film in films]
    return [
        Row("lag of the smoothed expression behind the truth, frames", over(done, lag), 1.0, 0.3),
        Row("the same, One Euro", over(whole[ONE_EURO], lag)),
        Row("the same, frames as read", over(raw, lag)),
        Row("expression correlation over time, active coefficients", over(done, correlation), 0.6, 0.85, less=False),
        Row("the same, frames as read", over(raw, correlation), less=False),
        Row("jitter of the smoothed expression over that as read", _over(calm, raw)),
        Row("the same, One Euro", _over([_driven(f, DriverSettings(method=ONE_EURO, rest=AS_READ), rate) for f in films], raw)),
        Row("jitter of the truth over that as read", _over(truth, raw)),
        Row("lids at the truth's blinks, read over true", over(done, _lids), less=False),
        Row("mean error of active coefficients, smoothed and without the driver's rest", over(done, error)),
        Row("the same, the driver's rest left on", over(calm, error)),
        Row("the same, frames as read", over(raw, error)),
        Row("mean coefficient while the driver rests (truth 0), rest taken off", fmean(v[:rest].mean() for v in own)),
        Row("the same, as read", fmean(v[:rest].mean() for v in raw)),
        Row(
            "frames in which the face was read, share", fmean(f.readings.seen.float().mean().item() for f in films), less=False
        ),
        Row("processor's time to read a frame, seconds", fmean(film.seconds for film in films)),
    ]


def lag(values: np.ndarray, truth: np.ndarray) -> float:
    """How many frames values [T, C] lie behind the truth, to a tenth, by the correlation of what moves; negative: before."""
    moving = _active(truth)
    fine = np.arange(0, len(truth) - 1, 1 / _PARTS)
    mine, true = (
        np.stack([np.interp(fine, np.arange(len(truth)), one[:, column]) for column in moving], 1) for one in (values, truth)
    )
    most = _MOST_LAG * _PARTS

    def even(part: np.ndarray) -> np.ndarray:
        return (part - part.mean(0)) / part.std(0).clip(1e-6)

    middle = even(true[most:-most])
    alike = [(even(mine[most + shift : len(mine) - most + shift]) * middle).mean() for shift in range(-most, most + 1)]
    return (int(np.argmax(alike)) - most) / _PARTS


def correlation(values: np.ndarray, truth: np.ndarray) -> float:
    """Pearson's r over time with the truth [T, C], mean over the coefficients that move in it; 0 for one that is never read."""
    return fmean(_alike(values[:, column], truth[:, column]) for column in _active(truth))


def jitter(values: np.ndarray) -> float:
    """Mean size of the second difference over time: what trembles."""
    return float(np.abs(np.diff(values, 2, axis=0)).mean())


def error(values: np.ndarray, truth: np.ndarray) -> float:
    """Mean distance from the truth [T, C] of the coefficients that move in it."""
    moving = _active(truth)
    return float(np.abs(values - truth)[:, moving].mean())


def by_coefficient(films: Sequence[DriverFilm], rate: float = RATE) -> dict[str, float]:
    """The correlation of each coefficient that moves in all of the films."""
    done = [(_driven(film, DriverSettings(), rate), film.coefficients) for film in films]
    moving = set.intersection(*(set(_active(truth)) for _, truth in done))
    return {ARKIT_NAMES[c]: fmean(_alike(v[:, c], truth[:, c]) for v, truth in done) for c in sorted(moving)}


def add_command(commands: argparse._SubParsersAction) -> None:
    """The command `film`."""
    film = commands.add_parser(
        "film", help="expressions read from rendered films, and films with another face, against the truth"
    )
    film.add_argument("--cache", type=Path, required=True, help="the renderer's cache file, such as faces.npz")
    film.add_argument("--out", type=Path, required=True, help="folder for film.json and film.md")
    film.add_argument("--seed", type=int, default=101, help="of what the drivers do (default 101)")
    film.add_argument("--people", type=int, nargs="+", default=[1, 14], help="numbers of the rendered drivers (default 1 14)")
    film.add_argument("--frames", type=int, default=240, help=f"of each film, {RATE} a second (default 240)")
    film.add_argument("--size", type=int, default=256, help="pixels of a frame's side (default 256)")
    film.add_argument(
        "--target-frames", type=int, default=60, help="of the film that gets another face; 0 for none (default 60)"
    )
    film.add_argument("--steps", type=int, default=4, help="of the sampler for that face (default 4)")
    film.add_argument(
        "--carry", type=float, default=0.5, help="share of these that the last face's x0* spares the next (default 0.5)"
    )
    film.set_defaults(run=_film)


def _film(options: argparse.Namespace) -> int:
    from ..film.rendered import render_film, shot
    from ..synthetic.model import FaceModel

    if options.frames < 2 * RATE:
        raise ValueError(f"frames: expected at least {2 * RATE}, got {options.frames}")
    if not 0 <= options.carry < 1:
        raise ValueError(f"carry: expected 0 to less than 1, got {options.carry:g}")
    options.out.mkdir(parents=True, exist_ok=True)
    model, reader = FaceModel.load(options.cache), load_bundled_photo_reader()
    films = []
    for number, person in enumerate(options.people):
        films.append(
            read_driver(render_film(model, shot(options.seed + number, options.frames, options.size, person=person)), reader)
        )
        print(f"driver {person}: {options.frames} frames read", flush=True)
    rows, single = driver_rows(films), by_coefficient(films)
    if options.target_frames:
        from .film_target import target_rows  # what it needs is not loaded for the driver alone

        rows += target_rows(model, options.seed, options.target_frames, options.size, options.steps, options.carry)
    lines = [*row_table(rows), "", *table(("coefficient", "r"), [(name, f"{r:.2f}") for name, r in single.items()])]
    about = {"seed": options.seed, "people": options.people, "frames": options.frames, "size": options.size, "rate": RATE}
    with whole_file(options.out / "film.md") as partial:
        partial.write_text("\n".join(lines) + "\n", encoding="utf-8")
    with whole_file(options.out / "film.json") as partial:
        document = {"about": about, "rows": [asdict(row) for row in rows], "coefficients": single}
        partial.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    print("\n".join(lines))
    return 0


def _driven(film: DriverFilm, settings: DriverSettings, rate: float) -> np.ndarray:
    rest = resting_frames(film.readings, settings)
    return drive(film.readings, rate, settings, rest).expression.coefficients.double().numpy()


def _active(truth: np.ndarray) -> list[int]:
    return np.flatnonzero(truth.std(0) > _ACTIVE).tolist()


def _alike(one: np.ndarray, other: np.ndarray) -> float:
    return float(np.corrcoef(one, other)[0, 1]) if min(one.std(), other.std()) > 1e-6 else 0.0


def _over(values: Sequence[np.ndarray], raw: Sequence[np.ndarray]) -> float:
    return fmean(jitter(one) / jitter(other) for one, other in zip(values, raw, strict=True))


def _lids(values: np.ndarray, truth: np.ndarray) -> float:
    """How far the lids close where the truth's are shut, over the truth's."""
    lids = list(LIDS)
    shut = truth[:, lids].mean(1) > _CLOSED
    return float(values[shut][:, lids].mean() / truth[shut][:, lids].mean()) if shut.any() else float("nan")
