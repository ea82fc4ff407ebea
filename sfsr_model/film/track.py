"""Faces followed from frame to frame by place, and by person where a recogniser can be asked.

Every face of a frame is followed, not only the one that is wanted: a face that crosses in front of it belongs to its own track
and can take nobody else's. A track ends with its shot. Which tracks are the wanted person's is decided when the film has been
seen: a person's own looks, averaged over a track, tell more than one frame's.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor
from torch.nn.functional import normalize

from ..encoders.detection import Detection

Embed = Callable[[Detection], Tensor]
"""A face of the present frame to its embedding [D], of the length that the recogniser gives it."""

# How far a face may be from where it is expected, in units of its own size, and how much more for each frame it was not seen.
_REACH, _REACH_GROWS, _REACH_MOST = 0.9, 0.15, 3.0
_SIZE_RATIO = 1.5
# A face that was not seen for longer than this begins a new track.
_LOST_AFTER = 45
# After so many frames without a sighting its speed is not believed any more.
_SPEED_LASTS = 6
# How many looks of a track are asked of the recogniser when nothing is doubtful, and how many frames lie between two.
_LOOKS, _LOOK_EVERY = 8, 5
# What a look unlike the track's person counts, beside a distance as far as can be.
_PERSON_WEIGHS = 2.0
# What a track counts that was not seen in the frame before: a face in sight of both goes on as itself.
_MISSED_WEIGHS = 0.5
# Who moved so far in one frame, as a share of the furthest, is asked for.
_JUMP = 0.5
# A find that is this much less like the track's person than the track's own looks are is another person's.
_ALIKE_SHARE = 0.5

OTHER_FILM = "use a film in which the face is upright, not too small and seen from the front"


@dataclass(eq=False)
class Track:
    """One face in one shot. finds: by the frame's number. looks: embeddings [D] as long as the recogniser gave them."""

    shot: int
    finds: dict[int, Detection] = field(default_factory=dict)
    looks: list[Tensor] = field(default_factory=list)
    _looked: int = -_LOOK_EVERY

    @property
    def first(self) -> int:
        return next(iter(self.finds))

    @property
    def last(self) -> int:
        return next(reversed(self.finds))

    def person(self) -> Tensor | None:
        """The unit mean [D] of the looks; None without any."""
        if not self.looks:
            return None
        return normalize(normalize(torch.stack(self.looks), dim=-1).mean(0), dim=0)

    def expected(self, number: int) -> Tensor:
        """Where its points [5, 2] should be in a later frame: it goes on as it moved last."""
        points = self.finds[self.last].points
        before = self.finds.get(self.last - 1)
        if before is None:
            return points
        speed = (points - before.points).mean(0)
        return points + speed * min(number - self.last, _SPEED_LASTS)


class Tracker:
    """Follows all faces of a film; `see` is told each frame in turn."""

    def __init__(self) -> None:
        self.tracks: list[Track] = []
        self.shots: list[int] = []

    def see(self, faces: Sequence[Detection], cut: bool, embed: Embed | None = None) -> None:
        """The faces of the next frame, in any order. cut: whether a shot begins with it. embed: asked where it may help."""
        number = len(self.shots)
        shot = (self.shots[-1] + cut) if self.shots else 0
        self.shots.append(shot)
        running = [one for one in self.tracks if one.shot == shot and number - one.last <= _LOST_AFTER]
        far = {(t, f): _distance(track, face, number) for t, track in enumerate(running) for f, face in enumerate(faces)}
        near = {pair: distance for pair, distance in far.items() if distance < 1}
        looks: dict[int, Tensor] = {}
        if embed is not None:
            doubtful = {
                f
                for (t, f), distance in near.items()
                if _is_doubtful(near, t, f) or number - running[t].last > 1 or distance > _JUMP
            }
            looks = {f: embed(faces[f]) for f in doubtful}
        costs = {}
        for (t, f), distance in near.items():
            unlike = _unlike(running[t], looks.get(f))
            if unlike is not None:
                missed = number - running[t].last > 1
                costs[t, f] = distance + _PERSON_WEIGHS * unlike + _MISSED_WEIGHS * missed
        taken: dict[int, Track] = {}
        for t, f in sorted(costs, key=lambda pair: costs[pair]):
            if f not in taken and running[t] not in taken.values():
                taken[f] = running[t]
        for f, face in enumerate(faces):
            track = taken.get(f)
            if track is None:
                track = Track(shot)
                self.tracks.append(track)
            track.finds[number] = face
            if embed is not None and f not in looks and len(track.looks) < _LOOKS and number - track._looked >= _LOOK_EVERY:
                # A look beside another face may be of both; those of a doubtful frame only decide, and teach nothing.
                looks[f] = embed(face)
                track.looks.append(looks[f])
                track._looked = number


