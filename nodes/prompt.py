"""One line of text to an expression and a scene."""

from __future__ import annotations

from comfy_api.latest import io, ui

from ..sfsr_model.expressions import parse_prompt, word_expression
from ..sfsr_model.expressions.prompt import EXAMPLE
from ..sfsr_model.naming import naming
from .given import checked
from .sockets import CATEGORY, ExpressionSocket, told_beforehand


class SFSRPrompt(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRPrompt",
            display_name="Prompt (SFSR)",
            category=CATEGORY,
            description=f"Splits a line such as '{EXAMPLE}' into the expression and a prompt for the text-to-image model that "
            "draws the scene.",
            search_aliases=["text to image", "scene prompt", "prompt template", "split prompt", "DiffSFSR notation"],
            inputs=[
                io.String.Input(
                    "prompt",
                    default=EXAMPLE,
                    multiline=True,
                    tooltip="Who, which expression, where, each in brackets. [ID] is the person of the photo; the expression "
                    "is one of the 135 words, with an intensity after it if you like ([joy 0.7]). Details may follow.",
                ),
                io.String.Input(
                    "style",
                    default="portrait photo, head and shoulders, facing the camera, natural light",
                    multiline=True,
                    tooltip="Added to the scene. Face Crop finds a large face seen from the front best.",
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression", display_name="expression", tooltip="The expression, for SFSR Conditioning and the report."
                ),
                io.String.Output(
                    "scene", display_name="scene", tooltip="The scene without the expression, for CLIP Text Encode."
                ),
                io.String.Output("word", display_name="word", tooltip="The expression's word, for instance for a file name."),
            ],
        )

    @classmethod
    def validate_inputs(cls, prompt: str | None = None) -> bool | str:
        """Reads a typed prompt before anything runs."""
        return told_beforehand(parse_prompt, prompt, "prompt")

    @classmethod
    @checked
    def execute(cls, prompt: str, style: str) -> io.NodeOutput:
        with naming("prompt"):
            read = parse_prompt(prompt)
        scene = read.scene(style)
        expression = word_expression(read.look.name, read.look.intensity)
        return io.NodeOutput(expression, scene, read.look.name, ui=ui.PreviewText(scene))


NODES = [SFSRPrompt]
