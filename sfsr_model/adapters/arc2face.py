"""Arc2Face's person: an embedding that takes the place of a word in the prompt.

Papantoniou et al. 2024: the embedding, of unit length and filled up with zeros, is the entry of the token "id" in "photo of a
id person"; a CLIP ViT-L/14 text encoder that was trained along makes the context of it. That encoder also encodes the empty
prompt: a stock encoder's is another null.

Encoder and network have the entries and shapes of stock ones (CLIP ViT-L/14; an SD 1.5 network of four channels in diffusers'
layout). What differs is the weights' values alone, so a file can be told to be of the wrong kind, not to be stock.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

from torch import Tensor, nn

from .adapter import AdapterError
from .others import what_it_is

PROMPT = "photo of a id person"
PERSON_TOKEN = 1014
"""What CLIP's tokeniser makes of "id"."""
TEXT_WIDTH = 768
TEXT_LAYERS = 12
ABOUT = "FoivosPar/Arc2Face: arc2face/diffusion_pytorch_model.safetensors, encoder/pytorch_model.bin, arcface.onnx"
LICENCE = "MIT by its card; the training data is non-commercial"

_TEXT_PREFIX = "text_model."
_TEXT_LAYER = re.compile(r"encoder\.layers\.(\d+)\..+")


def token_rows(embeddings: Tensor, width: int = TEXT_WIDTH) -> Tensor:
    """What stands in for the token's entry: embeddings [B, D], made unit vectors here -> [B, width], zeros after the D."""
    if embeddings.shape[-1] > width:
        raise ValueError(f"embeddings: have {embeddings.shape[-1]} numbers, expected at most the encoder's width of {width}")
    return nn.functional.pad(nn.functional.normalize(embeddings, dim=-1), (0, width - embeddings.shape[-1]))


def check_text_encoder(tensors: Mapping[str, Tensor], name: str) -> None:
    """Raises AdapterError, saying what the file is, unless it has the entries of a CLIP ViT-L/14 text encoder."""
    expected = f"expected Arc2Face's text encoder (CLIP ViT-L/14: {TEXT_LAYERS} layers of width {TEXT_WIDTH})"
    text = {key.removeprefix(_TEXT_PREFIX): tensor for key, tensor in tensors.items() if key.startswith(_TEXT_PREFIX)}
    table = text.get("embeddings.token_embedding.weight")
    if table is None:
        what, advice = what_it_is(tensors)
        raise AdapterError(f"{name}: {what}; {expected}; {advice}")
    layers = {int(match[1]) for key in text if (match := _TEXT_LAYER.fullmatch(key))}
    if table.shape[-1] != TEXT_WIDTH or layers != set(range(TEXT_LAYERS)):
        raise AdapterError(
            f"{name}: a text encoder of {len(layers)} layers of width {table.shape[-1]}; {expected}: choose encoder/"
            "pytorch_model.bin of Arc2Face"
        )
