"""What guidance of x0* costs at Stable Diffusion's true sizes: `python scripts/benchmark_guidance.py`, random weights.

A step of the improved midpoint is two evaluations, each of a positive and a negative prediction. Beside it stands what a guided
step adds: decoding x0* forth and back, whole, the face alone, or by TAESD. Without --device operations are counted and bytes
added up, on tensors that hold nothing, which any machine does in seconds; with it everything is run and timed there as well.

    python scripts/benchmark_guidance.py [--model sd15 sdxl] [--device cpu|cuda] [--threads 1]
"""

from __future__ import annotations

import argparse
import resource
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

REPOSITORY = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(REPOSITORY))

from sfsr_model.guidance import Cut, face_cut, face_place  # noqa: E402

_FULL = {"block_out_channels": (128, 256, 512, 512), "layers_per_block": 2, "latent_channels": 4}
_FULL_BLOCKS = {"down_block_types": ("DownEncoderBlock2D",) * 4, "up_block_types": ("UpDecoderBlock2D",) * 4}


@dataclass(frozen=True)
class Size:
    """A model's own: cells of its latent's side, width of the text, and the network's sizes in diffusers' names."""

    side: int
    text: int
    network: dict[str, Any]


_SIZES = {
    "sd15": Size(64, 768, {"cross_attention_dim": 768, "attention_head_dim": 8}),
    "sdxl": Size(
        128,
        2048,
        {
            "cross_attention_dim": 2048, "attention_head_dim": (5, 10, 20), "block_out_channels": (320, 640, 1280),
            "down_block_types": ("DownBlock2D", "CrossAttnDownBlock2D", "CrossAttnDownBlock2D"),
            "up_block_types": ("CrossAttnUpBlock2D", "CrossAttnUpBlock2D", "UpBlock2D"),
            "transformer_layers_per_block": (1, 2, 10), "use_linear_projection": True, "addition_embed_type": "text_time",
            "addition_time_embed_dim": 256, "projection_class_embeddings_input_dim": 2816,
        },
    ),
}  # fmt: skip


def main() -> int:
    options = _parse()
    torch.set_num_threads(options.threads)
    for name in options.model:
        size = _SIZES[name]
        print(f"\n{name}, {8 * size.side} x {8 * size.side} pixels, float32\n")
        print(
            "| a step | cells decoded | operations, 10^12 | over a plain step | kept for the way back, MB | seconds, peak MB |"
        )
        print("|---|---|---|---|---|---|")
        step = _step(size)
        plain = 2 * _counted(step)[0]
        told = _timed(step, None, options.device) if options.device else ""
        print(f"| plain, two evaluations | - | {plain:.2f} | 1 | - | {told} |", flush=True)
        # What needs least comes first, since the process's peak never falls.
        for decoder in ("TAESD", "VAE"):
            for label, cut in _cuts(size.side).items():
                decoding = _decoding(decoder, cut)
                count, kept = _counted(decoding)
                told = _timed(step, decoding, options.device) if options.device else ""
                print(
                    f"| guided, {decoder}, {label} | {cut.height} x {cut.width} | {plain + count:.2f} | "
                    f"{(plain + count) / plain:.2f} | {kept / 1e6:.0f} | {told} |",
                    flush=True,
                )
    return 0


def _cuts(side: int) -> dict[str, Cut]:
    """A face half as large as in a crop of Face Crop, as in a portrait; the face in such a crop; the whole latent."""
    points = face_place().points(8 * side, 8 * side)
    return {
        "face of a portrait": face_cut(points * 0.5 + 2 * side, 8, side, side),
        "face of a crop": face_cut(points, 8, side, side),
        "whole": Cut(0, 0, side, side),
    }


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost of guidance at Stable Diffusion's true sizes.")
    parser.add_argument("--model", nargs="+", choices=_SIZES, default=["sd15", "sdxl"])
    parser.add_argument("--device", help="run and time there as well: cpu or cuda")
    parser.add_argument("--threads", type=int, default=1)
    return parser.parse_args()


Work = Callable[[], None]
Make = Callable[[str], Work]
"""Makes networks and tensors on a device; returns what is to be counted or timed."""


def _step(size: Size) -> Make:
    """One evaluation: both predictions."""
    from diffusers import UNet2DConditionModel

    def make(device: str) -> Work:
        with torch.device(device):
            network = UNet2DConditionModel(in_channels=4, out_channels=4, **size.network).requires_grad_(False)
            inputs = torch.zeros(2, 4, size.side, size.side), torch.zeros(2), torch.zeros(2, 77, size.text)
            more = {"text_embeds": torch.zeros(2, 1280), "time_ids": torch.zeros(2, 6)}

        def work() -> None:
            with torch.no_grad(), torch.device(device):
                network(*inputs, added_cond_kwargs=more)

        return work

    return make


def _decoding(decoder: str, cut: Cut) -> Make:
    """The latent's part forth and back."""
    from diffusers import AutoencoderKL, AutoencoderTiny

    def make(device: str) -> Work:
        with torch.device(device):
            made: Any = AutoencoderKL(**_FULL, **_FULL_BLOCKS) if decoder == "VAE" else AutoencoderTiny()
            latents = torch.zeros(1, 4, cut.height, cut.width, requires_grad=True)
        made.requires_grad_(False)

        def work() -> None:
            pictures = made.decode(latents).sample
            pictures.backward(torch.ones_like(pictures))
            latents.grad = None

        return work

    return make


def _counted(make: Make) -> tuple[float, int]:
    """Operations in 10^12, a multiplication and an addition being two, and bytes that autograd keeps beside the weights."""
    work, held = make("meta"), []

    def keep(tensor: Tensor) -> Tensor:
        held.append(tensor)
        return tensor

    with FlopCounterMode(display=False) as counter, torch.autograd.graph.saved_tensors_hooks(keep, lambda one: one):
        work()
    sizes = {one.untyped_storage()._cdata: one.nbytes for one in held if not isinstance(one, torch.nn.Parameter)}
    return counter.get_total_flops() / 1e12, sum(sizes.values())


def _timed(step: Make, decoding: Make | None, device: str) -> str:
    """Seconds of a second run of two evaluations and the decoding, the processor's own on a CPU, which other work there hardly
    changes; and the largest memory of the process so far (of the device, on cuda)."""
    evaluate = step(device)
    works = [evaluate, evaluate, *([] if decoding is None else [decoding(device)])]
    clock = time.process_time if device == "cpu" else time.perf_counter
    for _ in range(2):
        began = clock()
        for work in works:
            work()
        if device == "cuda":
            torch.cuda.synchronize()
        seconds = clock() - began
    peak = (
        torch.cuda.max_memory_allocated() / 1e6
        if device == "cuda"
        else resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e3
    )
    return f"{seconds:.2f}, {peak:.0f}"


if __name__ == "__main__":
    sys.exit(main())
