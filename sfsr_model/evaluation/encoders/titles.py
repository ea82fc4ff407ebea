"""What figures are called in the tables of encoders, in the order of their rows, and how their numbers are written."""

from __future__ import annotations

from itertools import pairwise

from ..metrics import Figure, shown
from .finds import YAWS
from .photo_detection import SIZES, TURNS

_YAWS = {f"points_yaw_{low:g}": f"points: error, turned {low:g} to {high:g} degrees" for low, high in pairwise(YAWS)}
_MOVES = {f"turned_{degrees}": f"picture turned by {degrees} degrees" for degrees in TURNS} | {
    f"sized_{side}": f"face of {side} pixels" for side in SIZES
}
_MOVED = {
    name: title
    for kind, move in _MOVES.items()
    for name, title in ((kind, f"{move}: found"), (f"{kind}_clean", f"{move}: found or refused, nothing wrong accepted"))
}
TITLES = {
    "auc": "verification: area under the ROC curve",
    "tar_permille": "verification: true accepts at 0.1 % false ones",
    "from_permille": "verification: the cosine that at most 0.1 % of false ones reach",
    "tar_percent": "verification: true accepts at 1 % false ones",
    "from_percent": "verification: the cosine that at most 1 % of false ones reach",
    "retrieved": "the reference is found first among all people",
    "face_before_head": "nearer to the person than to the own head with another face",
    "cosine_same": "cosine: same person",
    "cosine_others": "cosine: other people, mean",
    "cosine_same_head": "cosine: same head, another face",
    "norm_permille": "length of the embedding: 0.1 % of faces are no longer",
    "norm_percent": "length of the embedding: 1 % of faces are no longer",
    "norm_floor": "length that the pack asks for",
    "refused_faces": "refused for their length: faces",
    "refused_patches": "refused for their length: pieces of photos without a face",
    "refused_low": "refused for their length: crops half a face too low",
    "read": "faces read",
    "error_active": "error of coefficients above 0.05",
    "error_all": "error of all coefficients",
    "correlation": "correlation, mean of coefficients",
    "correlation_smile": "correlation: smile",
    "smiles_more": "people whose smile is read as more of one than their neutral face",
    "pose": "pose: mean error in degrees",
    "pitch": "pose: pitch",
    "yaw": "pose: yaw",
    "roll": "pose: roll",
    "recall": "faces found (overlap 0.5)",
    "points": "points: error in shares of the eyes' distance",
    "points_far": "points: faces with an error above 10 %",
    **_YAWS,
    "false": "false finds a picture",
    **_MOVED,
    "false_patches": "false finds a picture: pieces of photos",
    "false_backdrops": "false finds a picture: the renderer's backdrops",
    "found": "photos with a face",
    "several": "photos with several faces",
    "milliseconds": "milliseconds of one core, median",
    "times_mediapipe": "times MediaPipe's, median",
}
_SHARES = {
    "tar_permille", "tar_percent", "retrieved", "face_before_head", "refused_faces", "refused_patches", "refused_low", "read",
    "recall", "points", "points_far", "found", "several", *_YAWS, *_MOVED,
}  # fmt: skip
_TWO_DIGITS = {"pose", "pitch", "yaw", "roll", "milliseconds", "times_mediapipe", "norm_permille", "norm_percent", "norm_floor"}
_COUNTS = {"smiles_more"}


def written(name: str, figure: Figure) -> str:
    """A figure as its table shows it."""
    if name in _COUNTS and figure.value is not None:
        return f"{round(figure.value * figure.count)} of {figure.count}"
    form = ".1%" if name in _SHARES else ".2f" if name in _TWO_DIGITS else ".3f"
    return shown(figure, lambda number: format(number, form))
