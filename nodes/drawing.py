"""An expression drawn as lines, for a ControlNet."""

from __future__ import annotations

import logging
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..sfsr_model.batch import common_length
from ..sfsr_model.drawing.face_points import bundled_face_points
from ..sfsr_model.drawing.head import Head, upright_head
from ..sfsr_model.drawing.lines import MIN_FACE, THICKNESS, draw_faces, is_drawn, normalised
from ..sfsr_model.drawing.photo import PhotoFace, Wanted, mean_shape, photo_face
from ..sfsr_model.encoders.detection import ORDERS
from ..sfsr_model.encoders.expression_photos import NoExpressionError
from ..sfsr_model.expressions import Expression
from ..sfsr_model.landmarker import ExpressionEncoder, LandmarkerFileError, load_expression_encoder
from ..sfsr_model.naming import listed, naming
from .face import require_frames, require_frames_of
from .given import checked
from .host.expression_files import GET_LANDMARKER, landmarker_files
from .host.folders import fingerprint
from .host.page import SHOWS_ON_THE_WAY
from .host.progress import steps
from .sockets import CATEGORY, ExpressionSocket, FaceFrameSocket, face_choice, require, require_images

logger = logging.getLogger(__name__)

_LONGEST = 8192
_MOST_NAMED = 4
_NO_FILE = (
    f"MediaPipe's face landmarker is not there: the mean face is laid on five points of the face instead. {GET_LANDMARKER}"
)


