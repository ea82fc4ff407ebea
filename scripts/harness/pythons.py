"""Choice of the interpreter. Written so that even a Python too old for the rest can read it and say so."""

import os
import subprocess
import sys
from pathlib import Path

OLDEST = (3, 10)
NEWEST = (3, 13)
# 3.11 first: the version that every test run uses.
CANDIDATES = ("python3.11", "python3.12", "python3.13", "python3.10")


def version_fault(version):
    """None if (major, minor) is supported, else a sentence that says what is wrong with it."""
    if version < OLDEST:
        relation = "too old"
    elif version > NEWEST:
        relation = "newer than the packages it needs"
    else:
        return None
    return "Python " + _dotted(version) + " is " + relation + ": 3.10 to 3.13 are supported."


def find_suitable(search_path=None):
    """Path of the first supported interpreter on the search path (default: PATH), or None."""
    folders = (os.environ.get("PATH", "") if search_path is None else search_path).split(os.pathsep)
    for name in CANDIDATES:
        for folder in folders:
            for suffix in ("", ".exe"):
                path = Path(folder, name + suffix)
                if folder and os.access(str(path), os.X_OK) and _works(path):
                    return str(path)
    return None


def _works(path):
    code = "import sys; sys.stdout.write('%d.%d' % sys.version_info[:2])"
    try:
        answer = subprocess.check_output([str(path), "-c", code], stderr=subprocess.DEVNULL).decode()
    except (OSError, subprocess.CalledProcessError):
        # A version manager's shim exists for versions that are not active.
        return False
    return answer == path.name.replace(".exe", "").replace("python", "")


def _dotted(version):
    return ".".join(str(part) for part in version[:2])


def require_supported(script, arguments):
    """Return if the running interpreter is supported; else run the script in one that is, or exit with status 1."""
    fault = version_fault(tuple(sys.version_info[:2]))
    if fault is None:
        return
    other = find_suitable()
    if other is None:
        sys.stderr.write(fault + " None of " + ", ".join(sorted(CANDIDATES)) + " was found on PATH: install one.\n")
        sys.exit(1)
    sys.stderr.write(fault + " Going on with " + other + ".\n")
    command = [other, script]
    command.extend(arguments)
    sys.exit(subprocess.call(command))
