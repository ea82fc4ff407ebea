"""Put small faults into the core and count those that no unit test notices.

    python tests/mutate.py [package ...] [--count 40] [--seed 0] [--budget 30] [--again]

Run it with the Python of the test environment, where there is fork. Each fault (mutant) is mutmut's; it meets only tests that
run its line, the shortest first, and the first that fails decides. What was tried before with the same sources and tests is not
tried again.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib.metadata
import json
import sys
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY / name) for name in ("tests", "scripts")]

from harness.cache import cache_folder, write_atomically  # noqa: E402
from testkit.mutant_tests import Reach, measure, notices, preload  # noqa: E402
from testkit.mutants import Mutant, drawn, find_mutants  # noqa: E402

# Sources below sfsr_model, and the files of tests/unit that are about them.
PACKAGES: dict[str, tuple[str, tuple[str, ...]]] = {
    "estimators": ("estimators/*.py", ("estimators", "midpoint_solver", "estimator_study")),
    "schedule": ("schedule/*.py", ("schedule", "midpoint_solver")),
    "guidance": ("guidance/*.py", ("guidance",)),
    "compound": ("compound/*.py", ("compound",)),
    "face": ("face/*.py", ("face_*",)),
    "expressions": ("expressions/*.py", ("expression_*",)),
    "losses": ("losses/*.py", ("losses",)),
    "agreement": ("encoders/agreement.py", ("enrolment", "neighbours", "given_faces", "identity_*")),
    "detection": ("encoders/detection.py", ("detection", "enrolment", "encoders_points", "given_faces", "face_framing")),
}
LIMIT = 0.15


@dataclass(frozen=True)
class Outcome:
    """Of one package: mutants tried, and those that no test noticed."""

    tried: int
    survivors: list[Mutant]


def main() -> int:
    """Print every survivor and a table; 1 where more than the limit survive in a package."""
    parser = argparse.ArgumentParser(prog="mutate.py", description="Count the small faults that no unit test notices.")
    parser.add_argument("packages", nargs="*", metavar="package", help=f"of {', '.join(PACKAGES)}; default: all")
    parser.add_argument("--count", type=int, default=40, help="mutants of a package")
    parser.add_argument("--seed", type=int, default=0, help="draws which")
    parser.add_argument("--budget", type=float, default=30.0, help="seconds of the processor for the tests of a mutant")
    parser.add_argument("--again", action="store_true", help="try again what was tried before")
    options = parser.parse_args()
    if unknown := set(options.packages) - PACKAGES.keys():
        parser.error(f"no package {', '.join(sorted(unknown))}; choose from {', '.join(PACKAGES)}")
    preload()
    outcomes = {name: _try_package(name, options) for name in options.packages or PACKAGES}
    print(f"\nmutmut {importlib.metadata.version('mutmut')}, seed {options.seed}\n")
    print("| package | mutants | survivors | share |\n|---|---|---|---|")
    for name, one in outcomes.items():
        print(f"| {name} | {one.tried} | {len(one.survivors)} | {len(one.survivors) / max(1, one.tried):.0%} |")
    return int(any(len(one.survivors) > LIMIT * one.tried for one in outcomes.values()))


def _try_package(name: str, options: argparse.Namespace) -> Outcome:
    pattern, topics = PACKAGES[name]
    sources = sorted((REPOSITORY / "sfsr_model").glob(pattern))
    tests = sorted({path for topic in topics for path in (REPOSITORY / "tests" / "unit").glob(f"test_{topic}.py")})
    state = _digest(*(path.read_bytes() for path in (*sources, *tests)))
    folder = cache_folder() / "mutants"
    folder.mkdir(exist_ok=True)
    reach = _reach(folder / f"{name}-{state}.json", sources, tests)
    for failed in reach.failed:
        print(f"{name}: left out, as it fails without a mutant: {failed}", flush=True)
    chosen = drawn([mutant for path in sources for mutant in find_mutants(path)], options.count, options.seed)
    known_path = folder / f"{name}-known.json"
    known = json.loads(known_path.read_text(encoding="utf-8")) if known_path.is_file() and not options.again else {}
    survivors = []
    for number, mutant in enumerate(chosen, 1):
        names = reach.tests(REPOSITORY, mutant, options.budget)
        key = _digest(mutant.source.encode(), state.encode(), *map(str.encode, names))
        if key not in known:
            module = ".".join(mutant.path.relative_to(REPOSITORY).with_suffix("").parts).removesuffix(".__init__")
            seconds = sum(reach.seconds[one] for one in names)
            known[key] = bool(names) and notices(REPOSITORY, mutant, module, names, seconds)
            write_atomically(known_path, json.dumps(known))
        if not known[key]:
            survivors.append(mutant)
        said = "noticed" if known[key] else "SURVIVED"
        print(f"{name} {number}/{len(chosen)} {said} ({len(names)} tests) {mutant}", flush=True)
    return Outcome(len(chosen), survivors)


def _reach(path: Path, sources: list[Path], tests: list[Path]) -> Reach:
    if not path.is_file():
        write_atomically(path, measure(REPOSITORY, tests, sources).dumps())
    return Reach.loads(path.read_text(encoding="utf-8"))


def _digest(*parts: bytes) -> str:
    return hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]


if __name__ == "__main__":
    sys.exit(main())
