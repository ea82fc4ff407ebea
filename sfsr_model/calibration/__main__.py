"""`python -m sfsr_model.calibration`: measure once what a SMIRK file reads of known expressions.

Words, sliders and mixtures of expressions then have the 55 numbers that the Arc2Face Expression Adapter takes. The map is
written beside the SMIRK file, under a name made of its hash. Faces are rendered (--cache, see `python -m sfsr_model.synthetic
cache`) or photos of yours (--photos). Both take minutes.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from ..command import exit_status
from ..files import digest_of, read_foreign_tensors

if TYPE_CHECKING:
    from ..encoders.smirk import SmirkNetwork
    from .fit import Fit

_EVERY = 200


def main(arguments: list[str] | None = None) -> int:
    """Run the command; 0, 2 with one line on stderr for bad input, or 130 where it was interrupted."""
    options = _parser().parse_args(arguments)
    return exit_status(lambda: _run(options), "stopped: no map was written")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m sfsr_model.calibration", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--smirk", type=Path, required=True, help="SMIRK_em1.pt of the project smirk by georgeretsi, or a safetensors of it"
    )
    parser.add_argument("--channels", choices=("BGR", "RGB"), default="BGR", help="as in Load Expression Encoder (default BGR)")
    faces = parser.add_mutually_exclusive_group(required=True)
    faces.add_argument("--cache", type=Path, help="the renderer's cache file")
    faces.add_argument("--photos", type=Path, help="folder of photos of faces, a few hundred or more")
    parser.add_argument("--count", type=int, default=2000, help="rendered faces (default 2000)")
    parser.add_argument("--seed", type=int, default=0, help="of the rendered faces (default 0)")
    parser.add_argument(
        "--landmarker",
        type=Path,
        help="MediaPipe's face_landmarker.task, to read the photos' coefficients; else the bundled encoder",
    )
    return parser


def _run(options: argparse.Namespace) -> int:
    from ..encoders.bundled import load_bundled_photo_reader
    from ..encoders.smirk import SmirkReader
    from ..expressions.flame_map import flame_map_path
    from ..landmarker import load_expression_encoder
    from . import fit_map, photo_faces, rendered_faces

    smirk = SmirkReader(options.smirk.name, _network(options.smirk), options.channels)
    if options.cache is not None:
        from ..synthetic.model import FaceModel

        readings = rendered_faces(
            FaceModel.load(options.cache), smirk, options.count, seed=options.seed, told=_teller("rendered")
        )
        faces = f"{len(readings.numbers)} rendered faces"
    else:
        encoder = load_expression_encoder(options.landmarker) if options.landmarker else load_bundled_photo_reader()
        readings = photo_faces(options.photos, replace(encoder, smirk=smirk), _teller("read"))
        faces = f"{len(readings.numbers)} photos, coefficients by {encoder.name}"
        for line in readings.skipped:
            print(f"left out: {line}", file=sys.stderr)
    digest = digest_of(options.smirk)
    fit = fit_map(readings, digest, f"{faces}, {options.channels}")
    print("\n".join(report(fit)))
    path = flame_map_path(options.smirk, digest)
    fit.flame_map.save(path)
    print(f"wrote {path}")
    return 0


def report(fit: Fit) -> list[str]:
    """What people should know of a map: how each number of faces that it was not fitted on agrees with what SMIRK read."""
    from ..expressions import FLAME_NAMES
    from ..expressions.flame import EXPRESSION, EYELID, JAW

    found = fit.flame_map.correlations
    lines = [f"{fit.flame_map.faces}; ridge of strength {fit.strength:g}; correlation on {fit.held_out} faces held out:"]
    lines += [f"  {name:14s} {value:6.3f}" for name, value in zip(FLAME_NAMES, found.tolist(), strict=True)]
    groups = (("expression", EXPRESSION), ("eyelids", EYELID), ("jaw", JAW))
    return [*lines, "mean: " + ", ".join(f"{name} {found[part].mean():.3f}" for name, part in groups)]


def _network(path: Path) -> SmirkNetwork:
    """The network of a SMIRK file, of which nothing but tensors is unpickled. Raises SmirkFileError naming it."""
    from ..encoders.smirk import WHAT, SmirkFileError, load_smirk, smirk_network

    if not path.is_file():
        raise SmirkFileError(f"{path}: no such file; give {WHAT}")
    if path.suffix == ".safetensors":
        return load_smirk(path)
    try:
        found = read_foreign_tensors(path)
    except ValueError as error:
        raise SmirkFileError(f"{error}; expected {WHAT}") from error
    return smirk_network(found.get("state_dict", found), path.name)


def _teller(done: str) -> Callable[[int], None]:
    def tell(count: int) -> None:
        if count % _EVERY == 0:
            print(f"{count} {done}", flush=True)

    return tell


if __name__ == "__main__":
    sys.exit(main())
