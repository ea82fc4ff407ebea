"""Make what follows from the nodes' schemas: locales/en, and the lists of inputs and outputs in the help pages.

Run it after a change of a node's inputs, outputs or texts, with the Python of the test environment:

    python scripts/build_help.py [--comfyui FOLDER]

The prose of the pages in web/docs and every other language in locales are written by hand; tests say what they lack.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from harness.cache import cache_folder
from harness.client import ApiClient
from harness.errors import HarnessError
from harness.host import NEWEST, inspect_host, installed_folder
from harness.server import REPOSITORY, ComfyServer

sys.path.insert(0, str(REPOSITORY / "tests"))

from testkit.node_texts import (
    LOCALES,
    SNAPSHOT,
    TextError,
    as_json,
    english,
    expected_texts,
    flat,
    help_pages,
    read_json,
    with_lists,
)


def main(arguments: list[str]) -> int:
    """Write the English texts and the lists; returns the exit status."""
    parser = argparse.ArgumentParser(prog="build_help.py", description="Make the English texts and the help pages' lists.")
    parser.add_argument("--comfyui", type=Path, metavar="FOLDER", help="the host; default: the one that test.py installed")
    options = parser.parse_args(arguments)
    try:
        host = inspect_host(options.comfyui or installed_folder(cache_folder(), NEWEST)).path
        with ComfyServer(host, Path(sys.executable)) as server:
            files = english(ApiClient(server.url).object_info())
        for name, content in files.items():
            (LOCALES / "en" / name).write_text(as_json(content), encoding="utf-8")
        _write_lists()
    except HarnessError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def _write_lists() -> None:
    schema = read_json(SNAPSHOT)
    texts = {path.parent.name: read_json(path) for path in LOCALES.glob("*/nodeDefs.json")}
    for node, language, path in help_pages():
        place = path.relative_to(REPOSITORY).as_posix()
        if node not in schema:
            raise TextError(f"{place}: {SNAPSHOT.relative_to(REPOSITORY).as_posix()} has no node {node}; add it there first")
        if lacking := sorted(expected_texts({node: schema[node]}) - flat({node: texts[language].get(node, {})}).keys()):
            raise TextError(f"{place}: locales/{language}/nodeDefs.json lacks {', '.join(lacking)}; write that first")
        text = path.read_text(encoding="utf-8")
        try:
            path.write_text(with_lists(text, schema[node], texts[language][node], language), encoding="utf-8")
        except TextError as error:
            raise TextError(f"{place}: {error}") from None


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
