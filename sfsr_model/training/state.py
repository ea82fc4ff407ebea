"""What resuming needs: networks, their averages and the optimiser's moments at one step, in one safetensors file."""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from ..files import whole_file

FORMAT = "sfsr-training-1"
KEPT = 2
_PATTERN = "step-{:08d}.safetensors"
# What a setting is called that a fingerprint leaves out.
_DEFAULT = "the default"


class StateError(ValueError):
    """A state that cannot be resumed from; the message names the file and what to do."""


@dataclass(frozen=True)
class Trained:
    """All that a step changes: modules by name, the optimiser over their parameters, and the averages [name -> tensors]."""

    modules: dict[str, nn.Module]
    optimiser: torch.optim.Optimizer
    averages: dict[str, dict[str, Tensor]]


def require_writable(folder: Path, name: str = "state") -> None:
    """Make a folder; raises StateError, with what named it, where nothing can be written there: at the start, not at a save."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise StateError(f"{name}: {folder} cannot be written ({error.strerror}); choose another folder") from error


def save_state(folder: Path, step: int, trained: Trained, fingerprint: str, keep_every: int = 0) -> Path:
    """Write the state after `step` steps; the file appears under its name only when it is whole. Of the older ones, only one
    stays then, and those of each `keep_every`-th step, unless that is 0.

    Raises OSError where the disk is full; the states that were there stay.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tensors: dict[str, Tensor] = {}
    for name, module in trained.modules.items():
        tensors |= {f"module/{name}/{key}": value for key, value in module.state_dict().items()}
        tensors |= {f"average/{name}/{key}": value for key, value in trained.averages.get(name, {}).items()}
    for index, values in trained.optimiser.state_dict()["state"].items():
        tensors |= {f"optimiser/{index}/{key}": torch.as_tensor(value) for key, value in values.items()}
    metadata = {"format": FORMAT, "step": str(step), "settings": fingerprint}
    path = folder / _PATTERN.format(step)
    try:
        with whole_file(path) as partial:
            save_file({name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}, partial, metadata)
            with partial.open("rb+") as file:
                os.fsync(file.fileno())
    except SafetensorError as error:
        raise OSError(f"{path}: cannot be written ({error}); free the disk, the last state is still there") from error
    # Damaged files of later steps, which nobody could resume from, must not push out what was just written.
    earlier = [old for old in sorted(folder.glob("step-*.safetensors")) if old < path]
    passing = [old for old in earlier if not keep_every or step_of(old) % keep_every]
    for old in passing[: 1 - KEPT]:
        old.unlink()
    return path


def latest_state(folder: Path) -> Path | None:
    """The newest whole state of a folder, None where it holds none; one that cannot be read is passed over.

    Raises StateError where states are there and none can be read: to begin anew would write over them.
    """
    paths = sorted(folder.glob("step-*.safetensors"), reverse=True)
    for path in paths:
        try:
            with safe_open(path, framework="pt") as file:
                if (file.metadata() or {}).get("format") == FORMAT:
                    return path
        except (SafetensorError, OSError):
            continue
    if paths:
        raise StateError(
            f"{folder}: holds {len(paths)} states and none can be read, the newest is {paths[0].name}; delete them to train "
            "from the start, or choose another state folder"
        )
    return None


def trained_state(folder: Path, step: int | None = None) -> Path:
    """The state of a step, or the newest whole one; raises StateError where there is none yet, or none to be read."""
    if step is not None:
        wanted = folder / _PATTERN.format(step)
        if not wanted.is_file():
            there = ", ".join(str(step_of(one)) for one in sorted(folder.glob("step-*.safetensors"))) or "none"
            raise StateError(f"{folder}: holds no state of step {step}, found {there}; train with keep_every to keep more")
        return wanted
    path = latest_state(folder)
    if path is None:
        raise StateError(f"{folder}: holds no state; train first")
    return path


def step_of(path: Path) -> int:
    """The number of steps before a state, by its name."""
    return int(path.stem.rpartition("-")[2])


def load_state(path: Path, trained: Trained, fingerprint: str) -> int:
    """Put a state back into modules, optimiser and averages, in place; returns its step.

    Raises StateError for one that another network or other settings left.
    """
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118 - no mapping
    except (SafetensorError, OSError) as error:
        raise StateError(f"{path}: cannot be read ({error}); delete it to go on from the state before it") from error
    if metadata.get("settings") != fingerprint:
        raise StateError(
            f"{path}: left by a run with other settings ({_difference(metadata.get('settings', ''), fingerprint)}); "
            "choose another state folder, or restore the settings"
        )
    for name, module in trained.modules.items():
        module.load_state_dict(_under(tensors, f"module/{name}/"))
        for key, value in _under(tensors, f"average/{name}/").items():
            trained.averages[name][key].copy_(value)
    state: dict[int, dict[str, Tensor]] = {}
    for key, value in _under(tensors, "optimiser/").items():
        index, _, entry = key.partition("/")
        state.setdefault(int(index), {})[entry] = value
    current = trained.optimiser.state_dict()
    trained.optimiser.load_state_dict({"state": state, "param_groups": current["param_groups"]})
    for parameter, moments in trained.optimiser.state.items():
        for name, value in moments.items():
            if value.shape == parameter.shape:  # a fused step wants them in the parameter's own memory layout
                moments[name] = torch.empty_like(parameter).copy_(value)
    return int(metadata["step"])


def averages_of(path: Path, module: str) -> dict[str, Tensor]:
    """The averaged weights of one module of a state; raises StateError for a file that cannot be read."""
    try:
        with safe_open(path, framework="pt") as file:
            prefix = f"average/{module}/"
            keys = [key for key in file.keys() if key.startswith(prefix)]  # noqa: SIM118 - no mapping
            return {key.removeprefix(prefix): file.get_tensor(key) for key in keys}
    except (SafetensorError, OSError) as error:
        raise StateError(f"{path}: cannot be read ({error}); delete it to take the state before it") from error


def _under(tensors: dict[str, Tensor], prefix: str) -> dict[str, Tensor]:
    return {key.removeprefix(prefix): value for key, value in tensors.items() if key.startswith(prefix)}


def _difference(before: str, now: str) -> str:
    try:
        old, new = json.loads(before), json.loads(now)
    except ValueError:
        return "which cannot be told"
    return "; ".join(
        f"{key}: {old.get(key, _DEFAULT)} then, {new.get(key, _DEFAULT)} now"
        for key in sorted(old.keys() | new.keys())
        if old.get(key) != new.get(key)
    )


def in_half(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """Weights for an export in half precision, scalars as they are; raises StateError for one that it cannot hold."""
    half = {}
    for name, value in state.items():
        half[name] = value.detach().cpu() if value.ndim == 0 else value.detach().half().cpu().contiguous()
        if not torch.isfinite(half[name]).all():
            raise StateError(f"export: '{name}' holds values beyond half precision; train on with a lower optimiser.rate")
    return half
