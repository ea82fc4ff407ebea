"""The picture beside a bundled workflow: what goes in and what comes out, side by side."""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING

from harness.client import ApiClient
from harness.errors import HarnessError
from harness.graph import Prompt
from harness.workflow import behind, titled

from testkit.browser_layout import Layout, Tile

if TYPE_CHECKING:
    from PIL import Image

TILE = 256
GAP = 40
CAPTION = 40
MARGIN = 20
LARGEST_BYTES = 60_000
_BACKGROUND = (28, 30, 34)
_PANEL = (48, 51, 58)
# JPEG qualities, the best first: the first that makes the picture small enough is taken.
_QUALITIES = (88, 80, 72)
# Letters of a line, for texts of several words.
_LINE = 16
_INK = (235, 236, 240)


def make_thumbnail(client: ApiClient, prompt: Prompt, layout: Layout, path: Path) -> None:
    """Run the workflow and save its thumbnail as JPEG; raises HarnessError if it gets larger than LARGEST_BYTES."""
    from PIL import Image, ImageDraw  # part of ComfyUI's environment

    pictures = _run(client, prompt, layout)
    count = len(layout.thumbnail)
    widths = [tile.width or TILE for tile in layout.thumbnail]
    size = (2 * MARGIN + sum(widths) + (count - 1) * GAP, 2 * MARGIN + TILE + CAPTION)
    sheet = Image.new("RGB", size, _BACKGROUND)
    draw = ImageDraw.Draw(sheet)
    left = MARGIN
    for place, (tile, width) in enumerate(zip(layout.thumbnail, widths, strict=True)):
        middle = left + width // 2
        if tile.input is None:
            sheet.paste(pictures[tile.title], (left, MARGIN))
        else:
            draw.rounded_rectangle((left, MARGIN, left + width, MARGIN + TILE), 12, fill=_PANEL)
            word = str(prompt[titled(prompt, tile.title)]["inputs"][tile.input])
            text = textwrap.fill(word, _LINE)
            draw.text(
                (middle, MARGIN + TILE // 2), text, _INK, _font(36, text, width - 20), anchor="mm", align="center", spacing=10
            )
        draw.text((middle, MARGIN + TILE + CAPTION // 2 + 4), tile.caption, _INK, _font(24), anchor="mm")
        if place:
            # What ends with an input has no picture to show for the result.
            sign = "=" if place == count - 1 and tile.input is None else "+"
            draw.text((left - GAP // 2, MARGIN + TILE // 2), sign, _INK, _font(36), anchor="mm")
        left += width + GAP
    for quality in _QUALITIES:
        sheet.save(path, quality=quality, optimize=True)
        if path.stat().st_size <= LARGEST_BYTES:
            break
    else:
        raise HarnessError(f"{path.name} has {path.stat().st_size} bytes; at most {LARGEST_BYTES} are wanted.")
    print(f"workflows/{path.name}: {path.stat().st_size // 1024} KiB", flush=True)


def _run(client: ApiClient, prompt: Prompt, layout: Layout) -> dict[str, Image.Image]:
    """Run what the thumbnail shows, with a preview on the first output of each of its nodes; pictures by title."""
    from PIL import Image, ImageOps

    wanted = [tile for tile in layout.thumbnail if tile.input is None]
    previews = {f"thumbnail_{place}": tile for place, tile in enumerate(wanted)}
    result = client.run(behind(prompt, {node_id: _preview(prompt, tile) for node_id, tile in previews.items()}))
    pictures = {}
    with tempfile.TemporaryDirectory(prefix="sfsr-thumbnail-") as folder:
        for image in result.images:
            if image.node_id in previews:
                tile = previews[image.node_id]
                with Image.open(client.download(image, Path(folder) / "picture.png")) as picture:
                    room = (tile.width or TILE, TILE)
                    whole = ImageOps.pad(picture.convert("RGB"), room, Image.Resampling.LANCZOS, _BACKGROUND)
                pictures[tile.title] = whole
    return pictures


def _preview(prompt: Prompt, tile: Tile) -> dict[str, object]:
    node_id = titled(prompt, tile.title)
    if node_id is None:
        raise HarnessError(f"The thumbnail shows the node {tile.title!r}, which the workflow does not have.")
    return {"class_type": "PreviewImage", "inputs": {"images": [node_id, 0]}}


def _font(size: int, text: str = "", width: float = float("inf")):
    """Pillow's own font, small enough for the text to fit into the width."""
    from PIL import ImageFont

    lines = text.splitlines() or [""]
    while max((font := ImageFont.load_default(size)).getlength(line) for line in lines) > width:
        size -= 1
    return font
