"""Identity and expression vectors to cross-attention tokens."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from types import ModuleType
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

# Coefficients are mostly zero and seldom above 0.7; this brings an active face to about unit deviation.
EXPRESSION_MEAN, EXPRESSION_DEVIATION = 0.1, 0.25


@dataclass(frozen=True)
class CompoundConfig:
    """Sizes of the compound encoder; `context_dim` is the UNet's cross-attention width."""

    identity_dim: int = 512
    expression_dim: int = 52
    pose_dim: int = 3
    context_dim: int = 256
    tokens_per_stream: int = 4
    hidden_dim: int = 512
    balanced: bool = True

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


class Stream(nn.Module):
    """One input vector to `tokens` tokens: MLP, then (when balanced) unit root mean square and a stream embedding."""

    def __init__(self, dim: int, tokens: int, config: CompoundConfig, operations: Any, factory: dict[str, Any]) -> None:
        super().__init__()
        self.tokens = tokens
        self.balanced = config.balanced
        self.expand = operations.Linear(dim, config.hidden_dim, **factory)
        self.project = operations.Linear(config.hidden_dim, tokens * config.context_dim, **factory)
        self.null = nn.Parameter(torch.empty(tokens, config.context_dim, **factory))
        self.embedding = nn.Parameter(torch.empty(config.context_dim, **factory))

    def forward(self, vector: Tensor, weight: Tensor) -> Tensor:
        """vector [B, dim], weight [B] (0 gives the learned null exactly) -> tokens [B, tokens, context_dim]."""
        hidden = nn.functional.silu(self.expand(vector))
        active = rearrange(self.project(hidden), "b (t c) -> b t c", t=self.tokens)
        null = repeat(self.null.to(active), "t c -> b t c", b=active.shape[0])
        if self.balanced:
            active, null = _unit_rms(active), _unit_rms(null)
        tokens = torch.lerp(null, active, rearrange(weight.to(active), "b -> b 1 1"))
        return tokens + self.embedding.to(active)


class CompoundEncoder(nn.Module):
    """Identity tokens, expression tokens and one pose token, in this order along the sequence.

    Each stream has a learned null that stands in where the stream is off, so the sequence never changes its length.
    `operations` supplies the Linear class (torch.nn, or the host's casting layers).
    """

    def __init__(
        self,
        config: CompoundConfig,
        operations: ModuleType | Any = nn,
        dtype: torch.dtype | None = None,
        device: torch.device | str | None = None,
    ) -> None:
        super().__init__()
        self.config = config
        factory = {"dtype": dtype, "device": device}
        self.identity = Stream(config.identity_dim, config.tokens_per_stream, config, operations, factory)
        self.expression = Stream(config.expression_dim, config.tokens_per_stream, config, operations, factory)
        self.pose = Stream(config.pose_dim, 1, config, operations, factory)

    def forward(
        self,
        identity: Tensor,
        expression: Tensor,
        pose: Tensor | None,
        identity_weight: Tensor,
        expression_weight: Tensor,
        pose_weight: Tensor | None = None,
    ) -> Tensor:
        """Tokens [B, 2 * tokens_per_stream + 1, context_dim].

        identity [B, identity_dim], L2-normalised here; expression [B, expression_dim] in [0, 1]; pose [B, 3] in
        radians or None (the pose token is then its null: the pose is read from the surroundings);
        weights [B], usually in [0, 1]: 0 is the learned null, 1 the input. pose_weight: without one the pose follows the
        expression's.
        """
        # A unit vector has entries of about 1/sqrt(dim); bring them to unit deviation as the expression's are.
        unit = nn.functional.normalize(identity, dim=-1) * identity.shape[-1] ** 0.5
        scaled = (expression - EXPRESSION_MEAN) / EXPRESSION_DEVIATION
        if pose is None:
            pose_weight = torch.zeros_like(expression_weight)
        elif pose_weight is None:
            pose_weight = expression_weight
        angles = expression.new_zeros([expression.shape[0], self.config.pose_dim]) if pose is None else pose
        return torch.cat(
            [
                self.identity(unit, identity_weight),
                self.expression(scaled, expression_weight),
                self.pose(angles, pose_weight),
            ],
            dim=1,
        )


def _unit_rms(tokens: Tensor) -> Tensor:
    return tokens * torch.rsqrt(tokens.float().pow(2).mean(dim=-1, keepdim=True) + 1e-6).to(tokens)
