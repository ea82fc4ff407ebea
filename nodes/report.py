"""Measuring what came out, and saving it with a note of how it was made."""

from __future__ import annotations

import json
import logging
from datetime import datetime
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..sfsr_model.batch import require_repeatable
from ..sfsr_model.encoders.expression_photos import PhotoEncoder
from ..sfsr_model.encoders.faces import find_faces
from ..sfsr_model.encoders.identity_batch import PEOPLE, per_frame
from ..sfsr_model.evaluation.judges import judge
from ..sfsr_model.evaluation.report import Report, measure, measure_untouched
from ..sfsr_model.expressions import Expression
from ..sfsr_model.face.annotate import annotate
from ..sfsr_model.files import LONGEST_WEBP
from .face import faces_in, require_frames
from .given import checked
from .host.folders import require_output_prefix, slashed
from .host.prefix import prefix_fingerprint, resolve_prefix
from .host.progress import steps
from .host.saving import metadata_is_off, save_deep_pngs
from .host.streams import attachment
from .identity import ENCODERS
from .sockets import (
    CATEGORY,
    ExpressionEncoderSocket,
    ExpressionSocket,
    FaceFrameSocket,
    IDEncoderSocket,
    IdentitySocket,
    require,
    require_expression_encoder,
    require_images,
)

logger = logging.getLogger(__name__)

# IPTC's term for a photograph or picture of which a part was made by a model.
DIGITAL_SOURCE_TYPE = "http://cv.iptc.org/newscodes/digitalsourcetype/compositeWithTrainedAlgorithmicMedia"
FORMATS = PNG, WEBP, DEEP_PNG = ("PNG", "animated WebP", "PNG, 16 bits")
# Of 100, and the encoder's default effort of 0 to 6.
_WEBP_QUALITY, _WEBP_METHOD = 90, 4
# Degrees, a mean over pitch, yaw and roll, beyond what an encoder misreads.
FAR_POSE = 10.0
# Of pictures that share a note, as many are named.
_NUMBERS_SHOWN = 4
UNTRAINED_NOTE = "untrained network, random weights: the new face is noise and the figures mean nothing"


