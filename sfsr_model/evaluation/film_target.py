"""A film as the target, measured on rendered films: what flickers, trembles or takes another person, beside frames done singly.

The films are rendered, so where the face is in each frame is known. The true motion is taken out by its landmarks: each frame
is warped so that its 68 landmarks lie where they lie on the mean, and what changes between two frames then is flicker, light,
and what the expression uncovers; of the film as it was taken, and of the film with the new face.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional as F

from ..bundled import BUNDLED
from ..encoders.bundled import load_bundled_encoder, load_judge_recogniser
from ..encoders.framing import HOLD, FramingSettings, frame_faces
from ..encoders.recogniser import InsightFaceEncoder
from ..face import FaceFrame, crop_face, crop_transform, face_mask, paste_into
from ..face.crop import apply_affine
from ..film.carry import Carry, spared_steps
from ..film.paste import Paint, PasteSettings, as_float, swapped
from ..film.steady import POINTS_REACH
from ..film.target import FilmSettings, FilmWatcher, FollowedFace
from ..network import load_checkpoint
from ..samples import load_sample
from .film_rows import Row
from .generate import Sampling, Wanted, generate_latents
from .network import Network
from .photos.identity_figures import Levels

if TYPE_CHECKING:
    from ..synthetic.model import FaceModel

# The side of the picture in which the motion is taken out.
_SIDE = 96
_CHUNK = 8
_TORN = 1e-6
# Who comes into the film, and which rendered people are in it. The performance rests for the first _STILL frames.
_PERSON, _TURNS, _MEET = "portrait_17", 2, (5, 9)
_STILL = 14
_SINGLY, _CARRIED = "singly", "carried"
# Frames of two people who meet, the side of either's own picture, and that of the crop in which they are followed.
_MEETING, _HEAD, _FOLLOWED = 56, 224, 128


@dataclass(frozen=True, eq=False)
class TrueFilm:
    """A rendered film and its truth. images uint8 [T, H, W, 3]; five [T, 5, 2] and landmarks [T, 68, 2] in pixels;
    coefficients [T, 52]; pose [T, 3]."""

    images: Tensor
    five: Tensor
    landmarks: Tensor
    coefficients: Tensor
    pose: Tensor

    def __len__(self) -> int:
        return len(self.images)


@dataclass(frozen=True, eq=False)
class Swapped:
    """A film with a new face. images uint8 [T, H, W, 3]; points [T, 5, 2]: where the face was taken to be. finding, seconds:
    the processor's time a frame, for finding the face and for everything."""

    images: Tensor
    points: Tensor
    finding: float
    seconds: float


class FilmPainter:
    """Gives the faces of a film another person, whose unit embedding [D] is `person`, each with its own expression."""

    def __init__(self, network: Network, person: Tensor, film: TrueFilm, sampling: Sampling, size: int, seed: int) -> None:
        self._network, self._person, self._film = network, person, film
        self._sampling, self._size, self._seed = sampling, size, seed

    @torch.no_grad()
    def paint(self, crops: Tensor, frames: Sequence[FaceFrame], same_noise: bool = True) -> Tensor:
        """New faces [N, S, S, 3] for crops; one noise for all, or one for each frame of the film."""
        return self._network.decode(self._latents(crops, frames, same_noise=same_noise)).cpu()

    def carrying(self, share: float) -> Paint:
        """A way to paint in which each frame starts from the last one's x0*, a share of the steps further down."""
        carry = Carry(spared_steps(share, self._sampling.steps))

        @torch.no_grad()
        def paint(crops: Tensor, frames: Sequence[FaceFrame]) -> Tensor:
            made = []
            for crop, frame in zip(crops, frames, strict=True):
                latents = self._latents(crop[None], [frame], carry.last(frame), carry.spared)
                carry.keep(frame, latents)
                made.append(latents)
            return self._network.decode(torch.cat(made)).cpu()

        return paint

    def _latents(
        self,
        crops: Tensor,
        frames: Sequence[FaceFrame],
        last: Tensor | None = None,
        spared: int = 0,
        *,
        same_noise: bool = True,
    ) -> Tensor:
        numbers = [frame.picture for frame in frames]
        wanted = Wanted(
            self._person.expand(len(numbers), -1),
            self._film.coefficients[numbers],
            self._film.pose[numbers],
            crops.clamp(0, 1),
            torch.stack([frame.mask for frame in frames]),
        )
        noise = torch.cat([self._noise(0 if same_noise else number) for number in numbers])
        return generate_latents(self._network, wanted, noise, self._sampling, last, spared)

    def _noise(self, number: int) -> Tensor:
        generator = torch.Generator().manual_seed(self._seed + number)
        return torch.randn(1, *self._network.latent_shape(self._size), generator=generator)


