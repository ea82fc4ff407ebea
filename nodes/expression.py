"""Expression nodes: a word, a photo or sliders to the one expression value."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Any

from comfy_api.latest import io

from ..sfsr_model.batch import common_length
from ..sfsr_model.encoders.detection import ORDERS
from ..sfsr_model.expressions import HEAD, NEUTRAL, Expression, all_words, lookup, word_expression
from ..sfsr_model.expressions.library import USES, load_library
from ..sfsr_model.expressions.sliders import HEAD_LIMIT, HEAD_SLIDERS, SLIDERS, add_sliders
from ..sfsr_model.landmarker.face_records import landmarks_expression
from ..sfsr_model.naming import naming
from .given import checked
from .host.expression_files import BUILT_IN, library_names, library_path
from .host.folders import fingerprint
from .host.page import SHOWS_ON_THE_WAY
from .noted import made_from
from .sockets import (
    CATEGORY,
    ExpressionEncoderSocket,
    ExpressionSocket,
    FaceLandmarksSocket,
    face_choice,
    require,
    require_expression_encoder,
    require_images,
    told_beforehand,
)

logger = logging.getLogger(__name__)

SOURCES = ("word", "image", "sliders")
PART_SWITCHES = {"brows": ("brows",), "eyes": ("eyes", "gaze"), "mouth": ("mouth", "nose"), "head": (HEAD,)}


class ExpressionEmbed(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="ExpressionEmbed",
            **SHOWS_ON_THE_WAY,
            display_name="Expression Embed (SFSR)",
            category=CATEGORY,
            description="An expression from one of 135 words, from a photo or from sliders: 52 ARKit coefficients and the "
            "head's pose, with nothing in them of the person who wears it.",
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
                    tooltip="A photo whose expression is read by the expression encoder; used when the source is 'image'. "
                    "Whose face it is does not matter. Several photos give several expressions. What a SMIRK file reads stays "
                    "while no part is switched off and no slider moves.",
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
                ExpressionEncoderSocket.Input(
                    "expression_encoder",
                    optional=True,
                    tooltip="What reads the photo, from Load Expression Encoder; used when the source is 'image'.",
                ),
                FaceLandmarksSocket.Input(
                    "face_landmarks",
                    optional=True,
                    tooltip="ComfyUI's own face landmarks (0.23 and later) in place of image and expression_encoder.",
                ),
                *face_choice(optional=True),
                io.Combo.Input(
                    "library",
                    options=library_names(),
                    default=BUILT_IN,
                    optional=True,
                    advanced=True,
                    tooltip="What a word looks like: as built in, or as in a library of your own photos (Expression Library).",
                ),
                io.Combo.Input(
                    "library_use",
                    options=list(USES),
                    default=USES[0],
                    optional=True,
                    advanced=True,
                    tooltip="'refine' mixes the photos with the built-in word, 'replace' takes the photos alone.",
                ),
            ],
            outputs=[
                ExpressionSocket.Output(
                    "expression", display_name="expression", tooltip="The expression, for SFSR Conditioning and the report."
                )
            ],
        )

    @classmethod
    def validate_inputs(cls, word: str | None = None, library: str | None = None) -> bool | str:
        """Takes the place of the host's own list checks: of a word any case and numbers pass, and a misspelling gets a
        suggestion; of a library in a folder both spellings pass."""
        told = told_beforehand(lookup, word, "word")
        return told if told is not True else told_beforehand(library_path, None if library == BUILT_IN else library)

    @classmethod
    def fingerprint_inputs(cls, library: str | None = BUILT_IN, **_: Any) -> str | float:
        return fingerprint(library, lambda name: [] if name == BUILT_IN else [library_path(name)])

    @classmethod
    @checked
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
        expression_encoder=None,
        face_landmarks=None,
        face_order: str = ORDERS[0],
        face_index: int = 0,
        library: str = BUILT_IN,
        library_use: str = USES[0],
        **sliders: float,
    ) -> io.NodeOutput:
        note = None
        if source == "word":
            expression, note = _of_word(word, intensity, library, library_use)
        elif source == "sliders":
            expression = Expression.neutral()
        elif face_landmarks is not None:
            expression = landmarks_expression(face_landmarks, face_order, face_index).scaled(intensity)
        else:
            expression = _of_photo(image, expression_encoder, face_order, face_index).scaled(intensity)
        expression = read = _of_the_smirk_file(expression, expression_encoder)
        expression = add_sliders(expression, sliders)
        switches = {"brows": brows, "eyes": eyes, "mouth": mouth, "head": head}
        if base is not None:
            base = require(base, Expression, "base", "Expression Embed")
        if base is not None or not all(switches.values()):
            parts = [part for switch, parts in PART_SWITCHES.items() if switches[switch] for part in parts]
            batch = common_length(expression=len(expression), base=1 if base is None else len(base))
            expression = expression.expand(batch).select_parts(parts, otherwise=base)
        return made_from([read] if base is None else [read, base], expression, note=note)


def _of_word(word: str, intensity: float, library: str, use: str) -> tuple[Expression, str | None]:
    """The word's expression, and a note where the library does not have it."""
    with naming("word"):
        name = lookup(word).word
    if library == BUILT_IN:
        return word_expression(name, intensity), None
    path = library_path(library)
    with naming("library"):
        loaded = load_library(path)
    note = None
    if name not in loaded and name != NEUTRAL:
        note = f"library: {library} has no photos of '{name}'; the built-in word is used"
        logger.warning("SFSR: %s", note)
    return loaded.expression(name, intensity, use), note


def _of_photo(image, encoder, order: str, index: int) -> Expression:
    if image is None:
        raise ValueError("image: the source is 'image' but none is connected; connect a photo or choose 'word'")
    images = require_images(image, "image")
    if encoder is None:
        raise ValueError(
            "expression_encoder: the source is 'image' but nothing reads it; connect Load Expression Encoder, or ComfyUI's "
            "face landmarks to face_landmarks"
        )
    reader = require_expression_encoder(encoder)
    with naming("image"):
        return reader.read(images, order, index)


def _of_the_smirk_file(expression: Expression, encoder) -> Expression:
    """The expression, belonging to the SMIRK file that was chosen in the encoder, where it belongs to none yet: words and
    sliders have numbers by the map that was measured with it."""
    reader = None if encoder is None else require_expression_encoder(encoder)
    if reader is None or reader.smirk is None or expression.smirk:
        return expression
    return replace(expression, smirk=reader.smirk.digest)


NODES = [ExpressionEmbed]
