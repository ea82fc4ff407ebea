"""The training loop: any task, on one device or several, resumable at every saved step."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor, nn
from torch.optim.swa_utils import get_ema_multi_avg_fn
from torch.utils.data import DataLoader, Dataset

from .data import Sample, as_batch, step_batches
from .order import step_generator
from .settings import Settings
from .state import Trained, latest_state, load_state, require_writable, save_state

_FLOOR = 0.1
# Settings that may change between a run and its continuation.
_FREE = ("state", "latents", "about", "licence", "save_every", "keep_every", "sample_every", "log_every")
_FREE_OF_DATA = ("memory", "workers")


class TrainingError(RuntimeError):
    """Training cannot go on; the message says at which step, why, and what to do."""


class Task(Protocol):
    """What is trained: modules by name, the loss of a batch, a sheet to look at, and the file that others read."""

    modules: dict[str, nn.Module]

    def dataset(self) -> Dataset[Sample]: ...

    def loss(
        self, modules: dict[str, nn.Module], sample: Sample, generator: torch.Generator
    ) -> tuple[Tensor, dict[str, Tensor]]: ...

    def show(self, sample: Sample) -> Tensor: ...

    def export(self, settings: Settings, path: Path, step: int | None = None) -> None: ...


def train(
    settings: Settings, task: Task, report: Callable[[int, dict[str, float]], None] = lambda step, values: None
) -> Trained:
    """Train from the newest state of the settings' folder, or from the start, to the last step.

    report: called with the step and its figures every `log_every` steps, in the main process. The figures also go to
    TensorBoard files in the state folder, where it is installed. Raises TrainingError where a loss is not finite, with the
    last good state left as it is, and StateError for a state of other settings or a state folder that cannot be written.
    """
    from accelerate import Accelerator
    from tqdm import tqdm

    accelerator = Accelerator(mixed_precision=settings.precision)
    if accelerator.is_main_process:
        require_writable(settings.state)
    trained = _started(settings, task, accelerator.device)
    modules, optimiser = trained.modules, trained.optimiser
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    first = _resume(settings, trained)
    wrapped: dict[str, nn.Module] = {name: accelerator.prepare_model(module) for name, module in modules.items()}
    prepared = accelerator.prepare_optimizer(optimiser)

    # One process writes what all of them read.
    with accelerator.main_process_first():
        dataset = task.dataset()
    place, places = accelerator.process_index, accelerator.num_processes
    batches = step_batches(settings, dataset, first, place, places)
    loader = DataLoader(dataset, batch_sampler=batches, num_workers=settings.data.workers, collate_fn=as_batch)
    main = accelerator.is_main_process
    log = _Log(settings.state if main else None)
    with tqdm(total=settings.steps, initial=first, unit="step", disable=not main) as bar:
        for step, sample in enumerate(loader, first):
            for group in optimiser.param_groups:
                group["lr"] = settings.optimiser.rate * rate_factor(step, settings.steps, settings.optimiser.warmup)
            with accelerator.autocast():
                loss, parts = task.loss(wrapped, sample, step_generator(settings.seed, step, place))
            prepared.zero_grad(set_to_none=True)
            accelerator.backward(loss)
            accelerator.clip_grad_norm_(parameters, settings.optimiser.clip)
            # Looked at here, when a GPU has all of the step's work to do, it need not wait for more.
            found = float(loss.detach())
            if not math.isfinite(found):
                raise TrainingError(
                    f"step {step}: the loss is {found} ({_listed(parts)}); lower optimiser.rate or set "
                    f"precision to bf16 or no, and start again: the last state in {settings.state} is whole"
                )
            prepared.step()
            average(trained, settings.optimiser.ema, step)
            done = step + 1
            bar.update()
            if done % settings.log_every == 0 or done == settings.steps:
                values = {name: float(value.detach()) for name, value in parts.items()}
                figures = {"loss": found, **values, "rate": optimiser.param_groups[0]["lr"]}
                bar.set_postfix_str(f"loss {found:.4f}: {_listed(parts)}" if len(parts) > 1 else f"loss {found:.4f}")
                log.figures(done, figures)
                if main:
                    report(done, figures)
            if main and (done % settings.sample_every == 0 or done == settings.steps):
                log.pictures(done, task.show(sample))
            keep = settings.keep_every
            if main and (done % settings.save_every == 0 or (keep and done % keep == 0) or done == settings.steps):
                save_state(settings.state, done, trained, fingerprint(settings), keep)
    log.close()
    return trained


def rate_factor(step: int, steps: int, warmup: int) -> float:
    """Factor of the learning rate: a linear rise over `warmup` steps, then half a cosine down to a tenth at the last step."""
    if step < warmup:
        return (step + 1) / warmup
    share = min((step - warmup) / max(steps - warmup, 1), 1.0)
    return _FLOOR + (1 - _FLOOR) * 0.5 * (1 + math.cos(math.pi * share))


@torch.no_grad()
def average(trained: Trained, decay: float, step: int) -> None:
    """Move the averages towards the weights; early on faster, by (1 + step) / (10 + step), as the first weights mean little."""
    move = get_ema_multi_avg_fn(min(decay, (1 + step) / (10 + step)))
    for name, module in trained.modules.items():
        state, averages = module.state_dict(), trained.averages[name]
        move(list(averages.values()), [state[key].float() for key in averages], step)


def fingerprint(settings: Settings) -> str:
    """The settings that a continued run must share, as JSON; defaults are left out, so that new settings end no run."""
    values: dict[str, Any] = json.loads(settings.model_dump_json(exclude_defaults=True))
    data = {key: value for key, value in values.pop("data").items() if key not in _FREE_OF_DATA}
    return json.dumps({"data": data} | {key: value for key, value in values.items() if key not in _FREE}, sort_keys=True)


def _started(settings: Settings, task: Task, device: torch.device) -> Trained:
    """What a step changes, on the device, before the first step."""
    on_gpu = device.type == "cuda"
    modules = {name: module.train().to(device) for name, module in task.modules.items()}
    for module in modules.values():
        # In half precision convolutions are fastest so, but a CPU's GroupNorm is twenty times as slow.
        normed = any(isinstance(part, nn.GroupNorm) for part in module.modules())
        if on_gpu or (settings.precision == "bf16" and not normed):
            module.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    parameters = [parameter for module in modules.values() for parameter in module.parameters()]
    optimiser = torch.optim.AdamW(
        parameters, settings.optimiser.rate, weight_decay=settings.optimiser.weight_decay, fused=on_gpu or None
    )
    return Trained(modules, optimiser, {name: _copies(module) for name, module in modules.items()})


def _copies(module: nn.Module) -> dict[str, Tensor]:
    return {key: value.detach().float().clone() for key, value in module.state_dict().items() if value.is_floating_point()}


def _resume(settings: Settings, trained: Trained) -> int:
    state = latest_state(settings.state)
    return 0 if state is None else load_state(state, trained, fingerprint(settings))


def _listed(parts: dict[str, Tensor]) -> str:
    return ", ".join(f"{name} {float(value.detach()):.4g}" for name, value in parts.items())


class _Log:
    """TensorBoard files, or nothing where it is not installed or this is not the main process; pictures as PNG in any case."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder
        self._writer: Any = None
        if folder is not None:
            try:
                from torch.utils.tensorboard import SummaryWriter
            except ImportError:
                return
            self._writer = SummaryWriter(str(folder / "tensorboard"))

    def figures(self, step: int, values: dict[str, float]) -> None:
        if self._writer is not None:
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def pictures(self, step: int, rows: Tensor) -> None:
        """rows: [R, N, 3, H, W] in 0..1, drawn as R rows of N."""
        if self._folder is None:
            return
        from PIL import Image

        sheet = torch.cat([torch.cat(list(row), -1) for row in rows], -2)
        pixels = (sheet.clamp(0, 1) * 255).round().to(torch.uint8).movedim(0, -1).numpy()
        self._folder.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(self._folder / f"sample-{step:08d}.png")

    def close(self) -> None:
        if self._writer is not None:
            self._writer.close()
