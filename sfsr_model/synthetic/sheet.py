"""Contact sheets: the same people with each expression, and random samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ..expressions import word_expression
from ..files import LONGEST_WEBP, whole_file
from .backdrop import Backdrop
from .identity import IdentitySpace
from .look import SHAVED, sample_look
from .model import FaceModel
from .render import check_size, render
from .sample import check_number, generator, sample_parts, sample_picture
from .scene import Camera, Scene, sample_scene
from .triplet import sample_triplet

EXPRESSIONS = ("neutral", "joy", "sadness", "anger", "fear", "surprise", "disgust")
# Kinds that are single pictures, and how their files' names begin.
_PORTRAITS = {"portraits": "portrait", "hard": "portrait_hard"}
_FORMATS = {".png": "PNG", ".jpg": "JPEG", ".jpeg": "JPEG", ".webp": "WEBP"}
# Pixels of a side: the formats' own bounds, and for PNG what still fits in memory.
_LONGEST = {"PNG": 65500, "JPEG": 65500, "WEBP": LONGEST_WEBP}


def expression_sheet(
    model: FaceModel, seed: int, people: int, size: int, words: Sequence[str] = EXPRESSIONS, hide_hair: bool = False
) -> np.ndarray:
    """uint8 [people * size, len(words) * size, 3]: a row for each person, a column for each word, one light for all.

    hide_hair shaves the heads and paints all but the face grey, to see whether people can be told apart by their faces.
    """
    space = IdentitySpace.of(model)
    rows = []
    for number in range(people):
        rng = generator(seed, number)
        identity = space.sample(rng)
        look = replace(sample_look(rng, (float(identity[0]) + 1) / 2), glasses=None)
        if hide_hair:
            look = replace(look, hair=SHAVED)
        scene = plain_scene(seed)
        row = []
        for word in words:
            coefficients = word_expression(word).coefficients[0].numpy()
            picture = render(model, identity, coefficients, look, scene, size)
            image = picture.image
            if hide_hair:
                image = np.where(_inner_face(picture.landmarks, size)[..., None], image, 128).astype(np.uint8)
            row.append(image)
        rows.append(np.hstack(row))
    return np.vstack(rows)


def random_sheet(model: FaceModel, seed: int, columns: int, rows: int, size: int) -> np.ndarray:
    """uint8 [rows * size, columns * size, 3] of random samples."""
    pictures = [sample_picture(model, seed, number, size).image for number in range(columns * rows)]
    return np.vstack([np.hstack(pictures[row * columns : (row + 1) * columns]) for row in range(rows)])


def draw(
    model: FaceModel, kind: str, out: Path, count: int, size: int, seed: int, numbers: Sequence[int] | None = None
) -> list[Path]:
    """Draw a sheet of a kind that the command line offers; returns the files written. numbers: of the portraits to draw,
    instead of the first `count`.

    Raises ValueError for a request that cannot be drawn, before any work is done, and OSError naming a file that cannot be
    written.
    """
    if count < 1:
        raise ValueError(f"count: expected at least 1, got {count}")
    prefix = _PORTRAITS.get(kind)
    if numbers is not None and prefix is None:
        raise ValueError(f"numbers: chooses portraits only; leave it out for the kind {kind}")
    check_size(size)
    check_number("seed", seed)
    for number in numbers or ():
        check_number("numbers", number)
    if prefix is not None:
        if out.exists() and not out.is_dir():
            raise ValueError(f"{out}: is a file; for portraits --out names a folder")
        return [
            _save(_portrait(model, seed, number, size, kind == "hard"), out / f"{prefix}_{number:02d}.jpg")
            for number in (numbers or range(count))
        ]
    if out.is_dir() or out.suffix.lower() not in _FORMATS:
        found = "is a folder" if out.is_dir() else "not a picture's name"
        raise ValueError(f"{out}: {found}; expected a file that ends in {', '.join(_FORMATS)}")
    columns = {"triplets": 4, "random": min(8, count)}.get(kind, len(EXPRESSIONS))
    rows = -(-count // columns) if kind == "random" else count
    longest = _LONGEST[_FORMATS[out.suffix.lower()]]
    if max(columns, rows) * size > longest:
        raise ValueError(
            f"count: the sheet would be {columns * size} x {rows * size} pixels; expected at most {longest} a side "
            f"in a {out.suffix} file; ask for a smaller --count or --size"
        )
    if kind == "triplets":
        return [_save(triplet_sheet(model, seed, count, size), out)]
    if kind == "random":
        return [_save(random_sheet(model, seed, columns, rows, size), out)]
    return [_save(expression_sheet(model, seed, count, size, hide_hair=kind == "masked"), out)]


def triplet_sheet(model: FaceModel, seed: int, rows: int, size: int) -> np.ndarray:
    """uint8 [rows * size, 4 * size, 3]: reference, source of the expression, target, answer."""
    triplets = [sample_triplet(model, seed, number, size) for number in range(rows)]
    return np.vstack([np.hstack([t.reference.image, t.source.image, t.target.image, t.answer.image]) for t in triplets])


def _portrait(model: FaceModel, seed: int, number: int, size: int, hard: bool) -> np.ndarray:
    """A picture to show: near frontal, a clear expression, nothing in the way; a hard one as training may meet it."""
    if hard:
        return sample_picture(model, seed, number, size).image
    identity, coefficients, look, scene = sample_parts(model, seed, number, max_yaw=0.5, finish_strength=0.0)
    return render(model, identity, coefficients, look, replace(scene, occluder=None), size).image


def _save(pixels: np.ndarray, path: Path) -> Path:
    from PIL import Image

    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as partial:
            Image.fromarray(pixels).save(partial, _FORMATS[path.suffix.lower()], quality=88)
    except OSError as error:
        raise OSError(f"{path}: cannot be written ({error}); choose another --out or free the disk") from error
    return path


def plain_scene(seed: int) -> Scene:
    """A scene with nothing before the face, nearly from the front, in the calm light that all sheets share."""
    scene = sample_scene(generator(seed, 1), occluder_share=0.0, finish_strength=0.0)
    lighting = scene.lighting
    key = replace(lighting.key, direction=(0.45, 0.42, 0.79), colour=(1.45, 1.38, 1.28))
    fill = replace(lighting.fill, direction=(-0.8, 0.1, 0.59), colour=(0.30, 0.32, 0.36))
    rim = replace(lighting.rim, direction=(-0.6, 0.5, -0.62), colour=(0.5, 0.5, 0.5))
    lighting = replace(lighting, key=key, fill=fill, rim=rim, sky=(0.38, 0.40, 0.43), ground=(0.2, 0.18, 0.16), softness=0.8)
    return replace(
        scene,
        pose=(0.0, 0.12, 0.0),
        trunk=0.05,
        camera=Camera(16.0, 0.235, (0.0, 0.04)),
        lighting=lighting,
        backdrop=Backdrop("studio", 11, 0.02, (0.3, 0.3, 0.3)),
        finish=replace(scene.finish, exposure=0.0, contrast=1.0),
    )


def _inner_face(landmarks: np.ndarray, size: int) -> np.ndarray:
    import torch

    from ..face import face_frame, warp_mask

    return warp_mask(face_frame(torch.from_numpy(landmarks), (size, size), size)).numpy() > 0.5
