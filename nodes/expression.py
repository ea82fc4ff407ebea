"""Expression nodes: a word or sliders to the one expression value."""

from __future__ import annotations

from comfy_api.latest import io

from ..sfsr_model.expressions import HEAD, Expression, all_words, lookup, word_expression
from ..sfsr_model.expressions.sliders import HEAD_LIMIT, HEAD_SLIDERS, SLIDERS, add_sliders
from .sockets import CATEGORY, ExpressionSocket, require

SOURCES = ("word", "image", "sliders")
PART_SWITCHES = {"brows": ("brows",), "eyes": ("eyes", "gaze"), "mouth": ("mouth", "nose"), "head": (HEAD,)}


class ExpressionEmbed(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ExpressionEmbed",
            display_name="Expression Embed (SFSR)",
            category=CATEGORY,
            description="An expression from one of 135 words or from sliders (from a photo: not in this version yet): 52 "
            "ARKit coefficients and the head's pose, with nothing in them of the person who wears it.",
            search_aliases=["emotion", "facial expression", "blendshapes", "ARKit", "mood", "smile"],
            inputs=[
                io.Combo.Input(
                    "source",
                    options=list(SOURCES),
                    default="word",
                    tooltip="Where the expression comes from. The sliders below are added to a word or a photo as well.",
                ),
                io.Combo.Input(
                    "word",
                    options=[word.word for word in all_words()],
                    default="happiness",
                    tooltip="One of the 135 emotion words; used when the source is 'word'. Through the API its number or "
                    "'neutral' will do as well.",
                ),
                io.Float.Input(
                    "intensity",
                    default=1.0,
                    min=0.0,
                    max=2.0,
                    step=0.05,
                    tooltip="Strength of the word or photo: 0 is a neutral face, 1 as it is, above 1 exaggerates.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="A photo whose expression is read; used when the source is 'image'. Whose face it is does not "
                    "matter.",
                ),
                ExpressionSocket.Input(
                    "base",
                    optional=True,
                    tooltip="Another expression that shows through where a part below is switched off; neutral if left out.",
                ),
                *(
                    io.Boolean.Input(
                        part,
                        default=True,
                        optional=True,
                        advanced=True,
                        tooltip=f"On: the {part} follow{'s' if part in ('mouth', 'head') else ''} this node's source. Off: "
                        "the base expression shows there.",
                    )
                    for part in PART_SWITCHES
                ),
                *(
                    io.Float.Input(
                        slider.name,
                        display_name=slider.label,
                        default=0.0,
                        min=-1.0,
                        max=1.0,
                        step=0.05,
                        optional=True,
                        advanced=True,
                        tooltip=slider.tooltip,
                    )
                    for slider in SLIDERS
                ),
                *(
                    io.Float.Input(
                        name,
                        display_name=name.replace("_", " "),
                        default=0.0,
                        min=-HEAD_LIMIT,
                        max=HEAD_LIMIT,
                        step=1.0,
                        optional=True,
                        advanced=True,
                        tooltip=tooltip,
                    )
                    for name, tooltip in HEAD_SLIDERS
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression", display_name="expression", tooltip="The expression, for SFSR Conditioning and the report."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, word: str | None = None) -> bool | str:
        """Takes the place of the host's own list check: any case and numbers pass, a misspelling gets a suggestion.

        A word that comes over a link is not known yet (None) and is looked up when the node runs.
        """
        try:
            if word is not None:
                lookup(word)
        except ValueError as error:
            return f"word: {error}"
        return True

    @classmethod
    def execute(
        cls,
        source: str,
        word: str,
        intensity: float,
        image=None,
        base=None,
        brows: bool = True,
        eyes: bool = True,
        mouth: bool = True,
        head: bool = True,
        **sliders: float,
    ) -> io.NodeOutput:
        if source == "word":
            expression = word_expression(word, intensity)
        elif source == "sliders":
            expression = Expression.neutral()
        elif image is None:
            raise ValueError("image: the source is 'image' but none is connected; connect a photo or choose 'word'")
        else:
            raise NotImplementedError(
                "source: reading an expression from a photo needs the expression encoder, which this version of the pack "
                "does not have yet; choose 'word' or 'sliders'"
            )
        expression = add_sliders(expression, sliders)
        switches = {"brows": brows, "eyes": eyes, "mouth": mouth, "head": head}
        if base is not None:
            base = require(base, Expression, "base", "Expression Embed")
        if base is not None or not all(switches.values()):
            parts = [part for switch, parts in PART_SWITCHES.items() if switches[switch] for part in parts]
            batch = max(len(expression), 1 if base is None else len(base))
            expression = expression.expand(batch).select_parts(parts, otherwise=base)
        return io.NodeOutput(expression)


NODES = [ExpressionEmbed]
