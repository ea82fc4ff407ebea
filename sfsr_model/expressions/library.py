"""Expressions read from a person's own photos, one folder a word, in place of the built-in action units or beside them.

DiffSFSR keeps a picture with the wanted expression for each word and conditions on what an encoder sees in it; a library
is that gallery, read once. Heads in photos are turned for many reasons, so a library says nothing about the head.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors import SafetensorError
from safetensors.torch import save_file
from torch import Tensor

from ..files import read_metadata, read_tensors, whole_file
from .arkit import ARKIT_INDEX, ARKIT_NAMES
from .value import Expression
from .vocabulary import lookup
from .words import word_expression

FORMAT_VERSION = 1
USES = ("refine", "replace")
BUILT_IN_WEIGHT = 2.0
"""How many photos the built-in expression of a word counts for when it is refined."""
PICTURES = (".png", ".jpg", ".jpeg", ".webp", ".bmp")
Reader: TypeAlias = Callable[[Path], Tensor]
"""Coefficients [52] of one photo; raises OSError or ValueError for a picture without a readable face."""


class LibraryError(ValueError):
    """A gallery or a library file that cannot be used; the message names folder, photo or file and what to do."""


@dataclass(frozen=True, eq=False)
class ExpressionLibrary:
    """The mean expression of each word's photos.

    words: W names of the 135. coefficients: float32 [W, 52] in `ARKIT_NAMES` order, 0..1. counts: photos of each word.
    blind: coefficients that the encoder cannot see; refining leaves them as built in. encoder: name of its file.
    Raises LibraryError where these do not fit together.
    """

    words: tuple[str, ...]
    coefficients: Tensor
    counts: tuple[int, ...]
    blind: tuple[str, ...] = ()
    encoder: str = ""

    def __post_init__(self) -> None:
        rows, shape = len(self.words), list(self.coefficients.shape)
        if not rows or len(set(self.words)) != rows or len(self.counts) != rows:
            raise LibraryError(f"library: {rows} words and {len(self.counts)} counts; expected one each, no word twice")
        if shape != [rows, len(ARKIT_NAMES)]:
            raise LibraryError(f"library: coefficients of shape {shape}; expected [{rows}, {len(ARKIT_NAMES)}]")
        if not bool(((self.coefficients >= 0) & (self.coefficients <= 1)).all()):
            raise LibraryError("library: a coefficient is not a number from 0 to 1; build the library again")
        if any(not isinstance(count, int) or count < 1 for count in self.counts):
            raise LibraryError("library: a word without photos; build the library again")
        for word in self.words:
            try:
                known = lookup(word).word
            except ValueError as error:
                raise LibraryError(f"library: {error}") from error
            if known != word:
                raise LibraryError(f"library: the word {word!r} is written {known!r}; build the library again")
        if unknown := set(self.blind) - set(ARKIT_NAMES):
            raise LibraryError(f"library: {sorted(unknown)[0]!r} is no ARKit coefficient; build the library again")

    def __contains__(self, word: str) -> bool:
        return word in self.words

    def expression(self, text: str | int, intensity: float = 1.0, use: str = USES[0]) -> Expression:
        """The expression of a word with this library, the head's pose as built in.

        use: "replace" takes the photos alone; "refine" the mean of photos and built-in expression, which counts as
        BUILT_IN_WEIGHT photos, except for `blind`. A word without photos is the built-in one: ask with `in` first.
        Raises ValueError as `word_expression` does, and for an unknown use.
        """
        if use not in USES:
            raise ValueError(f"use of the library: {use!r} is unknown; expected {' or '.join(USES)}")
        known = word_expression(text)
        word = known.words[0]
        if word not in self.words:
            return known.scaled(intensity)
        place = self.words.index(word)
        found = self.coefficients[place : place + 1].to(known.coefficients)
        if use == "refine":
            share = BUILT_IN_WEIGHT / (BUILT_IN_WEIGHT + self.counts[place])
            found = torch.lerp(found, known.coefficients, share)
            for name in self.blind:
                found[:, ARKIT_INDEX[name]] = known.coefficients[:, ARKIT_INDEX[name]]
        return replace(known, coefficients=found.clamp(0, 1)).scaled(intensity)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Write the file atomically: what was there before stays until the new one is whole."""
        path = Path(path)
        about = {
            "version": FORMAT_VERSION,
            "words": self.words,
            "counts": self.counts,
            "blind": self.blind,
            "encoder": self.encoder,
        }
        metadata = {"format": "sfsr-expression-library", "library": json.dumps(about)}
        with whole_file(path) as partial:
            save_file({"coefficients": self.coefficients.float().contiguous()}, partial, metadata=metadata)


