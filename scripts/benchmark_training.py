"""What the training loop costs beside a bare diffusers loop, and what each loss costs: `python scripts/benchmark_training.py`.

Both loops train the same UNet on the same latents and batch in turn, in one process; the median of the rounds' ratios is the
figure, for machines wander. The bare loop has what diffusers' own examples have at the least: accelerate, a DataLoader, the
DDPM scheduler's noise, AdamW, clipped gradients; no averaged weights, no compound encoder, no log. Each loss is then switched
on alone and compared with the loop without it.

    python scripts/benchmark_training.py [--rounds 5] [--steps 8] [--batch 8] [--size 128] [--threads 2]
        [--task face_landmarker.task] [--id-encoder ONNX]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

_REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(_REPOSITORY), str(_REPOSITORY / "tests")]

LIMIT = 1.05
WARM_UP = 2
# The defaults of the settings, in place of the tiny network that tests train.
DEMO = {
    "model_channels": 64,
    "channel_mult": [1, 2, 3],
    "num_res_blocks": 2,
    "attention": [False, True, True],
    "context_dim": 256,
}
Seconds = Callable[[], float]


def ours(folder: Path, options: argparse.Namespace, **changes: Any) -> Seconds:
    """Median seconds of a step of the project's loop with these settings, measured anew at each call."""
    from testkit.tiny_training import write_settings

    from sfsr_model.training.loop import train
    from sfsr_model.training.network import NetworkTask
    from sfsr_model.training.settings import load_settings

    entries: dict[str, Any] = {
        "data": {"path": str(folder / "triplets"), "kind": "shards", "size": options.size},
        "network": DEMO,
        "steps": WARM_UP + options.steps + 1,
        "batch": options.batch,
        "save_every": 10**6,
        "sample_every": 10**6,
    }

    def measure() -> float:
        state = tempfile.mkdtemp(dir=folder)
        path = write_settings(Path(state), folder, folder / "autoencoder.safetensors", **{**entries, **changes})
        settings = load_settings(path)
        task = NetworkTask(settings, quiet=True)
        times: list[float] = []
        train(settings, task, lambda step, values: times.append(time.perf_counter()))
        # The last step also saves the state and draws a sheet, so it is not counted.
        return median_step(times[:-1])

    return measure


def bare(folder: Path, options: argparse.Namespace) -> Seconds:
    """The same for a loop of diffusers' own parts."""
    import torch
    from accelerate import Accelerator
    from diffusers import DDPMScheduler
    from testkit.tiny_training import write_settings
    from torch.utils.data import DataLoader

    from sfsr_model.training.data import as_batch
    from sfsr_model.training.initial import new_unet
    from sfsr_model.training.network import NetworkTask
    from sfsr_model.training.settings import load_settings

    data = {"path": str(folder / "triplets"), "kind": "shards", "size": options.size}
    settings = load_settings(
        write_settings(folder / "bare", folder, folder / "autoencoder.safetensors", data=data, network=DEMO)
    )
    dataset = NetworkTask(settings, quiet=True).dataset()
    tokens = torch.randn(options.batch, 9, settings.network.context_dim)

    def measure() -> float:
        accelerator = Accelerator()
        unet: Any = new_unet(settings.network.unet, 0).train()
        optimiser = torch.optim.AdamW(unet.parameters(), 2e-4, weight_decay=0.01)
        loader = DataLoader(dataset, collate_fn=as_batch, batch_size=options.batch, shuffle=True, drop_last=True)
        unet, optimiser, loader = accelerator.prepare(unet, optimiser, loader)
        scheduler = DDPMScheduler(1000, 0.00085, 0.012, "scaled_linear")
        here = tokens.to(accelerator.device)
        times: list[float] = []
        while len(times) < WARM_UP + options.steps:
            for sample in loader:
                latent = sample["latent"].float()
                noise = torch.randn_like(latent)
                steps = torch.randint(1000, (len(latent),), device=latent.device)
                noisy = scheduler.add_noise(latent, noise, steps)
                channels = torch.cat((noisy, sample["hole"].float(), sample["faceless"].float()), 1)
                loss = torch.nn.functional.mse_loss(unet(channels, steps, here, return_dict=False)[0], noise)
                optimiser.zero_grad(set_to_none=True)
                accelerator.backward(loss)
                accelerator.clip_grad_norm_(unet.parameters(), 1.0)
                optimiser.step()
                loss.item()
                times.append(time.perf_counter())
        return median_step(times)

    return measure


def median_step(times: list[float]) -> float:
    return statistics.median(later - earlier for earlier, later in zip(times[WARM_UP - 1 :], times[WARM_UP:], strict=False))


def compared(one: Seconds, other: Seconds, rounds: int) -> tuple[float, float, float]:
    """Median seconds a step of both, and the median of the ratios of neighbouring runs."""
    pairs = []
    for number in range(rounds):
        if number % 2:
            second = other()
            first = one()
        else:
            first = one()
            second = other()
        pairs.append((first, second))
    firsts, seconds = zip(*pairs, strict=True)
    return statistics.median(firsts), statistics.median(seconds), statistics.median(a / b for a, b in pairs)


def main() -> int:
    parser = argparse.ArgumentParser(description="Ratios of the training loop to a bare one, and of each loss to none.")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=8)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--task", type=Path, help="a face_landmarker.task; the expression loss is left out without it")
    parser.add_argument("--id-encoder", type=Path, help="a recogniser's ONNX; one of random weights, iresnet-50, without it")
    options = parser.parse_args()

    import torch
    from testkit.onnx_nets import save_iresnet
    from testkit.tiny_training import write_autoencoder, write_triplets

    torch.set_num_threads(options.threads)
    device = torch.cuda.get_device_name() if torch.cuda.is_available() else "CPU"
    print(f"PyTorch {torch.__version__}, {device}, {options.threads} thread(s), median of {options.rounds} rounds")
    print(f"the demo network, {options.size} pixels, batch {options.batch}, losses on a quarter of it\n")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_triplets(folder / "triplets", 2 * options.batch, size=options.size)
        write_autoencoder(folder / "autoencoder.safetensors")
        plain = ours(folder, options)
        print("| what | s a step | beside | s a step | ratio |\n|---|---|---|---|---|")
        first, second, worst = compared(plain, bare(folder, options), options.rounds)
        print(f"| this loop, no loss on pictures | {first:.3f} | a bare loop | {second:.3f} | {worst:.3f} |", flush=True)
        encoders: dict[str, str] = {}
        names = ["perceptual", "background", "identity"]
        encoders["identity"] = str((options.id_encoder or save_iresnet(folder / "recogniser.onnx")).resolve())
        if options.task:
            names.append("expression")
            encoders["expression"] = str(options.task.resolve())
        for loss in names:
            given = {kind: path for kind, path in encoders.items() if kind == loss}
            one = ours(folder, options, losses={loss: 0.1}, encoders=given)
            first, second, ratio = compared(one, plain, options.rounds)
            print(f"| with {loss} | {first:.3f} | without | {second:.3f} | {ratio:.2f} |", flush=True)
    print(f"\n{'Within' if worst <= LIMIT else 'Above'} the limit of {LIMIT:g} for the loop.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
