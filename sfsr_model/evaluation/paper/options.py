"""The command `study`: what its parts ask for, and carrying them out one after the other."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from .. import options as shared

PARTS = ("curve", "reconstructions", "faces", "ablation", "bins")
# Any one of these options, by part.
_NEEDS = {
    "curve": ("checkpoints",),
    "reconstructions": ("checkpoints",),
    "faces": ("finetunes",),
    "ablation": ("evaluations", "finetunes"),
    "bins": ("binned", "checkpoints"),
}


def add_paper(parser: argparse.ArgumentParser) -> None:
    """All options of the study."""
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=list(PARTS), help="what to do (default: all)")
    parser.add_argument("--out", type=Path, required=True, help="folder of the results, a folder for each part in it")
    parser.add_argument("--checkpoints", type=Path, nargs="+", default=[],
                        help="of one training, in the order of its steps; reconstructions and bins take the last")  # fmt: skip
    parser.add_argument("--finetunes", type=Path, nargs="+", default=[],
                        help="checkpoints to compare, for ablation named VARIANT-seedNUMBER.safetensors")  # fmt: skip
    parser.add_argument("--evaluations", type=Path, nargs="+", default=[],
                        help="for ablation, instead: finished folders of run, named VARIANT-seedNUMBER")  # fmt: skip
    parser.add_argument("--binned", type=Path, help="for bins, instead: a finished folder of the command run")
    parser.add_argument(
        "--rows", type=int, default=4, help="people of reconstructions and faces, triplets of a bin (default 4)"
    )
    parser.add_argument("--shown-timesteps", type=int, nargs="+", default=[300, 600, 900],
                        help="noise levels of reconstructions (default 300 600 900)")  # fmt: skip
    shared.add_noise(parser, samples=500)
    shared.add_background(parser)
    shared.add_faces(parser)
    shared.add_run(parser)


def paper_of(options: argparse.Namespace) -> Iterator[str]:
    """Carry out the parts in order; what to tell after each. Raises ValueError or OSError naming what is wrong or missing."""
    if options.rows < 1:
        raise ValueError(f"rows: expected at least 1, found {options.rows}")
    for part in options.parts:
        if not any(getattr(options, name) for name in _NEEDS[part]):
            wanted = " or ".join(f"--{name}" for name in _NEEDS[part])
            raise ValueError(f"parts: {part} needs {wanted}; give it, or leave {part} out of --parts")
    from ..study import check_timesteps

    check_timesteps("shown-timesteps", options.shown_timesteps)
    study = shared.study_of(options, Path())
    put_back, rendered = options.background == "known", options.out / "rendered"
    for part in options.parts:
        out = options.out / part
        if part == "curve":
            from .curve import curve

            yield curve(study, options.checkpoints, put_back, rendered, out)
        elif part == "reconstructions":
            from .reconstructions import reconstructions

            last = shared.study_of(options, options.checkpoints[-1])
            yield str(reconstructions(last, options.rows, options.shown_timesteps, put_back, rendered, out))
        elif part == "faces":
            from .faces import faces

            yield str(faces(study, options.finetunes, options.rows, shared.sampling_of(options), rendered, out))
        elif part == "ablation":
            from .ablation import ablation, variant_and_seed

            for path in options.finetunes if not options.evaluations else ():
                variant_and_seed(path.stem)
            yield ablation(options.evaluations or [_evaluated(options, path) for path in options.finetunes], out)
        else:
            from .bins import bin_sheets

            finished = options.binned or _evaluated(options, options.checkpoints[-1])
            yield "\n".join(str(path) for path in bin_sheets(finished, options.rows, out))


def _evaluated(options: argparse.Namespace, checkpoint: Path) -> Path:
    """The folder of a checkpoint's evaluation, which is made or gone on with."""
    from ..run import run

    folder = options.out / "evaluations" / checkpoint.stem
    run(shared.plan_of(options, checkpoint, folder))
    return folder