class SFSRReport(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRReport",
            display_name="Report (SFSR)",
            category=CATEGORY,
            description="Measures the result: how near its face is to the person, the expression and the head pose asked for, "
            "by your encoders, by judges that had no part in it and by the bundled recogniser where another one is connected. "
            "Gives the figures as JSON and draws them on the picture.",
            search_aliases=["identity similarity", "face similarity", "cosine", "expression error", "pose error", "measure"],
            inputs=[
                io.Image.Input("images", tooltip="The finished pictures."),
                IdentitySocket.Input("identity", tooltip="The person that was asked for."),
                ExpressionSocket.Input("expression", tooltip="The expression that was asked for."),
                IDEncoderSocket.Input("id_encoder", tooltip="The recogniser that made the identity."),
                FaceFrameSocket.Input(
                    "face",
                    optional=True,
                    tooltip="Where the faces are, from Face Crop; each of several faces of a picture is measured. Without it "
                    "the surest face of each picture is.",
                ),
                io.Model.Input("model", optional=True, tooltip="The SFSR model, so that the report can say what made it."),
                ExpressionEncoderSocket.Input(
                    "expression_encoder",
                    optional=True,
                    tooltip="What reads the expression of the result, from Load Expression Encoder; without it the expression "
                    "is not measured.",
                ),
                io.Image.Input(
                    "reference",
                    optional=True,
                    tooltip="The photos that the person was made of, one of each for an Identity Batch: the judge and the "
                    "bundled recogniser measure by them; without them expression and pose alone are judged.",
                ),
                io.Image.Input(
                    "target",
                    optional=True,
                    tooltip="The pictures as they were, those that went into Face Crop: the figures of their own faces then "
                    "stand beside the new ones, and the report can say whom a face looks like that failed.",
                ),
            ],
            outputs=[
                io.String.Output("report", display_name="report", tooltip="All figures as JSON."),
                io.Image.Output(
                    "annotated",
                    display_name="annotated",
                    tooltip="The pictures, small ones enlarged, with the figures drawn on them.",
                ),
            ],
            is_output_node=True,
        )

    @classmethod
    @checked
    def execute(
        cls,
        images,
        identity,
        expression,
        id_encoder,
        face=None,
        model=None,
        expression_encoder=None,
        reference=None,
        target=None,
    ) -> io.NodeOutput:
        images = require_images(images, "images")
        people = per_frame(require(identity, PEOPLE, "identity", "Identity"))
        photos = None if reference is None else require_images(reference, "reference")
        look = require(expression, Expression, "expression", "Expression Embed")
        encoder = require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
        reader = None if expression_encoder is None else require_expression_encoder(expression_encoder)
        targets = None if target is None else require_images(target, "target")
        images, points = _points(images, face, encoder)
        require_repeatable("expression", len(look), "images", len(images))
        look = look.expand(len(images))
        shown = people.expand(len(images)).people
        figures = measure(images, points, look, shown, encoder, reader)
        untouched = None
        if targets is not None:
            targets, own = _points(targets, face, encoder, "target")
            require_repeatable("target", len(targets), "images", len(images))
            if len(targets) < len(images):
                targets, own = targets.expand(len(images), -1, -1, -1), own * len(images)
            untouched = measure_untouched(targets, images, list(zip(own, points, strict=True)), look, shown, encoder, reader)
        judged = judge(images, points, look, people, encoder, photos)
        trained = encoder.trained and (model is None or attachment(model).traits.trained)
        notes = [_expression_note(reader)]
        if look.pose is None:
            notes.append("no pose was measured: the expression asks for none")
        notes += [
            f"the head in picture {number} is {error:.0f} degrees from the pose asked for: a target's head stays as it is, so "
            "choose one whose head is turned like that"
            for number, error in enumerate(figures.pose_errors)
            if error is not None and error > FAR_POSE
        ]
        notes += [f"no face was found in picture {number}" for number, where in enumerate(points) if where is None]
        unread = [
            number for number, error in enumerate(figures.expression_errors) if error is None and points[number] is not None
        ]
        notes += [f"the expression encoder saw no face where it is in picture {number}" for number in unread]
        notes += [*judged.notes, *figures.doubts(untouched), *judged.judges.doubts(), *judged.bundled.doubts()]
        notes += [
            f"identity: {warning}" for warning in dict.fromkeys(warning for one in people.people for warning in one.warnings)
        ]
        notes += [] if face is None else _choice_notes(face)
        if not trained:
            notes.insert(0, UNTRAINED_NOTE)
        report = Report(figures, judged.judges, judged.bundled, look.words, trained, tuple(notes), untouched)
        text = report.to_json()
        annotated = [
            annotate(picture, where, report.caption(number))
            for number, (picture, where) in enumerate(zip(images, points, strict=True))
        ]
        return io.NodeOutput(text, torch.stack(annotated), ui=ui.PreviewText(text))


def _choice_notes(face) -> list[str]:
    """What should be known of the choice of the faces, each thing once with the pictures it is said of."""
    said: dict[str, list[int]] = {}
    for frame in require_frames(face):
        for warning in frame.warnings:
            said.setdefault(warning, []).append(frame.picture)
    return [f"target, picture {_listed(numbers)}: {warning}" for warning, numbers in said.items()]


def _listed(numbers: list[int]) -> str:
    more = f" and {len(numbers) - _NUMBERS_SHOWN} more" if len(numbers) > _NUMBERS_SHOWN else ""
    return ", ".join(map(str, numbers[:_NUMBERS_SHOWN])) + more


def _points(images: torch.Tensor, face, encoder, name: str = "images") -> tuple[torch.Tensor, list[torch.Tensor | None]]:
    """A picture for each face to measure, and its five points: the ones given, or the surest face found, or None."""
    if face is not None:
        images, frames = faces_in(face, images, name)
        # A score of 0 marks a place that Face Crop made up, because it found no face there.
        return images, [frame.landmarks if frame is not None and frame.score > 0 else None for frame in frames]
    found = [find_faces(picture, encoder) for _, picture in steps(images)]
    return images, [max(faces, key=lambda one: one.score).points if faces else None for faces in found]


def _expression_note(reader: PhotoEncoder | None) -> str:
    if reader is None:
        return "the expression was not measured: connect Load Expression Encoder to expression_encoder, for the pose as well"
    if not reader.unread:
        return f"the expression was read by {reader.name}"
    return f"the expression error leaves out what {reader.name} cannot see: {', '.join(reader.unread)}"


