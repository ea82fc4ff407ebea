"""Sheets of labelled pictures: what stands where, texts of any length, pictures of any shape."""

import pytest
import torch

from sfsr_model.expressions import all_words
from sfsr_model.sheet import LONGEST_SIDE, MOST_PIXELS, Cell, draw_sheet, result_rows


def flat(value, height=32, width=32):
    """A picture of one shade of red, which no text has."""
    return torch.tensor([value, 0.0, 0.0]).expand(height, width, 3)


def plain_rows(count, columns=1):
    """Rows of dark pictures, each of a shade of its own."""
    total = count * columns
    values = [(place + 1) / (2 * total) for place in range(total)]
    return [[Cell(flat(value)) for value in values[row * columns : (row + 1) * columns]] for row in range(count)]


def found_in(sheet, value):
    """Box of the pixels of that shade: top, left, bottom, right."""
    same = ((sheet[0] * 255).round() == torch.tensor([round(value * 255), 0, 0])).all(-1)
    rows, columns = same.any(1).nonzero()[:, 0], same.any(0).nonzero()[:, 0]
    assert len(rows), f"nothing on the sheet is {value}"
    return int(rows[0]), int(columns[0]), int(rows[-1]) + 1, int(columns[-1]) + 1


def has_ink(part):
    """Whether something dark is written there."""
    return bool((part < 0.5).all(-1).any())


def test_one_result_in_a_row_has_its_label_at_the_left():
    rows, names = result_rows([flat(0.6), flat(0.7)], ["joy", "fear"], 1, beside_a=[flat(0.8)], beside_b=[flat(0.2), flat(0.3)])
    assert names == ["joy", "fear"]
    assert [[float(cell.picture[0, 0, 0]) for cell in row] for row in rows] == [
        pytest.approx([0.8, 0.2, 0.6]),
        pytest.approx([0.8, 0.3, 0.7]),
    ]
    assert not any(cell.caption for row in rows for cell in row)


def test_more_in_a_row_have_their_labels_below():
    rows, names = result_rows([flat(0.5)] * 5, list("abcde"), 2, beside_a=[flat(0.8)])
    assert names == ["", "", ""]
    assert [[cell.caption for cell in row] for row in rows] == [["", "a", "b"], ["", "c", "d"], ["", "e"]]


def test_no_labels_at_all():
    rows, names = result_rows([flat(0.5)] * 2, [], 1)
    assert names == ["", ""]
    assert not has_ink(draw_sheet(rows, names, [], (64, 64)))


@pytest.mark.parametrize(
    ("labels", "beside", "said"),
    [
        (["one"], {}, "labels: found 1 lines for 4 pictures"),
        (list("abcde"), {}, "labels: found 5 lines for 4 pictures"),
        ([], {"beside_b": [flat(0.1)] * 3}, "beside_b: found 3 pictures for 2 rows; expected one for all, or one for each row"),
        ([], {"beside_a": []}, "beside_a: found 0 pictures for 2 rows"),
    ],
)
def test_numbers_that_do_not_fit_are_named(labels, beside, said):
    with pytest.raises(ValueError, match=said):
        result_rows([flat(0.5)] * 4, labels, 2, **beside)


def test_titles_and_labels_stand_where_they_belong():
    sheet = draw_sheet([[Cell(flat(0.6)), Cell(flat(0.7))]], ["joy"], ["who", ""], (64, 64))
    top, left, bottom, right = found_in(sheet, 0.6)
    other_left = found_in(sheet, 0.7)[1]
    assert (bottom - top, right - left) == (64, 64)
    assert has_ink(sheet[0, top:bottom, :left])  # the label
    assert has_ink(sheet[0, :top, left:right])  # the first title
    assert not has_ink(sheet[0, :top, other_left:])  # the second is empty
    assert not has_ink(sheet[0, bottom:])


def test_captions_stand_under_their_pictures():
    sheet = draw_sheet([[Cell(flat(0.6)), Cell(flat(0.7), "here")]], [""], [], (64, 64))
    _, left, bottom, right = found_in(sheet, 0.7)
    assert has_ink(sheet[0, bottom:, left:right])
    assert not has_ink(sheet[0, :, :left])


