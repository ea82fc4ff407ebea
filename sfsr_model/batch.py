"""The one rule by which batches of different length meet: equal lengths, or one of a kind for all."""

from __future__ import annotations


def common_length(**lengths: int) -> int:
    """The length that all of the named batches have or, being 1, can be repeated to.

    common_length(image=1, expression=60) is 60. Raises ValueError naming two inputs and their lengths where they do not meet.
    """
    longest = max(lengths, key=lambda name: lengths[name])
    for name, length in lengths.items():
        if length not in (1, lengths[longest]):
            raise ValueError(
                f"{name}: found a batch of {length}, but {longest} is a batch of {lengths[longest]}; expected equal numbers, "
                "or one of either"
            )
    return lengths[longest]


def require_repeatable(name: str, length: int, wanted_by: str, wanted: int) -> None:
    """Raises ValueError, naming both, unless a batch of `length` is as long as is wanted or can be repeated to it."""
    if length not in (1, wanted):
        raise ValueError(
            f"{name}: found a batch of {length}, but {wanted_by} is a batch of {wanted}; expected as many, or one for all"
        )
