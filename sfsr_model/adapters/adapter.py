"""An adapter as it was read from its file, and whether it fits a network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from torch import Tensor

from .kinds import KINDS, Kind
from .layers import AttentionLayer

SD15, SDXL, OTHER = "sd15", "sdxl", "other"
_BASES = {(16, 768): SD15, (70, 2048): SDXL}
_FAMILIES = {768: "SD 1.5", 1024: "SD 2", 2048: "SDXL"}

LoraPair = tuple[Tensor, Tensor]
"""down [rank, inputs] and up [outputs, rank]."""


class AdapterError(ValueError):
    """A file that is no adapter, a damaged one, or one for another network; the message names it, and says what to do."""


@dataclass(frozen=True, eq=False)
class Adapter:
    """Tensors of an adapter, sorted by what they do.

    name: the file's, for messages; kind: a key of `KINDS`; tokens [T] of width context_dim that it adds; projection: the
    weights that make tokens of a vector; keys_values: weights of keys and values, each [channels, context_dim], by the number
    of the cross-attention; names: diffusers' module path of each of these, where the file says; lora: of each attention, by
    its number in the file (even: self-attention), the parts to_q, to_k, to_v and to_out.0.
    """

    name: str
    kind: str
    context_dim: int
    tokens: int
    projection: Mapping[str, Tensor]
    keys_values: Mapping[int, tuple[Tensor, Tensor]]
    names: Mapping[int, str] = field(default_factory=dict)
    lora: Mapping[int, Mapping[str, LoraPair]] = field(default_factory=dict)

    @property
    def facts(self) -> Kind:
        return KINDS[self.kind]

    @property
    def base(self) -> str:
        """ "sd15" or "sdxl", by the number of layers and the context's width; "other" for a net of another size."""
        return _BASES.get((len(self.keys_values), self.context_dim), OTHER)

    @property
    def stream(self) -> str:
        return self.facts.stream

    @property
    def inputs(self) -> int:
        return self.facts.inputs

    @property
    def recogniser(self) -> str | None:
        return self.facts.recogniser

    @property
    def raw(self) -> bool:
        return self.facts.raw

    @property
    def wants_picture(self) -> bool:
        return self.facts.wants_picture

    @property
    def licence(self) -> str:
        return self.facts.licence

    @property
    def about(self) -> str:
        return self.facts.about

    def fits(self, layers: Sequence[AttentionLayer], context_dim: int) -> None:
        """Raises AdapterError unless every layer of a network has its keys and values here, at its width, and none is left.

        context_dim: the width of what the network attends to (768 for SD 1.5, 2048 for SDXL).
        """
        here = f"{self.name}: {self.facts.title} for {_describe(len(self.keys_values), self.context_dim)}"
        there = f"the model is {_describe(len(layers), context_dim)}"
        if self.context_dim != context_dim:
            raise AdapterError(f"{here}; {there}; choose an adapter for this model's family, or a model of the adapter's")
        missing = [layer for layer in layers if layer.number not in self.keys_values]
        extra = self.keys_values.keys() - {layer.number for layer in layers}
        if missing or extra:
            which = f"; the first without an entry is {missing[0].name}" if missing else ""
            raise AdapterError(
                f"{here}; {there}{which}; the file is cut off or made for another network: get it again, or choose another"
            )
        for layer in layers:
            widths = [tensor.shape[0] for tensor in self.keys_values[layer.number]]
            if any(width != layer.channels for width in widths):
                raise AdapterError(
                    f"{here}; its layer {layer.number} has {widths[0]} channels, and {layer.name} of the model has "
                    f"{layer.channels}; choose an adapter that was made for this network"
                )
            named = self.names.get(layer.number, layer.name)
            if named != layer.name:
                raise AdapterError(
                    f"{here}; it names {named} where the model has {layer.name}; choose an adapter that was made for this "
                    "network"
                )


def _describe(layers: int, context_dim: int) -> str:
    family = _FAMILIES.get(context_dim)
    size = f"{layers} layers with context {context_dim}"
    return f"{family} ({size})" if family else f"a network of {size}"
