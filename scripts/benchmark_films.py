"""How much memory Film Swap takes for films of different lengths: `python scripts/benchmark_films.py`, with ComfyUI's Python.

Swaps a face in films of a swaying sample portrait, each in a fresh ComfyUI with two steps of the bundled network, and prints
the most memory that its process held, and the time. Linux alone.

    python scripts/benchmark_films.py [--frames 60 240] [--height 1080] [--steps 2] [--comfyui FOLDER]
"""

from __future__ import annotations

import argparse
import math
import re
import sys
import time
from pathlib import Path

from harness.cache import cache_folder
from harness.client import ApiClient
from harness.errors import HarnessError
from harness.graph import Prompt
from harness.host import NEWEST, inspect_host, installed_folder
from harness.server import REPOSITORY, ComfyServer
from harness.workflow import load_workflow, titled

SAMPLE = REPOSITORY / "workflows" / "samples" / "portrait_20.jpg"
_RATE = 30


def main(arguments: list[str]) -> int:
    """Run the benchmark; returns the exit status."""
    parser = argparse.ArgumentParser(description="Memory and time of Film Swap by the length of the film.")
    parser.add_argument("--frames", type=int, nargs="+", default=[60, 240])
    parser.add_argument("--height", type=int, default=1080)
    parser.add_argument("--steps", type=int, default=2)
    parser.add_argument("--comfyui", type=Path, metavar="FOLDER", help="the host; default: the one that test.py installed")
    options = parser.parse_args(arguments)
    width = 2 * round(options.height * 8 / 9)
    print(f"{width} x {options.height} pixels, {options.steps} steps\n")
    print("| frames | memory at most, MB | seconds a frame |\n|---|---|---|", flush=True)
    try:
        host = inspect_host(options.comfyui or installed_folder(cache_folder(), NEWEST)).path
        for frames in options.frames:
            with ComfyServer(host, Path(sys.executable)) as server:
                write_film(server.base_dir / "input" / "film.mp4", frames, width, options.height)
                start = time.monotonic()
                ApiClient(server.url).run(graph(options.steps), timeout=24 * 3600)
                seconds = (time.monotonic() - start) / frames
                (peak,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text(encoding="ascii"))
                print(f"| {frames} | {int(peak) / 1024:.0f} | {seconds:.2f} |", flush=True)
    except HarnessError as error:
        print(f"Error: {error}", file=sys.stderr)
        return error.exit_code
    return 0


def graph(steps: int) -> Prompt:
    """The workflow film_swap on a film of the input folder, with one expression for all."""
    prompt = load_workflow(REPOSITORY / "workflows" / "api" / "film_swap.json")
    film, swap, taken = (prompt[titled(prompt, title)] for title in ("Film", "Film Swap", "Expression from Film"))
    film["inputs"]["sample"] = "film.mp4"
    prompt[titled(prompt, "Steps")]["inputs"]["steps"] = steps
    swap["inputs"]["cfg"] = 1.0
    taken.update(class_type="ExpressionEmbed", inputs={"source": "word", "word": "joy", "intensity": 1.0})
    return prompt


def write_film(path: Path, frames: int, width: int, height: int) -> None:
    """The portrait, as high as the film, swaying before a still background."""
    import av  # part of ComfyUI's environment
    from PIL import Image

    portrait = Image.open(SAMPLE).convert("RGB").resize((height, height))
    with av.open(str(path), "w") as film:
        stream = film.add_stream("h264", rate=_RATE)
        stream.width, stream.height, stream.pix_fmt = width, height, "yuv420p"
        stream.options = {"preset": "ultrafast"}
        for number in range(frames):
            canvas = Image.new("RGB", (width, height), (90, 100, 110))
            canvas.paste(portrait, ((width - height) // 2 + round(height / 12 * math.sin(number / 8)), 0))
            film.mux(stream.encode(av.VideoFrame.from_image(canvas)))
        film.mux(stream.encode(None))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
