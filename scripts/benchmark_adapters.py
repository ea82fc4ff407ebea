"""What a person and an expression through adapters add to a sampling step: `python scripts/benchmark_adapters.py --comfyui
FOLDER`, with ComfyUI's Python.

Random weights, one process on the CPU, the host's own sampling path at cfg 5. Three ways take turns: the plain checkpoint; with
a FaceID portrait and, on Stable Diffusion 1.5, FineFace, by this pack; the same files as packs for IP-Adapters compute them,
keys and values of the tokens in each layer of each step. The median of the rounds' ratios is the figure, for machines wander.

    python scripts/benchmark_adapters.py --comfyui FOLDER [--base sdxl [--depth 10]] [--size 512] [--rounds 3] [--threads 2]

Stable Diffusion 1.5 has its true size. SDXL has its true widths, and --depth transformers in each place where it has 10 in
truth; with 10 it takes 11 GB.
"""

from __future__ import annotations

import argparse
import itertools
import logging
import statistics
import sys
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

from harness.in_process import open_host, pack, stand_in

_CFG = 5.0
_SIGMA = 2.0
_SCALE = 0.8


def main(arguments: list[str]) -> int:
    """Print the table; 1 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="folder of a ComfyUI")
    parser.add_argument("--base", choices=("sd15", "sdxl"), default="sd15")
    parser.add_argument("--depth", type=int, default=2, help="of SDXL's deepest places (2; in truth 10)")
    parser.add_argument("--size", type=int, default=512, help="pixels of a side (512)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=2)
    options = parser.parse_args(arguments)
    try:
        open_host(options.comfyui)
        print(_table(options))
    except (ValueError, OSError, ImportError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


def _table(options: argparse.Namespace) -> str:
    import torch

    logging.disable(logging.WARNING)
    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        ways, held = _ways(options.size, _config(options.base, options.depth))
        for step in ways.values():
            step()
        times: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(options.rounds):
            for name, step in ways.items():
                start = time.perf_counter()
                step()
                times[name].append(time.perf_counter() - start)
    plain, *_ = times.values()
    rows = []
    for name, seconds in times.items():
        ratio = statistics.median(one / base for one, base in zip(seconds, plain, strict=True))
        rows.append(f"| {name} | {statistics.median(seconds):.2f} | {ratio:.3f} |")
    network = options.base if options.base == "sd15" else f"{options.base} of depth {options.depth}"
    sizes = f"{options.threads} thread(s), {options.size} x {options.size} pixels"
    head = f"{network}, PyTorch {torch.__version__}, {sizes}, CPU\n\n"
    return head + "| a step of | s | over the plain one |\n|---|---|---|\n" + "\n".join(rows) + f"\n\n{held}"


def _config(base: str, depth: int) -> dict[str, Any]:
    """Arguments of the latent diffusion UNetModel."""
    layout = pack("sfsr_model.network.layout")
    if base == "sd15":
        return dict(replace(layout.SD15_INPAINTING, in_channels=layout.LATENT_CHANNELS).ldm_arguments)
    return {
        "image_size": 32, "in_channels": 4, "out_channels": 4, "model_channels": 320, "num_res_blocks": [2, 2, 2],
        "channel_mult": [1, 2, 4], "transformer_depth": [0, 0, 2, 2, depth, depth],
        "transformer_depth_output": [0, 0, 0, 2, 2, 2, depth, depth, depth], "transformer_depth_middle": depth,
        "context_dim": 2048, "adm_in_channels": 2816, "num_classes": "sequential", "use_linear_in_transformer": True,
        "use_spatial_transformer": True, "legacy": False, "use_checkpoint": False,
    }  # fmt: skip


def _ways(size: int, config: dict[str, Any]) -> tuple[dict[str, Callable[[], Any]], str]:
    """What takes turns, by name, and a line on memory."""
    import torch

    generator = torch.Generator().manual_seed(0)
    model, kinds = _model(config), pack("sfsr_model.adapters.kinds")
    # None is published for the expression on SDXL.
    chosen = (kinds.PORTRAIT,) if config["adm_in_channels"] else (kinds.PORTRAIT, kinds.FINEFACE)
    adapters = [stand_in(kind, config) for kind in chosen]
    host, streams = pack("nodes.host.adapters"), pack("nodes.host.streams")
    context = torch.randn(1, 77, config["context_dim"], generator=generator)
    entries = {"pooled_output": torch.randn(1, 1280, generator=generator)} if config["adm_in_channels"] else {}
    texts = (host.Text(context, entries), host.Text(context.flip(1), entries))
    identity, expressions = pack("sfsr_model.encoders.identity"), pack("sfsr_model.expressions")
    person = identity.Identity(torch.randn(1, 512, generator=generator), "random", (1.0,), ("random",))
    people = pack("sfsr_model.encoders.identity_batch").IdentityBatch((person,))
    look = expressions.Expression(torch.rand(1, 52, generator=generator))
    identity_adapter, expression_adapter = (*map(host.load_adapter, adapters), None)[:2]
    made = host.with_adapters(model, identity_adapter, expression_adapter, texts, size, 0.0)
    given = streams.attachment(made)
    acting, null = streams.Acting(_SCALE), streams.Acting(_SCALE, on=False)
    given.install(made, acting, acting)
    asked = streams.Asked(people, look, (size // 8, size // 8))
    pair = pack("nodes.host.conditioning").as_pair
    own = [pair(given.given(asked, acting, acting), {})], [pair(given.given(asked, null, null, prompt=False), {})]
    plain = [[texts[0].context, entries]], [[texts[1].context, entries]]
    latent = torch.randn(1, 4, size // 8, size // 8, generator=generator)

    def step(which: Any, conditions: Any) -> Callable[[], Any]:
        clean = {"samples": which.model.process_latent_out(latent)}
        denoise = pack("nodes.host.study").with_denoiser
        return lambda: denoise(which, *conditions, _CFG, clean, 0, 1, lambda once, seen, _: once(seen, _SIGMA))

    networks = [one.networks.model.parameters() for one in (given.identity, given.expression) if one is not None]
    (rows,) = own[0][0][1]["model_conds"][pack("nodes.host.decoupled").KEY].cond
    carried = [part for stream in rows.streams for pair in stream.keys_values.values() for part in pair]
    held = (
        f"Memory: the adapters' weights, {_mib(itertools.chain(*networks)):.0f} MiB, until the conditions are made; then "
        f"{_mib(carried):.1f} MiB a condition."
    )
    ways = {
        "the checkpoint": step(model, plain),
        "with what adapters give": step(made, own),
        "the same, keys and values in each step": step(_each_step(model, adapters, given, asked), plain),
    }
    return ways, held


def _mib(tensors: Iterable[Any]) -> float:
    return sum(one.numel() * one.element_size() for one in tensors) / 2**20


def _each_step(model: Any, adapters: list, given: Any, asked: Any) -> Any:
    """The model with a patch in each layer that makes keys and values of the tokens whenever it is asked."""
    import torch
    from comfy.ldm.modules import attention

    vectors = [asked.people.means(), pack("sfsr_model.adapters.action_units").fineface_units(asked.look.coefficients)]
    loaded = (given.identity, given.expression)
    tokens = [
        torch.cat([one.tokens(vector, None, False), one.tokens(vector, None, True)])
        for one, vector in zip(loaded, vectors, strict=True)
        if one is not None
    ]
    cloned = model.clone()
    for layer in given.layers:

        def patch(q: Any, k: Any, v: Any, extra: dict, layer: Any = layer) -> Any:
            out = attention.optimized_attention(q, k, v, extra["n_heads"])
            # Conditions come as 0 for the wanted and 1 for the unwanted; the tokens lie the other way round.
            rows = [1 - which for which in extra["cond_or_uncond"]]
            for adapter, told in zip(adapters, tokens, strict=True):
                key, value = (
                    torch.nn.functional.linear(told[rows].to(q), weight.to(q)) for weight in adapter.keys_values[layer.number]
                )
                out = out + _SCALE * attention.optimized_attention(q, key, value, extra["n_heads"])
            return out

        cloned.set_model_attn2_replace(patch, *layer.block, layer.index)
    return cloned


def _model(config: dict) -> Any:
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    sdxl = bool(config["adm_in_channels"])
    settings = (comfy.supported_models.SDXL if sdxl else comfy.supported_models.SD15)(dict(config))
    settings.set_inference_dtype(torch.float32, None)
    model = (comfy.model_base.SDXL if sdxl else comfy.model_base.BaseModel)(settings, device=torch.device("cpu"))
    for parameter in model.diffusion_model.parameters():
        parameter.normal_(0.0, 0.02)
    return comfy.model_patcher.CoreModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
