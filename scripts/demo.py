"""Run the main job: an identity, an expression and a target portrait become a picture. See --help."""

import sys
from pathlib import Path

from harness.pythons import require_supported

if __name__ == "__main__":
    require_supported(str(Path(__file__).absolute()), sys.argv[1:])
    from harness.demo import main

    sys.exit(main(sys.argv[0], sys.argv[1:]))
