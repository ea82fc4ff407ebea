"""Chromium, a font and playwright-core for the browser tests: found, or installed where that is allowed.

Browser tests find them in two environment variables: SFSR_CHROMIUM, the browser's executable, and NODE_PATH, the
folder from which node resolves `playwright-core`.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

from harness.cache import write_atomically
from harness.errors import SetupError
from harness.steps import Step

PLAYWRIGHT_CORE = "1.65.1"
_DEBIAN_PACKAGES = ("chromium", "fonts-dejavu-core")
_BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
_MIB = 1024**2


def browser_steps(cache: Path) -> list[Step]:
    """What is left to install; raises SetupError naming what is missing where this may not install it."""
    steps = []
    if find_chromium() is None:
        if not _may_install():
            raise SetupError(
                "The browser tests need Chromium, and only root on Debian or Ubuntu gets it installed by itself."
                " Install Chromium and the font package DejaVu, or leave the browser tests out with --no-browser."
            )
        steps.append(Step("Chromium and a font (apt-get)", 500 * _MIB, lambda: _install_chromium(cache)))
    if shutil.which("npm") is None or shutil.which("node") is None:
        raise SetupError(
            "The browser tests need node and npm, which are not on PATH. Install Node.js 18 or newer, or leave the"
            " browser tests out with --no-browser."
        )
    if not _playwright_marker(cache).is_file():
        steps.append(Step(f"playwright-core {PLAYWRIGHT_CORE} (npm)", 20 * _MIB, lambda: _install_playwright(cache)))
    return steps


def browser_environment(cache: Path) -> dict[str, str]:
    """The variables through which the tests find the browser and playwright-core."""
    return {"SFSR_CHROMIUM": find_chromium() or "", "NODE_PATH": str(_playwright_folder(cache) / "node_modules")}


def find_chromium() -> str | None:
    """SFSR_CHROMIUM, or the first Chromium-like browser on PATH."""
    named = os.environ.get("SFSR_CHROMIUM")
    return named or next(filter(None, map(shutil.which, _BROWSERS)), None)


def _may_install() -> bool:
    return hasattr(os, "geteuid") and os.geteuid() == 0 and shutil.which("apt-get") is not None


def _install_chromium(cache: Path) -> None:
    log = cache / "logs" / "apt-get.log"
    environment = os.environ | {"DEBIAN_FRONTEND": "noninteractive"}
    _run(["apt-get", "update", "-q"], log, environment, "Debian's package lists")
    command = ["apt-get", "install", "-q", "-y", "--no-install-recommends", *_DEBIAN_PACKAGES]
    _run(command, log, environment, "Chromium")


def _playwright_folder(cache: Path) -> Path:
    return cache / "browser" / f"playwright-core-{PLAYWRIGHT_CORE}"


def _playwright_marker(cache: Path) -> Path:
    return _playwright_folder(cache) / "complete"


def _install_playwright(cache: Path) -> None:
    folder = _playwright_folder(cache)
    if folder.exists():
        shutil.rmtree(folder)
    folder.mkdir(parents=True)
    npm = shutil.which("npm") or "npm"
    command = [npm, "install", "--prefix", str(folder), "--no-audit", "--no-fund", f"playwright-core@{PLAYWRIGHT_CORE}"]
    _run(command, cache / "logs" / "npm.log", dict(os.environ), "playwright-core")
    write_atomically(_playwright_marker(cache), PLAYWRIGHT_CORE)


def _run(command: list[str], log: Path, environment: dict[str, str], purpose: str) -> None:
    log.parent.mkdir(parents=True, exist_ok=True)
    answer = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, env=environment, check=False)
    log.write_text(answer.stdout + answer.stderr, encoding="utf-8")
    if answer.returncode != 0:
        lines = [line for line in (answer.stderr or answer.stdout).splitlines() if line.strip()]
        last = lines[-1] if lines else "no output"
        raise SetupError(
            f"{purpose} could not be installed ({last}; the whole log is in {log}). Is there a network?"
            " --no-browser leaves the browser tests out."
        )