def as_film(painter: FilmPainter, film: TrueFilm, encoder: InsightFaceEncoder, size: int, carried: float = 0.0) -> Swapped:
    """The film followed, steady, one noise for all, colours matched over time. carried: the share of the steps that the last
    face's x0* spares the next."""
    start = time.process_time()
    followed = follow(film.images, encoder, size)
    found = time.process_time()
    paint = painter.carrying(carried) if carried else painter.paint
    made = [in_bytes(one) for one in swapped(film.images, followed, paint, _CHUNK, PasteSettings())]
    end = time.process_time()
    return Swapped(torch.stack(made), followed.points, (found - start) / len(film), (end - start) / len(film))


def singly(painter: FilmPainter, film: TrueFilm, encoder: InsightFaceEncoder, size: int) -> Swapped:
    """Each frame done for itself, as Face Crop, noise of its own and Face Paste do it."""
    start = time.process_time()
    settings = FramingSettings(size, "largest first", 0, HOLD)
    framing = frame_faces((as_float(picture) for picture in film.images), encoder, settings)
    found = time.process_time()
    made = []
    for first in range(0, len(film), _CHUNK):
        frames = framing.frames[first : first + _CHUNK]
        pictures = [as_float(film.images[frame.picture]) for frame in frames]
        crops = torch.stack([crop_face(picture, frame) for picture, frame in zip(pictures, frames, strict=True)])
        faces = painter.paint(crops, frames, same_noise=False)
        made += [in_bytes(paste_into(*one)) for one in zip(pictures, faces, frames, strict=True)]
    end = time.process_time()
    points = torch.stack([frame.landmarks for frame in framing.frames])
    return Swapped(torch.stack(made), points, (found - start) / len(film), (end - start) / len(film))


def follow(images: Tensor, encoder: InsightFaceEncoder | None, size: int, reach: int = POINTS_REACH) -> FollowedFace:
    """The leftmost face of the first frame of images uint8 [T, H, W, 3], over the whole film."""
    watcher = FilmWatcher(FilmSettings(FramingSettings(size, "left to right", 0, HOLD), reach), encoder)
    for picture in images:
        watcher.watch(as_float(picture))
    return watcher.followed()


def flicker(images: Tensor, film: TrueFilm) -> float:
    """The mean change between frames of images uint8 [T, H, W, 3] in grey levels, inside the inner face and where the true
    film's landmarks have been brought together."""
    stills, mask = without_motion(images, film)
    return float(((stills[1:] - stills[:-1]).abs().mean(1) * mask).sum() / mask.sum() / (len(stills) - 1) * 255)


def without_motion(images: Tensor, film: TrueFilm) -> tuple[Tensor, Tensor]:
    """Frames [T, 3, S, S] in 0..1 in which the film's landmarks stand still, and the inner face's mask [S, S]."""
    upright = apply_affine(crop_transform(film.five, _SIDE), film.landmarks)
    still = upright.mean(0)
    rows, columns = torch.meshgrid(*[torch.arange(_SIDE, dtype=torch.float64)] * 2, indexing="ij")
    pixels = torch.stack((columns, rows), -1).reshape(-1, 2)
    height, width = images.shape[1:3]
    size = torch.tensor([width, height], dtype=torch.float64)
    frames = []
    for image, landmarks in zip(images, film.landmarks.to(torch.float64), strict=True):
        places = thin_plate(still, landmarks)(pixels)
        grid = ((2 * places + 1) / size - 1).reshape(1, _SIDE, _SIDE, 2).float()
        frames.append(F.grid_sample(image.movedim(-1, 0)[None].float() / 255, grid, align_corners=False)[0])
    mask = face_mask(apply_affine(crop_transform(film.five, _SIDE), film.five.to(torch.float64)).mean(0), _SIDE)
    return torch.stack(frames), (mask > 0.99).float()


def thin_plate(source: Tensor, target: Tensor) -> Callable[[Tensor], Tensor]:
    """The thin plate spline that takes points [N, 2] to others: a function of places [M, 2] (Bookstein, PAMI 1989)."""
    count = len(source)
    plane = torch.cat((torch.ones(count, 1, dtype=torch.float64), source), 1)
    system = torch.zeros(count + 3, count + 3, dtype=torch.float64)
    system[:count, :count] = _plate(torch.cdist(source, source)) + _TORN * torch.eye(count, dtype=torch.float64)
    system[:count, count:], system[count:, :count] = plane, plane.T
    weights = torch.linalg.solve(system, torch.cat((target, torch.zeros(3, 2, dtype=torch.float64))))

    def mapped(places: Tensor) -> Tensor:
        ones = torch.ones(len(places), 1, dtype=torch.float64)
        return torch.cat((_plate(torch.cdist(places, source)), ones, places), 1) @ weights

    return mapped


