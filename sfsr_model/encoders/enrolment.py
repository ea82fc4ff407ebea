"""One person from several photos: which face of each, which photos agree, and a report on both."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from .agreement import Agreement, compare
from .alignment import align_faces, arcface_template
from .detection import ORDERS, TAKE, Detection, NoFaceError, order_faces, overruled, pick_face
from .faces import TooFewFacesError, look, require_faces_among
from .identity import PORTRAIT_SIDE, IDEncoder, Identity, same_space
from .norm_floor import norm_floor

MOST_SIMILAR = "most similar"
ENROLMENT_ORDERS = (*ORDERS, MOST_SIMILAR)
NO_FACE_POLICIES = ("error", "skip the picture")
OUTLIER_POLICIES = ("leave out", "keep", "error")
# Eyes to mouth in ArcFace's 112-pixel crop: a face that shows fewer pixels is enlarged for it and shows less than it could.
_FULL_DETAIL = 40.6
# Pixels of a face's width below which it shows too little of who it is.
LEAST_WIDTH = 60


class OutlierError(ValueError):
    """The photos do not seem to show one person; the message names those at fault."""


@dataclass(frozen=True)
class FaceChoice:
    """Which face of each picture: number `index`, counted from 0, in this order. similar_to: for the order "most similar"."""

    order: str = ORDERS[0]
    index: int = 0
    similar_to: Identity | None = None


@dataclass(frozen=True, eq=False)
class Sighting:
    """What was found in one picture: its faces in the order of choice, the chosen one's number, or None and why."""

    faces: tuple[Detection, ...]
    chosen: int | None
    problem: str = ""
    embedding: Tensor | None = None  # [D], not normalised
    aligned: Tensor | None = None  # the chosen face upright, as Identity keeps it
    doubt: str = ""  # why the chosen face is none as far as the recogniser can tell, where it was taken all the same

    def quality(self) -> float:
        """How much the chosen face can be trusted, 0..1: the detector's confidence times the share of detail it shows."""
        face = self.faces[self.chosen or 0]
        eyes_to_mouth = (face.points[:2].mean(0) - face.points[3:].mean(0)).norm().item()
        return face.confidence * min(1.0, eyes_to_mouth / _FULL_DETAIL)

    def overruled(self) -> str:
        """Why the chosen face had been refused, or nothing."""
        return self.faces[self.chosen or 0].overruled or self.doubt

    def place(self) -> str:
        """Which of several faces was chosen, for people; nothing where there is but one."""
        return f", face {self.chosen} of {len(self.faces)}" if len(self.faces) > 1 else ""

    def width(self) -> float:
        """Of the chosen face's box, in pixels."""
        left, _, right, _ = self.faces[self.chosen or 0].box.tolist()
        return right - left


@dataclass(frozen=True, eq=False)
class Enrolment:
    """identity: the person. report: for people, one line a picture. warnings: lines of it that should not go unnoticed."""

    identity: Identity
    report: str
    warnings: tuple[str, ...]
    sightings: tuple[Sighting, ...]


def enrol(
    pictures: Iterable[Tensor],
    encoder: IDEncoder,
    choice: FaceChoice | None = None,
    no_face: str = NO_FACE_POLICIES[0],
    outliers: str = OUTLIER_POLICIES[0],
    threshold: float | None = None,
    earlier: Identity | None = None,
    given: Sequence[Sequence[Detection]] | None = None,
    overrule: bool = False,
) -> Enrolment:
    """Make one identity of pictures [H, W, 3], float RGB in 0..1.

    no_face: what a picture without the wanted face does. outliers: what a picture does whose face is not like the others'
    (`agreement.compare` with this threshold, a cosine; None: with the encoder's own). earlier: an identity of the same
    recogniser to which the pictures are added; in the report their numbers go on from its photos. given: each picture's finds
    by somebody else, refused ones included. overrule: take finds that were refused (`detection.overruled`), and those that the
    recogniser takes for no face.
    Raises NoFaceError, TooFewFacesError and OutlierError as the policies say, ValueError for an unknown policy, for identities
    of another space, and when no picture is left.
    """
    choice = choice or FaceChoice()
    _check(encoder, choice, no_face, outliers, earlier)
    sightings: list[Sighting] = []
    aligned: list[Any] = []
    # What stops the run names a picture by its place in the batch at fault; the report by its place in the whole chain.
    first = 0 if earlier is None or no_face == NO_FACE_POLICIES[0] else earlier.photos
    for place, picture in enumerate(pictures):
        finds = None if given is None else given[place]
        sighting, face = _see(picture, encoder, choice, no_face, first + place, finds, overrule)
        sightings.append(sighting)
        aligned.append(face)
    _embed(sightings, aligned, encoder, no_face, overrule)
    if not sightings:
        raise ValueError("images: the batch holds no picture; connect at least one photo")
    return _unite(sightings, encoder, choice, outliers, encoder.threshold if threshold is None else threshold, earlier)


