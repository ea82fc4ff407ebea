"""Figure 3 of the paper: what several checkpoints make of the same wishes and the same noise, side by side."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...estimators.sheet import grid
from ..generate import Sampling, generate, paste
from ..pictures import case_noise
from ..sheet import save_sheet
from ..store import Arrays, RunFolder, digest, out_folder
from ..study import Samples, Study

_GIVEN = ("reference", "source", "target")


def faces(study: Study, checkpoints: Sequence[Path], people: int, sampling: Sampling, rendered: Path, out: Path) -> Path:
    """Draw faces.jpg, a row for each of a study's first triplets: what was given, what each checkpoint made, the answer.

    study: its own checkpoint is not looked at. rendered: folder that keeps the triplets. Faces are kept in `out` as they are
    made. Returns the sheet's path; raises ValueError or OSError naming what is wrong.
    """
    out_folder(out)
    columns: dict[str, np.ndarray] = {}
    made = []
    for path in checkpoints:
        samples = Samples(replace(study, checkpoint=path), rendered)
        kept = RunFolder(out / "kept" / digest(path), samples.settings() | {"sampling": asdict(sampling)})
        parts = []
        for numbers in samples.ranges(people):
            make = partial(_make, samples, numbers, sampling)
            parts.append(kept.part(numbers.start // study.batch, make) | samples.rendered(numbers))
        columns = {name: np.concatenate([part[name] for part in parts])[:people] for name in (*_GIVEN, "generated", "answer")}
        made.append(columns["generated"])
    shown = [*(columns[name] for name in _GIVEN), *made, columns["answer"]]
    cells = [[torch.from_numpy(column[row]).float() / 255 for column in shown] for row in range(len(shown[0]))]
    sheet = grid(cells, [str(row) for row in range(len(cells))], [*_GIVEN, *(path.stem for path in checkpoints), "answer"])
    path = out / "faces.jpg"
    save_sheet(sheet[0], path)
    return path


def _make(samples: Samples, numbers: range, sampling: Sampling) -> Arrays:
    """generated: of a batch, uint8 [B, S, S, 3], pasted into the target."""
    arrays = samples.rendered(numbers)
    wanted = samples.wanted(arrays)
    noise = case_noise(samples.study.seed, numbers.start, len(numbers), samples.network.latent_shape(samples.size))
    made = generate(samples.network, wanted, noise, sampling)
    return {"generated": paste(made, torch.from_numpy(arrays["target"]), wanted.mask).numpy()}
