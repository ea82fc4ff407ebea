"""The 55 numbers by SMIRK that an expression may carry: what becomes of them, and the map that stands in for them."""

import json
import math
import re
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sfsr_model.expressions import (
    ARKIT_NAMES,
    FLAME_NAMES,
    HEAD,
    PARTS,
    Expression,
    FlameMap,
    FlameMapError,
    blend,
    clamp_flame,
    concatenate,
    flame_left_out,
    flame_numbers,
    interpolate,
    load_flame_map,
    sweep,
    take_parts,
    travel,
    word_expression,
)
from sfsr_model.expressions.flame_map import flame_map_path
from sfsr_model.expressions.sliders import add_sliders


def read(seed=0, batch=1):
    """What an encoder with a SMIRK file reads: everything random, within bounds."""
    generator = torch.Generator().manual_seed(seed)
    numbers = clamp_flame(torch.randn(batch, 55, generator=generator))
    return Expression(torch.rand(batch, 52, generator=generator), torch.zeros(batch, 3), (), numbers)


PHOTO, OTHER, WORD = read(1), read(2), word_expression("joy")


def test_what_is_made_of_an_expression_belongs_to_its_smirk_file():
    """Also where the numbers themselves are left out; of two files' none is the one."""
    one, other = replace(PHOTO, smirk="aa"), replace(OTHER, smirk="bb")
    assert add_sliders(one, {"smile": 0.5}).smirk == one.scaled(0.5).expand(3).smirk == "aa"
    assert take_parts(WORD, {"mouth": one}).smirk == take_parts(one, {"mouth": WORD}).smirk == "aa"
    assert travel(one, WORD, 3).smirk == blend([one, WORD], [1.0, 2.0]).smirk == concatenate([WORD, one]).smirk == "aa"
    assert blend([one, other], [1.0, 0.0]).smirk == "aa"
    assert blend([one, other], [1.0, 1.0]).smirk == WORD.smirk == ""


@pytest.mark.parametrize(
    ("column", "bad", "message"),
    [
        (3, math.nan, r"flame\[0, 3\] \(expression 3\) is nan"),
        (3, math.inf, "expected a finite number"),
        (50, 1.1, r"\(eyelid left\) is 1.1; expected a finite number from 0 to 1"),
        (52, -0.5, r"\(jaw open\)"),
        (54, 0.3, r"\(jaw turned\) is 0.3; expected a finite number from -0.2 to 0.2"),
    ],
)
def test_bad_numbers_are_located(column, bad, message):
    flame = torch.zeros(1, 55)
    flame[0, column] = bad
    with pytest.raises(ValueError, match=message):
        Expression(torch.zeros(1, 52), flame=flame)


@pytest.mark.parametrize(
    ("flame", "message"),
    [
        (torch.zeros(1, 54), r"flame has shape \[1, 54\]; expected \[batch, 55\]"),
        (torch.zeros(2, 55), "flame has batch size 2; expected 1"),
        (torch.zeros(1, 55, dtype=torch.float64), "flame has dtype"),
    ],
)
def test_numbers_must_fit_the_coefficients(flame, message):
    with pytest.raises(ValueError, match=message):
        Expression(torch.zeros(1, 52), flame=flame)


@pytest.mark.parametrize("kind", [torch.bfloat16, torch.float16, torch.float64])
def test_numbers_at_a_bound_survive_other_types(kind):
    flame = clamp_flame(torch.full((1, 55), 9.0))
    there = Expression(torch.zeros(1, 52), flame=flame).to(kind)
    assert there.flame.dtype == kind
    torch.testing.assert_close(there.to(torch.float32).flame, flame, atol=1e-2, rtol=0)


def test_scaling():
    scaled = PHOTO.scaled(0.5)
    torch.testing.assert_close(scaled.flame, PHOTO.flame * 0.5)
    torch.testing.assert_close(PHOTO.scaled(3.0).flame, clamp_flame(PHOTO.flame * 3))
    assert PHOTO.scaled(3.0).flame[0, 50:52].max() <= 1
    assert not PHOTO.scaled(0.0).flame.any()


def test_rows_repeat():
    both = concatenate([PHOTO, OTHER])
    torch.testing.assert_close(both.flame, torch.cat((PHOTO.flame, OTHER.flame)))
    assert torch.equal(PHOTO.expand(3).flame, PHOTO.flame.expand(3, -1))
    shown = sweep(both, (0.5, 1.0))
    torch.testing.assert_close(shown.flame[[1, 3]], both.flame)
    torch.testing.assert_close(shown.flame[[0, 2]], both.flame * 0.5)
    assert torch.equal(both.rows([1, 1, 0]).flame, both.flame[[1, 1, 0]])
    assert torch.equal(both.rows([1, 1, 0]).coefficients, both.coefficients[[1, 1, 0]])


