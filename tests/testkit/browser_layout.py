"""Where the nodes of a workflow stand on the canvas, from a short description by columns.

A description (workflows/layout/<name>.yaml) lists columns from left to right; a column is a list of blocks that stand
below each other; a block has `nodes`, columns of cells again, and may be framed by a named and coloured `group`. A cell
is the title of a node of the graph, {node: title, size: [width, height]}, or a note {note: title, size, text}.
`parts` are groups of nodes that the page shows as one, each a cell by its title; `app` is what the page's app mode offers.
Lengths are in the canvas's units, pixels at 100 %.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness.errors import UsageError

# The page draws a node's title above its position, and a group's title inside its frame.
NODE_TITLE = 30
GROUP_TITLE = 50
PADDING = 20
NODE_GAP = 30
COLUMN_GAP = 50
BLOCK_GAP = 40
MIN_WIDTH = 270
ROUND_WIDTH = 10
FIRST_NOTE_ID = 1001

Size = tuple[float, float]
Box = tuple[float, float, float, float]


@dataclass(frozen=True)
class Cell:
    """One node of the graph, or a note of the layout alone (`text` is set); `size` None: as large as it must be."""

    title: str
    size: Size | None = None
    text: str | None = None


@dataclass(frozen=True)
class Block:
    """Cells in columns, framed by a group unless `group` is None."""

    columns: tuple[tuple[Cell, ...], ...]
    group: str | None = None
    colour: str | None = None


@dataclass(frozen=True)
class Tile:
    """A part of the thumbnail: a node's picture, or the value of a node's input, with a caption.

    width: in pixels, for a sheet; None is a square.
    """

    title: str
    caption: str
    input: str | None = None
    width: int | None = None


Columns = tuple[tuple[Block, ...], ...]


@dataclass(frozen=True)
class Part:
    """Nodes that the page shows as one, a subgraph of that title; `columns` is what one sees inside.

    sockets    what each of its inputs and outputs is called, by "title.name" of the node's inside
    widgets    what each widget of a node inside is called that the one node shows, likewise
    """

    title: str
    columns: Columns
    sockets: Mapping[str, str]
    widgets: Mapping[str, str]


@dataclass(frozen=True)
class App:
    """What the page's app mode offers: what each widget is called, by "title.name", and the nodes whose pictures it shows."""

    widgets: Mapping[str, str]
    results: tuple[str, ...]


@dataclass(frozen=True)
class Layout:
    """Columns of blocks, the parts among their cells, what the app mode offers, and the parts of the thumbnail."""

    columns: Columns
    thumbnail: tuple[Tile, ...]
    parts: tuple[Part, ...] = ()
    app: App | None = None

    def cells(self) -> list[Cell]:
        """All cells, column by column, those inside of parts last; a part is a cell as well."""
        return [*cells(self.columns), *(cell for part in self.parts for cell in cells(part.columns))]


@dataclass(frozen=True)
class PlacedNode:
    """A node of the graph, or a note, with its place: x, y of the part below its title, width, height."""

    title: str
    box: Box
    text: str | None


@dataclass(frozen=True)
class PlacedGroup:
    """A frame with its place."""

    title: str
    colour: str
    box: Box


def read_layout(path: Path) -> Layout:
    """Read a description; raises UsageError for a missing or malformed one."""
    import yaml  # part of ComfyUI's environment

    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        tiles = tuple(
            Tile(entry.get("picture") or entry["text"], entry["caption"], entry.get("input"), entry.get("width"))
            for entry in content["thumbnail"]
        )
        parts = tuple(
            Part(title, _columns(entry), entry["sockets"], entry.get("widgets", {}))
            for title, entry in content.get("parts", {}).items()
        )
        app = App(content["app"]["widgets"], tuple(content["app"]["results"])) if "app" in content else None
        return Layout(_columns(content), tiles, parts, app)
    except (OSError, yaml.YAMLError) as error:
        raise UsageError(f"{path} cannot be read: {error}") from None
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise UsageError(f"{path} is no layout: {type(error).__name__} {error}.") from None


