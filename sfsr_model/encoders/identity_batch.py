"""Who is seen in which frame."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from .identity import Identity, same_space


@dataclass(frozen=True, eq=False)
class IdentityBatch:
    """One person for each frame of a batch, or one for all.

    Raises ValueError for an empty batch, and naming the frame when its person is of another recogniser than the first.
    """

    people: tuple[Identity, ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "people", tuple(self.people))
        if not self.people:
            raise ValueError("identity batch: it holds nobody; connect at least one identity")
        for number, person in enumerate(self.people):
            same_space(person, f"identity of frame {number}", self.space, "frame 0's recogniser")

    def __len__(self) -> int:
        return len(self.people)

    @property
    def space(self) -> str:
        return self.people[0].space

    def means(self) -> Tensor:
        """One vector of unit length for each frame, [N, D]."""
        with torch.inference_mode(False):
            return torch.stack([person.mean() for person in self.people])

    def expand(self, frames: int) -> IdentityBatch:
        """The batch itself, or the one person for so many frames. Raises ValueError for another length."""
        if len(self) not in (1, frames):
            raise ValueError(f"identity: found a batch of {len(self)} for {frames} frames; expected as many, or one for all")
        return self if len(self) == frames else IdentityBatch(self.people * frames)

    def repeat(self, times: int) -> IdentityBatch:
        """Each person for so many frames in a row."""
        return IdentityBatch(tuple(person for person in self.people for _ in range(times)))


PEOPLE = (Identity, IdentityBatch)
"""What may stand for the people of a batch."""


def join(identities: Sequence[Identity | IdentityBatch]) -> IdentityBatch:
    """All frames one after the other; a single identity is one frame."""
    return IdentityBatch(tuple(person for one in identities for person in _people(one)))


def per_frame(identity: Identity | IdentityBatch) -> IdentityBatch:
    """Either as a batch: a single identity is the person of all frames."""
    return join([identity])


def _people(identity: Identity | IdentityBatch) -> tuple[Identity, ...]:
    return identity.people if isinstance(identity, IdentityBatch) else (identity,)
