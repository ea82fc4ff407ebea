"""Fonts for labels: which one is taken for which letters, what is said where none will do, and that letters are no boxes."""

import logging
import sys
from pathlib import Path

import pytest
import torch
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from fontTools.ttLib import TTCollection
from PIL import ImageFont

from sfsr_model import fonts
from sfsr_model.fonts import Font, fonts_for
from sfsr_model.sheet import Cell, draw_sheet

font_manager = pytest.importorskip("matplotlib.font_manager")

# Escaped, so that this file holds only letters that Windows' cp1252 can write.
GREETING = "\u041f\u0440\u0438\u0432\u0435\u0442"
FIRST, SECOND = SURPRISE = "\u60ca\u8bb6"
THIRD, FOURTH = JOY = "\u559c\u60a6"
NOWHERE = "\U0010fffd"  # of a private plane, which a font may use only for itself


def square(side):
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, side), (side, side), (side, 0)):
        pen.lineTo(corner)
    pen.closePath()
    return pen.glyph()


def made(letters):
    """A font with these letters, each a square of another size."""
    names = [".notdef", *(f"u{ord(letter):X}" for letter in letters)]
    builder = FontBuilder(1000, isTTF=True)
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord(letter): name for letter, name in zip(letters, names[1:], strict=True)})
    builder.setupGlyf({name: square(100 + 100 * place) for place, name in enumerate(names)})
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made", "styleName": "Regular"})
    builder.setupOS2()
    builder.setupPost()
    return builder.font


@pytest.fixture(autouse=True)
def chosen_anew():
    fonts._chosen.cache_clear()
    yield
    fonts._chosen.cache_clear()


@pytest.fixture
def system(monkeypatch, tmp_path):
    """Puts fonts on the system, in place of its own: a dictionary of letters by file name. Returns their folder."""

    def put(**letters):
        for name, text in letters.items():
            made(text).save(tmp_path / f"{name}.ttf")
        # The order of the disk is any order.
        files = sorted(map(str, tmp_path.iterdir()), reverse=True)
        monkeypatch.setattr(font_manager, "findSystemFonts", lambda: files)
        return tmp_path

    return put


def chosen(text):
    return Path(fonts_for([text])[text].file).name


def drawn(text):
    return draw_sheet([[Cell(torch.full((32, 32, 3), 0.5))]], [text], [], (64, 64))


def warnings(caplog):
    return [record.getMessage() for record in caplog.records if record.levelno >= logging.WARNING]


def test_ascii_is_written_in_pillows_own_font(monkeypatch, caplog):
    def unwanted():
        yield pytest.fail("no other font is needed")

    monkeypatch.setattr(fonts, "_files", unwanted)
    text = "".join(map(chr, range(32, 127))) + "\n\t“…”"
    assert chosen(text) == ""
    assert chosen("") == ""
    assert warnings(caplog) == []


@pytest.mark.parametrize(
    ("text", "other"),
    [("é", "è"), ("e\u0301", "e\u0300"), (GREETING, GREETING[::-1]), ("\u03a9", "\u03a8"), ("a\u00a0b", "a\u00adb")],
)
def test_other_letters_of_europe_are_no_boxes(system, caplog, text, other):
    """A box for each letter would make them equal."""
    system()
    assert (chosen(text), chosen(other)) == ("DejaVuSans.ttf", "DejaVuSans.ttf")
    assert not torch.equal(drawn(text), drawn(other))
    assert warnings(caplog) == []


def test_each_text_has_the_first_font_that_will_do(system):
    system(other=SURPRISE, own=SURPRISE + GREETING)
    found = {text: Path(font.file).name for text, font in fonts_for(["joy", GREETING, SURPRISE, f"{GREETING} {FIRST}"]).items()}
    assert found == {"joy": "", GREETING: "DejaVuSans.ttf", SURPRISE: "other.ttf", f"{GREETING} {FIRST}": "own.ttf"}


def test_a_font_of_the_system_writes_what_it_has(system, caplog):
    system(some=SURPRISE)
    assert not torch.equal(drawn(FIRST), drawn(SECOND))
    assert warnings(caplog) == []


