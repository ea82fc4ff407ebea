"""Make workflows/<name>.json and its thumbnail from workflows/api/<name>.json and workflows/layout/<name>.yaml.

The work is done by ComfyUI's own page, so the result is what the page itself would save. Run it after a change of a
node, of an API workflow or of a layout, with the Python of the test environment:

    python scripts/build_workflows.py [name ...] [--comfyui FOLDER] [--screenshot FOLDER] [--no-thumbnail]
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from harness.cache import cache_folder
from harness.client import ApiClient
from harness.errors import HarnessError
from harness.graph import Prompt
from harness.host import NEWEST, inspect_host, installed_folder
from harness.server import REPOSITORY, ComfyServer
from harness.workflow import load_workflow, needs_checkpoint

sys.path.insert(0, str(REPOSITORY / "tests"))

from testkit.browser import NODES_2, Page
from testkit.browser_layout import Layout, read_layout
from testkit.browser_thumbnail import make_thumbnail
from testkit.browser_workflow import build_ui_workflow, differences, flat, fold, load_prompt, look, page_form, view

WORKFLOWS = REPOSITORY / "workflows"
_UNTIL_NOTICES_VANISH = 8.0
_SAVED = "Save Image"  # the node that has a picture when a run is over; films have none, but a moving thumbnail


def main(arguments: list[str]) -> int:
    """Build the named workflows, or all; returns the exit status."""
    options = _parse(arguments)
    try:
        names = options.names or sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json"))
        sources = {name: _read(name) for name in names}
        host = inspect_host(options.comfyui or installed_folder(cache_folder(), NEWEST)).path
        with ComfyServer(host, Path(sys.executable)) as server:
            client = ApiClient(server.url)
            for name, (prompt, layout) in sources.items():
                _build(server.url, client, name, prompt, layout)
                if not options.no_thumbnail:
                    make_thumbnail(client, prompt, layout, WORKFLOWS / f"{name}.jpg")
                if options.screenshot is not None and _SAVED in {entry["_meta"]["title"] for entry in prompt.values()}:
                    _screenshot(server.url, name, options.screenshot, run=not needs_checkpoint(prompt))
    except HarnessError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _parse(arguments: list[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="build_workflows.py", description="Make the page's workflows and thumbnails.")
    parser.add_argument("names", nargs="*", metavar="name", help="workflows to build; default: all in workflows/api")
    parser.add_argument("--comfyui", type=Path, metavar="FOLDER", help="the host; default: the one that test.py installed")
    parser.add_argument(
        "--screenshot",
        type=Path,
        metavar="FOLDER",
        help="also run each in the page and save page_<name>.png there (without a run where it needs a checkpoint)",
    )
    parser.add_argument("--no-thumbnail", action="store_true", help="leave the thumbnails as they are")
    return parser.parse_args(arguments)


def _read(name: str) -> tuple[Prompt, Layout]:
    return load_workflow(WORKFLOWS / "api" / f"{name}.json"), read_layout(WORKFLOWS / "layout" / f"{name}.yaml")


def _build(url: str, client: ApiClient, name: str, prompt: Prompt, layout: Layout) -> None:
    """Write workflows/<name>.json, and check that the page reads the same graph from it as from the API workflow."""
    target = WORKFLOWS / f"{name}.json"
    with Page({NODES_2: True}) as page:
        page.open(url)
        load_prompt(page, name, prompt)
        room = fold(page, layout)
    with Page() as page:
        page.open(url)
        workflow = build_ui_workflow(page, name, prompt, layout, room)
        target.write_text(json.dumps(workflow, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        page.drop_file(target)
        unlike = differences(flat(page.graph_to_prompt()), page_form(prompt, client.object_info()))
    if unlike:
        raise HarnessError(f"{target.name} differs from its API workflow:\n" + "\n".join(unlike))
    print(f"workflows/{name}.json: {len(prompt)} nodes, equal to workflows/api/{name}.json", flush=True)


def _screenshot(url: str, name: str, folder: Path, *, run: bool) -> None:
    """Run the workflow in the page, if asked to, and save the window with 6 bits a colour, which is a third smaller."""
    from PIL import Image, ImageOps  # part of ComfyUI's environment

    path = folder / f"page_{name}.png"
    # The last one keeps the nodes' texts, which the page leaves out when the whole graph is in view.
    with Page({"Comfy.Minimap.Visible": False, "LiteGraph.Canvas.MinFontSizeForLOD": 0}) as page:
        page.open(url)
        page.drop_file(WORKFLOWS / f"{name}.json")
        look(page, view(json.loads((WORKFLOWS / f"{name}.json").read_text(encoding="utf-8"))))
        if run:
            page.queue()
            page.wait_for_image(_SAVED)
        page.settle(_UNTIL_NOTICES_VANISH)
        page.screenshot(path)
    with Image.open(path) as picture:
        ImageOps.posterize(picture.convert("RGB"), 6).save(path, optimize=True)
    print(f"{path}: {path.stat().st_size // 1024} KiB", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
