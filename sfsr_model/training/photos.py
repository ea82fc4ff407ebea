"""A folder of photos to a store of aligned crops: faces found, cut out by the one crop rule, masked, read and embedded once."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import numpy as np
import torch
from torch import Tensor

from ..encoders.choosing import choose
from ..encoders.detection import Detection
from ..encoders.identity import IDEncoder
from ..encoders.pack import load_recogniser
from ..encoders.recogniser import InsightFaceEncoder
from ..face import crop_face, face_frame
from ..face.crop import apply_affine
from ..landmarker import ExpressionEncoder, NoExpressionError, load_expression_encoder
from ..landmarker.photos import load_photo
from ..synthetic.shards import DatasetError, is_whole, write_shard
from .photo_data import BLOCK, FORMAT, MANIFEST, PhotoError, block_path, notes_path, read_json, write_json, write_text

SUFFIXES = (".jpg", ".jpeg", ".png", ".webp", ".bmp")
MAX_ENLARGEMENT = 2.0
"""A face that would have to be enlarged more than this for its crop shows too little of what it should teach."""
REPORT = "skipped.txt"
_ORDER = "largest first"
Record = dict[str, np.ndarray]


@dataclass(frozen=True)
class Prepared:
    """What a folder gave. skipped: photo and reason, in the photos' order."""

    used: int
    skipped: dict[str, str]

    def summary(self) -> str:
        """One line, and one more for each kind of reason."""
        lines = [f"{self.used} photos used, {len(self.skipped)} skipped"]
        kinds = Counter(reason.split(":", 1)[0] for reason in self.skipped.values())
        return "\n".join([*lines, *(f"  {count} {kind}" for kind, count in kinds.most_common())])


class _Skipped(Exception):
    """A photo that is left out, and why: a kind that is counted, a colon, the particulars."""


@dataclass(frozen=True, eq=False)
class Readers:
    """size: side of the crops. encoder, expression: what embeds identities and reads expressions, where they were given."""

    size: int
    encoder: InsightFaceEncoder | None
    expression: ExpressionEncoder | None

    def record(self, path: Path) -> Record:
        """The crop of the photo's largest face and what was read of it; raises _Skipped."""
        try:
            picture = load_photo(path)
        except OSError as error:
            raise _Skipped(f"unreadable: {error}") from error
        try:
            points = self._face(picture).points
            frame = face_frame(points, (picture.shape[0], picture.shape[1]), self.size)
        except ValueError as error:
            raise _Skipped(f"no face: {error}") from error
        enlarged = float(torch.linalg.det(frame.transform[:, :2]).abs().sqrt())
        if enlarged > MAX_ENLARGEMENT:
            raise _Skipped(f"face too small: its crop of {self.size} pixels would enlarge it {enlarged:.1f} times")
        crop = (crop_face(picture, frame).clamp(0, 1) * 255).round().to(torch.uint8)
        coefficients, pose = self._expression(crop.float() / 255)
        return {
            "image": crop.numpy(),
            "mask": (frame.mask * 255).round().to(torch.uint8).numpy(),
            "landmarks": apply_affine(frame.transform, frame.landmarks).float().numpy(),
            "identity": self._identity(picture, points).numpy(),
            "coefficients": coefficients.numpy(),
            "pose": pose.numpy(),
        }

    def _face(self, picture: Tensor) -> Detection:
        """The largest face the recogniser accepts: by the pack's detector, else the landmarker, else the carried one."""
        given = None
        if self.expression is not None and (self.encoder is None or self.encoder.detector is None):
            given, _, refused = self.expression.faces(picture)
            if not given:
                raise ValueError(refused or "none was found")
        return choose(picture, cast("IDEncoder | None", self.encoder), _ORDER, 0, 0, given).faces[0]

    def _expression(self, crop: Tensor) -> tuple[Tensor, Tensor]:
        """Coefficients [52] and pose [3] as they are in the crop: that is what the network sees."""
        if self.expression is None:
            return torch.zeros(52), torch.zeros(3)
        try:
            read = self.expression.read(crop[None], _ORDER)
        except NoExpressionError as error:
            raise _Skipped(f"expression not readable: {error}") from error
        assert read.pose is not None
        return read.coefficients[0].float(), read.pose[0].float()

    def _identity(self, picture: Tensor, points: Tensor) -> Tensor:
        if self.encoder is None:
            return torch.zeros(0)
        embedding = self.encoder.embed(picture, points)
        if not torch.isfinite(embedding).all() or float(embedding.norm()) < 1e-6:
            raise _Skipped("identity not readable: the recogniser gave no usable embedding")
        return torch.nn.functional.normalize(embedding, dim=0)


