"""Identity nodes: load a recogniser, and make one person of one or more photos."""

from __future__ import annotations

import torch
from comfy_api.latest import io, ui

from ..sfsr_model.encoders.faces import find_face
from ..sfsr_model.encoders.identity import Identity
from ..sfsr_model.encoders.recogniser import InsightFaceEncoder, load_recogniser
from ..sfsr_model.encoders.runtime import PROVIDER_CHOICES
from ..sfsr_model.encoders.untrained import UNTRAINED_ENCODER, UntrainedEncoder
from .host.folders import encoder_names, encoder_path
from .sockets import CATEGORY, IDEncoderSocket, IdentitySocket, face_choice, require, require_images

ENCODERS = (InsightFaceEncoder, UntrainedEncoder)


class LoadIDEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadIDEncoder",
            display_name="Load ID Encoder (SFSR)",
            category=CATEGORY,
            description="A face recogniser: an insightface pack folder or a single ArcFace-type ONNX below "
            "models/insightface. Nothing is downloaded.",
            search_aliases=["insightface", "arcface", "antelopev2", "buffalo_l", "face recognition", "identity"],
            inputs=[
                io.Combo.Input(
                    "encoder",
                    options=encoder_names(),
                    default=UNTRAINED_ENCODER,
                    tooltip="A pack folder (its name ends in /) or an ONNX file below models/insightface. The untrained one "
                    "only keeps a graph whole: it does not know people.",
                ),
                io.Combo.Input(
                    "provider",
                    options=list(PROVIDER_CHOICES),
                    default="auto",
                    tooltip="What runs the ONNX network. 'auto' takes CUDA where both PyTorch and ONNX Runtime have it; 'CUDA' "
                    "is an error where it is missing. Faces take milliseconds on a CPU.",
                ),
            ],
            outputs=[
                IDEncoderSocket.Output("id_encoder", display_name="id_encoder", tooltip="The recogniser, for SFSR Identity."),
                io.String.Output(
                    "info",
                    display_name="info",
                    tooltip="Name, embedding space, size and the provider really in use; connect Preview as Text to read it.",
                ),
            ],
        )

    @classmethod
    def fingerprint_inputs(cls, encoder: str, provider: str) -> str:
        if encoder == UNTRAINED_ENCODER:
            return encoder
        path = encoder_path(encoder)
        files = sorted(path.glob("*.onnx")) if path.is_dir() else [path]
        return "|".join(f"{file.name}:{file.stat().st_mtime_ns}:{file.stat().st_size}" for file in files) + provider

    @classmethod
    def execute(cls, encoder: str, provider: str) -> io.NodeOutput:
        untrained = encoder == UNTRAINED_ENCODER
        loaded = UntrainedEncoder() if untrained else load_recogniser(encoder_path(encoder), provider)
        info = f"{loaded.name}: {loaded.dim} numbers, space {loaded.space}, runs on {loaded.provider}"
        if loaded.note:
            info += f"\n{loaded.note}"
        return io.NodeOutput(loaded, info, ui=ui.PreviewText(info))


class SFSRIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRIdentity",
            display_name="Identity (SFSR)",
            category=CATEGORY,
            description="One person from one or more photos of them.",
            search_aliases=["face embedding", "person", "selfie", "faceid"],
            inputs=[
                IDEncoderSocket.Input("id_encoder", tooltip="The recogniser from Load ID Encoder."),
                io.Image.Input("images", tooltip="One or more photos of the same person, faces at least 60 pixels wide."),
                *face_choice(),
            ],
            outputs=[
                IdentitySocket.Output(
                    "identity", display_name="identity", tooltip="The person, for SFSR Conditioning and the report."
                )
            ],
        )

    @classmethod
    def execute(cls, id_encoder, images, face_order: str, face_index: int) -> io.NodeOutput:
        encoder = require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
        images = require_images(images, "images")
        faces = [find_face(picture, encoder, face_order, face_index, number) for number, picture in enumerate(images)]
        embeddings = [encoder.embed(picture, face.points) for picture, face in zip(images, faces, strict=True)]
        identity = Identity(
            torch.stack(embeddings),
            encoder.space,
            tuple(face.score for face in faces),
            tuple(f"{encoder.name}, picture {number}" for number in range(len(faces))),
        )
        return io.NodeOutput(identity)


NODES = [LoadIDEncoder, SFSRIdentity]
