"""What the pack adds to ComfyUI's start, by ComfyUI's own count: `python scripts/measure_import.py`.

Starts both pinned hosts with the pack, each several times, and prints the host's line for it as a Markdown table. Run
`python scripts/test.py` first: it installs both.
"""

from __future__ import annotations

import platform
import sys

from harness.cache import cache_folder
from harness.environment import Environment
from harness.errors import HarnessError
from harness.host import NEWEST, OLDEST, installed_folder
from harness.server import ComfyServer

RUNS = 3


def main() -> int:
    cache = cache_folder()
    python = Environment(cache).python
    print(f"Python {platform.python_version()}, {platform.system()} {platform.machine()}, {RUNS} starts each\n")
    print("| ComfyUI | import time in seconds, as ComfyUI reports it |\n|---|---|")
    try:
        for release in (OLDEST, NEWEST):
            times = []
            for _ in range(RUNS):
                with ComfyServer(installed_folder(cache, release), python) as server:
                    times.append(server.import_seconds())
            print(f"| {release.version} | {', '.join(f'{seconds:.1f}' for seconds in times)} |", flush=True)
    except HarnessError as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