def prepare_photos(
    folder: Path, out: Path, size: int, id_encoder: Path | None = None, expression: Path | None = None
) -> Prepared:
    """Fill the store `out` from all pictures below `folder`; a stopped run goes on where it was.

    Every file appears under its name only when it is whole. skipped.txt in the store says which photos were left out and why.
    Raises PhotoError for a folder without a picture or without a usable face, a store made with other settings, or a full disk.
    """
    from tqdm import tqdm

    photos = find_photos(folder)
    encoder = None if id_encoder is None else load_recogniser(id_encoder, "auto")
    reader = None if expression is None else load_expression_encoder(expression)
    manifest = {
        "format": FORMAT,
        "size": size,
        "identity_space": "" if encoder is None else encoder.space,
        "identity_dim": 0 if encoder is None else encoder.dim,
        "expression": "" if reader is None else reader.name,
    }
    _check_store(out, manifest)
    write_json(out / MANIFEST, {**manifest, "finished": False})
    readers = Readers(size, encoder, reader)
    counts: list[int] = []
    skipped: dict[str, str] = {}
    names = [path.relative_to(folder).as_posix() for path in photos]
    with tqdm(total=len(photos), desc="photos", unit="photo") as bar:
        for number, first in enumerate(range(0, len(photos), BLOCK)):
            block = names[first : first + BLOCK]
            notes = _finished(out, number, block) or _block(out, number, folder, block, readers, bar)
            counts.append(notes["count"])
            skipped |= notes["skipped"]
            bar.update(first + len(block) - bar.n)
    write_text(out / REPORT, "".join(f"{name}\t{reason}\n" for name, reason in skipped.items()))
    if not sum(counts):
        first_name, reason = next(iter(skipped.items()))
        raise PhotoError(
            f"{folder}: none of its {len(photos)} pictures has a usable face; {first_name}: {reason} ({out / REPORT} lists all)"
        )
    write_json(out / MANIFEST, {**manifest, "finished": True, "counts": counts})
    return Prepared(sum(counts), skipped)


def find_photos(folder: Path) -> list[Path]:
    """All picture files below a folder, in the order of their names; raises PhotoError where there is none."""
    if not folder.is_dir():
        raise PhotoError(f"{folder}: no such folder; give --folder the folder that holds the photos")
    photos = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES and path.is_file())
    if not photos:
        raise PhotoError(f"{folder}: holds no picture; expected files that end in {', '.join(SUFFIXES)}")
    return photos


def _check_store(out: Path, manifest: dict[str, Any]) -> None:
    if out.exists() and not out.is_dir():
        raise PhotoError(f"{out}: is a file; choose a new folder for --out")
    old = read_json(out / MANIFEST)
    if old is None:
        if out.is_dir() and any(out.iterdir()):
            raise PhotoError(f"{out}: is not empty and holds no store of photos; choose a new folder for --out")
        return
    for name, value in manifest.items():
        if old.get(name) != value:
            raise PhotoError(f"{out}: made with {name} {old.get(name)!r}, now {value!r}; choose another folder for --out")


def _finished(out: Path, number: int, names: list[str]) -> dict[str, Any] | None:
    """The notes of a block that is done already, for the very same photos."""
    notes = read_json(notes_path(out, number))
    if notes is None or notes.get("names") != names:
        return None
    whole = not notes["count"] or is_whole(block_path(out, number), notes["count"])
    return notes if whole else None


def _block(out: Path, number: int, folder: Path, names: list[str], readers: Readers, bar: Any) -> dict[str, Any]:
    records: list[Record] = []
    skipped: dict[str, str] = {}
    for name in names:
        try:
            records.append(readers.record(folder / name))
        except _Skipped as reason:
            skipped[name] = " ".join(str(reason).split())
        bar.update()
    if records:
        try:
            write_shard(block_path(out, number), records)
        except DatasetError as error:
            raise PhotoError(str(error)) from error
    notes = {"names": names, "count": len(records), "skipped": skipped}
    write_json(notes_path(out, number), notes)
    return notes
