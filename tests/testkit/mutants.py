"""Mutants: copies of a module with one small fault each, by mutmut's operators and one more."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import libcst as cst
from libcst import matchers as m
from libcst.metadata import MetadataWrapper, ParentNodeProvider, PositionProvider
from mutmut.mutation.mutators import mutation_operators

# What no test should hold: types, imports, decorators, the wording of errors and of the log, and what a checker reads alone.
_LEFT_OUT = (
    m.Annotation()
    | m.Decorator()
    | m.Import()
    | m.ImportFrom()
    | m.Raise()
    | m.Call(func=m.Attribute(value=m.Name("logger") | m.Name("warnings")))
    | m.Call(func=m.Name("cast"))
    | m.If(test=m.Name("TYPE_CHECKING"))
    | m.Assign(targets=[m.AssignTarget(m.Name("__all__"))])
    | m.Expr(m.SimpleString() | m.ConcatenatedString())
)


@dataclass(frozen=True)
class Mutant:
    """One fault. kind names its operator; before and after are what differs of the lines; source is the whole module.

    line counts from 1; with it runs what lies in `statement`, the first and the last line of the statement or of its head.
    at_import: the import runs it, such as a constant or the default of an argument.
    """

    path: Path
    kind: str
    line: int
    statement: tuple[int, int]
    at_import: bool
    before: str
    after: str
    source: str

    def __str__(self) -> str:
        return f"{self.path.name}:{self.line}: {self.before}  ->  {self.after}"


def find_mutants(path: Path) -> list[Mutant]:
    """All mutants of a module, in the order of its lines."""
    text = path.read_text(encoding="utf-8")
    finder = _Finder()
    module = MetadataWrapper(cst.parse_module(text), unsafe_skip_copy=True).visit(finder)
    found = {}
    for kind, node, faulty, line, *place in finder.found:
        source = module.deep_replace(node, faulty).code
        if source not in found and source != text and _compiles(source):
            found[source] = Mutant(path, kind, line, *place, *_difference(text, source), source)
    return sorted(found.values(), key=lambda one: one.line)


def drawn(mutants: Sequence[Mutant], count: int, seed: int) -> list[Mutant]:
    """Some of them at random, of each kind in turn. A larger count adds to a smaller one; changes elsewhere change little."""

    def place(mutant: Mutant) -> bytes:
        return hashlib.sha256(f"{seed} {mutant}".encode()).digest()

    turns: Counter[str] = Counter()
    ranked = []
    for mutant in sorted(mutants, key=place):
        turns[mutant.kind] += 1
        ranked.append((turns[mutant.kind], place(mutant), mutant))
    return [mutant for *_, mutant in sorted(ranked, key=lambda one: one[:2])[:count]]


def _half(node: cst.Float) -> Iterable[cst.Float]:
    """0.3 -> 0.15: a wrong factor of the right size. Not of what only keeps a divisor from 0."""
    if node.evaluated_value > _GUARD:
        yield node.with_changes(value=repr(0.5 * node.evaluated_value))


_GUARD = 1e-3
_OPERATORS = (*mutation_operators, (cst.Float, _half))


class _Finder(cst.CSTVisitor):
    """Collects (kind, node, faulty node, line, statement, whether the import runs it)."""

    METADATA_DEPENDENCIES = (PositionProvider, ParentNodeProvider)

    def __init__(self) -> None:
        super().__init__()
        self.found: list[tuple[str, cst.CSTNode, cst.CSTNode, int, tuple[int, int], bool]] = []

    def on_visit(self, node: cst.CSTNode) -> bool:
        if m.matches(node, _LEFT_OUT):
            return False
        for kind, operator in _OPERATORS:
            if isinstance(node, kind):
                self.found += [(operator.__name__, node, faulty, *self._place(node)) for faulty in operator(node)]
        return True

    def _place(self, node: cst.CSTNode) -> tuple[int, tuple[int, int], bool]:
        while (own := self.get_metadata(PositionProvider, node, None)) is None:  # operators have no place of their own
            node = self.get_metadata(ParentNodeProvider, node)
        while not isinstance(node, cst.SimpleStatementLine | cst.BaseCompoundStatement):
            node = self.get_metadata(ParentNodeProvider, node)
        whole = self.get_metadata(PositionProvider, node)
        last = whole.end if isinstance(node, cst.SimpleStatementLine) else own.end
        at_import = True
        while (node := self.get_metadata(ParentNodeProvider, node, None)) is not None:
            at_import = at_import and not isinstance(node, cst.FunctionDef)
        return own.start.line, (whole.start.line, last.line), at_import


def _compiles(source: str) -> bool:
    try:
        compile(source, "mutant", "exec")
    except SyntaxError:  # such as `return` for the `break` of a module's loop
        return False
    return True


def _difference(text: str, source: str) -> tuple[str, str]:
    """The lines that differ, as they were and as they are, without their margins."""
    old, new = text.splitlines(), source.splitlines()
    start = next(_unequal(old, new), 0)
    end = next(_unequal(old[::-1], new[::-1]), 0)
    end = min(end, len(old) - start - 1, len(new) - start - 1)
    kept = (lines[start : len(lines) - end] for lines in (old, new))
    before, after = (" ".join(" ".join(line.split()) for line in lines) for lines in kept)
    return before, after


def _unequal(old: Sequence[str], new: Sequence[str]) -> Iterator[int]:
    return (place for place, (one, other) in enumerate(zip(old, new, strict=False)) if one != other)
