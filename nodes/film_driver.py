"""A film as the driver: one face's expressions over time, for another face to wear."""

from __future__ import annotations

import weakref
from collections.abc import Hashable
from fractions import Fraction
from itertools import islice
from typing import Any

from comfy_api.latest import io, ui

from ..sfsr_model.encoders.choosing import NothingChosenError
from ..sfsr_model.encoders.detection import ORDERS
from ..sfsr_model.expressions import ARKIT_NAMES
from ..sfsr_model.film.curves import plot
from ..sfsr_model.film.driver import FRAME, MISSING, POSES, RESTS, Driven, DriverSettings, drive, resting_frames
from ..sfsr_model.film.paste import as_float
from ..sfsr_model.film.reading import DriverWatcher, Followed
from ..sfsr_model.film.smoothing import METHODS
from ..sfsr_model.naming import listed, naming
from .given import checked
from .host.films import Film, open_film
from .host.page import page_listens
from .host.progress import Progress
from .identity import ENCODERS
from .sockets import (
    CATEGORY,
    ExpressionEncoderSocket,
    ExpressionSocket,
    IDEncoderSocket,
    face_choice,
    require,
    require_expression_encoder,
    require_images,
)

_MOST_NAMED = 4


class SFSRExpressionFilm(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRExpressionFilm",
            display_name="Expression from Film (SFSR)",
            category=CATEGORY,
            description="What one face does in a film, as a batch of expressions for another face: followed, smoothed without "
            "a lag one sees, blinks kept sharp, the driver's own resting face taken off.",
            search_aliases=["driving video", "reenact", "LivePortrait", "motion capture", "video expression", "performance"],
            inputs=[
                ExpressionEncoderSocket.Input("expression_encoder", tooltip="The encoder from Load Expression Encoder."),
                io.Video.Input(
                    "video",
                    optional=True,
                    tooltip="The driver's film, of Film or Load Video. It is read frame by frame; its length costs no memory.",
                ),
                io.Image.Input(
                    "images",
                    optional=True,
                    tooltip="The driver's frames as a batch, in place of a video; all of them lie in memory.",
                ),
                io.Int.Input("start", default=0, min=0, max=1_000_000, tooltip="The first frame that is read, counted from 0."),
                io.Int.Input(
                    "count", default=0, min=0, max=1_000_000, tooltip="How many expressions to make at most; 0 is to the end."
                ),
                io.Int.Input(
                    "every",
                    default=1,
                    min=1,
                    max=1000,
                    tooltip="1 reads every frame, 2 every second one, which halves the rate.",
                ),
                io.Combo.Input(
                    "no_face",
                    options=list(MISSING),
                    default=MISSING[0],
                    tooltip="What frames without the face get: a way between the expressions before and after, the last one, "
                    "the resting face; or the run stops.",
                ),
                io.Float.Input(
                    "smoothing",
                    default=0.4,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="0 leaves each frame as it was read; 0.4 takes out the trembling; 1 also softens speech.",
                ),
                io.Combo.Input(
                    "neutral",
                    options=list(RESTS),
                    default=RESTS[0],
                    tooltip="Which frames show the driver's face at rest; it is taken off, so that low brows do not lower "
                    "everybody's. 'as read' takes nothing off.",
                ),
                io.Combo.Input(
                    "pose",
                    options=list(POSES),
                    default=POSES[0],
                    tooltip="The head's turn: from where the driver looks at rest, as it is towards the camera, or none.",
                ),
                io.Float.Input(
                    "intensity",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Strength of what was read, the head's turn included: 1 as it is, above 1 exaggerates.",
                ),
                io.Float.Input(
                    "fps",
                    default=30.0,
                    min=1.0,
                    max=240.0,
                    step=0.001,
                    optional=True,
                    advanced=True,
                    tooltip="Frames a second of 'images', by which smoothing and blinks are measured. A video tells its own.",
                ),
                io.Combo.Input(
                    "method",
                    options=list(METHODS),
                    default=METHODS[0],
                    optional=True,
                    advanced=True,
                    tooltip="'symmetric' looks at frames before and after and does not lag. 'one euro' knows earlier frames "
                    "alone, as a live camera's would be, and lags a little.",
                ),
                io.Boolean.Input(
                    "keep_blinks",
                    default=True,
                    optional=True,
                    advanced=True,
                    tooltip="On: blinks stay as short and as closed as they were read, whatever the smoothing.",
                ),
                io.Int.Input(
                    "neutral_frame",
                    default=0,
                    min=0,
                    max=1_000_000,
                    optional=True,
                    advanced=True,
                    tooltip=f"For '{FRAME}': the frame in which the driver rests, counted from 0 among those that are read.",
                ),
                *face_choice(optional=True),
                IDEncoderSocket.Input(
                    "id_encoder",
                    optional=True,
                    tooltip="Knows the driver again after a cut or a passer-by. Without one the face is followed by its place, "
                    "and a shot with a single face is taken for the driver's.",
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression",
                    display_name="expression",
                    tooltip="The batch, one expression a frame; SFSR Conditioning makes as many pictures.",
                ),
                io.Float.Output("fps_out", display_name="fps", tooltip="Expressions a second, for Create Video."),
                io.Image.Output(
                    "plot", display_name="plot", tooltip="The main movements and the head over time; grey: as read."
                ),
                io.String.Output("info", display_name="info", tooltip="What was read, and what was taken off."),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls,
        expression_encoder,
        start: int,
        count: int,
        every: int,
        no_face: str,
        smoothing: float,
        neutral: str,
        pose: str,
        intensity: float,
        video=None,
        images=None,
        fps: float = 30.0,
        method: str = METHODS[0],
        keep_blinks: bool = True,
        neutral_frame: int = 0,
        face_order: str = ORDERS[0],
        face_index: int = 0,
        id_encoder=None,
    ) -> io.NodeOutput:
        reader = require_expression_encoder(expression_encoder)
        encoder = None if id_encoder is None else require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
        name, film = _film(video, images, fps)
        chosen = (start, count, every, face_order, face_index)
        sources = (reader, encoder, video if images is None else images)
        followed = _kept.get(sources, chosen)
        if followed is None:
            followed = _follow(name, film, DriverWatcher(reader, face_order, face_index, encoder), start, count, every)
            _kept.put(sources, chosen, followed)
        rate = film.rate / every
        settings = DriverSettings(no_face, smoothing, method, keep_blinks, neutral, neutral_frame, pose)
        with naming("neutral_frame"):
            rest = resting_frames(followed.readings, settings)
        with naming(name):
            driven = drive(followed.readings, float(rate), settings, rest)
        expression = driven.expression.scaled(intensity)
        picture = plot(expression, driven.raw, float(rate))
        info = _info(followed, driven, float(rate))
        shown: dict[str, Any] = {"text": (info,)}
        if page_listens():
            shown |= ui.PreviewImage(picture).as_dict()
        return io.NodeOutput(expression, float(rate), picture, info, ui=shown)


class _Kept:
    """What was read last, so that other settings of the smoothing do not read the film again. It holds no film in memory."""

    def __init__(self) -> None:
        self._sources: tuple[weakref.ref | None, ...] = ()
        self._chosen: Hashable = None
        self._followed: Followed | None = None

    def get(self, sources: tuple[Any, ...], chosen: Hashable) -> Followed | None:
        same = len(sources) == len(self._sources) and all(
            one is None if ref is None else ref() is one for ref, one in zip(self._sources, sources, strict=True)
        )
        return self._followed if same and chosen == self._chosen else None

    def put(self, sources: tuple[Any, ...], chosen: Hashable, followed: Followed) -> None:
        self._sources = tuple(None if one is None else weakref.ref(one) for one in sources)
        self._chosen, self._followed = chosen, followed


_kept = _Kept()


def _film(video: Any, images: Any, fps: float) -> tuple[str, Film]:
    """The frames, and the name of the input that they come from."""
    if (video is None) == (images is None):
        found = "both are" if images is not None else "neither is"
        raise ValueError(
            f"video: {found} connected, video and images; connect one of them, such as Film or Load Video to video"
        )
    if video is not None:
        return "video", open_film(video)
    frames = require_images(images, "images")
    return "images", Film(None, 0.0, 0.0, Fraction(fps).limit_denominator(1000), tuple(frames.shape[1:3]), frames)


def _follow(name: str, film: Film, watcher: DriverWatcher, start: int, count: int, every: int) -> Followed:
    length = film.length()
    stop = start + count * every if count else None
    progress = Progress(max(1, len(range(start, min(length, stop or length), every))))
    for _, picture in islice(film.frames(), start, stop, every):
        watcher.watch(as_float(picture))
        progress.step()
    if not len(watcher):
        raise ValueError(f"start: there is no frame {start}, as the film has about {length}; choose an earlier one")
    with naming(name, NothingChosenError):
        return watcher.followed()


def _info(followed: Followed, driven: Driven, rate: float) -> str:
    readings = followed.readings
    count, seen = len(readings), int(readings.seen.sum())
    lines = [f"{count} frames, {rate:.4g} a second; {seen} show the face; {driven.blinks} blinks"]
    missing = [number for number, there in enumerate(readings.seen.tolist()) if not there]
    if missing:
        lines.append(f"without the face: frame {listed(missing, _MOST_NAMED)}")
    if followed.faces > 1:
        lines.append(f"up to {followed.faces} faces at once; one is followed")
    if driven.rest_frames:
        strongest = driven.rest.argsort(descending=True)[:_MOST_NAMED].tolist()
        off = ", ".join(f"{ARKIT_NAMES[index]} {driven.rest[index]:.2f}" for index in strongest if driven.rest[index] >= 0.005)
        where = listed(driven.rest_frames, _MOST_NAMED)
        lines.append(f"at rest in frame {where}; taken off: {off or 'nothing worth naming'}")
    return "\n".join([*lines, *followed.notes])


NODES = [SFSRExpressionFilm]
