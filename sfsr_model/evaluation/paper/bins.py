"""Figure 4 of the paper: faces made for turned heads and for foreign light, a sheet of pictures for each way of sorting."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ...estimators.sheet import grid
from ..metrics import bins
from ..sheet import save_sheet
from ..store import PICTURES, Arrays, load_part, out_folder
from ..summary import LIGHT_EDGES, YAW_EDGES
from .ablation import read_results

COLUMNS = ("reference", "source", "target", "generated", "answer")
_UNITS = {"yaw": "°", "light": " stops"}


def bin_sheets(finished: Path, each: int, out: Path) -> list[Path]:
    """Draw yaw.jpg and light.jpg of a finished evaluation: up to `each` triplets of each bin, rising; returns their paths.

    Raises ValueError where the folder holds no finished evaluation, or its pictures are not whole.
    """
    # The first cases of an evaluation are its people's triplets as they are.
    arrays = triplets(finished, int(read_results(finished)["run"]["people"]))
    out_folder(out)
    yaw = torch.rad2deg(torch.from_numpy(arrays["pose"])[:, 1].abs())
    sorted_by = {"yaw": (yaw, YAW_EDGES), "light": (torch.from_numpy(arrays["light"]), LIGHT_EDGES)}
    paths = []
    for name, (values, edges) in sorted_by.items():
        chosen = [number for _, members in bins(values, edges) for number in spread(values, members, each)]
        labels = [f"{float(values[number]):.{0 if name == 'yaw' else 2}f}{_UNITS[name]}" for number in chosen]
        cells = [[torch.from_numpy(arrays[column][number]).float() / 255 for column in COLUMNS] for number in chosen]
        paths.append(out / f"{name}.jpg")
        save_sheet(grid(cells, labels, COLUMNS)[0], paths[-1])
    return paths


def triplets(finished: Path, people: int) -> Arrays:
    """The stored pictures and facts of an evaluation's first cases; raises ValueError where some are missing."""
    parts: list[Arrays] = []
    for path in sorted((finished / PICTURES).glob("part-*.npz")):
        part = load_part(path)
        if part is None:
            raise ValueError(f"{path} cannot be read; run the evaluation again, it makes what is damaged anew")
        parts.append({name: part[name] for name in (*COLUMNS, "pose", "light")})
        if sum(len(one["light"]) for one in parts) >= people:
            return {name: np.concatenate([one[name] for one in parts])[:people] for name in parts[0]}
    raise ValueError(f"{finished}: holds fewer than {people} pictures; finish the evaluation with the command run first")


def spread(values: Tensor, members: Tensor, count: int) -> list[int]:
    """Numbers of up to `count` members (bool [N]) whose values [N] lie evenly along their order, rising."""
    numbers = members.nonzero()[:, 0]
    ordered = numbers[values[numbers].argsort(stable=True)]
    places = torch.linspace(0, len(ordered) - 1, min(count, len(ordered))).round().long()
    return ordered[places].tolist()
