"""Keys and values of an adapter's tokens for every cross-attention."""

from __future__ import annotations

from types import ModuleType
from typing import Any

import torch
from torch import Tensor, nn

from .adapter import Adapter


class KeysValues(nn.Module):
    """Tokens to keys and values of each layer, for decoupled attention:

    out = Attention(q, k, v) + scale * Attention(q, keys(tokens), values(tokens)), before the layer's own output projection.

    `operations` supplies the Linear class (torch.nn, or the host's casting layers).
    """

    def __init__(
        self,
        adapter: Adapter,
        operations: ModuleType | Any = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.layers: Any = nn.ModuleDict()
        for number, weights in adapter.keys_values.items():
            linears = []
            for weight in weights:
                channels, context_dim = weight.shape
                linear = operations.Linear(context_dim, channels, bias=False, dtype=dtype, device=device)
                linear.load_state_dict({"weight": weight})
                linears.append(linear)
            self.layers[str(number)] = nn.ModuleList(linears)
        self.eval().requires_grad_(False)

    def forward(self, tokens: Tensor) -> dict[int, tuple[Tensor, Tensor]]:
        """tokens [B, T, context_dim] -> keys and values, each [B, T, channels], by the layer's number."""
        return {int(number): (keys(tokens), values(tokens)) for number, (keys, values) in self.layers.items()}
