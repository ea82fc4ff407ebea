"""What conditioning and guidance add to a sampling step: `python scripts/benchmark_sampling.py`, with ComfyUI's Python.

One process, the untrained demo network, the host's own code: each line and the one it is compared with take turns, and the
median of the rounds' ratios is the figure, for machines wander.

    python scripts/benchmark_sampling.py [--comfyui FOLDER] [--size 256] [--steps 4] [--rounds 9] [--threads 1] [--task FILE]
"""

from __future__ import annotations

import argparse
import importlib.util
import logging
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

REPOSITORY = Path(__file__).resolve().parent.parent
LIMIT = 1.03
Timed = Callable[[], Any]


def main() -> int:
    options = _parse()
    pack = _pack(options.comfyui)
    import torch

    torch.set_num_threads(options.threads)
    with torch.inference_mode():
        runs = _runs(pack, options)
        print(
            f"PyTorch {torch.__version__}, {options.threads} thread(s), {options.size} x {options.size} pixels, CPU, ", end=""
        )
        print(f"median of {options.rounds} rounds of {options.steps} steps\n")
        print("| a step of | ms | of | ms | ratio |\n|---|---|---|---|---|")
        first = None
        for label, ours, base_label, base in runs:
            mine, other, ratio = _compared(ours, base, options.rounds)
            first = ratio if first is None else first
            mine, other = (1000 * seconds / options.steps for seconds in (mine, other))
            print(f"| {label} | {mine:.1f} | {base_label} | {other:.1f} | {ratio:.3f} |", flush=True)
    print(f"\nEqual scales are {'within' if first <= LIMIT else 'above'} the limit of {LIMIT:g}.")
    return 0


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Cost of conditioning and guidance in a sampling step, as ratios.")
    parser.add_argument(
        "--comfyui", type=Path, help="a ComfyUI folder; the newest one that scripts/test.py installed without it"
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--steps", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=9)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--task", type=Path, help="a face_landmarker.task, to time expression guidance as well")
    options = parser.parse_args()
    if options.comfyui is None:
        from harness.cache import cache_folder
        from harness.host import NEWEST, installed_folder

        options.comfyui = installed_folder(cache_folder(), NEWEST)
    return options


def _pack(host: Path) -> str:
    """Start the host's code in this process and import the pack as the host would; returns its module's name."""
    sys.argv = [sys.argv[0], "--cpu", "--use-pytorch-cross-attention"]
    sys.path.insert(0, str(host))
    import comfy.options

    comfy.options.enable_args_parsing()
    import comfy.sd

    logging.getLogger().setLevel(logging.WARNING)
    spec = importlib.util.spec_from_file_location("sfsr_pack", REPOSITORY / "__init__.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return spec.name


def _runs(pack: str, options: argparse.Namespace) -> list[tuple[str, Timed, str, Timed]]:
    """The lines of the table: what is timed, and what it is compared with."""
    import torch

    node = {name: importlib.import_module(f"{pack}.nodes.{name}") for name in ("model", "sampling")}
    model_part = importlib.import_module(f"{pack}.sfsr_model")
    Identity = importlib.import_module(f"{model_part.__name__}.encoders.identity").Identity
    encoder = importlib.import_module(f"{model_part.__name__}.encoders.untrained").UntrainedEncoder()
    look = importlib.import_module(f"{model_part.__name__}.expressions").word_expression("amazement")
    generator = torch.Generator().manual_seed(0)
    person = Identity(torch.randn(1, 512, generator=generator), encoder.space, (1.0,), ("random",))
    image = torch.rand(1, options.size, options.size, 3, generator=generator)
    mask = torch.zeros(1, options.size, options.size)
    mask[:, options.size // 4 : -options.size // 4, options.size // 4 : -options.size // 4] = 1.0
    model, vae = node["model"].SFSRLoadModel.execute("untrained (random weights)").args

    def conditioned(identity: float = 1.0, expression: float = 1.0) -> tuple[Any, ...]:
        numbers = (1.0, 1.0, 0.0, 1.0, 0.0, 1.0, identity, expression)
        return node["model"].SFSRConditioning.execute(model, vae, person, look, image, mask, *numbers).args

    def midpoint(**guidance: Any) -> Any:
        scales = {"identity_guidance": 0.0, "expression_guidance": 0.0} | guidance
        place = {"guidance_start": 0.0, "guidance_end": 1.0, "eta": 0.0, "background_anchoring": 1.0}
        solver = {"order": 2, "midpoint_location": "half log-SNR", "midpoint_fraction": 0.5}
        return node["sampling"].ImprovedMidpointSampler.execute(**solver, **place, **scales).args[0]

    sample = _sampling(options.steps)
    equal, doubled, two = conditioned(), conditioned(2.0, 2.0), conditioned(1.5, 0.5)
    person_wires = {"id_encoder": encoder, "identity": person, "vae": vae}
    plain = sample((model, *equal[1:]))
    solver = sample(equal, midpoint())
    lines = [
        ("SFSR Conditioning, scales 1 and 1", sample(equal), "the model without it, 2 evaluations", plain),
        ("scales 2 and 2", sample(doubled), "the same", plain),
        ("scales 1.5 and 0.5, 3 evaluations", sample(two), "the same", plain),
        ("identity guidance", sample(equal, midpoint(identity_guidance=1.0, **person_wires)), "the midpoint solver", solver),
    ]
    if options.task:
        load = importlib.import_module(f"{model_part.__name__}.landmarker").load_expression_encoder
        face_wires = {"expression_encoder": load(options.task), "expression": look, "vae": vae}
        alone = midpoint(expression_guidance=1.0, **face_wires)
        both = midpoint(identity_guidance=1.0, expression_guidance=1.0, **{**person_wires, **face_wires})
        lines.append(("expression guidance", sample(equal, alone), "the midpoint solver", solver))
        lines.append(("both guidances", sample(equal, both), "the midpoint solver", solver))
    return lines


def _sampling(steps: int) -> Callable[..., Timed]:
    import comfy.samplers
    import torch

    def prepared(conditioned: tuple[Any, ...], sampler: Any = None) -> Timed:
        model, positive, negative, latent = conditioned
        guider = comfy.samplers.CFGGuider(model)
        guider.set_conds(positive, negative)
        guider.set_cfg(2.0)
        solver = sampler or comfy.samplers.sampler_object("euler")
        sigmas = comfy.samplers.calculate_sigmas(model.get_model_object("model_sampling"), "normal", steps)
        noise = torch.randn(latent["samples"].shape, generator=torch.Generator().manual_seed(1))
        return lambda: guider.sample(
            noise, latent["samples"], solver, sigmas, denoise_mask=latent["noise_mask"], disable_pbar=True, seed=1
        )

    return prepared


def _compared(ours: Timed, base: Timed, rounds: int) -> tuple[float, float, float]:
    """Median seconds of ours and of the base, and the median of the ratios of neighbouring runs."""
    ours(), base()
    pairs = []
    for number in range(rounds):
        order = (ours, base) if number % 2 else (base, ours)
        seconds = {}
        for run in order:
            start = time.perf_counter()
            run()
            seconds[run] = time.perf_counter() - start
        pairs.append((seconds[ours], seconds[base]))
    mine, other = zip(*pairs, strict=True)
    return statistics.median(mine), statistics.median(other), statistics.median(a / b for a, b in pairs)


if __name__ == "__main__":
    sys.exit(main())
