"""Batches of expressions over time: from one to another, and through keyframes."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.expressions import (
    EASINGS,
    MAX_FRAMES,
    Expression,
    Look,
    interpolate,
    parse_keyframes,
    require_within,
    travel,
    word_expression,
)
from ..sfsr_model.naming import naming
from .given import checked
from .host.page import SHOWS_ON_THE_WAY
from .noted import made_from
from .sockets import CATEGORY, ExpressionSocket, require, told_beforehand

LETTERS = ("a", "b", "c", "d")


def _frames(what: str) -> io.Int.Input:
    return io.Int.Input("frames", default=24, min=1, max=MAX_FRAMES, tooltip=f"How many expressions to make{what}.")


def _easing(where: str) -> io.Combo.Input:
    return io.Combo.Input(
        "easing",
        options=list(EASINGS),
        default="smoothstep",
        tooltip=f"How the time is spent {where}: evenly, with a slow start or end, at rest at both ends, or all in one jump.",
    )


def _single(value, name: str) -> Expression:
    look = require(value, Expression, name, "Expression Embed")
    if len(look) != 1:
        raise ValueError(f"{name}: found a batch of {len(look)} expressions; expected one, such as Expression Embed's")
    return look


class SFSRExpressionTravel(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRExpressionTravel",
            **SHOWS_ON_THE_WAY,
            display_name="Expression Travel (SFSR)",
            category=CATEGORY,
            description="A batch of expressions on the way from one to another, for an animation.",
            search_aliases=["animate expression", "interpolate", "transition", "morph", "tween", "loop"],
            inputs=[
                ExpressionSocket.Input("start", tooltip="The expression of the first frame; a single one."),
                ExpressionSocket.Input("end", tooltip="The expression to arrive at; a single one."),
                _frames(", start and end included; 1 gives the start alone"),
                _easing("on the way"),
                io.Boolean.Input(
                    "there_and_back",
                    default=False,
                    tooltip="On: the end is reached half way, and the last frame is the one before the start again, so that "
                    "the frames play as a loop.",
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression",
                    display_name="expression",
                    tooltip="The batch, one expression a frame; SFSR Conditioning makes as many pictures.",
                )
            ],
        )

    @classmethod
    @checked
    def execute(cls, start, end, frames: int, easing: str, there_and_back: bool) -> io.NodeOutput:
        ends = _single(start, "start"), _single(end, "end")
        return made_from(ends, travel(*ends, frames, easing, there_and_back))


class SFSRExpressionKeyframes(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRExpressionKeyframes",
            **SHOWS_ON_THE_WAY,
            display_name="Expression Keyframes (SFSR)",
            category=CATEGORY,
            description="A batch of expressions through keyframes that are typed, such as 0: neutral, 12: joy 0.8, 24: a.",
            search_aliases=["animate expression", "schedule", "timeline", "prompt travel", "keyframe"],
            inputs=[
                io.String.Input(
                    "schedule",
                    default="0: neutral, 12: joy 0.8, 23: surprise",
                    multiline=True,
                    tooltip="Frame, colon, expression, and an intensity from 0 to 2 if you like; one a line or with commas "
                    "between. Frames count from 0. An expression is one of the 135 words, its number, neutral, or a to d.",
                ),
                _frames("; frames before the first key and after the last stand still"),
                _easing("from key to key"),
                io.Boolean.Input(
                    "loop",
                    default=False,
                    tooltip="On: after the last key the face moves on to the first, so that the frames play as a loop.",
                ),
                *(
                    ExpressionSocket.Input(
                        letter, optional=True, tooltip=f"The expression that the schedule calls {letter}; a single one."
                    )
                    for letter in LETTERS
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression",
                    display_name="expression",
                    tooltip="The batch, one expression a frame; SFSR Conditioning makes as many pictures.",
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, schedule: str | None = None) -> bool | str:
        """Reads a typed schedule before anything runs."""
        return told_beforehand(lambda text: parse_keyframes(text, LETTERS), schedule, "schedule")

    @classmethod
    @checked
    def execute(cls, schedule: str, frames: int, easing: str, loop: bool, a=None, b=None, c=None, d=None) -> io.NodeOutput:
        given = {letter: value for letter, value in zip(LETTERS, (a, b, c, d), strict=True) if value is not None}
        looks = {letter: _single(value, letter) for letter, value in given.items()}
        with naming("schedule"):
            keys = parse_keyframes(schedule, LETTERS)
            require_within(keys, frames)
            for key in keys:
                if key.look.name in LETTERS and key.look.name not in looks:
                    raise ValueError(f"{key.entry}: nothing is connected to the input {key.look.name}; connect an expression")
        worn = {key.frame: _worn(key.look, looks) for key in keys}
        return made_from(worn.values(), interpolate(worn, frames, easing, loop))


def _worn(look: Look, given: dict[str, Expression]) -> Expression:
    return given[look.name].scaled(look.intensity) if look.name in given else word_expression(look.name, look.intensity)


NODES = [SFSRExpressionTravel, SFSRExpressionKeyframes]
