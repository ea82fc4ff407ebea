"""What makes tokens of a vector: of a person's embedding, or of an expression.

The modules have the entries of their files, so a file's weights load as they are. `operations` supplies the layers (torch.nn,
or the host's casting layers); tokens come out in the type of the vector.

IP-Adapter (Ye et al. 2023) and its FaceID variants, InstantID (Wang et al. 2024), Arc2Face's Expression Adapter and FineFace
(Varanka et al. 2024) take for their null the projection of a zero vector, not zero tokens. For plus and plusv2 the reference
gives beside it the features of a picture that is zero after normalisation, of CLIP's mean colour throughout; that is the
caller's to make, as all features are.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import ModuleType
from typing import Any

import torch
from einops import rearrange, repeat
from torch import Tensor, nn

from .adapter import Adapter, AdapterError
from .kinds import FACEID, FACEID_PLUS, FINEFACE, FLAME_EXPRESSION, INSTANTID, PORTRAIT, PORTRAIT_UNNORM

HEAD_CHANNELS = 64
FEED_FORWARD = 4


class Projection(nn.Module):
    """A vector to tokens. All kinds are called alike, whether or not they look at the picture."""

    inputs: int
    tokens: int
    context_dim: int

    def forward(self, vector: Tensor, picture_features: Tensor | None = None, shortcut: bool = False) -> Tensor:
        """vector [B, inputs] -> tokens [B, tokens, context_dim].

        picture_features: CLIP's of the aligned face, [B, 257, 1280], for plus and plusv2; shortcut: what makes a plusv2 of a
        plus. The other kinds look at neither.
        """
        raise NotImplementedError

    def null(self, picture_features: Tensor | None = None, shortcut: bool = False, like: Tensor | None = None) -> Tensor:
        """Tokens [1, tokens, context_dim] of nobody, or of no expression: those of a zero vector of the type of `like`."""
        like = next(self.parameters()) if like is None else like
        return self(like.new_zeros(1, self.inputs), picture_features, shortcut)


class _Look(nn.Module):
    """Attention of the queries to what is given and to themselves."""

    def __init__(self, width: int, heads: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.heads = heads
        inner = heads * HEAD_CHANNELS
        self.norm1 = operations.LayerNorm(width, **factory)
        self.norm2 = operations.LayerNorm(width, **factory)
        self.to_q = operations.Linear(width, inner, bias=False, **factory)
        self.to_kv = operations.Linear(width, 2 * inner, bias=False, **factory)
        self.to_out = operations.Linear(inner, width, bias=False, **factory)

    def forward(self, given: Tensor, queries: Tensor) -> Tensor:
        queries = self.norm2(queries)
        keys, values = self.to_kv(torch.cat([self.norm1(given), queries], dim=1)).chunk(2, dim=-1)
        q, k, v = (rearrange(one, "b n (h d) -> b h n d", h=self.heads) for one in (self.to_q(queries), keys, values))
        return self.to_out(rearrange(nn.functional.scaled_dot_product_attention(q, k, v), "b h n d -> b n (h d)"))


def _feed_forward(width: int, operations: Any, **factory: Any) -> nn.Sequential:
    return nn.Sequential(
        operations.LayerNorm(width, **factory),
        operations.Linear(width, FEED_FORWARD * width, bias=False, **factory),
        nn.GELU(),
        operations.Linear(FEED_FORWARD * width, width, bias=False, **factory),
    )


class _Perceiver(nn.Module):
    """Queries that look at something, layer by layer. Files have it alone or as a part."""

    def __init__(self, inputs: int, width: int, outputs: int, depth: int, heads: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.proj_in = operations.Linear(inputs, width, **factory)
        self.proj_out = operations.Linear(width, outputs, **factory)
        self.norm_out = operations.LayerNorm(outputs, **factory)
        self.layers: Any = nn.ModuleList(
            nn.ModuleList([_Look(width, heads, operations, **factory), _feed_forward(width, operations, **factory)])
            for _ in range(depth)
        )

    def perceive(self, queries: Tensor, given: Tensor) -> Tensor:
        """queries [B, T, width], given [B, N, inputs] -> [B, T, outputs]."""
        seen = self.proj_in(given)
        for look, think in self.layers:
            queries = look(seen, queries) + queries
            queries = think(queries) + queries
        return self.norm_out(self.proj_out(queries))


def _perceiver_sizes(tensors: Mapping[str, Tensor], prefix: str = "") -> tuple[int, int, int, int, int]:
    """Inputs, width, outputs, depth and heads."""
    width, inputs = tensors[f"{prefix}proj_in.weight"].shape
    outputs = tensors[f"{prefix}proj_out.weight"].shape[0]
    depth = 1 + max(int(key[len(prefix) :].split(".")[1]) for key in tensors if key.startswith(f"{prefix}layers."))
    return inputs, width, outputs, depth, tensors[f"{prefix}layers.0.0.to_q.weight"].shape[0] // HEAD_CHANNELS


class VectorProjection(Projection):
    """Two layers and a norm for each token: FaceID, portrait and the Expression Adapter."""

    def __init__(self, inputs: int, hidden: int, tokens: int, context_dim: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.inputs, self.tokens, self.context_dim = inputs, tokens, context_dim
        self.proj = nn.Sequential(
            operations.Linear(inputs, hidden, **factory),
            nn.GELU(),
            operations.Linear(hidden, tokens * context_dim, **factory),
        )
        self.norm = operations.LayerNorm(context_dim, **factory)

    @classmethod
    def like(cls, tensors: Mapping[str, Tensor], operations: Any, **factory: Any) -> VectorProjection:
        hidden, inputs = tensors["proj.0.weight"].shape
        (context_dim,) = tensors["norm.weight"].shape
        return cls(inputs, hidden, tensors["proj.2.weight"].shape[0] // context_dim, context_dim, operations, **factory)

    def forward(self, vector: Tensor, picture_features: Tensor | None = None, shortcut: bool = False) -> Tensor:
        return self.norm(rearrange(self.proj(vector), "b (t c) -> b t c", t=self.tokens))


class PictureProjection(VectorProjection):
    """FaceID plus: the tokens of the vector look at the picture. With the shortcut (plusv2) what they saw is added to them."""

    def __init__(
        self,
        inputs: int,
        hidden: int,
        tokens: int,
        context_dim: int,
        features: int,
        depth: int,
        heads: int,
        operations: Any,
        **factory: Any,
    ) -> None:
        super().__init__(inputs, hidden, tokens, context_dim, operations, **factory)
        self.perceiver_resampler = _Perceiver(features, context_dim, context_dim, depth, heads, operations, **factory)

    @classmethod
    def like(cls, tensors: Mapping[str, Tensor], operations: Any, **factory: Any) -> PictureProjection:
        hidden, inputs = tensors["proj.0.weight"].shape
        (context_dim,) = tensors["norm.weight"].shape
        tokens = tensors["proj.2.weight"].shape[0] // context_dim
        features, _, _, depth, heads = _perceiver_sizes(tensors, "perceiver_resampler.")
        return cls(inputs, hidden, tokens, context_dim, features, depth, heads, operations, **factory)

    def forward(self, vector: Tensor, picture_features: Tensor | None = None, shortcut: bool = False) -> Tensor:
        if picture_features is None:
            raise ValueError("picture_features: this adapter (FaceID plus) takes CLIP's features of the face, and got none")
        tokens = super().forward(vector)
        seen = self.perceiver_resampler.perceive(tokens, picture_features.to(tokens))
        return tokens + seen if shortcut else seen


class QueryProjection(Projection, _Perceiver):
    """Learned queries look at the one vector: portrait unnorm and InstantID, which take the embedding with its length."""

    def __init__(
        self, inputs: int, tokens: int, width: int, context_dim: int, depth: int, heads: int, operations: Any, **factory: Any
    ) -> None:
        super().__init__(inputs, width, context_dim, depth, heads, operations, **factory)
        self.inputs, self.tokens, self.context_dim = inputs, tokens, context_dim
        self.latents = nn.Parameter(torch.empty(1, tokens, width, **factory))

    @classmethod
    def like(cls, tensors: Mapping[str, Tensor], operations: Any, **factory: Any) -> QueryProjection:
        inputs, width, context_dim, depth, heads = _perceiver_sizes(tensors)
        return cls(inputs, tensors["latents"].shape[1], width, context_dim, depth, heads, operations, **factory)

    def forward(self, vector: Tensor, picture_features: Tensor | None = None, shortcut: bool = False) -> Tensor:
        queries = repeat(self.latents.to(vector), "1 t c -> b t c", b=vector.shape[0])
        return self.perceive(queries, rearrange(vector, "b c -> b 1 c"))


class ActionUnitProjection(Projection):
    """FineFace: one token, the intensities of its action units as they are and what a layer makes of them."""

    def __init__(self, inputs: int, context_dim: int, operations: Any, **factory: Any) -> None:
        super().__init__()
        self.inputs, self.tokens, self.context_dim = inputs, 1, context_dim
        self.au_encoder = operations.Linear(inputs, context_dim - inputs, **factory)

    @classmethod
    def like(cls, tensors: Mapping[str, Tensor], operations: Any, **factory: Any) -> ActionUnitProjection:
        outputs, inputs = tensors["au_encoder.weight"].shape
        return cls(inputs, inputs + outputs, operations, **factory)

    def forward(self, vector: Tensor, picture_features: Tensor | None = None, shortcut: bool = False) -> Tensor:
        return rearrange(torch.cat([vector, self.au_encoder(vector)], dim=-1), "b c -> b 1 c")


CLASSES: Mapping[str, type[Any]] = {
    FACEID: VectorProjection,
    PORTRAIT: VectorProjection,
    FLAME_EXPRESSION: VectorProjection,
    FACEID_PLUS: PictureProjection,
    PORTRAIT_UNNORM: QueryProjection,
    INSTANTID: QueryProjection,
    FINEFACE: ActionUnitProjection,
}


def projection_of(
    adapter: Adapter,
    operations: ModuleType | Any = nn,
    dtype: torch.dtype | None = None,
    device: torch.device | str | None = None,
) -> Projection:
    """An adapter's projection with its weights, for use and not for training."""
    module = CLASSES[adapter.kind].like(adapter.projection, operations, dtype=dtype, device=device)
    module.load_state_dict(adapter.projection)
    return module.eval().requires_grad_(False)


def check_projection(tensors: Mapping[str, Tensor], kind: str, name: str) -> Projection:
    """The projection of a file's weights, without them, for its sizes. Raises AdapterError for an entry too few, too many or
    of another shape than the others ask for."""
    try:
        module = CLASSES[kind].like(tensors, nn, device="meta")
    except (KeyError, IndexError, ValueError) as error:
        raise AdapterError(f"{name}: its projection lacks {error}, or has it in another shape; get the file again") from error
    expected = {key: tuple(value.shape) for key, value in module.state_dict().items()}
    found = {key: tuple(value.shape) for key, value in tensors.items()}
    for key in sorted(expected.keys() | found.keys()):
        if expected.get(key) != found.get(key):
            raise AdapterError(
                f"{name}: its projection's {key} is {found.get(key, 'missing')}, expected "
                f"{expected.get(key, 'no such entry')}; the file is damaged or of a kind that is not known here: get it again"
            )
    return module
