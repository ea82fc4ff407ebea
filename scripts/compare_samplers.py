"""The stock samplers of `python -m sfsr_model.evaluation solvers` and ComfyUI's own: how far the two are apart.

python scripts/compare_samplers.py --comfyui FOLDER

In a Python that can run that ComfyUI and has diffusers. Both solve the same equation, whose best denoiser is known, from the
same noise. ComfyUI runs in double precision, because its uni_pc loses digits near the end in single precision. Prints the
largest differences, as a share of the largest value, as Markdown; 1 where one is above 1e-4 or the evaluations are not as many.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(REPOSITORY))
TOLERANCE = 1e-4
_STEPS = (4, 8, 20)


def main(arguments: list[str]) -> int:
    """Print the table; 1 for a difference or bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--comfyui", type=Path, required=True, help="folder of a ComfyUI")
    options = parser.parse_args(arguments)
    if not (options.comfyui / "comfy" / "k_diffusion" / "sampling.py").is_file():
        print(f"Error: comfyui: {options.comfyui} is no ComfyUI (it has no comfy/k_diffusion/sampling.py)", file=sys.stderr)
        return 1
    sys.path.insert(0, str(options.comfyui))
    from sfsr_model.evaluation.solvers.stock import LEVELS, STOCK

    worst = 0.0
    print(f"| sampler | {' | '.join(f'{kind}, {steps} steps' for kind in LEVELS for steps in _STEPS)} |")
    print("|---" * (1 + len(LEVELS) * len(_STEPS)) + "|")
    for name in STOCK:
        found = [compare(name, kind, steps) for kind in LEVELS for steps in _STEPS]
        worst = max(worst, *found)
        print(f"| {name} | {' | '.join(f'{difference:.1e}' for difference in found)} |")
    return int(worst > TOLERANCE)


def compare(name: str, kind: str, steps: int) -> float:
    """Largest difference of a sampler's two results, of the largest value; infinite where they look differently often."""
    import comfy.cli_args
    import torch

    comfy.cli_args.args.cpu = True
    import comfy.extra_samplers.uni_pc
    import comfy.k_diffusion.sampling

    from sfsr_model.evaluation.solvers.stock import levels, sample_stock, stock_evaluations

    generator = torch.Generator().manual_seed(0)
    centre, noise = (torch.randn(2, 4, 8, 8, generator=generator) for _ in range(2))
    looks: list[torch.Tensor] = []

    def denoise(x: torch.Tensor, sigma: torch.Tensor) -> torch.Tensor:
        """E[x0 | x] of two Gaussians of variance 0.1 about a point and its mirror image."""
        looks.append(sigma)
        variance = sigma.reshape(-1, 1, 1, 1) ** 2
        point = centre.to(x)
        lean = torch.tanh((x * point).sum((1, 2, 3), keepdim=True) / (variance + 0.1))
        return (0.1 * x + variance * lean * point) / (variance + 0.1)

    sigmas = levels(kind, steps)
    ours = sample_stock(name, denoise, noise * sigmas[0], sigmas)
    mine = len(looks)
    theirs = comfy.extra_samplers.uni_pc.sample_unipc if name == "uni_pc" else None
    theirs = theirs or getattr(comfy.k_diffusion.sampling, f"sample_{name}")
    torch.set_default_dtype(torch.float64)
    try:
        sigmas = sigmas.double()
        wanted = theirs(denoise, noise.double() * sigmas[0], sigmas, extra_args={}, disable=True)
    finally:
        torch.set_default_dtype(torch.float32)
    if not mine == len(looks) - mine == stock_evaluations(name, steps):
        return float("inf")
    return float((ours - wanted).abs().max() / wanted.abs().max())


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
