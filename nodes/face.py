"""Cutting faces out of pictures and pasting them back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from comfy_api.latest import io, ui

from ..sfsr_model.encoders.choosing import NothingChosenError
from ..sfsr_model.encoders.detection import LEAVE, TAKE
from ..sfsr_model.encoders.framing import HOLD, HOLD_PICTURES, NO_FACE_POLICIES, FramingSettings, frame_faces
from ..sfsr_model.face import FaceFrame, crop_face, paste_into
from ..sfsr_model.face.placement import Placement, placements
from ..sfsr_model.face.storage import uninitialised
from ..sfsr_model.face.warp import require_size
from ..sfsr_model.film.paste import SeamColours, calm_faces
from ..sfsr_model.film.steady import CALM_REACH
from ..sfsr_model.naming import naming
from .given import checked
from .host.checks import LATENT_FACTOR
from .host.faces import given_faces
from .host.progress import steps
from .identity import ENCODERS
from .sockets import (
    CATEGORY,
    FaceFrameSocket,
    IDEncoderSocket,
    face_choice,
    given_face_inputs,
    refused_choice,
    require,
    require_images,
    require_masks,
)

FACES = ("the numbered one", "all")


class SFSRFaceCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRFaceCrop",
            display_name="Face Crop (SFSR)",
            category=CATEGORY,
            description="Finds a face in each picture, or all of them, cuts them out upright and says which part may be "
            "replaced.",
            search_aliases=["face detection", "align face", "face mask", "crop face", "several faces", "mediapipe"],
            inputs=[
                io.Image.Input("images", tooltip="The target portrait, or the frames of a film; any size."),
                crop_size_input(),
                *face_choice(),
                io.Combo.Input(
                    "no_face",
                    options=list(NO_FACE_POLICIES),
                    default=NO_FACE_POLICIES[0],
                    tooltip="A picture without the wanted face stops the run, passes through unchanged, or uses the place of "
                    "the last face before it, for as long as hold_pictures says. The report names such pictures.",
                ),
                IDEncoderSocket.Input(
                    "id_encoder",
                    optional=True,
                    tooltip="The bundled encoder or an insightface pack, whose detector is then used; without one a small "
                    "frontal detector serves.",
                ),
                io.Combo.Input(
                    "faces",
                    options=list(FACES),
                    default=FACES[0],
                    optional=True,
                    tooltip="One face of each picture, the one with the number above, or all of them: one crop each, which "
                    "Face Paste puts back at once.",
                ),
                *given_face_inputs(),
                io.Int.Input(
                    "hold_pictures",
                    default=HOLD_PICTURES,
                    min=0,
                    max=4096,
                    optional=True,
                    advanced=True,
                    tooltip=f"For '{HOLD}': for how many pictures in a row. The new face fades out over the last third of "
                    "them, and later ones pass through unchanged. 0 holds it to the end.",
                ),
                refused_choice(),
            ],
            outputs=[
                io.Image.Output("crop", display_name="crop", tooltip="The upright faces, square, all of one size."),
                io.Mask.Output(
                    "mask", display_name="mask", tooltip="The inner face in the crop: what SFSR Conditioning replaces."
                ),
                FaceFrameSocket.Output(
                    "face", display_name="face", tooltip="Where each face was, for Face Paste and the report."
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    tooltip="Which faces of each picture were cropped, which pictures have none, and what was taken for no "
                    "face and why.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    tooltip="The pictures, reduced, with every face numbered in the chosen order: green is cropped, red is no "
                    "face.",
                ),
            ],
        )

    @classmethod
    @checked
    def execute(
        cls,
        images,
        size: int,
        face_order: str,
        face_index: int,
        no_face: str,
        id_encoder=None,
        faces: str = FACES[0],
        face_landmarks=None,
        bboxes=None,
        hold_pictures: int = HOLD_PICTURES,
        refused_faces: str = LEAVE,
    ) -> io.NodeOutput:
        images = require_images(images, "images")
        require_crop_size(size)
        encoder = None if id_encoder is None else require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
        index = None if faces == FACES[1] else face_index
        settings = FramingSettings(size, face_order, index, no_face, hold_pictures, refused_faces == TAKE)
        given = given_faces(images, encoder, face_landmarks, bboxes)
        with naming("images", NothingChosenError):
            framing = frame_faces((picture for _, picture in steps(images)), encoder, settings, given)
        frames = framing.frames
        crops = torch.stack([crop_face(images[frame.picture], frame) for frame in frames])
        masks = torch.stack([frame.mask for frame in frames])
        previews = torch.stack([framing.preview(picture, number) for number, picture in enumerate(images)])
        report = framing.report()
        if face_landmarks is not None and bboxes is not None:
            report += "\nbboxes are connected but not used: face_landmarks say where the faces are"
        return io.NodeOutput(crops, masks, frames, report, previews, ui=ui.PreviewText(report))


class SFSRFacePaste(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRFacePaste",
            display_name="Face Paste (SFSR)",
            category=CATEGORY,
            description="Puts new faces back where Face Crop found the old ones. Outside the mask every pixel stays exactly as "
            "it was.",
            search_aliases=["paste face", "paste back", "stitch", "composite", "blend face", "uncrop"],
            inputs=[
                io.Image.Input(
                    "images",
                    tooltip="The pictures that went into Face Crop. One picture and several new faces for its one face give as "
                    "many pictures.",
                ),
                io.Image.Input(
                    "faces",
                    tooltip="The new faces, as many as Face Crop's crops, of their size or a multiple of it; a single one goes "
                    "everywhere.",
                ),
                FaceFrameSocket.Input("face", tooltip="Where the faces belong, from Face Crop."),
                io.Float.Input(
                    "feather",
                    default=0.06,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    tooltip="Width of the soft edge as a share of the crop's side. It lies inside the mask: from about 0.15 on "
                    "the new face fades, at 0.5 little of it is left.",
                ),
                io.Float.Input(
                    "colour_match",
                    default=1.0,
                    min=0.0,
                    max=1.0,
                    step=0.05,
                    tooltip="How far the new face takes on the colours around it: 0 leaves it as it was made.",
                ),
                io.Mask.Input(
                    "mask",
                    optional=True,
                    tooltip="The mask that went into SFSR Conditioning, if it is not Face Crop's own; nothing else is pasted.",
                ),
                calm_input(),
            ],
            outputs=[io.Image.Output("images", display_name="images", tooltip="The pictures with the new faces in them.")],
        )

    @classmethod
    @checked
    def execute(
        cls, images, faces, face, feather: float, colour_match: float, mask=None, calm_frames: int = CALM_REACH
    ) -> io.NodeOutput:
        require_images(images, "images")
        faces, frames = require_images(faces, "faces"), require_frames(face)
        side, (height, width) = frames[0].crop_size, faces.shape[1:3]
        if height != width or height % side:
            raise ValueError(
                f"faces: found {width} x {height} pixels, expected {side} x {side} like Face Crop's crops or a whole multiple; "
                "connect what was made from them"
            )
        for frame in frames:
            require_size(images, frame, "images")
        if mask is not None:
            frames = _with_masks(frames, mask)
        if height != side:
            frames = tuple(frame.resized(height) for frame in frames)
        plan = placements(len(images), len(faces), frames)
        pasted = uninitialised((len(plan), *images.shape[1:3], max(3, images.shape[3])), images)
        film = _is_film(frames, plan)
        if film and calm_frames:
            faces = calm_faces(faces.expand(len(frames), -1, -1, -1), frames, calm_frames)
        colours = _film_colours(images, faces, frames) if film and colour_match > 0 else None
        for number, placement in steps(plan):
            pasted[number] = images[placement.picture]
            # An alpha channel stays as it is; a gray picture has become an RGB one.
            for crop, frame in placement.pairs:
                steady = None if colours is None else colours.of(frames[frame].picture)
                paste_into(pasted[number, ..., :3], faces[crop], frames[frame], feather, colour_match, steady)
        return io.NodeOutput(pasted)


def crop_size_input() -> io.Int.Input:
    """How large a face is cut out."""
    return io.Int.Input(
        "size",
        default=128,
        min=64,
        max=1024,
        step=8,
        tooltip="Side of the square crop in pixels; the bundled checkpoint was trained at 128.",
    )


def require_crop_size(size: int) -> None:
    """Raises ValueError for a size of crops that is no whole number of latent cells."""
    if size % LATENT_FACTOR:
        raise ValueError(f"size: found {size}, expected a multiple of {LATENT_FACTOR}")


def calm_input() -> io.Int.Input:
    """Over how many frames new faces of a film are calmed."""
    return io.Int.Input(
        "calm_frames",
        default=CALM_REACH,
        min=0,
        max=30,
        optional=True,
        advanced=True,
        tooltip="For films, from Film Face Crop: frames before and after each with which the new face is averaged wherever "
        "nothing moves, so that it does not flicker. 0 leaves each frame to itself.",
    )


def _is_film(frames: tuple[FaceFrame, ...], plan: Sequence[Placement]) -> bool:
    """Whether the frames are a film's: one face in each picture, in their order."""
    return len(plan) == len(frames) > 1 and all(
        frame.shot is not None and frame.picture == number for number, frame in enumerate(frames)
    )


