"""How the project's long commands end: a status for the shell, and one line for people instead of a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable


def exit_status(run: Callable[[], int], interrupted: str, memory: str | None = None) -> int:
    """What `run` returns; 2 with one line on stderr for bad input, 130 after an interrupt.

    interrupted: what is said then. memory: what to do where there is not enough of it; without one a MemoryError passes.
    """
    try:
        return run()
    except KeyboardInterrupt:
        print(interrupted, file=sys.stderr)
        return 130
    except (ValueError, OSError, ImportError, RuntimeError) as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    except MemoryError:
        if memory is None:
            raise
        print(f"error: not enough memory; {memory}", file=sys.stderr)
        return 2
