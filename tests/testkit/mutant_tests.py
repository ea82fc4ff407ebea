"""Which tests run which lines, and whether they notice a mutant; every run is a process of its own, forked from this one."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import json
import math
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from types import CodeType

import pytest

from testkit.mutants import Mutant

# Imported once, before the forks: they take most of a short test's time.
HEAVY = ("torch", "numpy", "PIL.Image", "cv2", "hypothesis", "skimage.data", "onnxruntime", "insightface", "safetensors.torch")
# A mutant may loop for ever. Only the processor's time counts: on a busy machine the clock's says nothing.
_PATIENCE, _AT_LEAST_S = 10.0, 60.0


@dataclass
class Reach:
    """Which tests run which line of which file, each test's processor seconds, and those that fail."""

    lines: dict[str, dict[int, list[str]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    @classmethod
    def loads(cls, text: str) -> Reach:
        """From `dumps`."""
        read = json.loads(text)
        read["lines"] = {file: {int(line): tests for line, tests in lines.items()} for file, lines in read["lines"].items()}
        return cls(**read)

    def dumps(self) -> str:
        """As JSON."""
        return json.dumps(asdict(self))

    def tests(self, root: Path, mutant: Mutant, budget: float) -> list[str]:
        """Those that run its statement, the shortest first, as many as take `budget` seconds together, and one at the least.

        What the module's import runs belongs to all tests: they follow, whichever of them came first to the import.
        """
        lines = self.lines.get(mutant.path.relative_to(root).as_posix(), {})
        first, last = mutant.statement
        runs = {name for line in range(first, last + 1) for name in lines.get(line, [])}
        names = (set(self.seconds) if mutant.at_import else runs) - set(self.failed)
        chosen: list[str] = []
        for name in sorted(names, key=lambda one: (one not in runs, self.seconds[one], one)):
            budget -= self.seconds[name]
            if chosen and budget < 0:
                break
            chosen.append(name)
        return chosen


def preload() -> None:
    """Import what is heavy and not under test."""
    for name in HEAVY:
        with suppress(ImportError):
            importlib.import_module(name)


def measure(root: Path, tests: Sequence[Path], sources: Sequence[Path]) -> Reach:
    """Run the tests once and note which lines of the sources each of them runs."""
    found = _forked(_measured, root, root, tests, sources)
    if found is None:
        raise RuntimeError(f"the tests died before their end: {', '.join(path.name for path in tests)}")
    return found


def notices(root: Path, mutant: Mutant, name: str, tests: Sequence[str], seconds: float) -> bool:
    """Whether one of the tests fails with the mutant in place of the module `name`, or takes more than `seconds` by far."""
    return _forked(_tried, root, mutant, name, list(tests), seconds=max(_AT_LEAST_S, _PATIENCE * seconds)) is not False


def _forked(work: Callable, root: Path, *arguments: object, seconds: float | None = None) -> object:
    """The result of work(*arguments) in a child that runs in `root`; None where it dies or takes too long."""
    context = multiprocessing.get_context("fork")
    here, there = context.Pipe(duplex=False)

    def child() -> None:
        os.chdir(root)
        os.environ["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"
        if seconds is not None:
            resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(seconds + time.process_time()), resource.RLIM_INFINITY))
        silent = os.open(os.devnull, os.O_WRONLY)
        os.dup2(silent, 1)
        os.dup2(silent, 2)
        there.send(work(*arguments))

    process = context.Process(target=child)
    process.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def _pytest(arguments: list[str], plugin: object = None) -> int:
    with suppress(ImportError):
        import hypothesis

        # The same examples each time, as long as they take.
        hypothesis.settings.register_profile(
            "mutants", deadline=None, derandomize=True, database=None, suppress_health_check=list(hypothesis.HealthCheck)
        )
        hypothesis.settings.load_profile("mutants")
    options = ["-q", "-p", "no:cacheprovider", "--no-header", "--no-summary"]
    return pytest.main([*options, *arguments], plugins=[plugin] if plugin else [])


class _Watch:
    """Tells coverage which test is running, and keeps the tests' times and failures."""

    def __init__(self, coverage: object, reach: Reach) -> None:
        self._coverage, self._reach = coverage, reach

    @pytest.hookimpl(hookwrapper=True)
    def pytest_runtest_protocol(self, item: pytest.Item) -> Iterator[None]:
        self._coverage.switch_context(item.nodeid)
        start = time.process_time()
        yield
        self._reach.seconds[item.nodeid] = time.process_time() - start
        self._coverage.switch_context("")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.failed and report.nodeid not in self._reach.failed:
            self._reach.failed.append(report.nodeid)


def _measured(root: Path, tests: Sequence[Path], sources: Sequence[Path]) -> Reach:
    from coverage import Coverage

    coverage, reach = Coverage(data_file=None, include=[str(path) for path in sources], config_file=False), Reach()
    coverage.start()
    _pytest([str(path) for path in tests], _Watch(coverage, reach))
    coverage.stop()
    data = coverage.get_data()
    for path in sources:
        file, lines = path.relative_to(root).as_posix(), data.contexts_by_lineno(str(path))
        tested = {line: [one for one in names if one] for line, names in lines.items()}
        reach.lines[file] = {line: names for line, names in tested.items() if names}
    return reach


def _tried(mutant: Mutant, name: str, tests: list[str]) -> bool:
    sys.meta_path.insert(0, _Instead(mutant, name))
    return _pytest(["-x", *tests]) != pytest.ExitCode.OK


class _Instead(importlib.machinery.SourceFileLoader):
    """Finds and loads the mutant where its module is imported."""

    def __init__(self, mutant: Mutant, name: str) -> None:
        super().__init__(name, str(mutant.path))
        self._source = mutant.source

    def find_spec(self, name: str, path: object = None, target: object = None) -> importlib.machinery.ModuleSpec | None:
        return importlib.util.spec_from_file_location(name, self.path, loader=self) if name == self.name else None

    def get_code(self, fullname: str) -> CodeType:
        return compile(self._source, self.path, "exec", dont_inherit=True)
