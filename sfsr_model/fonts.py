"""Fonts that have the letters of a text: Pillow's own, which has little more than ASCII, matplotlib's, or one of the system."""

from __future__ import annotations

import logging
import string
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, cast

from .naming import listed

if TYPE_CHECKING:
    from PIL.ImageFont import FreeTypeFont

logger = logging.getLogger(__name__)

# Breaks and spaces, of which lines are made; other blanks, such as one that does not break, are letters that a font may lack.
_BLANKS = frozenset(string.whitespace)
_IN_NO_FONT = "\uffff"  # by the Unicode standard
_TRIED_SIZE = 24
_ENDINGS = (".ttf", ".otf", ".ttc")
# They have a sign for every letter, but it is not the letter's.
_NO_LETTERS = ("lastresort", "adobeblank")
_UNUSUAL = ("black", "bold", "condensed", "heavy", "italic", "light", "medium", "mono", "oblique", "thin")
_MOST_NAMED = 20


@dataclass(frozen=True)
class Font:
    """A font for a text: its file, or "" for Pillow's own, and the letters of the text that it lacks."""

    file: str
    lacking: frozenset[str]

    def at(self, size: float) -> FreeTypeFont:
        """The font at a size in pixels."""
        from PIL import ImageFont

        return ImageFont.truetype(self.file, size) if self.file else cast("FreeTypeFont", ImageFont.load_default(size))


def fonts_for(texts: Iterable[str]) -> dict[str, Font]:
    """A font for each text: the first of Pillow's own, DejaVu Sans and the system's that has all of its letters.

    Where none has, the one that has most, and a warning in the log that names the letters it lacks.
    """
    letters = {text: frozenset(text) - _BLANKS for text in texts}
    chosen = _chosen(frozenset(letters.values()))
    if lacking := sorted(frozenset().union(*(font.lacking for font in chosen.values()))):
        logger.warning(
            "no font has all letters of a text, so these are drawn as boxes: %s; %s",
            listed([f"'{letter}' (U+{ord(letter):04X})" for letter in lacking], _MOST_NAMED),
            "install a font that has them, such as Noto Sans, and start anew"
            if find_spec("matplotlib")
            else "run `python -m pip install matplotlib` with ComfyUI's Python, which finds other fonts",
        )
    return {text: chosen[one] for text, one in letters.items()}


@lru_cache(maxsize=32)
def _chosen(wanted: frozenset[frozenset[str]]) -> dict[frozenset[str], Font]:
    """A font for each set of letters. Each file is opened once at most, and none where Pillow's own font will do."""
    boxes = _boxes_of_pillow(frozenset().union(*wanted))
    best = {letters: Font("", letters & boxes) for letters in wanted}
    files = _files()
    while (short := [letters for letters in wanted if best[letters].lacking]) and (file := next(files, None)):
        signs = _signs(file)
        for letters in short:
            lacking = frozenset(letter for letter in letters if ord(letter) not in signs)
            if len(lacking) < len(best[letters].lacking):
                best[letters] = Font(file, lacking)
    return best


def _boxes_of_pillow(letters: Iterable[str]) -> frozenset[str]:
    """Those of the letters that Pillow's own font draws as it draws what no font has."""
    from PIL import Image, ImageDraw

    font = Font("", frozenset()).at(_TRIED_SIZE)

    def drawn(letter: str) -> bytes:
        image = Image.new("L", (3 * _TRIED_SIZE, 2 * _TRIED_SIZE))
        ImageDraw.Draw(image).text((_TRIED_SIZE, 0), letter, fill=255, font=font)
        return image.tobytes()

    box = drawn(_IN_NO_FONT)
    return frozenset(letter for letter in letters if drawn(letter) == box)


def _files() -> Iterator[str]:
    """DejaVu Sans as matplotlib carries it, and the fonts of the system, upright and regular ones first."""
    try:
        import matplotlib
    except ImportError:
        return
    yield str(Path(matplotlib.get_data_path()) / "fonts" / "ttf" / "DejaVuSans.ttf")
    from matplotlib import font_manager

    # Not its list of described fonts: that is kept from run to run, and a font that was installed since is not on it.
    found = [file for file in font_manager.findSystemFonts() if file.lower().endswith(_ENDINGS)]
    yield from sorted((file for file in found if not any(one in _plain(file) for one in _NO_LETTERS)), key=_order)


def _order(file: str) -> tuple[bool, str, str]:
    return any(one in _plain(file) for one in _UNUSUAL), _plain(file), file


def _plain(file: str) -> str:
    return "".join(filter(str.isalnum, Path(file).stem.lower()))


def _signs(file: str) -> Collection[int]:
    """The code points that a font has, of a collection its first one; none where the file cannot be used."""
    from matplotlib.ft2font import FT2Font
    from PIL import ImageFont

    try:
        signs = FT2Font(file).get_charmap().keys()
        ImageFont.truetype(file, _TRIED_SIZE)  # refuses fonts of bitmaps, which have sizes of their own
    except (OSError, RuntimeError, ValueError):
        return ()
    return signs
