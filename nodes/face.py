"""Cutting faces out of pictures and pasting them back."""

from __future__ import annotations

from dataclasses import replace

import torch
from comfy_api.latest import io

from ..sfsr_model.encoders.detection import NoFaceError
from ..sfsr_model.encoders.faces import TooFewFacesError, find_face
from ..sfsr_model.face import FaceFrame, crop_face, face_frame, paste_face
from .host.conditioning import LATENT_FACTOR
from .host.progress import steps
from .identity import ENCODERS
from .sockets import CATEGORY, FaceFrameSocket, IDEncoderSocket, face_choice, require, require_images

NO_FACE_POLICIES = ("error", "keep the picture", "hold the last face")


class SFSRFaceCrop(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRFaceCrop",
            display_name="Face Crop (SFSR)",
            category=CATEGORY,
            description="Finds a face in each picture, cuts it out upright and says which part of it may be replaced.",
            search_aliases=["face detection", "align face", "face mask", "crop face"],
            inputs=[
                io.Image.Input("images", tooltip="The target portrait, or the frames of a film; any size."),
                io.Int.Input(
                    "size",
                    default=256,
                    min=64,
                    max=1024,
                    step=8,
                    tooltip="Side of the square crop in pixels; the demo network was laid out for 256.",
                ),
                *face_choice(),
                io.Combo.Input(
                    "no_face",
                    options=list(NO_FACE_POLICIES),
                    default=NO_FACE_POLICIES[0],
                    tooltip="A picture without the wanted face stops the run, passes through unchanged, or uses the place of "
                    "the face in the picture before it.",
                ),
                IDEncoderSocket.Input(
                    "id_encoder",
                    optional=True,
                    tooltip="An insightface pack, whose detector is then used; without one a small frontal detector serves.",
                ),
            ],
            outputs=[
                io.Image.Output("crop", display_name="crop", tooltip="The upright faces, square, all of one size."),
                io.Mask.Output(
                    "mask", display_name="mask", tooltip="The inner face in the crop: what SFSR Conditioning replaces."
                ),
                FaceFrameSocket.Output(
                    "face", display_name="face", tooltip="Where each face was, for Face Paste and the report."
                ),
            ],
        )

    @classmethod
    def execute(cls, images, size: int, face_order: str, face_index: int, no_face: str, id_encoder=None) -> io.NodeOutput:
        images = require_images(images, "images")
        if size % LATENT_FACTOR:
            raise ValueError(f"size: found {size}, expected a multiple of {LATENT_FACTOR}")
        encoder = None if id_encoder is None else require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
        frames: list[FaceFrame] = []
        for number, picture in steps(images):
            try:
                face = find_face(picture, encoder, face_order, face_index, number)
            except (NoFaceError, TooFewFacesError) as error:
                frames.append(_without_face(no_face, frames, tuple(picture.shape[:2]), size, error))
            else:
                frames.append(face_frame(face.points, tuple(picture.shape[:2]), size, face.score, face_index))
        crops = torch.stack([crop_face(picture, frame) for picture, frame in zip(images, frames, strict=True)])
        return io.NodeOutput(crops, torch.stack([frame.mask for frame in frames]), tuple(frames))


def _without_face(
    policy: str, earlier: list[FaceFrame], image_size: tuple[int, int], size: int, error: ValueError
) -> FaceFrame:
    """What stands in for a picture in which no face was found; raises `error` where the policy has nothing to offer."""
    if policy == "hold the last face" and earlier:
        return replace(earlier[-1], score=0.0)
    if policy == "keep the picture":
        height, width = image_size
        # Five points of a face that would fill the middle of the picture: a crop to look at, nothing of it masked.
        unit = torch.tensor([[-1.0, -1.0], [1.0, -1.0], [0.0, 0.0], [-0.7, 1.0], [0.7, 1.0]])
        points = unit * min(height, width) / 8 + torch.tensor([width / 2, height / 2])
        frame = face_frame(points, image_size, size, score=0.0)
        return replace(frame, mask=torch.zeros_like(frame.mask))
    raise error


class SFSRFacePaste(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRFacePaste",
            display_name="Face Paste (SFSR)",
            category=CATEGORY,
            description="Puts new faces back where Face Crop found the old ones. Outside the mask every pixel stays exactly as "
            "it was.",
            search_aliases=["paste face", "composite", "blend face", "uncrop"],
            inputs=[
                io.Image.Input("images", tooltip="The pictures that went into Face Crop."),
                io.Image.Input("faces", tooltip="The new faces, as many and as large as Face Crop's crops."),
                FaceFrameSocket.Input("face", tooltip="Where the faces belong, from Face Crop."),
                io.Float.Input(
                    "feather",
                    default=0.06,
                    min=0.0,
                    max=0.5,
                    step=0.01,
                    tooltip="Width of the soft edge as a share of the crop's side; it lies inside the mask.",
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
            ],
            outputs=[io.Image.Output("images", display_name="images", tooltip="The pictures with the new faces in them.")],
        )

    @classmethod
    def execute(cls, images, faces, face, feather: float, colour_match: float, mask=None) -> io.NodeOutput:
        images, faces = require_images(images, "images"), require_images(faces, "faces")
        frames = require_frames(face, len(images))
        if mask is not None:
            frames = _with_masks(frames, mask)
        if len(faces) not in (1, len(images)):
            raise ValueError(f"faces: found {len(faces)} for {len(images)} pictures; expected one each, or one for all")
        faces = faces.expand(len(images), -1, -1, -1)
        pasted = [
            paste_face(picture, new, frame, feather, colour_match)
            for (_, picture), new, frame in zip(steps(images), faces, frames, strict=True)
        ]
        return io.NodeOutput(torch.stack(pasted))


def _with_masks(frames: tuple[FaceFrame, ...], mask: torch.Tensor) -> tuple[FaceFrame, ...]:
    """The frames with other masks in crop pixels, [S, S], [1, S, S] or one each."""
    masks = mask[None] if mask.ndim == 2 else mask
    side = frames[0].crop_size
    if masks.ndim != 3 or tuple(masks.shape[1:]) != (side, side) or len(masks) not in (1, len(frames)):
        raise ValueError(
            f"mask: shape {tuple(mask.shape)} does not fit {len(frames)} crops of {side} x {side}; use the one that went into "
            "SFSR Conditioning"
        )
    if not bool(masks.isfinite().all()):
        raise ValueError("mask: it holds values that are not finite (NaN or infinity)")
    masks = masks.clamp(0.0, 1.0).expand(len(frames), -1, -1)
    return tuple(replace(frame, mask=own) for frame, own in zip(frames, masks, strict=True))


def require_frames(face, count: int) -> tuple[FaceFrame, ...]:
    """The frames that came over a `face` socket, one for each of `count` pictures."""
    frames = require(face, tuple, "face", "Face Crop")
    for frame in frames:
        require(frame, FaceFrame, "face", "Face Crop")
    if len(frames) not in (1, count):
        raise ValueError(f"face: found {len(frames)} face frames for {count} pictures; expected one each, or one for all")
    return frames if len(frames) == count else frames * count


NODES = [SFSRFaceCrop, SFSRFacePaste]
