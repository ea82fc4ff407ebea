"""Networks whose adapters tests make: sizes for the host and for diffusers, and adapters of random weights for them."""

from dataclasses import dataclass
from typing import Any

import torch

from sfsr_model.adapters import attention_layers, read_adapter
from sfsr_model.adapters.stand_ins import random_tensors, stand_in_shapes


@dataclass(frozen=True)
class Network:
    """A network's sizes: latent diffusion's arguments (`host`), and diffusers' (`diffusers`)."""

    host: dict[str, Any]
    diffusers: dict[str, Any]

    @property
    def layers(self):
        return attention_layers(self.host)

    def tensors(self, kind, seed=0):
        """A file of random weights for this network, flat."""
        return random_tensors(stand_in_shapes(kind, self.layers, self.host["context_dim"]), seed)

    def adapter(self, kind, name="file.bin", seed=0):
        return read_adapter(self.tensors(kind, seed), name)


def network(width, multiples, depths, context_dim, head_channels=8, layers_per_block=2, first_without=False):
    """depths: transformers of every level, as diffusers counts them; the middle block has as many as the last of them.

    first_without: the last level has no cross-attention (SD 1.5), or the first (SDXL).
    """
    levels = len(multiples)
    bare = 0 if first_without else levels - 1
    down = [0 if level == bare else depths[level] for level in range(levels)]
    kinds = ["" if level == bare else "CrossAttn" for level in range(levels)]
    widths = [width * multiple for multiple in multiples]
    host = {
        "model_channels": width,
        "num_res_blocks": [layers_per_block] * levels,
        "channel_mult": list(multiples),
        "transformer_depth": [depth for depth in down for _ in range(layers_per_block)],
        "transformer_depth_output": [depth for depth in down for _ in range(layers_per_block + 1)],
        "transformer_depth_middle": depths[-1],
        "context_dim": context_dim,
    }
    diffusers = {
        "block_out_channels": tuple(widths),
        "layers_per_block": layers_per_block,
        "down_block_types": tuple(f"{kind}DownBlock2D" for kind in kinds),
        "up_block_types": tuple(f"{kind}UpBlock2D" for kind in reversed(kinds)),
        "mid_block_type": "UNetMidBlock2DCrossAttn",
        "transformer_layers_per_block": list(depths),
        "cross_attention_dim": context_dim,
        "attention_head_dim": tuple(one // head_channels for one in widths),
        "norm_num_groups": 8,
        "sample_size": 8,
    }
    return Network(host, diffusers)


SD15 = network(320, (1, 2, 4, 4), (1, 1, 1, 1), 768, head_channels=40)
SDXL = network(320, (1, 2, 4), (1, 2, 10), 2048, head_channels=64, first_without=True)
SLIM_SD15 = network(16, (1, 2, 4, 4), (1, 1, 1, 1), 64)
SLIM_SDXL = network(16, (1, 2, 4), (1, 2, 3), 128, first_without=True)
NETWORKS = {"SD 1.5": SD15, "SDXL": SDXL, "slim SD 1.5": SLIM_SD15, "slim SDXL": SLIM_SDXL}


def random(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def assert_close(found, wanted):
    """To 1e-4 of the largest value."""
    largest = wanted.abs().max()
    assert largest > 0
    assert found.shape == wanted.shape
    assert (found - wanted).abs().max() <= 1e-4 * largest, f"{(found - wanted).abs().max() / largest:.2g} of the largest value"
