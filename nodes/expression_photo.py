"""Nodes that read expressions from photos: the encoder's loader, and the library of a gallery."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from comfy_api.latest import io, ui

from ..sfsr_model.bundled import is_bundled_encoder
from ..sfsr_model.encoders.bundled import load_bundled_photo_reader
from ..sfsr_model.encoders.expression_photos import PhotoEncoder
from ..sfsr_model.encoders.smirk import CHANNELS
from ..sfsr_model.expressions import ARKIT_NAMES
from ..sfsr_model.expressions.library import gallery_photos
from ..sfsr_model.landmarker import load_expression_encoder
from ..sfsr_model.landmarker.photos import read_photos
from ..sfsr_model.naming import naming
from ..sfsr_model.samples import sample_gallery
from .given import checked
from .host.expression_files import (
    LIBRARIES,
    SAMPLE_GALLERY,
    expression_encoder_files,
    expression_encoder_names,
    expression_encoder_path,
    gallery_path,
    new_library_path,
)
from .host.folders import fingerprint, slashed
from .host.progress import steps
from .host.smirk_files import NO_SMIRK, load_smirk_reader, smirk_files, smirk_names
from .sockets import CATEGORY, ExpressionEncoderSocket, require_expression_encoder, told_beforehand


class SFSRLoadExpressionEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRLoadExpressionEncoder",
            display_name="Load Expression Encoder (SFSR)",
            category=CATEGORY,
            description="What reads an expression from a photo: the small encoder that comes with the pack, or "
            "MediaPipe's face landmarker, a file of yours below models/mediapipe. Nothing is downloaded.",
            search_aliases=["mediapipe", "face_landmarker.task", "blendshapes", "expression from photo", "SMIRK", "FLAME"],
            inputs=[
                io.Combo.Input(
                    "encoder",
                    options=expression_encoder_names(),  # no default: the first is what a fresh node shows
                    tooltip="The bundled one, or a face_landmarker.task below models/mediapipe, models/detection or "
                    "models/liveportrait.",
                ),
                io.Combo.Input(
                    "smirk",
                    options=smirk_names(),
                    default=NO_SMIRK,
                    optional=True,
                    advanced=True,
                    tooltip="A file that reads each photo a second time, as 55 numbers that the Arc2Face Expression Adapter "
                    "takes: SMIRK_em1.pt of the project smirk by georgeretsi (code under the MIT License, weights without "
                    "stated terms), in models/sfsr or models/mediapipe. It is told by its content, whatever its name.",
                ),
                io.Combo.Input(
                    "smirk_channels",
                    options=list(CHANNELS),
                    default=CHANNELS[0],
                    optional=True,
                    advanced=True,
                    tooltip="The order in which SMIRK's network sees a photo's colours: 'BGR' as in the demo of the Expression "
                    "Adapter's authors, 'RGB' as SMIRK was trained. Idle without a SMIRK file.",
                ),
            ],
            outputs=[
                ExpressionEncoderSocket.Output(
                    "expression_encoder",
                    display_name="expression_encoder",
                    tooltip="The encoder, for Expression Embed, Expression Library, the report and guidance.",
                ),
                io.String.Output(
                    "info",
                    display_name="info",
                    tooltip="Which file it is, its licence and what it cannot see; connect Preview as Text to read it.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, encoder: str | None = None, smirk: str | None = None) -> bool | str:
        """Takes the place of the host's own list checks, whose message does not say where the files come from."""
        told = told_beforehand(expression_encoder_path, encoder)
        return told if told is not True else told_beforehand(smirk_files, smirk)

    @classmethod
    def fingerprint_inputs(cls, encoder: str | None, smirk: str | None = NO_SMIRK, **_: Any) -> str | float:
        name = None if smirk is None else encoder
        return fingerprint(name, lambda one: [*expression_encoder_files(one), *smirk_files(smirk or NO_SMIRK)])

    @classmethod
    @checked
    def execute(cls, encoder: str, smirk: str = NO_SMIRK, smirk_channels: str = CHANNELS[0]) -> io.NodeOutput:
        path = expression_encoder_path(encoder)
        with naming("encoder"):
            loaded = load_bundled_photo_reader() if is_bundled_encoder(encoder) else load_expression_encoder(path)
        with naming("smirk"):
            loaded = replace(loaded, smirk=load_smirk_reader(smirk, smirk_channels))
        info = _described(encoder, loaded)
        return io.NodeOutput(loaded, info, ui=ui.PreviewText(info))


def _described(name: str, encoder: PhotoEncoder) -> str:
    count = len(ARKIT_NAMES)
    lines = [f"{name}: {count - len(set(encoder.unread) - set(encoder.blind))} of {count} coefficients and the head's pose"]
    lines.append(encoder.note)
    if encoder.blind:
        lines.append(f"hardly ever raised: {', '.join(encoder.blind)}")
    if encoder.smirk is not None:
        lines.append(
            f"{encoder.smirk.name}: 55 numbers beside them, from {encoder.smirk.channels}; SMIRK's weights have no stated terms"
        )
    return "\n".join(lines)


class SFSRExpressionLibrary(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRExpressionLibrary",
            display_name="Expression Library (SFSR)",
            category=CATEGORY,
            description="Your own photos, one folder for each word, as a library that Expression Embed uses in place of the "
            "built-in words or beside them.",
            search_aliases=["gallery", "custom expressions", "own emotions", "emotion photos"],
            is_output_node=True,
            inputs=[
                ExpressionEncoderSocket.Input("expression_encoder", tooltip="The encoder from Load Expression Encoder."),
                io.String.Input(
                    "folder",
                    default="expressions",
                    tooltip="A folder below ComfyUI's input folder. In it one folder for each word, named by it, with photos. "
                    f"{SAMPLE_GALLERY} are sample portraits that come with the pack.",
                ),
                io.String.Input(
                    "name",
                    default="my expressions",
                    tooltip=f"Name of the library; it is saved in models/{LIBRARIES}. One of the same name is replaced.",
                ),
            ],
            outputs=[
                io.String.Output(
                    "info", display_name="info", tooltip="How many photos each word was read from, and where the library is."
                ),
                io.Combo.Output(
                    "library",
                    display_name="library",
                    tooltip="The library's name, for the library of Expression Embed; without a link choose it there by hand.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, folder: str | None, expression_encoder=None, name: str | None = None) -> str | float:
        return fingerprint(folder, lambda one: [photo for photos in _photos(one).values() for photo in photos])

    @classmethod
    @checked
    def execute(cls, expression_encoder, folder: str, name: str) -> io.NodeOutput:
        encoder = require_expression_encoder(expression_encoder)
        path = new_library_path(name)
        photos = _photos(folder)
        with naming("folder"):
            library = read_photos(photos, encoder, steps)
        library.save(path)
        counts = ", ".join(f"{word} {count}" for word, count in zip(library.words, library.counts, strict=True))
        info = f"models/{LIBRARIES}/{path.name}: {len(library.words)} words, photos of each: {counts}"
        if encoder.smirk is not None:
            info += "\na library keeps the coefficients alone: the 55 numbers by SMIRK are left out"
        return io.NodeOutput(info, path.name, ui=ui.PreviewText(info))


def _photos(folder: str) -> dict[str, tuple[Path, ...]]:
    """The photos of each word in a gallery."""
    if slashed(folder) == SAMPLE_GALLERY:
        return sample_gallery()
    path = gallery_path(folder)
    with naming("folder"):
        return gallery_photos(path)


NODES = [SFSRLoadExpressionEncoder, SFSRExpressionLibrary]
