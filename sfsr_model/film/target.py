"""One face of a film: found in each frame, followed, and framed so that nothing of the frame trembles.

A film is watched once, frame by frame, and only where its faces are is kept; the frames that cutting out and pasting back need
are made when they are asked for. So a long film costs no more memory than a short one but for a few numbers a frame.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import torch
from torch import Tensor

from ..encoders.choosing import Choice, NothingChosenError
from ..encoders.detection import Detection, accepted, doubt, order_faces, overruled, surest
from ..encoders.faces import look
from ..encoders.framing import ERROR, HOLD, PREVIEW_SIDE, FramingSettings, told_of
from ..encoders.identity import IDEncoder
from ..encoders.norm_floor import norm_floor
from ..encoders.preview import number_faces
from ..face import FaceFrame
from ..face.crop import apply_affine
from ..face.mask import face_mask
from .cuts import CutFinder
from .steady import filled, smooth_shots, steady_transforms
from .track import OTHER_FILM, Track, Tracker, first_track, most_at_once, size_of, too_few_faces, tracks_of

# What the place of a frame without a find counts beside that of one with it.
_GUESSED = 0.1
# Another face that lies so near to where the followed one should be hides it, in the latter's sizes.
_HIDES = 2.5


@dataclass(frozen=True)
class FilmSettings:
    """framing: crop side, which face, and what becomes of frames without it; its `index` is a number.
    reach: frames on either side over which its points are smoothed; 0 leaves them as they were found."""

    framing: FramingSettings
    reach: int


@dataclass(frozen=True, eq=False)
class FollowedFace:
    """One face over T frames of a film.

    points: steady, [T, 5, 2] picture pixels. transforms: [T, 2, 3] from picture to crop pixels. scores [T]: 0 where there was
    no find. opacity [T]: how much of a new face is seen; 0 where the frame is kept as it is. shots [T]: the number of each
    frame's shot. choices: what was found in each frame. notes: what should be known of the whole.
    """

    points: Tensor
    transforms: Tensor
    scores: tuple[float, ...]
    opacity: tuple[float, ...]
    shots: tuple[int, ...]
    choices: tuple[Choice, ...]
    size: int
    image_size: tuple[int, int]
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.scores)

    def frame(self, number: int) -> FaceFrame:
        """The face's place in frame `number`; its mask is empty where the frame is kept as it is."""
        transform, points = self.transforms[number], self.points[number]
        mask = face_mask(apply_affine(transform, points), self.size)
        opacity = self.opacity[number]
        chosen = self.choices[number].chosen
        return FaceFrame(
            points,
            transform,
            self.size,
            self.image_size,
            self.scores[number],
            chosen[0] if chosen else 0,
            mask if opacity > 0 else torch.zeros_like(mask),
            number,
            len(self),
            opacity,
            shot=self.shots[number],
        )

    def report(self) -> str:
        """For people: where the face was followed, and what became of the other frames."""
        found = sum(score > 0 for score in self.scores)
        shots = len(set(self.shots))
        lines = [f"{found} of {len(self)} frames show the face" + (f", in {shots} shots" if shots > 1 else "")]
        lines += self.notes
        start = 0
        states = zip(map(self._state, range(len(self))), self.shots, strict=True)
        for (state, shot), run in groupby(states):
            end = start + len(list(run)) - 1
            where = f"frame {start}" if start == end else f"frames {start} to {end}"
            lines.append(f"{where}{f', shot {shot}' if shots > 1 else ''}: {state}")
            start = end + 1
        return "\n".join(lines)

    def _state(self, number: int) -> str:
        if self.scores[number] > 0:
            return "followed"
        opacity = self.opacity[number]
        if opacity == 0:
            return "without it, kept as they are"
        return "without a find, taken to be between the finds about them" if opacity == 1 else "without it, fading out"


