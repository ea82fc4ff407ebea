"""A driver's face read frame by frame: every face is followed, and the chosen one's expressions are kept."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from ..encoders.choosing import NothingChosenError
from ..encoders.detection import ORDERS, Detection, order_faces
from ..encoders.expression_photos import PhotoEncoder
from ..encoders.identity import IDEncoder
from ..expressions import ARKIT_NAMES, POSE_AXES, Expression
from ..expressions.flame import FLAME_NAMES
from ..expressions.value import shared_smirk
from .cuts import CutFinder
from .driver import Readings
from .track import OTHER_FILM, Track, Tracker, first_track, most_at_once, too_few_faces, tracks_of


@dataclass(frozen=True)
class Followed:
    """readings: of the face that was followed. faces: how many were seen at once, at most. notes: what should be known."""

    readings: Readings
    faces: int
    notes: tuple[str, ...] = ()


class DriverWatcher:
    """Watches a film frame by frame. reader: what reads expressions. The driver is face number `index`, in this order, of the
    first frame that has so many, and is followed from there by place and by person. encoder: who tells people apart; without
    one it is the recogniser that the reader's detector belongs to, if any, and a shot with a single face is the driver's."""

    def __init__(self, reader: PhotoEncoder, order: str = ORDERS[0], index: int = 0, encoder: IDEncoder | None = None) -> None:
        self._reader, self._order, self._index = reader, order, index
        self._believed = encoder is not None
        self._encoder: IDEncoder | None = encoder or getattr(reader, "finder", None)
        self._tracker, self._cuts = Tracker(), CutFinder()
        self._faces: list[list[Detection]] = []
        self._read: dict[int, Expression] = {}

    def __len__(self) -> int:
        return len(self._faces)

    def watch(self, picture: Tensor) -> None:
        """The next frame [H, W, 3], float RGB in 0..1."""
        found = self._reader.read_every(picture)
        faces = order_faces([face for face, _ in found], self._order)
        self._read |= {id(face): expression for face, expression in found}
        encoder, embed = self._encoder, None
        if encoder is not None:
            prepared = None

            def embed(face: Detection) -> Tensor:
                nonlocal prepared
                prepared = encoder.prepare(picture) if prepared is None else prepared
                return encoder.embed_aligned([encoder.align(prepared, face.points)])[0]

        self._tracker.see(faces, self._cuts.begins(picture), embed)
        self._faces.append(faces)

    def followed(self) -> Followed:
        """The driver over the whole film. Raises NothingChosenError where no frame shows a face, ValueError naming face_index
        where none has a face of that number."""
        own, notes = self._tracks()
        finds = {number: self._read[id(find)] for track in own for number, find in track.finds.items()}
        most = most_at_once(self._tracker.tracks)
        if not most:
            raise NothingChosenError(f"no face in any of its {len(self)} frames; {OTHER_FILM}", (), ())
        if not finds:
            raise too_few_faces(self._index, len(self), most)
        seen = torch.tensor([number in finds for number in range(len(self))])
        shots = torch.tensor(self._tracker.shots)
        has_pose = all(one.pose is not None for one in finds.values())
        has_flame = all(one.flame is not None for one in finds.values())

        def rows(name: str, width: int) -> Tensor:
            values = torch.zeros(len(self), width)
            for number, one in finds.items():
                values[number] = getattr(one, name)[0].float()
            return values

        readings = Readings(
            rows("coefficients", len(ARKIT_NAMES)),
            rows("pose", len(POSE_AXES)) if has_pose else None,
            seen,
            shots,
            rows("flame", len(FLAME_NAMES)) if has_flame else None,
            shared_smirk(finds.values()),
        )
        return Followed(readings, most, tuple(notes))

    def _tracks(self) -> tuple[list[Track], list[str]]:
        """The driver's tracks, and what should be known of their choice."""
        tracks = self._tracker.tracks
        first = first_track(tracks, self._faces, self._index)
        if first is None:
            return [], []
        own = [first] if self._encoder is None else tracks_of(tracks, first, None, self._encoder.threshold)
        notes = []
        for shot in sorted(set(self._tracker.shots) - {one.shot for one in own}):
            there = [one for one in tracks if one.shot == shot]
            if len(there) == 1 and not self._believed:
                own.append(there[0])
                notes.append(f"shot {shot} shows one face, which is taken for the driver's; an id_encoder would tell")
            elif there:
                notes.append(f"nobody in shot {shot} is the driver")
        return own, notes