def test_regular_fonts_come_first(system):
    system(**{"A-BoldItalic": FIRST, "A-Light": FIRST, "Z-Regular": FIRST})
    assert chosen(FIRST) == "Z-Regular.ttf"


def test_files_that_are_no_fonts_are_passed_over(system):
    """A broken one, an empty one, a folder, another format, and a font whose signs are not the letters'."""
    folder = system(**{"LastResort": FIRST, "Adobe-Blank": FIRST, "zz": FIRST})
    (folder / "a.ttf").write_bytes((folder / "zz.ttf").read_bytes()[:200])
    (folder / "b.otf").write_bytes(b"")
    (folder / "c.ttf").mkdir()
    (folder / "d.pfb").write_bytes((folder / "zz.ttf").read_bytes())
    (folder / "e.ttc").write_bytes(b"ttcf" + bytes(40))
    system()
    assert chosen(FIRST) == "zz.ttf"


def test_a_font_that_pillow_refuses_is_passed_over(system, monkeypatch):
    system(bitmaps=FIRST, zz=FIRST)
    opened = ImageFont.truetype

    def refusing(file, size):
        if "bitmaps" in str(file):
            raise OSError("invalid pixel size")
        return opened(file, size)

    # Its own font comes from the same function, by bytes and with more arguments.
    pillow = Font("", frozenset()).at(24)
    monkeypatch.setattr(ImageFont, "load_default", lambda size: pillow)
    monkeypatch.setattr(ImageFont, "truetype", refusing)
    assert chosen(FIRST) == "zz.ttf"


def test_a_collection_is_written_with_the_font_that_was_asked(system):
    """Its first: the second alone has the other letter."""
    folder = system()
    collection = TTCollection()
    collection.fonts = [made(SURPRISE), made(JOY)]
    collection.save(folder / "both.ttc")
    system(last=JOY)
    assert (chosen(SURPRISE), chosen(JOY)) == ("both.ttc", "last.ttf")
    assert not torch.equal(drawn(FIRST), drawn(SECOND))


def test_letters_that_no_font_has_are_named(system, caplog):
    system(some=SURPRISE)
    sheet = draw_sheet([[Cell(torch.zeros(32, 32, 3), f"{SURPRISE} {NOWHERE}")]], [f"{GREETING} {SECOND}"], ["joy"], (64, 64))
    assert sheet.ndim == 4
    (said,) = warnings(caplog)
    assert said.startswith(
        f"no font has all letters of a text, so these are drawn as boxes: '{SECOND}' (U+8BB6), '{NOWHERE}' (U+10FFFD); "
    )
    assert "install a font that has them" in said
    assert Path(fonts_for([f"{SURPRISE} {NOWHERE}"])[f"{SURPRISE} {NOWHERE}"].file).name == "some.ttf"  # it has most
    assert chosen(f"joy {NOWHERE}") == ""


def test_a_warning_for_every_sheet_of_no_more_than_some_letters(system, caplog):
    system()
    text = "".join(map(chr, range(0x10FF00, 0x10FF50)))
    drawn(text)
    drawn(text)
    assert len(warnings(caplog)) == 2
    assert warnings(caplog)[0].count("U+") == 20
    assert "(U+10FF13), ...; install" in warnings(caplog)[0]


def test_files_are_looked_at_once(system, monkeypatch):
    system(one=FIRST, two=SECOND, three=THIRD)
    asked = []
    monkeypatch.setattr(fonts, "_signs", lambda file, signs=fonts._signs: asked.append(Path(file).name) or signs(file))
    texts = [FIRST, SECOND, SECOND * 2, FOURTH, "joy"]
    assert fonts_for(texts) == fonts_for(texts)
    assert asked == ["DejaVuSans.ttf", "one.ttf", "three.ttf", "two.ttf"]


def test_without_matplotlib_the_sheet_is_drawn_all_the_same(monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setattr(fonts, "find_spec", lambda name: None)
    assert drawn("é").ndim == 4
    (said,) = warnings(caplog)
    assert "'é' (U+00E9); run `python -m pip install matplotlib`" in said