def _film_colours(images: torch.Tensor, faces: torch.Tensor, frames: tuple[FaceFrame, ...]) -> SeamColours:
    """The match of colours over time."""
    colours = SeamColours(torch.tensor([frame.shot for frame in frames]))
    for number, frame in enumerate(frames):
        colours.measure(images[number][..., :3].expand(-1, -1, 3), faces[min(number, len(faces) - 1)], frame)
    return colours


def _with_masks(frames: tuple[FaceFrame, ...], mask: torch.Tensor) -> tuple[FaceFrame, ...]:
    """The frames with other masks in crop pixels, [S, S], [1, S, S] or one each."""
    side, advice = frames[0].crop_size, "use the one that went into SFSR Conditioning"
    masks = require_masks(mask, (side, side), len(frames), f"{len(frames)} crops of {side} x {side}", advice)
    masks = masks.expand(len(frames), -1, -1)
    return tuple(replace(frame, mask=own) for frame, own in zip(frames, masks, strict=True))


def require_frames(face) -> tuple[FaceFrame, ...]:
    """The frames that came over a `face` socket, at least one."""
    # A single thing that is no tuple is refused as the frame that it should hold.
    frames = face if isinstance(face, tuple) else (face,)
    for frame in frames:
        require(frame, FaceFrame, "face", "Face Crop")
    if not frames:
        raise ValueError("face: it holds no face; connect the output of Face Crop")
    return frames