def cells(columns: Columns) -> list[Cell]:
    """The cells of columns of blocks, column by column."""
    return [cell for blocks in columns for block in blocks for column in block.columns for cell in column]


def require_complete(layout: Layout, titles: Sequence[str], name: str) -> None:
    """Raise UsageError unless the layout places every node of the graph and every part exactly once, and no other."""
    titles = [*titles, *(part.title for part in layout.parts)]
    placed = [cell.title for cell in layout.cells() if cell.text is None]
    faults = [f"{title!r} is not placed" for title in titles if title not in placed]
    faults += [f"{title!r} is not in the graph" for title in placed if title not in titles]
    faults += [f"{title!r} appears twice" for title in {*titles} if max(titles.count(title), placed.count(title)) > 1]
    if faults:
        raise UsageError(f"The layout of {name} does not fit its graph: {', '.join(sorted(faults))}.")


def arrange(
    columns: Columns, needed: Mapping[str, Size], room: Mapping[str, Size]
) -> tuple[list[PlacedNode], list[PlacedGroup]]:
    """Place everything in columns of blocks.

    needed, room    least size by title in the two ways the page draws nodes: nodes get the first, and as much space as
                    the larger of both, so that none covers another in either way
    """
    nodes: list[PlacedNode] = []
    groups: list[PlacedGroup] = []
    x = 0.0
    for blocks in columns:
        y = width = 0.0
        for block in blocks:
            inner, size = _arrange_block(block, needed, room, (x, y))
            nodes += inner
            if block.group is not None:
                groups.append(PlacedGroup(block.group, block.colour or "#555", (x, y, *size)))
            y += size[1] + BLOCK_GAP
            width = max(width, size[0])
        x += width + COLUMN_GAP
    return nodes, groups


def _arrange_block(
    block: Block, needed: Mapping[str, Size], room: Mapping[str, Size], corner: tuple[float, float]
) -> tuple[list[PlacedNode], Size]:
    """The block's nodes, and the size of the whole block with its frame."""
    nodes: list[PlacedNode] = []
    left, top = corner
    x, bottom = left + PADDING, top
    for column in block.columns:
        sizes = [_size(cell, needed) for cell in column]
        width = max(size[0] for size in sizes)
        y = top + GROUP_TITLE + NODE_TITLE
        for cell, size in zip(column, sizes, strict=True):
            nodes.append(PlacedNode(cell.title, (x, y, width, size[1]), cell.text))
            height = max(size[1], room.get(cell.title, size)[1])
            bottom = max(bottom, y + height)
            y += height + NODE_GAP + NODE_TITLE
        x += width + COLUMN_GAP
    return nodes, (x - COLUMN_GAP + PADDING - left, bottom + PADDING - top)


def _size(cell: Cell, needed: Mapping[str, Size]) -> Size:
    least = needed.get(cell.title, (0.0, 0.0))
    wanted = cell.size or (MIN_WIDTH, 0.0)
    # Widths come from the length of texts and differ a little from font to font.
    width = math.ceil(least[0] / ROUND_WIDTH) * ROUND_WIDTH
    return max(width, wanted[0]), max(least[1], wanted[1])


def _columns(entry: Mapping[str, Any]) -> Columns:
    return tuple(tuple(map(_block, blocks)) for blocks in entry["columns"])


def _block(entry: Mapping[str, Any]) -> Block:
    columns = tuple(tuple(map(_cell, column)) for column in entry["nodes"])
    return Block(columns, entry.get("group"), entry.get("colour"))


def _cell(entry: str | Mapping[str, Any]) -> Cell:
    if isinstance(entry, str):
        return Cell(entry)
    size = (float(entry["size"][0]), float(entry["size"][1]))
    if "note" in entry:
        return Cell(entry["note"], size, entry["text"])
    return Cell(entry["node"], size)