def test_blending():
    torch.testing.assert_close(blend([PHOTO, OTHER], [1, 3]).flame, PHOTO.flame * 0.25 + OTHER.flame * 0.75)
    assert torch.equal(blend([PHOTO, WORD], [1, 0]).flame, PHOTO.flame)
    rest = Expression.neutral()
    torch.testing.assert_close(blend([PHOTO, rest], [1, 1]).flame, PHOTO.flame / 2, msg="a face at rest is FLAME's at rest")
    assert blend([PHOTO, WORD], [1, 1]).flame is None
    assert blend([WORD, rest], [1, 1]).flame is None


def test_moving():
    frames = travel(PHOTO, OTHER, 5)
    torch.testing.assert_close(frames.flame[[0, 4]], torch.cat((PHOTO.flame, OTHER.flame)))
    torch.testing.assert_close(frames.flame[2:3], (PHOTO.flame + OTHER.flame) / 2)
    from_rest = interpolate({0: Expression.neutral(), 4: PHOTO}, 5)
    torch.testing.assert_close(from_rest.flame[1:2], PHOTO.flame / 4)
    assert travel(PHOTO, WORD, 5).flame is None


def test_parts():
    assert PHOTO.select_parts("mouth").flame is None
    assert PHOTO.select_parts("mouth", otherwise=OTHER).flame is None
    assert torch.equal(PHOTO.select_parts(PARTS, otherwise=OTHER).flame, PHOTO.flame)
    assert torch.equal(PHOTO.select_parts(HEAD, otherwise=OTHER).flame, OTHER.flame)
    assert take_parts(PHOTO, {"brows": OTHER}).flame is None
    assert torch.equal(take_parts(PHOTO, {HEAD: WORD}).flame, PHOTO.flame)


def test_sliders():
    assert torch.equal(add_sliders(PHOTO, {"head_yaw": 20.0}).flame, PHOTO.flame)
    assert add_sliders(PHOTO, {"smile": 0.1}).flame is None


def test_people_are_told_what_is_left_out():
    assert flame_left_out([PHOTO, WORD], blend([PHOTO, WORD], [1, 1])).startswith("The numbers that SMIRK read")
    assert flame_left_out([PHOTO, OTHER], blend([PHOTO, OTHER], [1, 1])) is None
    assert flame_left_out([WORD], WORD) is None


def some_map():
    generator = torch.Generator().manual_seed(3)
    weights, bias = torch.randn(52, 55, generator=generator), torch.randn(55, generator=generator)
    return FlameMap(weights, bias, torch.linspace(-1, 1, 55), "ab" * 32, "9 faces")


def test_the_map_stands_in():
    found = some_map()
    torch.testing.assert_close(flame_numbers(WORD, found), clamp_flame(WORD.coefficients @ found.weights + found.bias))
    assert flame_numbers(WORD, found)[0, 50:52].max() <= 1
    assert flame_numbers(PHOTO, found) is PHOTO.flame
    with pytest.raises(FlameMapError, match=r"python -m sfsr_model\.calibration --smirk"):
        flame_numbers(WORD, None)


def test_the_map_is_kept(tmp_path):
    found = some_map()
    path = flame_map_path(tmp_path / "SMIRK_em1.pt", found.smirk)
    assert path == tmp_path / "smirk_abababababababab.flame_map.safetensors"
    found.save(path)
    again = load_flame_map(path)
    assert (again.smirk, again.faces) == (found.smirk, found.faces)
    for name in ("weights", "bias", "correlations"):
        assert torch.equal(getattr(again, name), getattr(found, name))


def test_maps_that_cannot_be_used(tmp_path):
    path = tmp_path / "x.flame_map.safetensors"
    with pytest.raises(FlameMapError, match="no such file; make it with python -m"):
        load_flame_map(path)
    path.write_bytes(b"nothing")
    with pytest.raises(FlameMapError, match="not a readable safetensors file"):
        load_flame_map(path)
    tensors = {"weights": torch.zeros(52, 55), "bias": torch.zeros(55), "correlations": torch.zeros(55)}

    def message(tensors=tensors, kind="sfsr-flame-map", **about):
        about = {"version": 1, "smirk": "ab", "faces": "some"} | about
        save_file(tensors, path, metadata={"format": kind, "map": json.dumps(about)})
        with pytest.raises(FlameMapError) as error:
            load_flame_map(path)
        return str(error.value)

    assert "is no map" in message(kind="other")
    assert "is no map" in message({"bias": torch.zeros(55)})
    assert "format version 2, this pack reads 1; update the pack" in message(version=2)
    assert re.search(
        r"x\.flame.*weights of shape \[51, 55\]; expected \[52, 55\]", message(tensors | {"weights": torch.zeros(51, 55)})
    )
    assert "bias holds values that are not finite" in message(tensors | {"bias": torch.full((55,), math.nan)})


def test_the_names_are_as_many_as_the_numbers():
    assert len(FLAME_NAMES) == len(set(FLAME_NAMES)) == 55
    assert not set(FLAME_NAMES) & set(ARKIT_NAMES)