@pytest.mark.parametrize("count", [1, 2, 8, 29, 135])
def test_any_number_of_rows_gives_about_the_shape_of_a_screen(count):
    words = [word.word for word in all_words()][:count]
    rows, names = result_rows([flat(0.5)] * count, words, 1, beside_a=[flat(0.9)], beside_b=[flat(0.8)])
    height, width = draw_sheet(rows, names, ["who", "where", "result"], (48, 48)).shape[1:3]
    assert 0.7 < width / height < 3.0


@pytest.mark.parametrize(("most", "blocks", "lines"), [(1, 7, 1), (3, 3, 3), (7, 1, 7), (9, 1, 7)])
def test_the_sheet_goes_on_at_the_right(most, blocks, lines):
    sheet = draw_sheet(plain_rows(7), [""] * 7, [], (32, 32), most)
    boxes = [found_in(sheet, float(cell.picture[0, 0, 0])) for (cell,) in plain_rows(7)]
    assert len({left for _, left, _, _ in boxes}) == blocks
    assert len({top for top, _, _, _ in boxes}) == lines
    assert sorted(boxes, key=lambda box: (box[1], box[0])) == boxes  # down first, then to the right


def test_each_block_has_the_titles():
    sheet = draw_sheet(plain_rows(2), ["", ""], ["who"], (64, 64), 1)
    top = found_in(sheet, float(plain_rows(2)[0][0].picture[0, 0, 0]))[0]
    half = sheet.shape[2] // 2
    assert torch.equal(sheet[0, :top, :half], sheet[0, :top, half:])
    assert has_ink(sheet[0, :top])


@pytest.mark.parametrize(
    ("shape", "size"),
    [((32, 32), (64, 64)), ((200, 100), (64, 32)), ((10, 40), (16, 64)), ((1, 1000), (1, 64)), ((64, 64), (64, 64))],
)
def test_pictures_of_any_shape_are_fitted_as_a_whole(shape, size):
    top, left, bottom, right = found_in(draw_sheet([[Cell(flat(0.4, *shape))]], [""], [], (64, 64)), 0.4)
    assert (bottom - top, right - left) == size
    assert (top + bottom, left + right) == (64, 64) or 1 in size


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_gray_colour_and_alpha(channels):
    sheet = draw_sheet([[Cell(torch.full((32, 32, channels), 0.4))]], [""], [], (32, 32))[0, :32, :32]
    assert torch.equal(sheet, torch.full((32, 32, 3), 0.4))


def test_a_whole_factor_keeps_pixels_as_squares():
    picture = torch.zeros(2, 2, 3)
    picture[0, 0] = 1.0
    sheet = draw_sheet([[Cell(picture)]], [""], [], (64, 64))[0, :64, :64]
    assert sheet.unique().tolist() == [0.0, 1.0]
    assert sheet[:32, :32].min() == 1.0
    assert sheet[32:].max() == 0.0


@pytest.mark.parametrize("text", ["two words", "honorificabilitudinitatibus" * 5, "a " * 200, "déjà vu", "???", "  "])
def test_texts_stay_within_their_column(text):
    """Wherever it stands, a text covers no picture; and what is not blank can be seen."""
    rows = [[Cell(flat(0.6), text), Cell(flat(0.7), text)]]
    sheet = draw_sheet(rows, [text], [text, text], (64, 64))
    for value in (0.6, 0.7):
        top, left, bottom, right = found_in(sheet, value)
        assert (bottom - top, right - left) == (64, 64)
        assert not has_ink(sheet[0, top:bottom, left:right])
        for part in (sheet[0, :top, left:right], sheet[0, bottom:, left:right]):
            assert has_ink(part) == bool(text.strip())
    assert sheet.shape[2] < 64 * 2 + 64 * 2 + 64


def test_more_titles_than_columns_are_refused():
    with pytest.raises(ValueError, match="titles: found 3 for 2 columns of pictures; expected at most one for each"):
        draw_sheet(plain_rows(1, columns=2), [""], ["a", "b", "c"], (32, 32))


@pytest.mark.parametrize(("count", "cell"), [(1, (40_000, 8)), (1, (9_000, 9_000)), (1100, (64, 64))])
def test_a_sheet_that_nothing_could_show_is_refused(count, cell):
    rows = [[Cell(flat(0.5))]] * count
    with pytest.raises(ValueError, match=f"cell_size: .*expected at most {LONGEST_SIDE} on a side and {MOST_PIXELS} in all"):
        draw_sheet(rows, [""] * count, [], cell, count)
