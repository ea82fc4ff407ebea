"""Which recogniser an identity adapter was trained on, held against the one that made a person."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from .kinds import ANTELOPE_V2, ARC2FACE, BUFFALO_L

SPACES: Mapping[str, str] = MappingProxyType(
    {BUFFALO_L: "onnx-4c06341c33c2", ANTELOPE_V2: "onnx-4ab1d6435d63", ARC2FACE: "onnx-ec639a04"}
)
"""How the tags of their embeddings begin: with the published files' SHA-256."""


def doubt_of(wanted: str | None, who: str, space: str, others: Mapping[str, str]) -> str | None:
    """What is to be said of a person of this space to whom knows people by one recogniser alone: nothing of the right one's.

    wanted: that recogniser, a key of SPACES, or None. who: wants it, for people. others: spaces that are known to be of other
    recognisers, and what these are called. Raises ValueError for one of these, or of another key's.
    """
    if wanted is None or space.startswith(SPACES[wanted]):
        return None
    choose = f"{who} knows people by {wanted} alone: choose that in Load ID Encoder"
    known = next((name for name, tag in SPACES.items() if space.startswith(tag)), others.get(space))
    if known is not None:
        raise ValueError(f"identity: it was made by {known}, of the space '{space}'; {choose}, and make the identity with it")
    return (
        f"the person was made by a recogniser of the space '{space}', which is not the published file of {wanted}. {choose}, "
        "unless this is the same network in another file"
    )
