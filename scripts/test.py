"""Set up an environment and two ComfyUI versions, and run every test in them. See --help."""

import sys
from pathlib import Path

from harness.pythons import require_supported

if __name__ == "__main__":
    require_supported(str(Path(__file__).absolute()), sys.argv[1:])
    sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "tests"))
    from testkit.suites import main

    sys.exit(main(sys.argv[1:]))
