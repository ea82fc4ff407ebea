"""How each ARKit coefficient is built from MakeHuman's face units, expression targets and pose units.

An entry is (kind, unit, strength). Kinds: "face" a target of targets/faceunits; "target" an expression target, the mean of its
three ancestries; "pose" a face pose unit. Units that move both sides are cut to the coefficient's own side where its name
ends in Left or Right. The face units alone are too weak at brows, nose and the mouth's corners; the others strengthen them.
"""

from __future__ import annotations

from ..expressions import ARKIT_NAMES

Part = tuple[str, str, float]

# {side} is left/right, {Side} Left/Right.
_PARTS: dict[str, tuple[Part, ...]] = {
    "eyeBlink": (("face", "eyeBlink{Side}", 1.0),),
    "eyeLookDown": (("face", "eyeLookDown{Side}", 1.0),),
    "eyeSquint": (("face", "eyeSquint{Side}", 1.0), ("target", "eye-{side}-slit", 0.35)),
    "eyeWide": (("face", "eyeWide{Side}", 1.3), ("target", "eye-{side}-opened-up", 0.7)),
    "jawOpen": (("face", "jawOpen", 1.0),),
    "mouthSmile": (
        ("face", "mouthSmile{Side}", 1.0), ("target", "mouth-corner-puller", 0.45), ("pose", "Mouth{Side}PullUp", 0.2),
    ),
    "mouthFrown": (("face", "mouthFrown{Side}", 1.3), ("target", "mouth-depression", 0.5), ("face", "mouthStretch{Side}", 0.4)),
    "mouthStretch": (("face", "mouthStretch{Side}", 1.0), ("target", "mouth-retraction", 0.3)),
    "mouthPress": (("face", "mouthPress{Side}", 1.0), ("target", "mouth-compression", 0.1)),
    "mouthPucker": (("face", "mouthPucker", 1.5), ("target", "mouth-pursing", 0.6)),
    "mouthFunnel": (
        ("face", "mouthFunnel", 0.75), ("target", "mouth-eversion", 0.9),
        ("pose", "UpperLipUp", 0.35), ("pose", "lowerLipDown", 0.5),
    ),
    "mouthUpperUp": (("face", "mouthUpperUp{Side}", 1.0), ("target", "mouth-elevation", 0.3)),
    "mouthLowerDown": (("face", "mouthLowerDown{Side}", 1.0), ("target", "mouth-depression-retraction", 0.15)),
    "browDown": (("face", "browDown{Side}", 1.0), ("target", "eyebrows-{side}-down", 0.7)),
    "browInnerUp": (
        ("face", "browInnerUp", 1.8),
        ("target", "eyebrows-left-inner-up", 1.4),
        ("target", "eyebrows-right-inner-up", 1.4),
        ("target", "eyebrows-left-up", 1.1),
        ("target", "eyebrows-right-up", 1.1),
        ("pose", "LeftInnerBrowUp", 0.4),
        ("pose", "RightInnerBrowUp", 0.4),
    ),
    "browOuterUp": (("face", "browOuterUp{Side}", 1.2), ("target", "eyebrows-{side}-extern-up", 0.8)),
    "cheekPuff": (
        ("pose", "CheeksPump", 1.1), ("target", "mouth-compression", 0.3),
        ("pose", "MouthLeftPullSide", 0.2), ("pose", "MouthRightPullSide", 0.2),
    ),
    "cheekSquint": (("face", "cheekSquint{Side}", 1.0), ("pose", "{Side}CheekUp", 0.4)),
    "noseSneer": (
        ("face", "noseSneer{Side}", 1.2),
        ("target", "nose-{side}-elevation", 0.6),
        ("pose", "NoseWrinkler", 0.4),
    ),
}  # fmt: skip

# By name or stem.
_NOTES = {
    "eyeLook": "the eyeball turns rigidly; the unit moves the lids",
    "mouthClose": "closes the lips over an open jaw; without jawOpen it means nothing",
    "tongueOut": "weak: the tongue comes forward through an open mouth, the unit does not open it",
    "cheekSquint": "weak: the unit moves the cheek, not its folds",
    "noseSneer": "weak: the unit lifts the wing, it has no folds beside the nose",
    "jawForward": "weak: a few millimetres",
    "mouthDimple": "weak: the unit presses the corner inwards, but no dimple shows",
    "mouthShrug": "weak: the chin does not pucker",
}


def note_of(name: str) -> str:
    """What the assets cannot express about a coefficient, or how to read it; empty where there is nothing to say."""
    return next((note for stem, note in _NOTES.items() if name.startswith(stem)), "")


def parts_of(name: str) -> tuple[Part, ...]:
    """The units of one coefficient; raises KeyError for a name that is not ARKit's."""
    if name not in ARKIT_NAMES:
        raise KeyError(name)
    side = side_of(name)
    stem = name[: len(name) - len(side)]
    parts = _PARTS.get(stem, (("face", name, 1.0),))
    return tuple((kind, unit.format(Side=side, side=side.lower()), strength) for kind, unit, strength in parts)


def side_of(name: str) -> str:
    """ "Left", "Right" or "" for a coefficient that moves both sides of the face."""
    if name in ("jawLeft", "jawRight", "mouthLeft", "mouthRight"):
        return ""
    return next((side for side in ("Left", "Right") if name.endswith(side)), "")


def markdown_table() -> list[str]:
    """Lines of a Markdown table of all coefficients; the right side of the face mirrors the left."""
    lines = ["| coefficient | made of | note |", "|---|---|---|"]
    for name in ARKIT_NAMES:
        if side_of(name) != "Right":
            recipe = " + ".join(f"{strength:g} {kind}:{unit}" for kind, unit, strength in parts_of(name))
            lines.append(f"| {name} | {recipe} | {note_of(name)} |")
    return lines