def _plate(distance: Tensor) -> Tensor:
    squared = distance**2
    return squared * (squared + 1e-12).log()


def jitter(points: Tensor, film: TrueFilm) -> float:
    """How much the points [T, 5, 2] tremble against the truth, as a share of the eyes' distance: the root mean square change of
    their error from frame to frame, over the square root of two (for white noise, its deviation)."""
    error = (points - film.five) / eye_distance(film)
    return float((error.diff(dim=0).square().sum(-1).mean() / 2).sqrt())


def eye_distance(film: TrueFilm) -> Tensor:
    """The eyes' distance when the face looks into the camera, in pixels."""
    return (film.five[:, 1] - film.five[:, 0]).norm(dim=-1).max()


def looks_of(images: Iterable[Tensor], points: Iterable[Tensor], judge: InsightFaceEncoder) -> Tensor:
    """Unit embeddings [T, D] of the faces at their true points [5, 2] in images [H, W, 3], by the judge."""
    faces = [judge.align(judge.prepare(as_float(image)), five) for image, five in zip(images, points, strict=True)]
    return F.normalize(judge.embed_aligned(faces), dim=-1)


def person_levels(model: FaceModel, judge: InsightFaceEncoder, seed: int, people: int = 48) -> Levels:
    """The levels among numbered rendered people, each in two heads of hair, skins, lights, poses and expressions."""
    from ..synthetic.render import render
    from ..synthetic.triplet import triplet_parts

    looks = []
    for number in range(people):
        own, other, _ = triplet_parts(model, seed, number)
        shown = [render(model, *parts, _FOLLOWED, aligned=True) for parts in (own, (own[0], *other[1:]))]
        images = [torch.from_numpy(one.image.copy()) for one in shown]
        looks.append(looks_of(images, [torch.from_numpy(one.five) for one in shown], judge))
    cosines = torch.stack(looks)[:, 0] @ torch.stack(looks)[:, 1].T
    own_pairs = torch.eye(people, dtype=torch.bool)
    return Levels(cosines[own_pairs].mean().item(), cosines[~own_pairs].mean().item())


def spread_from_ahead(looks: Tensor, film: TrueFilm) -> float:
    """The standard deviation of the cosines of a film's looks [T, D] to that of the frame in which the head is turned least."""
    ahead = int(film.pose.norm(dim=-1).argmin())
    others = torch.arange(len(looks)) != ahead
    return (looks[others] @ looks[ahead]).std().item()


def switches(followed: FollowedFace, own: Tensor, others: Sequence[Tensor]) -> int:
    """In how many frames a new face would go to somebody else: nearer to another's true points [T, 5, 2] than to its own."""
    distance = (followed.points - own).norm(dim=-1).mean(-1)
    nearest = torch.stack([(followed.points - other).norm(dim=-1).mean(-1) for other in others]).amin(0)
    shown = torch.tensor(followed.opacity) > 0
    return int((shown & (nearest < distance)).sum())


def in_bytes(picture: Tensor) -> Tensor:
    """A picture in 0..1 as uint8."""
    return (picture.clamp(0, 1) * 255).round().to(torch.uint8)


def true_film(pictures: Sequence) -> TrueFilm:
    """The frames of `film.rendered.render_film`, stacked."""

    def stacked(name: str, kind: np.dtype | type = np.float64) -> Tensor:
        return torch.from_numpy(np.stack([np.asarray(getattr(one, name), kind) for one in pictures]))

    points = {name: stacked(name) for name in ("five", "landmarks", "pose")}
    return TrueFilm(stacked("image", np.uint8), coefficients=stacked("coefficients", np.float32), **points)