def tracks_of(tracks: Sequence[Track], first: Track | None, person: Tensor | None, threshold: float) -> list[Track]:
    """Those of the tracks that are one person's, in the order of time; no two of them at the same time.

    first: a track that is theirs. person: what they look like, a unit vector [D]; that of the first track for None.
    threshold: the cosine from which on two looks count as one person's. Without looks only the first track is theirs.
    """
    own = [] if first is None else [first]
    wanted = first.person() if person is None and first is not None else person
    if wanted is None:
        return own
    alike = [(one, one.person()) for one in tracks if one is not first]
    ranked = [(float(look.to(wanted) @ wanted), one) for one, look in alike if look is not None]
    for cosine, track in sorted(ranked, key=lambda pair: -pair[0]):
        if cosine >= threshold and not any(track.first <= one.last and one.first <= track.last for one in own):
            own.append(track)
    return sorted(own, key=lambda one: one.first)


def first_track(tracks: Sequence[Track], frames: Sequence[Sequence[Detection]], index: int, start: int = 0) -> Track | None:
    """The track of face number `index` among those of some tracks, in the first frame from `start` on that has so many.

    frames: the faces of every frame, in the order that numbers them.
    """
    for number in range(start, len(frames)):
        shown = [one for face in frames[number] for one in tracks if one.finds.get(number) is face]
        if index < len(shown):
            return shown[index]
    return None


def most_at_once(tracks: Sequence[Track]) -> int:
    """In how many of the tracks one frame has a find, at most."""
    return max(Counter(number for one in tracks for number in one.finds).values(), default=0)


def too_few_faces(index: int, frames: int, most: int) -> ValueError:
    """The error for a face number that no frame has. most: how many faces a frame shows, at most."""
    shown = "1 face" if most == 1 else f"{most} faces"
    choice = "0" if most == 1 else f"0 to {most - 1}"
    return ValueError(f"face_index: found {index}, but none of the {frames} frames shows more than {shown}; choose {choice}")


def size_of(points: Tensor) -> float:
    """How large a face is: the root mean square distance of its points [5, 2] from their middle, about 0.7 eye distances."""
    return (points - points.mean(0)).square().sum(-1).mean().sqrt().item()


def _distance(track: Track, face: Detection, number: int) -> float:
    """How far a face is from where the track's is expected, 1 being as far as it can be."""
    last = track.finds[track.last].points
    size = size_of(last)
    ratio = size_of(face.points) / size
    if not 1 / _SIZE_RATIO < ratio < _SIZE_RATIO:
        return float("inf")
    missed = number - track.last - 1
    reach = min(_REACH + _REACH_GROWS * missed, _REACH_MOST)
    return ((face.points - track.expected(number)).mean(0).norm() / (size * reach)).item()


def _is_doubtful(near: dict[tuple[int, int], float], track: int, face: int) -> bool:
    """Whether the track has another face in reach, or the face another track."""
    return sum(t == track for t, _ in near) > 1 or sum(f == face for _, f in near) > 1


def _unlike(track: Track, look: Tensor | None) -> float | None:
    """How little a look is like a track's person, 0..2; 0 where nobody looked; None where it is somebody else's."""
    person = track.person()
    if look is None or person is None:
        return 0.0
    cosine = float(normalize(look, dim=0) @ person)
    usual = sum(float(normalize(one, dim=0) @ person) for one in track.looks) / len(track.looks)
    return None if cosine < _ALIKE_SHARE * usual else 1 - cosine
