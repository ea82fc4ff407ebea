"""The kinds of adapter: what each is given, from whom it comes, under which licence."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from ..expressions.flame import FLAME_NAMES

IDENTITY, EXPRESSION = "identity", "expression"
"""The two streams."""

BUFFALO_L = "w600k_r50 of buffalo_l"
ANTELOPE_V2 = "glintr100 of antelopev2"
ARC2FACE = "arcface.onnx of Arc2Face"

IDENTITY_WIDTH = 512
FLAME_WIDTH = len(FLAME_NAMES)
ACTION_UNITS = (1, 2, 4, 5, 6, 9, 12, 15, 17, 20, 25, 26)
"""What FineFace is told of, in its order (DISFA's units), each from 0 to 5."""

PICTURE_WIDTH = 1280
"""Width of the features of a picture that plus and plusv2 take: CLIP ViT-H/14's last layer but one, [257, 1280]."""

_FACEID_LICENCE = "research only, non-commercial (the recogniser's terms); code Apache-2.0"


@dataclass(frozen=True)
class Kind:
    """What holds for every file of a kind.

    inputs: numbers in the vector it is given; raw: that vector is an embedding with its length, otherwise a unit vector;
    wants_picture: CLIP features of the aligned face as well; recogniser: whose embeddings it was trained on, and no other's
    will do; title and about: for messages and tooltips.
    """

    title: str
    stream: str
    inputs: int
    about: str
    licence: str
    recogniser: str | None = None
    raw: bool = False
    wants_picture: bool = False


FACEID, FACEID_PLUS, PORTRAIT, PORTRAIT_UNNORM = "faceid", "faceid plus", "portrait", "unnorm portrait"
INSTANTID, FLAME_EXPRESSION, FINEFACE = "instantid", "expression", "fineface"

KINDS: Mapping[str, Kind] = MappingProxyType(
    {
        FACEID: Kind(
            "IP-Adapter FaceID",
            IDENTITY,
            IDENTITY_WIDTH,
            "h94/IP-Adapter-FaceID: ip-adapter-faceid_sd15.bin, ip-adapter-faceid_sdxl.bin",
            _FACEID_LICENCE,
            BUFFALO_L,
        ),
        FACEID_PLUS: Kind(
            "IP-Adapter FaceID plus or plusv2",
            IDENTITY,
            IDENTITY_WIDTH,
            "h94/IP-Adapter-FaceID: ip-adapter-faceid-plus_sd15.bin, ip-adapter-faceid-plusv2_sd15.bin, "
            "ip-adapter-faceid-plusv2_sdxl.bin; needs CLIP ViT-H/14's picture encoder",
            _FACEID_LICENCE,
            BUFFALO_L,
            wants_picture=True,
        ),
        PORTRAIT: Kind(
            "IP-Adapter FaceID portrait",
            IDENTITY,
            IDENTITY_WIDTH,
            "h94/IP-Adapter-FaceID: ip-adapter-faceid-portrait_sd15.bin, ip-adapter-faceid-portrait-v11_sd15.bin, "
            "ip-adapter-faceid-portrait_sdxl.bin",
            _FACEID_LICENCE,
            BUFFALO_L,
        ),
        PORTRAIT_UNNORM: Kind(
            "IP-Adapter FaceID portrait, unnorm",
            IDENTITY,
            IDENTITY_WIDTH,
            "h94/IP-Adapter-FaceID: ip-adapter-faceid-portrait_sdxl_unnorm.bin",
            _FACEID_LICENCE,
            BUFFALO_L,
            raw=True,
        ),
        INSTANTID: Kind(
            "InstantID's IP-Adapter",
            IDENTITY,
            IDENTITY_WIDTH,
            "InstantX/InstantID: ip-adapter.bin, beside its ControlNetModel",
            "Apache-2.0; the recogniser is for research only",
            ANTELOPE_V2,
            raw=True,
        ),
        FLAME_EXPRESSION: Kind(
            "Arc2Face Expression Adapter",
            EXPRESSION,
            FLAME_WIDTH,
            "FoivosPar/Arc2Face: exp_adapter/exp_adapter.bin; takes 50 expression, 2 eyelid and 3 jaw numbers, in this order, "
            "as SMIRK reads them",
            "MIT by its card; the training data is non-commercial",
        ),
        FINEFACE: Kind(
            "FineFace",
            EXPRESSION,
            len(ACTION_UNITS),
            "Tvaranka/fineface: sd15_au_encoder.ckpt and sd15_attn_processors.ckpt",
            "Apache-2.0; the training data (DISFA, AffectNet) is for research only",
        ),
    }
)


def default_shortcut(name: str) -> bool:
    """Whether a FaceID plus file is plusv2, by its name: the two have the same entries, and only plusv2 takes the shortcut."""
    return re.search(r"plus[-_ ]?v2", name.lower()) is not None


def default_raw_kind(name: str) -> str:
    """Of the two kinds whose files have the same entries and shapes, the one that a file's name (or folder) speaks for."""
    return PORTRAIT_UNNORM if re.search(r"unnorm|portrait", name.lower()) else INSTANTID