class FilmWatcher:
    """Watches a film frame by frame. person: a unit embedding [D] of the encoder's space, or None for the face that the
    settings choose in the first frame with one."""

    def __init__(self, settings: FilmSettings, encoder: IDEncoder | None, person: Tensor | None = None) -> None:
        self._settings, self._encoder, self._person = settings, encoder, person
        self._tracker, self._cuts = Tracker(), CutFinder()
        self._finds: list[tuple[tuple[Detection, ...], tuple[Detection, ...], bool]] = []
        self._size = (0, 0)

    def __len__(self) -> int:
        return len(self._finds)

    def watch(self, picture: Tensor, given: Sequence[Detection] | None = None) -> None:
        """The next frame [H, W, 3], float RGB in 0..1. given: its finds by somebody else, refused ones included."""
        encoder, carried = self._encoder, False
        self._size = (picture.shape[0], picture.shape[1])
        prepared = None if encoder is None else encoder.prepare(picture)
        finds = given
        if finds is None:
            finds, carried = look(picture, encoder, prepared)
        elif self._settings.framing.overrule:
            finds = overruled(finds, every=True)
        faces = order_faces(accepted(finds), self._settings.framing.order)
        embed = None
        if encoder is not None:

            def embed(face: Detection) -> Tensor:
                return encoder.embed_aligned([encoder.align(prepared, face.points)])[0]

        self._tracker.see(faces, self._cuts.begins(picture), embed)
        self._finds.append((tuple(faces), tuple(told_of([one for one in finds if one.refused is not None])), carried))

    def followed(self) -> FollowedFace:
        """The face over the whole film. Raises NothingChosenError where the film does not show it or the policy has nothing
        for a frame, and ValueError naming face_index where no frame has a face of that number."""
        tracks = [one for one in self._tracker.tracks if not self._is_no_face(one)]
        own, notes = self._chosen(tracks)
        mine = {number: find for track in own for number, find in track.finds.items()}
        count, settings = len(self._finds), self._settings
        if not mine:
            raise self._nobody(tracks)
        if settings.framing.no_face == ERROR and len(mine) < count:
            raise self._nothing(next(number for number in range(count) if number not in mine))
        shots = torch.tensor(self._tracker.shots)
        seen = torch.tensor([number in mine for number in range(count)])
        known = torch.zeros(count, 5, 2, dtype=torch.float64)
        for number, find in mine.items():
            known[number] = find.points
        raw = filled(known, seen, shots)
        weights = torch.where(seen, 1.0, _GUESSED)
        points = smooth_shots(raw, shots, settings.reach, weights=weights)
        transforms = steady_transforms(points, shots, settings.framing.size, settings.reach)
        choices = [
            Choice(faces, tuple(place for place, one in enumerate(faces) if one is mine.get(number)), refused, carried)
            for number, (faces, refused, carried) in enumerate(self._finds)
        ]
        return FollowedFace(
            points,
            transforms,
            tuple(mine[number].score if number in mine else 0.0 for number in range(count)),
            tuple(self._opacity(seen, shots, points)),
            tuple(self._tracker.shots),
            tuple(choices),
            settings.framing.size,
            self._size,
            tuple(notes),
        )

    def _chosen(self, tracks: Sequence[Track]) -> tuple[list[Track], list[str]]:
        """The tracks of the face that is meant, and what should be known of the choice."""
        shots = self._tracker.shots
        if self._person is not None and self._encoder is not None:
            own = tracks_of(tracks, None, self._person, self._encoder.threshold)
            without = sorted(set(shots) - {one.shot for one in own})
            return own, [f"nobody in shot {shot} is the person" for shot in without]
        faces, index = [found for found, _, _ in self._finds], self._settings.framing.index or 0
        first = first_track(tracks, faces, index)
        if first is None:
            return [], []
        if self._encoder is not None:
            return tracks_of(tracks, first, None, self._encoder.threshold), []
        own, notes = [], []
        for shot in sorted(set(shots)):
            meant = first_track([one for one in tracks if one.shot == shot], faces, index, shots.index(shot))
            own += [] if meant is None else [meant]
        if len(own) > 1:
            notes.append(
                "the film is cut and no id_encoder is connected: in each shot the face of that number is taken, whoever it is"
            )
        return own, notes

    def _is_no_face(self, track: Track) -> bool:
        """Whether the recogniser takes all that it was shown of the track for no face."""
        if self._encoder is None or not track.looks or self._settings.framing.overrule:
            return False
        floor = norm_floor(self._encoder)
        return floor is not None and all(floor.refusal(one.norm().item()) for one in track.looks)

    def _opacity(self, seen: Tensor, shots: Tensor, points: Tensor) -> list[float]:
        """How much of a new face is seen in each frame."""
        framing = self._settings.framing
        opacity: list[float] = []
        for (is_seen, _), run in groupby(zip(seen.tolist(), shots.tolist(), strict=True)):
            length, start = len(list(run)), len(opacity)
            if is_seen:
                opacity += [1.0] * length
                continue
            before = start > 0 and bool(seen[start - 1]) and bool(shots[start - 1] == shots[start])
            after = start + length < len(seen) and bool(seen[start + length]) and bool(shots[start + length] == shots[start])
            if framing.no_face != HOLD or not before:
                opacity += [0.0] * length
                continue
            bridged = after and (framing.hold == 0 or length <= framing.hold)
            for number in range(start, start + length):
                held = 1.0 if bridged else framing.opacity(number - start + 1)
                opacity.append(0.0 if self._is_hidden(number, points[number]) else held)
        return opacity

    def _is_hidden(self, number: int, points: Tensor) -> bool:
        """Whether another face stands where this one should be."""
        reach = _HIDES * size_of(points)
        return any((one.points.mean(0) - points.mean(0)).norm().item() < reach for one in self._finds[number][0])

    def _nobody(self, tracks: Sequence[Track]) -> ValueError:
        """The error for a film without the face that is meant. tracks: of all that are faces."""
        count, index = len(self._finds), self._settings.framing.index or 0
        most = most_at_once(tracks)
        if most and self._person is None:
            return too_few_faces(index, count, most)
        faces = [one for found, _, _ in self._finds for one in found]
        refused = [one for _, found, _ in self._finds for one in found]
        if most:
            message = (
                f"none of the faces in its {count} frames is the person's (up to {most} at once); connect somebody else to "
                "person, or nobody, to follow the face of that number"
            )
        elif faces:
            message = f"what was found in its {count} frames is no face to the recogniser; {OTHER_FILM}"
        else:
            more = "" if self._encoder else "; an encoder of Load ID Encoder, connected to id_encoder, sees more"
            message = f"no face in any of its {count} frames; {doubt(surest(refused))}; {OTHER_FILM}{more}"
        return NothingChosenError(f"{message}.", faces, refused)

    def _nothing(self, number: int) -> NothingChosenError:
        """The error for a frame without the face, which other frames show."""
        faces, refused, _ = self._finds[number]
        found = f"{len(faces)} face{'s' * (len(faces) > 1)}, but not the one that is followed"
        if not faces:
            found = f"no face found; {doubt(surest(refused))}"
        message = f"frame {number}: {found}; set no_face to '{HOLD}' or 'keep the picture' for frames without it."
        return NothingChosenError(message, faces, refused)


def followed_frames(face: FollowedFace) -> tuple[FaceFrame, ...]:
    """The face's place in each frame of the film."""
    return tuple(face.frame(number) for number in range(len(face)))


def preview_frame(face: FollowedFace, picture: Tensor, number: int) -> Tensor:
    """Frame `number` [H, W, 3], reduced, with its faces numbered, the followed one in green; where a new face goes without a
    find, a note says so."""
    choice = face.choices[number]
    step = max(1, max(picture.shape[:2]) // PREVIEW_SIDE)
    faces = [replace(one, box=one.box / step, points=one.points / step) for one in choice.faces]
    note = "" if choice.chosen else "between finds" if face.opacity[number] > 0 else "kept"
    return number_faces(picture[step // 2 :: step, step // 2 :: step], faces, choice.chosen, note)