class SFSRDrawExpression(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRDrawExpression",
            **SHOWS_ON_THE_WAY,
            display_name="Draw Expression (SFSR)",
            category=CATEGORY,
            description="Draws a face with an expression as lines on black, as ControlNetMediaPipeFace (SD 1.5 and 2.1) was "
            "trained: of a photo's face, or of a mean face where there is none.",
            search_aliases=[
                "mediapipe face",
                "controlnet",
                "preprocessor",
                "face mesh",
                "landmarks",
                "face pose",
                "face lines",
            ],
            inputs=[
                ExpressionSocket.Input(
                    "expression",
                    optional=True,
                    tooltip="The expression to draw, or a batch of them; left out, the picture's own face is drawn as it is.",
                ),
                io.Int.Input(
                    "width",
                    default=512,
                    min=64,
                    max=_LONGEST,
                    step=8,
                    tooltip="Width of the drawing in pixels; idle where a picture is connected, whose size is taken.",
                ),
                io.Int.Input(
                    "height",
                    default=512,
                    min=64,
                    max=_LONGEST,
                    step=8,
                    tooltip="Height of the drawing in pixels; idle where a picture is connected.",
                ),
                io.Image.Input(
                    "image",
                    optional=True,
                    tooltip="The target portrait: the drawing gets its size, and the face its place, size, pose and shape.",
                ),
                FaceFrameSocket.Input(
                    "face",
                    optional=True,
                    tooltip="Which face of the picture is meant, from Face Crop; without it face_order and face_index choose.",
                ),
                io.Image.Input(
                    "person",
                    optional=True,
                    tooltip="Photos of the person who is to wear the expression: the face drawn has this person's shape. Needs "
                    "MediaPipe's file.",
                ),
                io.Float.Input(
                    "person_shape",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    optional=True,
                    tooltip="Whose shape the face has: 1 the person's, 0 the picture's, between them a blend. Idle without "
                    "person.",
                ),
                io.Boolean.Input(
                    "turn_head",
                    default=False,
                    optional=True,
                    advanced=True,
                    tooltip="On: the head turns as the expression says. Off: it stays as the picture shows it. Without a "
                    "picture it always turns.",
                ),
                io.Float.Input(
                    "face_size",
                    default=0.6,
                    min=0.1,
                    max=1.5,
                    step=0.05,
                    optional=True,
                    advanced=True,
                    tooltip="Height of the face as a share of the drawing's; idle where a picture is connected.",
                ),
                io.Int.Input(
                    "line_width",
                    default=THICKNESS,
                    min=1,
                    max=32,
                    optional=True,
                    advanced=True,
                    tooltip="Pixels. 2 is what the ControlNet was trained with, at 512; for drawings of 1024 try 4.",
                ),
                *face_choice(optional=True),
            ],
            outputs=[
                io.Image.Output(
                    "drawing",
                    display_name="drawing",
                    tooltip="The drawing, for Apply ControlNet; one for each expression, or picture, of a batch.",
                ),
                io.String.Output(
                    "report", display_name="report", tooltip="What was drawn, and what was missing; Preview as Text shows it."
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, **_: Any) -> str | float:
        return fingerprint("landmarker", lambda _: landmarker_files())

    @classmethod
    @checked
    def execute(
        cls,
        width: int,
        height: int,
        expression=None,
        image=None,
        face=None,
        person=None,
        person_shape: float = 1.0,
        turn_head: bool = False,
        face_size: float = 0.6,
        line_width: int = THICKNESS,
        face_order: str = ORDERS[0],
        face_index: int = 0,
    ) -> io.NodeOutput:
        if expression is None and image is None:
            raise ValueError(
                "expression: neither an expression nor an image is connected; connect Expression Embed to draw an "
                "expression, a photo to draw its face, or both"
            )
        wanted = None if expression is None else require(expression, Expression, "expression", "Expression Embed")
        pictures = None if image is None else require_images(image, "image")
        size = (height, width) if pictures is None else (int(pictures.shape[1]), int(pictures.shape[2]))
        count = common_length(expression=1 if wanted is None else len(wanted), image=1 if pictures is None else len(pictures))
        reader = _reader() if pictures is not None or person is not None else None
        notes = []
        if face is not None and pictures is None:
            notes.append("face: not used, because no image is connected; connect the picture that Face Crop saw")
        if pictures is not None and reader is None:
            notes.append(_NO_FILE)
        shape = None
        if person is not None:
            shape = _shape_of(require_images(person, "person"), reader, notes)
        if pictures is None:
            faces: list[PhotoFace | None] = [None]
        else:
            faces = list(_faces(pictures, face, reader, Wanted(face_order, face_index)))
        drawings, left_out = [], []
        for row, _ in steps(range(count)):
            found = faces[row % len(faces)]
            landmarks = _landmarks(found, wanted, row, size, face_size, shape, person_shape, turn_head)
            places = normalised(landmarks[None], size)
            if not is_drawn(places[0], size):
                left_out.append(row)
            drawings.append(draw_faces(places, size, line_width))
        if left_out:
            larger = "width, height or face_size" if pictures is None else "the picture, or cut the face out with Face Crop"
            notes.append(
                f"{_drawings(left_out)}: the face is smaller than {MIN_FACE} pixels and is left out, as where the ControlNet "
                f"learned; enlarge {larger}"
            )
        for note in notes:
            logger.warning("SFSR: %s", note)
        drawn = torch.stack(drawings).float() / 255
        report = "\n".join([f"{count} of {size[1]} x {size[0]} pixels", *notes])
        return io.NodeOutput(drawn, report, ui={**ui.PreviewText(report).as_dict(), **ui.PreviewImage(drawn).as_dict()})


def _drawings(numbers: list[int]) -> str:
    """For people: "drawing 3", or "drawings 0, 1, 2, 3, ..."."""
    return f"drawing{'s' * (len(numbers) > 1)} {listed(numbers, _MOST_NAMED)}"


def _reader() -> ExpressionEncoder | None:
    """MediaPipe's face landmarker: the first of the .task files that is one; others are of hands, or of whole people."""
    for path in landmarker_files():
        try:
            return load_expression_encoder(path)
        except LandmarkerFileError as error:
            logger.info("SFSR: %s", error)
    return None


def _faces(pictures, frames, reader: ExpressionEncoder | None, wanted: Wanted) -> list[PhotoFace]:
    """The face of each picture that is meant."""
    near = None
    if frames is not None:
        framed = require_frames(frames)
        require_frames_of(framed, pictures, "image", "connect the picture that Face Crop saw, or leave face unconnected")
        near = [frame.landmarks for frame in framed]
        common_length(face=len(near), image=len(pictures))
    points = bundled_face_points()
    found = []
    with naming("image", NoExpressionError):
        for number, picture in enumerate(pictures):
            place = wanted if near is None else Wanted(near=near[number % len(near)])
            found.append(photo_face(picture, number, place, reader, points))
    return found


def _shape_of(photos, reader: ExpressionEncoder | None, notes: list[str]) -> torch.Tensor | None:
    """The resting shape of the person in the photos; None, with a note, where nothing reads it."""
    if reader is None:
        notes.append(f"person: not used, because MediaPipe's face landmarker is not there. {GET_LANDMARKER}")
        return None
    with naming("person", NoExpressionError):
        return mean_shape(
            [photo_face(photo, number, Wanted(), reader, bundled_face_points()) for number, photo in enumerate(photos)]
        )


def _landmarks(
    found: PhotoFace | None,
    wanted: Expression | None,
    row: int,
    size: tuple[int, int],
    face_size: float,
    shape: torch.Tensor | None,
    share: float,
    turn_head: bool,
) -> torch.Tensor:
    """Landmarks [478, 3] of one drawing in its pixels."""
    points = bundled_face_points()
    if found is not None and wanted is None and (shape is None or share == 0):
        return found.landmarks
    head: Head = upright_head(size, face_size, points) if found is None else found.head
    if shape is not None:
        head = head.shaped_as(shape, share)
    if wanted is None:
        assert found is not None
        return head.wearing(found.coefficients, points)
    place = row % len(wanted)
    if wanted.pose is not None and (found is None or turn_head):
        head = head.turned(wanted.pose[place])
    return head.wearing(wanted.coefficients[place], points)


NODES = [SFSRDrawExpression]
