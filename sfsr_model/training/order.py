"""Which samples a step sees and which random numbers it draws: functions of the seed, the step and the kind of device alone.

So a run that was killed goes on with the very data and noise it would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import lru_cache

import torch
from torch import Tensor
from torch.utils.data import Sampler


def batch_indices(seed: int, step: int, batch: int, count: int) -> list[int]:
    """Indices of the samples of one step: a fresh permutation of `count` for each pass, read on in steps of `batch`."""
    first = step * batch
    return [int(_permutation(seed, place // count, count)[place % count]) for place in range(first, first + batch)]


# A step straddles two passes at most, but for tiny sets.
@lru_cache(maxsize=2)
def _permutation(seed: int, epoch: int, count: int) -> Tensor:
    return torch.randperm(count, generator=torch.Generator().manual_seed(_mixed(seed, 2 * epoch)))


def step_generator(seed: int, step: int, process: int = 0) -> torch.Generator:
    """The generator of everything random in one step of one process, on the CPU; see `generator_on` for the rest."""
    return torch.Generator().manual_seed(_mixed(seed + 7919 * process, 2 * step + 1))


def generator_on(device: torch.device, generator: torch.Generator) -> torch.Generator:
    """The generator itself on a CPU, elsewhere one of the device that it seeds: for numbers too many to bring there."""
    if device.type == "cpu":
        return generator
    return torch.Generator(device).manual_seed(int(torch.randint(2**62, (), generator=generator)))


def _mixed(seed: int, stream: int) -> int:
    """One 63-bit seed of two numbers (the finaliser of SplitMix64, Steele et al. 2014)."""
    mask = (1 << 64) - 1
    value = (seed * 0x9E3779B97F4A7C15 + stream * 0xD1B54A32D192ED03 + 0x2545F4914F6CDD1D) & mask
    value = ((value ^ (value >> 30)) * 0xBF58476D1CE4E5B9) & mask
    value = ((value ^ (value >> 27)) * 0x94D049BB133111EB) & mask
    return (value ^ (value >> 31)) >> 1


class StepBatches(Sampler[list[int]]):
    """Batches of the steps first .. last - 1, for a DataLoader's batch_sampler; every process takes its own part."""

    def __init__(self, seed: int, first: int, last: int, batch: int, count: int, process: int = 0, processes: int = 1) -> None:
        self._steps = range(first, last)
        self._seed, self._batch, self._count = seed, batch, count
        self._process, self._processes = process, processes

    def __iter__(self) -> Iterator[list[int]]:
        for step in self._steps:
            yield batch_indices(self._seed, step, self._batch * self._processes, self._count)[self._process :: self._processes]

    def __len__(self) -> int:
        return len(self._steps)


class MixedBatches(Sampler[list[int]]):
    """Batches of several data sets at once: each one's own batches, its numbers counted on from those of the sets before it."""

    def __init__(self, parts: Sequence[StepBatches], counts: Sequence[int]) -> None:
        self._parts, self._firsts = parts, [sum(counts[:place]) for place in range(len(counts))]

    def __iter__(self) -> Iterator[list[int]]:
        for batches in zip(*self._parts, strict=True):
            yield [first + index for first, batch in zip(self._firsts, batches, strict=True) for index in batch]

    def __len__(self) -> int:
        return len(self._parts[0])
