"""Many words, many intensities: a batch of expressions for a contact sheet."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.expressions import (
    Expression,
    concatenate,
    even_steps,
    family_looks,
    parse_looks,
    sweep,
    sweep_labels,
    word_expression,
)
from ..sfsr_model.expressions.text import ALL, FAMILIES, MAX_INTENSITY
from ..sfsr_model.naming import naming
from .given import checked
from .host.page import SHOWS_ON_THE_WAY
from .noted import shown
from .sockets import CATEGORY, ExpressionSocket, require, told_beforehand

LISTED = "the list below"


class SFSRExpressionSweep(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRExpressionSweep",
            **SHOWS_ON_THE_WAY,
            display_name="Expression Sweep (SFSR)",
            category=CATEGORY,
            description="A batch for a contact sheet: many words, many intensities of an expression, or both.",
            search_aliases=["contact sheet", "grid", "all emotions", "intensity", "batch of expressions", "xy plot"],
            inputs=[
                io.Combo.Input(
                    "family",
                    options=[LISTED, ALL, *FAMILIES],
                    default=LISTED,
                    tooltip="Which words: those listed below, all 135, or the family of one of the six primary emotions.",
                ),
                io.String.Input(
                    "words",
                    default="joy, sadness, anger, fear, surprise, love",
                    multiline=True,
                    tooltip=f"Used with '{LISTED}': words, numbers or neutral, one a line or with commas between, each with an "
                    "intensity after it if you like (joy 0.5).",
                ),
                io.Float.Input(
                    "intensity_from",
                    default=0.0,
                    min=0.0,
                    max=MAX_INTENSITY,
                    step=0.05,
                    tooltip="The first intensity where there is more than one step.",
                ),
                io.Float.Input(
                    "intensity_to",
                    default=1.0,
                    min=0.0,
                    max=MAX_INTENSITY,
                    step=0.05,
                    tooltip="The last intensity, and with one step the only one: 1 is as it is, above 1 exaggerates.",
                ),
                io.Int.Input(
                    "steps",
                    default=1,
                    min=1,
                    max=100,
                    tooltip="How many intensities each expression is shown at; that many expressions follow each other in the "
                    "batch.",
                ),
                ExpressionSocket.Input(
                    "expression", optional=True, tooltip="An expression, or a batch, to sweep in place of the words."
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression_out",
                    display_name="expression",
                    tooltip="The batch: all intensities of the first expression, then of the second, and so on.",
                ),
                io.String.Output("labels", display_name="labels", tooltip="A caption for each of the batch, one a line."),
            ],
        )

    @classmethod
    def validate_inputs(cls, words: str | None = None) -> bool | str:
        """Reads a typed list before anything runs; an empty one may be meant, where it is not used."""
        return told_beforehand(lambda text: parse_looks(text) if text.strip() else None, words, "words")

    @classmethod
    @checked
    def execute(
        cls, family: str, words: str, intensity_from: float, intensity_to: float, steps: int, expression=None
    ) -> io.NodeOutput:
        if expression is None:
            with naming("words"):
                looks = parse_looks(words) if family == LISTED else family_looks(family)
            worn = concatenate([word_expression(look.name, look.intensity) for look in looks])
            names = [look.name if look.intensity == 1.0 else f"{look.name} {look.intensity:g}" for look in looks]
        else:
            worn = require(expression, Expression, "expression", "Expression Embed")
            names = [word or f"expression {number}" for number, word in enumerate(worn.words, 1)]
        intensities = even_steps(intensity_from, intensity_to, steps)
        labels = "\n".join(sweep_labels(names, intensities))
        swept = sweep(worn, intensities)
        return io.NodeOutput(swept, labels, ui=shown(swept, labels))


NODES = [SFSRExpressionSweep]