def load_library(path: str | os.PathLike[str]) -> ExpressionLibrary:
    """Read a library file; raises LibraryError naming the file for one that is missing, cut off, newer or another kind."""
    path = Path(path)
    if not path.is_file():
        raise LibraryError(f"{path.name}: no such file; refresh the page (key R) or build the library again")
    try:
        strings, tensors = read_metadata(path), read_tensors(path)
    except (SafetensorError, OSError) as error:
        raise LibraryError(f"{path.name}: not a readable safetensors file ({error}); build the library again") from error
    if strings.get("format") != "sfsr-expression-library" or tensors.keys() != {"coefficients"}:
        raise LibraryError(f"{path.name}: is no expression library; build one with Expression Library (SFSR)")
    try:
        about = json.loads(strings["library"])
        version = about["version"]
        if version != FORMAT_VERSION:
            raise LibraryError(f"{path.name}: format version {version}, this pack reads {FORMAT_VERSION}; update the pack")
        names = [tuple(map(str, about[key])) for key in ("words", "blind")]
        return ExpressionLibrary(names[0], tensors["coefficients"], tuple(about["counts"]), names[1], str(about["encoder"]))
    except LibraryError as error:
        raise LibraryError(f"{path.name}: {error}") from error
    except (KeyError, TypeError, ValueError) as error:
        raise LibraryError(f"{path.name}: its metadata is damaged ({error}); build the library again") from error


def gallery_photos(folder: str | os.PathLike[str]) -> dict[str, tuple[Path, ...]]:
    """The photos of each word in a folder with one subfolder a word, named by the word in any case or by its number.

    Raises LibraryError for a folder that is missing or without subfolders, a name that is no word, two names of one word,
    and a subfolder without pictures.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise LibraryError(f"the folder {folder.name!r} does not exist")
    found: dict[str, tuple[Path, ...]] = {}
    for entry in sorted(one for one in folder.iterdir() if one.is_dir() and not one.name.startswith(".")):
        try:
            word = lookup(entry.name).word
        except ValueError as error:
            raise LibraryError(f"the folder {entry.name!r} is named by no word: {error}") from error
        photos = tuple(sorted(file for file in entry.iterdir() if file.is_file() and file.suffix.lower() in PICTURES))
        if word in found:
            raise LibraryError(f"two folders are named by the word {word!r}; join them")
        if not photos:
            raise LibraryError(f"the folder {entry.name!r} holds no picture ({', '.join(PICTURES)}); add one or remove it")
        found[word] = photos
    if not found:
        raise LibraryError(
            f"the folder {folder.name!r} holds no folder; make one for each word, for example {folder.name}/anger"
        )
    return found


def build_library(
    photos: Mapping[str, tuple[Path, ...]],
    read: Reader,
    blind: tuple[str, ...] = (),
    encoder: str = "",
    steps: Callable[[Sequence[tuple[str, Path]]], Iterable[tuple[int, tuple[str, Path]]]] = enumerate,
) -> ExpressionLibrary:
    """Read every photo and average each word's; `steps` enumerates the photos and may show how far it is.

    Raises LibraryError naming the first photo that cannot be read or shows no face.
    """
    if not photos:
        raise LibraryError("no photos; make a folder for each word")
    found: dict[str, list[Tensor]] = {word: [] for word in photos}
    for _, (word, file) in steps([(word, file) for word, files in photos.items() for file in files]):
        try:
            found[word].append(read(file).float().cpu().reshape(len(ARKIT_NAMES)))
        except (OSError, ValueError) as error:
            raise LibraryError(f"{word}/{file.name}: {error}") from error
    means = torch.stack([torch.stack(rows).mean(0) for rows in found.values()]).clamp(0, 1)
    return ExpressionLibrary(tuple(photos), means, tuple(map(len, found.values())), tuple(blind), encoder)