def _check(encoder: IDEncoder, choice: FaceChoice, no_face: str, outliers: str, earlier: Identity | None) -> None:
    for name, value, known in (
        ("face order", choice.order, ENROLMENT_ORDERS),
        ("no face", no_face, NO_FACE_POLICIES),
        ("outliers", outliers, OUTLIER_POLICIES),
    ):
        if value not in known:
            raise ValueError(f"{name}: {value!r} is unknown; expected one of {', '.join(known)}")
    if choice.order == MOST_SIMILAR and choice.similar_to is None:
        raise ValueError(f"similar_to: the face order is '{MOST_SIMILAR}' but no identity is connected to compare with")
    for name, identity in (("similar_to", choice.similar_to), ("identity", earlier)):
        if identity is not None:
            same_space(identity, name, encoder.space, f"the connected encoder {encoder.name}")


def _see(
    picture: Tensor,
    encoder: IDEncoder,
    choice: FaceChoice,
    no_face: str,
    number: int,
    given: Sequence[Detection] | None,
    overrule: bool,
) -> tuple[Sighting, Any]:
    """What is in one picture, and the chosen face aligned; None for it where there is none or it is embedded already."""
    try:
        prepared = encoder.prepare(picture)
        candidates, carried = look(picture, encoder, prepared) if given is None else (list(given), False)
        if overrule:
            candidates = overruled(candidates, every=given is not None)
        found = require_faces_among(candidates, number, (picture.shape[0], picture.shape[1]), carried)
    except NoFaceError as error:
        if no_face == NO_FACE_POLICIES[0]:
            raise
        return Sighting((), None, str(error)), None
    except ValueError as error:
        raise ValueError(f"picture {number}: {error}") from error
    embeddings = None
    if choice.order == MOST_SIMILAR and choice.similar_to is not None:
        embeddings = encoder.embed_aligned([encoder.align(prepared, face.points) for face in found])
        nearest = torch.nn.functional.cosine_similarity(embeddings, choice.similar_to.mean().to(embeddings), dim=-1)
        places = sorted(range(len(found)), key=lambda place: -nearest[place].item())
        found, embeddings = [found[place] for place in places], embeddings[places]
    else:
        found = order_faces(found, choice.order)
    try:
        face = pick_face(found, choice.order, choice.index)
    except ValueError as error:
        if no_face == NO_FACE_POLICIES[0]:
            raise TooFewFacesError(f"picture {number}: {error}") from error
        return Sighting(tuple(found), None, str(error)), None
    if embeddings is not None:
        return Sighting(tuple(found), choice.index, "", embeddings[choice.index], _upright(picture, face)), None
    return Sighting(tuple(found), choice.index, aligned=_upright(picture, face)), encoder.align(prepared, face.points)


def _upright(picture: Tensor, face: Detection) -> Tensor:
    """The face as `Identity.aligned` keeps it."""
    crops = align_faces(picture[None, ..., :3].float(), face.points[None], arcface_template(PORTRAIT_SIDE), PORTRAIT_SIDE)
    return (crops[0].movedim(0, -1).clamp(0, 1) * 255).round().to("cpu", torch.uint8)


def _embed(sightings: list[Sighting], aligned: list[Any], encoder: IDEncoder, no_face: str, overrule: bool) -> None:
    """Fill in the embeddings of all pictures in as few passes as possible, and refuse what the recogniser takes for no face."""
    waiting = [number for number, face in enumerate(aligned) if face is not None]
    if waiting:
        embeddings = encoder.embed_aligned([aligned[number] for number in waiting])
        for number, embedding in zip(waiting, embeddings, strict=True):
            old = sightings[number]
            sightings[number] = replace(old, embedding=embedding)
    floor = norm_floor(encoder) if any(one.embedding is not None for one in sightings) else None
    for number, sighting in enumerate(sightings):
        if floor is None or sighting.embedding is None:
            continue
        problem = floor.refusal(sighting.embedding.norm().item())
        if problem and overrule:
            sightings[number] = replace(sighting, doubt=problem)
        elif problem and no_face == NO_FACE_POLICIES[0]:
            raise TooFewFacesError(
                f"picture {number}: {problem}. If it is one, set refused_faces to '{TAKE}'; if not, choose another face or "
                "leave the picture out"
            )
        elif problem:
            sightings[number] = Sighting(sighting.faces, None, problem)


