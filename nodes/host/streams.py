"""What rides along with a MODEL that SFSR Conditioning accepts: the streams that a person and an expression reach it by."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import comfy.conds
from torch import Tensor

from ...sfsr_model.encoders.identity_batch import IdentityBatch
from ...sfsr_model.expressions import Expression

ATTACHMENT = "sfsr"


@dataclass(frozen=True)
class Traits:
    """What a model is good for. resolution: side of its crops in pixels. trained: False for random weights. one_size_only: it
    makes no face but at its resolution."""

    resolution: int
    trained: bool = True
    one_size_only: bool = False


@dataclass(frozen=True, eq=False)
class Asked:
    """Who, and with which expression: one of each for every picture, or one for all.

    size: (height, width) of their latents. points: [B, 5, 2] in the pixels of the crops, where somebody said where faces are.
    """

    people: IdentityBatch
    look: Expression
    size: tuple[int, int]
    points: Tensor | None = None


@dataclass(frozen=True)
class Acting:
    """How a stream acts in a condition. weight: how strongly, 0 is not at all. on: False for its null, which says nothing."""

    weight: float
    on: bool = True


@dataclass(frozen=True, eq=False)
class Given:
    """What a condition is made of. context: the cross-attention's tokens [B or 1, T, C]. entries: of its dictionary.
    model_conds: what reaches the network beside the context."""

    context: Tensor
    entries: Mapping[str, Any] = field(default_factory=dict)
    model_conds: Mapping[str, Any] = field(default_factory=dict)

    def all_conds(self) -> dict[str, Any]:
        """All that reaches the network, to take the place of another condition's."""
        return {"c_crossattn": comfy.conds.CONDCrossAttn(self.context), **self.model_conds}


@runtime_checkable
class Streams(Protocol):
    """What gives a network its person and its expression."""

    @property
    def traits(self) -> Traits: ...

    def check(self, asked: Asked) -> None:
        """Raise ValueError naming the input where this model cannot take it."""
        ...

    def install(self, model: Any, identity: Acting, expression: Acting) -> None:
        """Give a cloned model what the conditions of a run need."""
        ...

    def given(self, asked: Asked, identity: Acting, expression: Acting, prompt: bool = True) -> Given:
        """A condition of these streams. prompt: of the wanted text, where there is one, or of the unwanted."""
        ...


def attachment(model: Any) -> Streams:
    """What an SFSR model carries. Raises TypeError, saying what was connected, for any other model."""
    found = getattr(model, "attachments", {}).get(ATTACHMENT)
    if not isinstance(found, Streams):
        inner = type(getattr(model, "model", model)).__name__
        raise TypeError(
            f"model: found a {inner} that is no SFSR model; connect the MODEL output of Load SFSR Model, or of SFSR Model from "
            "Adapters"
        )
    return found
