"""Identity nodes: load a recogniser, and make one person of one or more photos."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import torch
from comfy_api.latest import io, ui

from ..sfsr_model.bundled import is_bundled_encoder
from ..sfsr_model.encoders.agreement import DEFAULT_THRESHOLD
from ..sfsr_model.encoders.bundled import THRESHOLD, load_bundled_encoder
from ..sfsr_model.encoders.detection import LEAVE, TAKE
from ..sfsr_model.encoders.enrolment import (
    ENROLMENT_ORDERS,
    LEAST_WIDTH,
    MOST_SIMILAR,
    NO_FACE_POLICIES,
    OUTLIER_POLICIES,
    Enrolment,
    FaceChoice,
    enrol,
)
from ..sfsr_model.encoders.faces import NoFaceError, TooFewFacesError
from ..sfsr_model.encoders.identity import Identity
from ..sfsr_model.encoders.pack import load_recogniser
from ..sfsr_model.encoders.preview import number_faces
from ..sfsr_model.encoders.recogniser import InsightFaceEncoder
from ..sfsr_model.encoders.runtime import PROVIDER_CHOICES
from ..sfsr_model.encoders.untrained import UNTRAINED_ENCODER, UntrainedEncoder
from ..sfsr_model.naming import naming
from .given import checked, of_turns
from .host.faces import given_faces
from .host.folders import default_encoder, encoder_files, encoder_names, encoder_path, fingerprint
from .host.progress import steps
from .sockets import (
    CATEGORY,
    IDEncoderSocket,
    IdentitySocket,
    face_choice,
    given_face_inputs,
    refused_choice,
    require,
    require_images,
    told_beforehand,
)

logger = logging.getLogger(__name__)

ENCODERS = (InsightFaceEncoder, UntrainedEncoder)
OWN_THRESHOLD = 0.0
"""The widget's value that stands for the recogniser's own threshold."""
LISTS = ONE_EACH, ONE_OF_ALL = ("one person each", "one person of all")
"""What photos make that the host hands on one by one, as those of a folder."""


class LoadIDEncoder(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="LoadIDEncoder",
            display_name="Load ID Encoder (SFSR)",
            category=CATEGORY,
            description="What tells people apart, and finds their faces: the small encoder that comes with this "
            "pack, an insightface pack folder or a single ArcFace-type ONNX below models/insightface. Nothing is downloaded.",
            search_aliases=["insightface", "arcface", "antelopev2", "buffalo_l", "face recognition", "identity"],
            inputs=[
                io.Combo.Input(
                    "encoder",
                    options=encoder_names(),
                    default=default_encoder(),
                    tooltip="The bundled one, whose identities the bundled checkpoint takes, or a pack folder (its name ends "
                    "in /) or an ONNX file below models/insightface.",
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
                    tooltip="Name, embedding space, size, the provider really in use, and what the files say of their data and "
                    "licence; connect Preview as Text to read it.",
                ),
            ],
        )

    @classmethod
    def validate_inputs(cls, encoder: str | None = None) -> bool | str:
        """Takes the place of the host's own list check: says what is missing, and still takes names of before and the
        untrained stand-in."""
        return told_beforehand(encoder_path, None if encoder == UNTRAINED_ENCODER else encoder)

    @classmethod
    def fingerprint_inputs(cls, encoder: str | None, provider: str) -> str | float:
        return fingerprint(encoder, lambda name: [] if name == UNTRAINED_ENCODER else encoder_files(name))

    @classmethod
    @checked
    def execute(cls, encoder: str, provider: str) -> io.NodeOutput:
        if encoder == UNTRAINED_ENCODER:
            loaded = UntrainedEncoder()
        elif is_bundled_encoder(encoder):
            loaded = load_bundled_encoder(provider)
        else:
            loaded = load_recogniser(encoder_path(encoder), provider)
        info = f"{loaded.name}: {loaded.dim} numbers, space {loaded.space}, runs on {loaded.provider}"
        if loaded.note:
            info += f"\n{loaded.note}"
        return io.NodeOutput(loaded, info, ui=ui.PreviewText(info))


@dataclass(frozen=True, eq=False)
class _Asked:
    """images: photos [B, H, W, 3] of one size. given: the finds in each, by somebody else. together: whether the photos of all
    turns are of one person. settings: the rest, as `enrol` takes it."""

    images: torch.Tensor
    given: list | None
    together: bool
    settings: dict[str, Any]


def _asked(
    _node: type[io.ComfyNode],
    id_encoder,
    images,
    face_order: str,
    face_index: int,
    no_face: str = NO_FACE_POLICIES[0],
    outliers: str = OUTLIER_POLICIES[0],
    outlier_threshold: float = OWN_THRESHOLD,
    identity=None,
    similar_to=None,
    photo_list: str = ONE_EACH,
    face_landmarks=None,
    bboxes=None,
    refused_faces: str = LEAVE,
) -> _Asked:
    """What the node was asked in one turn."""
    encoder = require(id_encoder, ENCODERS, "id_encoder", "Load ID Encoder")
    images = require_images(images, "images")
    earlier = None if identity is None else require(identity, Identity, "identity", "Identity")
    wanted = None if similar_to is None else require(similar_to, Identity, "similar_to", "Identity")
    return _Asked(
        images,
        given_faces(images, encoder, face_landmarks, bboxes),
        photo_list == ONE_OF_ALL,
        {
            "encoder": encoder,
            "choice": FaceChoice(face_order, face_index, wanted),
            "no_face": no_face,
            "outliers": outliers,
            "threshold": None if outlier_threshold == OWN_THRESHOLD else outlier_threshold,
            "earlier": earlier,
            "overrule": refused_faces == TAKE,
        },
    )


class SFSRIdentity(io.ComfyNode):
    @classmethod
    def define_schema(cls) -> io.Schema:
        return io.Schema(
            node_id="SFSRIdentity",
            display_name="Identity (SFSR)",
            category=CATEGORY,
            description="One person from one or more photos of them.",
            search_aliases=["face embedding", "person", "selfie", "faceid", "list of photos", "folder of photos"],
            is_input_list=True,
            inputs=[
                IDEncoderSocket.Input("id_encoder", tooltip="The recogniser from Load ID Encoder."),
                io.Image.Input(
                    "images", tooltip=f"One or more photos of the same person, faces at least {LEAST_WIDTH} pixels wide."
                ),
                *face_choice(ENROLMENT_ORDERS),
                io.Combo.Input(
                    "no_face",
                    options=list(NO_FACE_POLICIES),
                    default=NO_FACE_POLICIES[0],
                    optional=True,
                    tooltip="A photo without the wanted face stops the run, or is skipped and named in the report.",
                ),
                io.Combo.Input(
                    "outliers",
                    options=list(OUTLIER_POLICIES),
                    default=OUTLIER_POLICIES[0],
                    optional=True,
                    tooltip="What happens to a photo that seems to show somebody else than the others do. At least half of "
                    "them are kept, and of two that disagree both.",
                ),
                io.Float.Input(
                    "outlier_threshold",
                    default=OWN_THRESHOLD,
                    min=-1.0,
                    max=1.0,
                    step=0.01,
                    optional=True,
                    advanced=True,
                    tooltip="Cosine to the other photos below which a photo is of somebody else. 0 takes the recogniser's "
                    f"own: {THRESHOLD:g} for the bundled one, {DEFAULT_THRESHOLD:g} for any other.",
                ),
                IdentitySocket.Input(
                    "identity", optional=True, tooltip="An earlier identity of the same person, to which the photos are added."
                ),
                IdentitySocket.Input(
                    "similar_to",
                    optional=True,
                    tooltip=f"Whom to look for when the face order is '{MOST_SIMILAR}': face 0 is the one most like them.",
                ),
                io.Combo.Input(
                    "photo_list",
                    options=list(LISTS),
                    default=ONE_EACH,
                    optional=True,
                    advanced=True,
                    tooltip="What photos make that come as a list, such as those of a folder: a person each, or one person of "
                    "all of them, whatever their sizes. A batch is one person either way.",
                ),
                *given_face_inputs(),
                refused_choice(),
            ],
            outputs=[
                IdentitySocket.Output(
                    "identity_out",
                    display_name="identity",
                    is_output_list=True,
                    tooltip="The person, for SFSR Conditioning and the report.",
                ),
                io.String.Output(
                    "report",
                    display_name="report",
                    is_output_list=True,
                    tooltip="What was found in each photo, how like the others it is, and which were left out and why.",
                ),
                io.Image.Output(
                    "preview",
                    display_name="preview",
                    is_output_list=True,
                    tooltip="The photos with every face boxed and numbered in the chosen order; the one used is green.",
                ),
            ],
        )

    @classmethod
    @of_turns(_asked)
    def execute(cls, turns: list[_Asked]) -> io.NodeOutput:
        groups = [turns] if turns[0].together else [[turn] for turn in turns]
        made = [_person(group) for group in groups]
        reports = [found.report for found, _ in made]
        if len(made) > 1:
            note = (
                f"{len(made)} photos or batches came one by one, as a list, and each made a person of its own; for one person "
                f"of all of them set photo_list to '{ONE_OF_ALL}'"
            )
            logger.warning("SFSR: images: %s", note)
            reports = [f"{report}\nwarning: {note}" for report in reports]
        people, previews = [found.identity for found, _ in made], [shown for _, drawn in made for shown in drawn]
        return io.NodeOutput(people, reports, previews, ui={"text": tuple(reports)})


def _person(turns: list[_Asked]) -> tuple[Enrolment, list[torch.Tensor]]:
    """One person of the photos of all turns, by the settings of the first, and each turn's photos with their faces numbered."""
    photos = [photo for turn in turns for photo in turn.images]
    given = [finds for turn in turns for finds in turn.given or ()] or None
    with naming("images", (NoFaceError, TooFewFacesError)):
        found = enrol((photo for _, photo in steps(photos)), **turns[0].settings, given=given)
    for warning in found.warnings:
        logger.warning("SFSR: %s", warning)
    drawn = [
        number_faces(photo, one.faces, one.chosen, "" if one.chosen is not None else "not used")
        for photo, one in zip(photos, found.sightings, strict=True)
    ]
    counts = [len(turn.images) for turn in turns]
    return found, [torch.stack(drawn[end - count : end]) for count, end in zip(counts, accumulate(counts), strict=True)]


NODES = [LoadIDEncoder, SFSRIdentity]