def target_rows(model: FaceModel, seed: int, frames: int, size: int, steps: int, carry: float) -> list[Row]:
    """The target's figures: a head that turns gets another person's face; two people cross, and a film is cut between them.

    seed: of what the people do; frames: of the first film, from its movement on; size: pixels of its side; steps: of the
    sampler; carry: the share of them that the last face's x0* spares the next, in the rows that say so.
    """
    from ..film.rendered import render_film, shot

    encoder, judge = load_bundled_encoder(), load_judge_recogniser()
    checkpoint = load_checkpoint(BUNDLED.checkpoint)
    photo = load_sample(_PERSON)[0]
    person, judged = known(encoder, photo), known(judge, photo, encoder)
    turning = shot(seed, frames + _STILL, size, turn=30, turn_rate=60, person=_TURNS)
    film = true_film(list(render_film(model, turning))[_STILL:])
    network = Network(checkpoint)
    painter = FilmPainter(network, person, film, Sampling(steps=steps), network.metadata.resolution, seed)
    given = painter, film, encoder, network.metadata.resolution
    done = {"": as_film(*given), _CARRIED: as_film(*given, carry), _SINGLY: singly(*given)}
    own, levels = flicker(film.images, film), person_levels(model, judge, seed)
    seen = {name: looks_of(one.images, film.five, judge) @ judged for name, one in done.items()}
    true = looks_of(film.images, film.five, judge)
    whole, carried, single = done.values()
    return [
        Row("flicker inside the mask over the true film's", flicker(whole.images, film) / own, 1.6, 1.15),
        Row("the same, frames done singly", flicker(single.images, film) / own),
        Row(
            f"the same, each frame from the last one's x0*, {carry:.0%} of the way",
            flicker(carried.images, film) / own,
        ),
        Row("the true film's flicker, grey levels", own),
        Row(
            "jitter of the five points at 60 degrees a second, share of the eyes' distance",
            jitter(whole.points, film),
            0.015,
            0.007,
        ),
        Row("the same, frames done singly", jitter(single.points, film)),
        Row("standard deviation of the judge's cosine over the film", seen[""].std().item(), 0.04, 0.02),
        Row("the same, frames done singly", seen[_SINGLY].std().item()),
        Row("the same, each frame from the last one's x0*", seen[_CARRIED].std().item()),
        # What the judge makes of the pose alone: a photo of the person mostly looks ahead, too.
        Row("the same, of the film as it was to its own face looking ahead", spread_from_ahead(true, film)),
        Row("the judge's mean cosine to the person", seen[""].mean().item(), less=False),
        Row("the same, each frame from the last one's x0*", seen[_CARRIED].mean().item(), less=False),
        Row("the same, of the film as it was", (true @ judged).mean().item(), less=False),
        Row(
            "identity carried over: 0 for strangers, 1 for another picture of a person",
            levels.share(seen[""].mean().item()),
            0.4,
            0.8,
            less=False,
        ),
        Row("frames that would go to another person, two faces crossing and a cut", _switched(model, seed, encoder), 0, 0),
        Row("time a frame over that of single frames", whole.seconds / single.seconds, 1.25, 1.05),
        Row("the same, each frame from the last one's x0*", carried.seconds / single.seconds),
        Row("the same, finding the face alone", whole.finding / single.finding),
    ]


def known(recogniser: InsightFaceEncoder, photo: Tensor, finder: InsightFaceEncoder | None = None) -> Tensor:
    """The unit embedding [D] of the surest face in a photo [H, W, 3]. finder: whose detector looks, else the recogniser's."""
    finds = (finder or recogniser).detect(photo) or []
    face = next(one for one in finds if one.refused is None)
    return F.normalize(recogniser.embed(photo, face.points).reshape(-1), dim=0)


def _switched(model: FaceModel, seed: int, encoder: InsightFaceEncoder) -> int:
    """Switches where somebody walks past in front, and where the two have changed places behind a cut."""
    from ..film.rendered import render_together, shot

    shots = [shot(seed + place, _MEETING, _HEAD, turn=10, person=person) for place, person in enumerate(_MEET)]
    time_ = np.arange(_MEETING)
    corners = np.zeros((_MEETING, 2, 2))
    corners[:, 0, 0], corners[:, 1, 0], corners[..., 1] = _HEAD // 4, 2 * _HEAD - 10 * time_, 16
    changed = corners.copy()
    changed[:, 0, 0], changed[:, 1, 0] = _HEAD, 0
    apart = corners.copy()
    apart[:, 0, 0], apart[:, 1, 0] = 0, _HEAD
    films = [list(render_together(model, shots, where, 2 * _HEAD, _HEAD + 32)) for where in (corners, apart, changed)]
    parts = [films[0], films[1][: _MEETING // 2] + films[2][: _MEETING // 2]]
    switched = 0
    for part in parts:
        images = torch.from_numpy(np.stack([one.image for one in part]))
        own, other = (torch.from_numpy(np.stack([one.five(who) for one in part])) for who in range(2))
        switched += switches(follow(images, encoder, _FOLLOWED), own, [other])
    return switched
