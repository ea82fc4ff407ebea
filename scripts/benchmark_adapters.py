"""What a person and an expression through adapters add to a sampling step of Stable Diffusion 1.5: `python
scripts/benchmark_adapters.py --comfyui FOLDER`, with ComfyUI's Python.

The network's true size, random weights, one process on the CPU, the host's own sampling path at cfg 5. Three ways take turns:
the plain checkpoint; with a FaceID portrait and FineFace, by this pack; the same two files as packs for IP-Adapters compute
them, keys and values of the tokens in each layer of each step. The median of the rounds' ratios is the figure, for machines
wander.

    python scripts/benchmark_adapters.py --comfyui FOLDER [--size 512] [--rounds 3] [--threads 2]
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
        ways, held = _ways(options.size)
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
    head = f"PyTorch {torch.__version__}, {options.threads} thread(s), {options.size} x {options.size} pixels, CPU\n\n"
    return head + "| a step of | s | over the plain one |\n|---|---|---|\n" + "\n".join(rows) + f"\n\n{held}"


def _ways(size: int) -> tuple[dict[str, Callable[[], Any]], str]:
    """What takes turns, by name, and a line on memory."""
    import torch

    generator = torch.Generator().manual_seed(0)
    layout = pack("sfsr_model.network.layout")
    config = replace(layout.SD15_INPAINTING, in_channels=layout.LATENT_CHANNELS).ldm_arguments
    model, kinds = _model(config), pack("sfsr_model.adapters.kinds")
    adapters = [stand_in(kind, config) for kind in (kinds.PORTRAIT, kinds.FINEFACE)]
    host, streams = pack("nodes.host.adapters"), pack("nodes.host.streams")
    context = torch.randn(1, 77, 768, generator=generator)
    texts = (host.Text(context), host.Text(context.flip(1)))
    identity, expressions = pack("sfsr_model.encoders.identity"), pack("sfsr_model.expressions")
    person = identity.Identity(torch.randn(1, 512, generator=generator), "random", (1.0,), ("random",))
    people = pack("sfsr_model.encoders.identity_batch").IdentityBatch((person,))
    look = expressions.Expression(torch.rand(1, 52, generator=generator))
    made = host.with_adapters(model, *map(host.load_adapter, adapters), texts, size, 0.0)
    given = streams.attachment(made)
    acting, null = streams.Acting(_SCALE), streams.Acting(_SCALE, on=False)
    given.install(made, acting, acting)
    asked = streams.Asked(people, look, (size // 8, size // 8))
    pair = pack("nodes.host.conditioning").as_pair
    own = [pair(given.given(asked, acting, acting), {})], [pair(given.given(asked, null, null, prompt=False), {})]
    plain = [[texts[0].context, {}]], [[texts[1].context, {}]]
    latent = torch.randn(1, 4, size // 8, size // 8, generator=generator)

    def step(which: Any, conditions: Any) -> Callable[[], Any]:
        clean = {"samples": which.model.process_latent_out(latent)}
        denoise = pack("nodes.host.study").with_denoiser
        return lambda: denoise(which, *conditions, _CFG, clean, 0, 1, lambda once, seen, _: once(seen, _SIGMA))

    networks = [one.networks.model.parameters() for one in (given.identity, given.expression)]
    (rows,) = own[0][0][1]["model_conds"][pack("nodes.host.decoupled").KEY].cond
    carried = [part for stream in rows.streams for pair in stream.keys_values.values() for part in pair]
    held = (
        f"Memory: the adapters' weights, {_mib(itertools.chain(*networks)):.0f} MiB, until the conditions are made; then "
        f"{_mib(carried):.1f} MiB a condition."
    )
    ways = {
        "the checkpoint": step(model, plain),
        "with person and expression": step(made, own),
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

        cloned.set_model_attn2_replace(patch, *layer.block)
    return cloned


def _model(config: dict) -> Any:
    import comfy.model_base
    import comfy.model_patcher
    import comfy.supported_models
    import torch

    settings = comfy.supported_models.SD15(dict(config))
    settings.set_inference_dtype(torch.float32, None)
    model = comfy.model_base.BaseModel(settings, device=torch.device("cpu"))
    for parameter in model.diffusion_model.parameters():
        parameter.normal_(0.0, 0.02)
    return comfy.model_patcher.CoreModelPatcher(model, load_device=torch.device("cpu"), offload_device=torch.device("cpu"))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
