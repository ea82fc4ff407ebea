"""Make the identity that comes with the pack, workflows/samples/portrait_05.safetensors, from the sample portrait of that name.

Run it after a change of the bundled recogniser, whose space the identity belongs to, with the Python of the test environment:

    python scripts/build_identity.py
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from sfsr_model.encoders.bundled import load_bundled_encoder
from sfsr_model.encoders.enrolment import enrol
from sfsr_model.encoders.identity_file import save_identity
from sfsr_model.samples import FOLDER, load_sample

SAMPLE = "portrait_05"


def main() -> None:
    """Write the file and say what is in it."""
    found = enrol(load_sample(SAMPLE), load_bundled_encoder("CPU"))
    path = FOLDER / f"{SAMPLE}.safetensors"
    save_identity(found.identity, path)
    print(f"{path}: {path.stat().st_size} bytes\n{found.report}")


if __name__ == "__main__":
    main()