def require_frames_of(frames: tuple[FaceFrame, ...], images: torch.Tensor, name: str, advice: str) -> None:
    """Raises ValueError for frames of pictures of another size than those [B, H, W, C] of the input `name`."""
    height, width = frames[0].image_size
    if frames[0].image_size != tuple(images.shape[1:3]):
        raise ValueError(
            f"face: its faces are of pictures of {width} x {height} pixels, {name} are {images.shape[2]} x {images.shape[1]}; "
            + advice
        )


def faces_in(face, images: torch.Tensor, name: str = "images") -> tuple[torch.Tensor, tuple[FaceFrame | None, ...]]:
    """A picture for each face to look at, and the face's frame, from a `face` socket. name: of the pictures' input.

    The frame of a single picture serves for all; a picture of several faces comes once for each; one without a face has None.
    Raises ValueError for frames of other pictures.
    """
    frames = require_frames(face)
    made = "what Face Paste made of those pictures" if name == "images" else "those pictures themselves"
    advice = f"connect {made}, or leave face unconnected"
    require_frames_of(frames, images, name, advice)
    if len(frames) == frames[0].pictures == 1:
        return images, frames * len(images)
    if frames[0].pictures != len(images):
        raise ValueError(
            f"face: found {len(frames)} faces of {frames[0].pictures} pictures, but {len(images)} pictures are connected to "
            f"{name}; {advice}"
        )
    named = {frame.picture: frame for frame in frames}
    if len(named) < len(frames):
        return images[[frame.picture for frame in frames]], frames
    return images, tuple(named.get(number) for number in range(len(images)))


NODES = [SFSRFaceCrop, SFSRFacePaste]
