"""The study as pictures: a captioned grid, maps of the error, and the plot of the error against the noise level."""

from __future__ import annotations

from collections.abc import Sequence
from importlib.util import find_spec

import numpy as np
import torch
from torch import Tensor

from ..sheet import Cell, draw_sheet
from .study import StudyRow
from .variants import ESTIMATORS

_CELL = 128


def grid(pictures: Sequence[Sequence[Tensor]], rows: Sequence[str], columns: Sequence[str]) -> Tensor:
    """One picture [1, H, W, 3] in 0..1 of equally large pictures [h, w, 3], with a caption for each row and column.

    Small pictures are enlarged by whole factors, so that captions fit and pixels stay pixels.
    """
    height, width = pictures[0][0].shape[:2]
    factor = max(1, -(-_CELL // min(height, width)))
    cells = [[Cell(picture) for picture in row] for row in pictures]
    return draw_sheet(cells, rows, columns, (width * factor, height * factor), most_rows=len(rows))


def error_maps(pictures: Sequence[Sequence[Tensor]], truth: Tensor) -> tuple[list[list[Tensor]], float]:
    """For each picture [h, w, 3] how far it is from the true one, as grey [h, w, 3]; white is the largest error of all.

    Returns the maps and that error (mean of the channels' absolute differences).
    """
    errors = [[(picture - truth).abs().mean(-1, keepdim=True) for picture in row] for row in pictures]
    largest = max(float(error.max()) for row in errors for error in row)
    return [[(error / max(largest, 1e-6)).expand(*error.shape[:2], 3) for error in row] for row in errors], largest


def require_matplotlib() -> None:
    """Raises ImportError, saying what to install, where matplotlib is missing: to be asked before the work, not after."""
    if find_spec("matplotlib") is None:
        raise ImportError("the plot needs matplotlib; run `python -m pip install matplotlib` with ComfyUI's Python")


def mse_plot(rows: Sequence[StudyRow]) -> Tensor:
    """Mean squared error in the hole against the noise level, both logarithmic, a line for each estimator: [1, H, W, 3]."""
    require_matplotlib()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8.0, 5.0), dpi=120, layout="constrained")
    canvas = FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    sigmas = [row.sigma for row in rows]
    for name in rows[0].inside:
        bound = ESTIMATORS[name].bound
        label = f"{name} ({ESTIMATORS[name].evaluations})" + (", a bound" if bound else "")
        axes.plot(sigmas, [row.inside[name] for row in rows], marker="o", linestyle=":" if bound else "-", label=label)
    axes.set(xscale="log", yscale="log", xlabel="noise level (sigma)", ylabel="mean squared error of x0* in the mask")
    axes.grid(alpha=0.3, which="both")
    axes.legend(title="estimator (evaluations)", fontsize="small")
    canvas.draw()
    return torch.from_numpy(np.asarray(canvas.buffer_rgba())[..., :3].astype(np.float32) / 255.0)[None]
