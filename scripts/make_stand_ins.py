"""Write files of random weights under the names that workflows ask for, to see a graph run without the real files.

python scripts/make_stand_ins.py --models FOLDER [--workflow NAME ...]

FOLDER: a ComfyUI's models folder, best of a ComfyUI that has no models of yours. NAME: a workflow of workflows/api; left out,
all that run on adapters. A file that is there stays as it is. Pictures made with these files are noise: networks are slim, and
nobody trained them. In a Python with ComfyUI's and this pack's requirements. sdxl_face takes 2 GB, the others 0.4 GB each.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[1]
sys.path[:0] = [str(REPOSITORY), str(REPOSITORY / "tests")]

from harness.errors import UsageError  # noqa: E402
from harness.workflow import load_workflow  # noqa: E402
from testkit.model_stand_ins import write_stand_ins  # noqa: E402

API = REPOSITORY / "workflows" / "api"
NODE = "SFSRModelFromAdapters"


def main(arguments: list[str]) -> int:
    """Write them, and say what they are; 1 for bad input."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--models", type=Path, required=True, help="a ComfyUI's models folder")
    parser.add_argument("--workflow", nargs="+", default=None, help="names of workflows, such as sd15_face")
    options = parser.parse_args(arguments)
    try:
        if not options.models.is_dir():
            raise UsageError(f"--models: {options.models} is no folder; give the models folder of a ComfyUI.")
        for name in on_adapters() if options.workflow is None else options.workflow:
            written, there = write_stand_ins(load_workflow(API / f"{name}.json"), options.models)
            print(f"{name}:")
            for path in written:
                print(f"  {path}, {path.stat().st_size / 1e6:.1f} MB of random weights")
            for path in there:
                print(f"  {path} is there and stays as it is")
    except (UsageError, OSError, ValueError) as error:
        print(f"Error: {error}", file=sys.stderr)
        return 1
    print("These weights are random: graphs run with them, and what they draw is noise. Delete the files before you put the")
    print("real ones there.")
    return 0


def on_adapters() -> list[str]:
    """Names of the workflows that run on adapters."""
    found = {path.stem: load_workflow(path) for path in sorted(API.glob("*.json"))}
    return [name for name, prompt in found.items() if any(entry["class_type"] == NODE for entry in prompt.values())]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
