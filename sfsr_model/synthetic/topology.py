"""MakeHuman's base mesh hm08: which of its parts a portrait needs, and where its files lie in the data folder."""

from __future__ import annotations

BASE_MESH = "3dobjs/base.obj"
EYE_GROUPS = ("helper-l-eye", "helper-r-eye")
EYE_JOINTS = ("joint-l-eye", "joint-r-eye")
TONGUE_GROUP = "helper-tongue"

# The part of the body kept for portraits, in the mesh's decimetres: above the breast, without the arms.
LOWEST, WIDEST = 4.3, 2.4
# Joints about which the head turns and which part head from trunk.
NECK_JOINT, HEAD_JOINT = "joint-neck", "joint-head"

# The rectangle of the skin's texture that holds head and mouth, as (left, top, right, bottom) fractions with v downwards.
# The mouth's inside is the piece below _MOUTH_TOP.
SKIN_CROP = (0.63, 0.17, 1.0, 0.99)
MOUTH_TOP = 0.86
# Around the brows in the base mesh: half width, lowest and highest y, and least z of the skin they lie on.
BROW_BOX = (0.62, 7.25, 7.85, 1.05)

MACRO_RACES = ("african", "asian", "caucasian")
MACRO_SEXES = ("female", "male")
MACRO_AGES = ("young", "old")
SLIDER_FOLDERS = ("cheek", "chin", "ears", "eyebrows", "eyes", "forehead", "head", "mouth", "neck", "nose")
OPPOSITES = (
    ("decr", "incr"),
    ("down", "up"),
    ("in", "out"),
    ("backward", "forward"),
    ("compress", "uncompress"),
    ("concave", "convex"),
)

SKINS = (
    "middleage_darkskinned_male_diffuse",
    "middleage_lightskinned_female_diffuse2",
    "middleage_lightskinned_male_diffuse",
    "middleage_lightskinned_male_diffuse2",
    "old_darkskinned_male_diffuse",
    "young_darkskinned_male_diffuse",
    "young_lightskinned_female_diffuse2",
    "young_lightskinned_female_diffuse3",
    "young_lightskinned_male_diffuse",
    "young_lightskinned_male_diffuse2",
    "young_lightskinned_male_diffuse3",
)
HAIRS = ("bob02", "braid01", "long01", "ponytail01", "short01", "short02", "short03", "short04")
BROWS = tuple(f"eyebrow{number:03d}" for number in range(1, 13))
LASHES = tuple(f"eyelashes{number:02d}" for number in range(1, 5))


def macro_path(race: str, sex: str, age: str) -> str:
    """File of one corner of the macro shape space."""
    return f"targets/macrodetails/{race}-{sex}-{age}.target"