class SFSRSaveImage(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRSaveImage",
            display_name="Save Image (SFSR)",
            category=CATEGORY,
            description="Saves PNG files, or one moving picture, that carry the workflow and, on request, a note that a model "
            "made them. An alpha channel is kept.",
            search_aliases=["save", "png", "animated webp", "provenance", "metadata", "watermark", "IPTC", "AI label"],
            inputs=[
                io.Image.Input("images", tooltip="The pictures to save."),
                io.String.Input(
                    "filename_prefix",
                    default="SFSR",
                    tooltip="Start of the file names, in ComfyUI's output folder; a / makes a subfolder. '%date:yyyy-MM-dd%' "
                    "becomes the date, '%Seed.noise_seed%' the value of that widget of the node titled 'Seed'.",
                ),
                io.Boolean.Input(
                    "provenance",
                    default=True,
                    tooltip="Writes into each file that its face was synthesised (JSON under the name 'sfsr' in a PNG's text "
                    "or a WebP's EXIF, with IPTC's term for it), and the report where one is connected.",
                ),
                io.String.Input(
                    "report", optional=True, force_input=True, tooltip="The report's JSON, saved inside the picture."
                ),
                io.Combo.Input(
                    "format",
                    options=list(FORMATS),
                    default=PNG,
                    optional=True,
                    tooltip="A PNG file for each picture, of 8 or 16 bits a channel, or all of them as one moving picture.",
                ),
                io.Float.Input(
                    "fps",
                    default=6.0,
                    min=0.1,
                    max=120.0,
                    step=0.1,
                    optional=True,
                    advanced=True,
                    tooltip="Pictures a second of an animated WebP.",
                ),
            ],
            outputs=[],
            hidden=[io.Hidden.prompt, io.Hidden.extra_pnginfo],
            is_output_node=True,
        )

    @classmethod
    def fingerprint_inputs(cls, filename_prefix: str | None = None, **_: Any) -> str | float:
        return prefix_fingerprint(filename_prefix, datetime.now())

    @classmethod
    @checked
    def execute(
        cls,
        images,
        filename_prefix: str,
        provenance: bool,
        report: str | None = None,
        format: str = PNG,
        fps: float = 6.0,
    ) -> io.NodeOutput:
        images = require_images(images, "images", alpha=True)
        filename_prefix = resolve_prefix(slashed(filename_prefix), cls.hidden.prompt, datetime.now())
        require_output_prefix(filename_prefix, "filename_prefix")
        height, width = images.shape[1:3]
        if format == WEBP and max(height, width) > LONGEST_WEBP:
            raise ValueError(
                f"images: found {width} x {height} pixels, and a WebP has at most {LONGEST_WEBP} a side; make them smaller, or "
                f"save {PNG}"
            )
        if provenance and metadata_is_off():
            logger.warning(
                "SFSR: provenance: ComfyUI was started with --disable-metadata, so the saved files do not say that their face "
                "was synthesised; start it without, or turn provenance off"
            )
        if provenance:
            note = {
                "digital_source_type": DIGITAL_SOURCE_TYPE,
                "made_with": "SFSR for ComfyUI",
                "report": _parsed(report),
            }
            cls.hidden.extra_pnginfo = {**(cls.hidden.extra_pnginfo or {}), "sfsr": note}
        if format == PNG:
            return io.NodeOutput(ui=ui.ImageSaveHelper.get_save_images_ui(images, filename_prefix, cls=cls))
        if format == DEEP_PNG:
            return io.NodeOutput(ui=save_deep_pngs(images, filename_prefix, cls))
        return io.NodeOutput(
            ui=ui.ImageSaveHelper.get_save_animated_webp_ui(
                images, filename_prefix, cls=cls, fps=fps, lossless=False, quality=_WEBP_QUALITY, method=_WEBP_METHOD
            )
        )


def _parsed(report: str | None):
    try:
        return None if report is None else json.loads(report)
    except ValueError as error:
        raise ValueError(f"report: it is not JSON ({error}); connect the report output of Report") from error


NODES = [SFSRReport, SFSRSaveImage]
