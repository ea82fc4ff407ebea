"""The picture beside a bundled workflow: what goes in and what comes out, side by side."""

from __future__ import annotations

import tempfile
import textwrap
from pathlib import Path
from typing import TYPE_CHECKING, Any

from harness.client import ApiClient
from harness.errors import HarnessError
from harness.graph import Prompt, node
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
# A moving thumbnail has so many frames at most, each seen for so many milliseconds.
_FRAMES, _FRAME_MS = 36, 83
_PATIENCE = 3600.0


def make_thumbnail(client: ApiClient, prompt: Prompt, layout: Layout, path: Path) -> None:
    """Run the workflow and save its thumbnail as JPEG; raises HarnessError if it gets larger than LARGEST_BYTES.

    Where a part of it is a film, the JPEG shows the middle of it, and a moving WebP of the same name is saved beside it; there
    a film of fewer frames takes as long as the longest.
    """
    films = _run(client, prompt, layout)
    length = max(map(len, films.values()), default=1)
    sheets = [
        _sheet(prompt, layout, {title: film[at * len(film) // length] for title, film in films.items()}) for at in range(length)
    ]
    for quality in _QUALITIES:
        sheets[length // 2].save(path, quality=quality, optimize=True)
        if path.stat().st_size <= LARGEST_BYTES:
            break
    else:
        raise HarnessError(f"{path.name} has {path.stat().st_size} bytes; at most {LARGEST_BYTES} are wanted.")
    print(f"workflows/{path.name}: {path.stat().st_size // 1024} KiB", flush=True)
    if length > 1:
        moving = path.with_suffix(".webp")
        options = {"duration": _FRAME_MS, "loop": 0, "quality": 60, "method": 6}
        sheets[0].save(moving, save_all=True, append_images=sheets[1:], **options)
        print(f"workflows/{moving.name}: {length} frames, {moving.stat().st_size // 1024} KiB", flush=True)


def _sheet(prompt: Prompt, layout: Layout, pictures: dict[str, Image.Image]) -> Image.Image:
    """The parts side by side; pictures by the titles of their nodes."""
    from PIL import Image, ImageDraw  # part of ComfyUI's environment

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
    return sheet


def _run(client: ApiClient, prompt: Prompt, layout: Layout) -> dict[str, list[Image.Image]]:
    """Run what the thumbnail shows, with a preview on the first output of each of its nodes; pictures by title.

    Films give every second frame, of at most _FRAMES.
    """
    from PIL import Image, ImageOps

    wanted = [tile for tile in layout.thumbnail if tile.input is None]
    previews = {f"thumbnail_{place}": tile for place, tile in enumerate(wanted)}
    ends = {node_id: _preview(prompt, tile) for node_id, tile in previews.items()}
    films = {node_id for node_id, end in ends.items() if _gives_film(client, prompt, end["inputs"]["images"])}
    for node_id in films:
        ends[f"{node_id}_frames"] = node("GetVideoComponents", video=ends[node_id]["inputs"]["images"])
        ends[node_id]["inputs"]["images"] = [f"{node_id}_frames", 0]
    result = client.run(behind(prompt, ends), timeout=_PATIENCE)
    pictures: dict[str, list[Image.Image]] = {}
    with tempfile.TemporaryDirectory(prefix="sfsr-thumbnail-") as folder:
        for image in result.images:
            if image.node_id in previews:
                tile = previews[image.node_id]
                with Image.open(client.download(image, Path(folder) / "picture.png")) as picture:
                    room = (tile.width or TILE, TILE)
                    whole = ImageOps.pad(picture.convert("RGB"), room, Image.Resampling.LANCZOS, _BACKGROUND)
                pictures.setdefault(tile.title, []).append(whole)
    titles = {previews[node_id].title for node_id in films}
    return {title: some[: 2 * _FRAMES : 2] if title in titles else some[-1:] for title, some in pictures.items()}


def _gives_film(client: ApiClient, prompt: Prompt, link: list) -> bool:
    """Whether what a link brings is a VIDEO."""
    return client.object_info(prompt[link[0]]["class_type"])[prompt[link[0]]["class_type"]]["output"][link[1]] == "VIDEO"


def _preview(prompt: Prompt, tile: Tile) -> dict[str, Any]:
    node_id = titled(prompt, tile.title)
    if node_id is None:
        raise HarnessError(f"The thumbnail shows the node {tile.title!r}, which the workflow does not have.")
    return node("PreviewImage", images=[node_id, 0])


def _font(size: int, text: str = "", width: float = float("inf")):
    """Pillow's own font, small enough for the text to fit into the width."""
    from PIL import ImageFont

    lines = text.splitlines() or [""]
    while max((font := ImageFont.load_default(size)).getlength(line) for line in lines) > width:
        size -= 1
    return font
