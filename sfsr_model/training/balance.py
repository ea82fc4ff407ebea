"""How hard each loss pulls at the weights that a training starts from: what a long run would show hours later.

Adam forgets how long a gradient is, so a loss whose gradient is many times that of another leaves the other nothing, whatever
the two values are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from .data import as_batch, step_batches
from .loop import Task
from .order import step_generator
from .settings import Settings

# Trained along, against what is trained: nothing else pulls at its weights.
_OPPONENT = "critic"


@dataclass(frozen=True)
class Pull:
    """Of one loss, means over some batches. value: before its weight; norm: of the gradient of all weights, times the loss's
    weight; along: the cosine between it and the whole gradient."""

    name: str
    value: float
    weight: float
    norm: float
    along: float


def pulls(settings: Settings, task: Task, batches: int = 4) -> list[Pull]:
    """Of each loss that the weights move, over the first batches of the training that the settings describe."""
    from accelerate import Accelerator

    accelerator = Accelerator(mixed_precision=settings.precision)
    modules = {name: module.train().to(accelerator.device) for name, module in task.modules.items()}
    pulled = [module for name, module in modules.items() if name != _OPPONENT]
    parameters = [one for module in pulled for one in module.parameters() if one.requires_grad]
    dataset = task.dataset()
    loader = DataLoader(dataset, batch_sampler=step_batches(settings, dataset, 0), collate_fn=as_batch)
    found: dict[str, list[tuple[float, float, float]]] = {}
    for step, sample in zip(range(batches), loader, strict=False):
        with accelerator.autocast():
            total, parts = task.loss(modules, sample, step_generator(settings.seed, step))
        whole = _gradient(total, parameters)
        for name, value in parts.items():
            if value.requires_grad:
                weight, own = _weight(settings, name), _gradient(value, parameters)
                along = torch.nn.functional.cosine_similarity(own, whole, dim=0)
                found.setdefault(name, []).append((value.item(), weight * own.norm().item(), along.item()))
    return [
        Pull(name, value, _weight(settings, name), norm, along)
        for name, rows in found.items()
        for value, norm, along in [torch.tensor(rows).mean(0).tolist()]
    ]


def _weight(settings: Settings, name: str) -> float:
    return float(getattr(settings.losses, name, 1.0))


def _gradient(loss: Tensor, parameters: Sequence[Tensor]) -> Tensor:
    """Of all parameters as one vector; zeros for those that the loss does not reach."""
    parts = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True, materialize_grads=True)
    return torch.cat([part.float().reshape(-1) for part in parts])
