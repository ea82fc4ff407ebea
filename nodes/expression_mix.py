"""Several expressions to one: weighted, and part by part."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.expressions import HEAD, PARTS, Expression, blend, take_parts
from .given import checked
from .host.page import SHOWS_ON_THE_WAY
from .noted import made_from
from .sockets import CATEGORY, ExpressionSocket, require

LETTERS = tuple("abcdefgh")
NAMES = tuple(f"expression_{letter}" for letter in LETTERS)
BLENDED = "the blend"


def _weight(letter: str) -> io.Float.Input:
    return io.Float.Input(
        f"weight_{letter}",
        default=1.0,
        min=0.0,
        max=10.0,
        step=0.05,
        optional=True,
        advanced=letter > "b",
        tooltip=f"Share of expression_{letter} in the blend, against the other weights; idle while that socket is empty.",
    )


def _part(part: str) -> io.Combo.Input:
    return io.Combo.Input(
        f"{part}_from",
        options=[BLENDED, *NAMES],
        default=BLENDED,
        optional=True,
        advanced=True,
        tooltip="Where the head's pose comes from: the blend, or one of the expressions alone."
        if part == HEAD
        else f"Where the {part} come{'' if part.endswith('s') else 's'} from: the blend, or one of the expressions alone.",
    )


class SFSRExpressionBlend(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        template = io.Autogrow.TemplateNames(
            ExpressionSocket.Input(
                "expression", tooltip="An expression to mix in: one for all frames, or a batch as long as the others."
            ),
            names=list(NAMES),
            min=2,
        )
        return io.Schema(
            node_id="SFSRExpressionBlend",
            **SHOWS_ON_THE_WAY,
            display_name="Expression Blend (SFSR)",
            category=CATEGORY,
            description="Two to eight expressions mixed to one by their weights; on request single parts of the face come from "
            "one of them alone.",
            search_aliases=["mix expressions", "merge", "average", "weighted", "combine emotions", "interpolate"],
            inputs=[
                io.Autogrow.Input(
                    "expressions", template=template, tooltip="The expressions to mix; a free socket appears for the next one."
                ),
                *(_weight(letter) for letter in LETTERS),
                *(_part(part) for part in (*PARTS, HEAD)),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression", display_name="expression", tooltip="The mixture, for SFSR Conditioning and the report."
                )
            ],
        )

    @classmethod
    @checked
    def execute(
        cls,
        expressions: io.Autogrow.Type,
        weight_a: float = 1.0,
        weight_b: float = 1.0,
        weight_c: float = 1.0,
        weight_d: float = 1.0,
        weight_e: float = 1.0,
        weight_f: float = 1.0,
        weight_g: float = 1.0,
        weight_h: float = 1.0,
        brows_from: str = BLENDED,
        eyes_from: str = BLENDED,
        gaze_from: str = BLENDED,
        nose_from: str = BLENDED,
        mouth_from: str = BLENDED,
        head_from: str = BLENDED,
    ) -> io.NodeOutput:
        weights = (weight_a, weight_b, weight_c, weight_d, weight_e, weight_f, weight_g, weight_h)
        connected = {
            name: require(value, Expression, name, "Expression Embed")
            for name, value in expressions.items()
            if value is not None
        }
        shares = {name: weight for name, weight in zip(NAMES, weights, strict=True) if name in connected}
        mixed = blend([connected[name] for name in shares], list(shares.values()), [name[-1] for name in shares])
        wanted = {
            "brows": brows_from, "eyes": eyes_from, "gaze": gaze_from, "nose": nose_from, "mouth": mouth_from, HEAD: head_from,
        }  # fmt: skip
        sources = {}
        for part, source in wanted.items():
            if source == BLENDED:
                continue
            if source not in connected:
                raise ValueError(
                    f"{part}_from: found {source}, which is not connected; expected '{BLENDED}' or one of {', '.join(shares)}"
                )
            sources[part] = connected[source]
        return made_from(connected.values(), take_parts(mixed, sources) if sources else mixed)


NODES = [SFSRExpressionBlend]