def _unite(
    sightings: list[Sighting],
    encoder: IDEncoder,
    choice: FaceChoice,
    outliers: str,
    threshold: float,
    earlier: Identity | None,
) -> Enrolment:
    first = 0 if earlier is None else earlier.photos
    everything = first + len(sightings)
    seen = [(f"picture {number}", one) for number, one in enumerate(sightings, first) if one.embedding is not None]
    if not seen and earlier is None:
        raise ValueError("images: no picture is left to make an identity of; " + "; ".join(one.problem for one in sightings))
    names = [f"earlier {source}" for source in earlier.sources] if earlier else []
    names += [name for name, _ in seen]
    parts = [] if earlier is None else [earlier.embeddings]
    parts += [one.embedding[None].to(torch.float32) for _, one in seen if one.embedding is not None]
    quality = (earlier.quality if earlier else ()) + tuple(one.quality() for _, one in seen)
    sources = (earlier.sources if earlier else ()) + tuple(f"{encoder.name}, {name}" for name, _ in seen)
    everyone = Identity(torch.cat(parts), encoder.space, quality, sources)
    lengths = (
        *(earlier.lengths if earlier else ()),
        *(one.embedding.norm().item() for _, one in seen if one.embedding is not None),
    )
    agreement = compare(everyone.embeddings, quality, threshold)
    _raise_for_outliers(outliers, agreement, names, threshold)
    kept = list(agreement.kept) if outliers == "leave out" else list(range(len(names)))
    warnings = _warnings(agreement, names, kept, threshold)
    warnings += [
        f"{name}: its face is {one.width():.0f} pixels wide, of which a recogniser sees little; use a photo in which it has "
        f"{LEAST_WIDTH} or more"
        for name, one in seen
        if one.width() < LEAST_WIDTH
    ]
    warnings += [
        f"{name}: its face was taken although it had been refused: {reason}"
        for name, one in seen
        if (reason := one.overruled())
    ]
    if choice.similar_to is not None and choice.order != MOST_SIMILAR:
        warnings.append(f"similar_to is connected but not used: the face order is '{choice.order}', not '{MOST_SIMILAR}'")
    known = earlier.warnings if earlier else ()
    identity = Identity(
        everyone.embeddings[kept],
        encoder.space,
        tuple(quality[n] for n in kept),
        tuple(sources[n] for n in kept),
        everything,
        tuple(dict.fromkeys((*known, *warnings))),
        tuple(lengths[n] for n in kept) if len(lengths) == len(names) else (),
        _best_aligned(earlier, [one for _, one in seen]),
    )
    lines = [f"{len(kept)} of {everything} used; space {encoder.space}"]
    lines += [f"picture {number}: not used: {one.problem}" for number, one in enumerate(sightings, first) if one.problem]
    chosen = dict(seen)
    for place, name in enumerate(names):
        which = chosen[name].place() if name in chosen else ""
        lines.append(f"{name}{which}: {_verdict(place, agreement, kept, threshold)}, quality {quality[place]:.2f}")
    lines += [f"warning: {warning}" for warning in warnings]
    return Enrolment(identity, "\n".join(lines), tuple(warnings), tuple(sightings))


def _best_aligned(earlier: Identity | None, seen: Sequence[Sighting]) -> Tensor | None:
    """The upright face of the surest photo."""
    faces = [] if earlier is None else [(max(earlier.quality), earlier.aligned)]
    faces += [(one.quality(), one.aligned) for one in seen]
    return max(((quality, face) for quality, face in faces if face is not None), default=(0.0, None), key=lambda one: one[0])[1]


def _raise_for_outliers(policy: str, agreement: Agreement, names: list[str], threshold: float) -> None:
    if policy == "error" and (agreement.left_out or agreement.doubts):
        odd = [f"{names[n]} (cosine {agreement.cosines[n]:.2f} to the rest)" for n in agreement.left_out]
        odd += [f"{names[a]} and {names[b]} (cosine {cosine:.2f})" for a, b, cosine in agreement.doubts]
        raise OutlierError(
            f"images: not one person's, as far as the recogniser can tell: {', '.join(odd)}; below {threshold:g} two faces "
            "count as two people. Leave them out, or choose another face in them"
        )


def _verdict(place: int, agreement: Agreement, kept: list[int], threshold: float) -> str:
    cosine = agreement.cosines[place]
    likeness = "nothing to compare it with" if cosine is None else f"cosine {cosine:.2f} to the rest"
    if place not in kept:
        return f"left out, {likeness} is below {threshold:g}"
    return f"used, {likeness}"


def _warnings(agreement: Agreement, names: list[str], kept: list[int], threshold: float) -> list[str]:
    warnings = [
        f"{names[n]} is hardly like the others (cosine {agreement.cosines[n]:.2f}, below {threshold:g})"
        + ("" if n in kept else " and was left out")
        for n in agreement.left_out
    ]
    if agreement.doubts:
        a, b, cosine = agreement.doubts[0]
        likeness = f"cosine {cosine:.2f}, below {threshold:g}"
        warnings.append(f"{names[a]} and {names[b]} are hardly alike ({likeness}); are they the same person?")
    return warnings
