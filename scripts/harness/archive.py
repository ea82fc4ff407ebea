"""Check and unpack source archives without trusting them."""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from pathlib import Path, PurePosixPath

from harness.errors import SetupError


def require_hash(archive: Path, expected: str) -> None:
    """Raise SetupError unless the file's SHA-256 is `expected` (hexadecimal)."""
    if not archive.is_file():
        raise SetupError(f"{archive.name} was not downloaded: expected it at {archive}.")
    digest = hashlib.sha256()
    with archive.open("rb") as stream:
        while chunk := stream.read(1 << 20):
            digest.update(chunk)
    found = digest.hexdigest()
    if found != expected:
        raise SetupError(
            f"{archive.name} is not the file this project was made with: SHA-256 expected {expected}, found {found}."
            " Nothing of it was used. Check the package index or proxy that pip is set up for."
        )


def unpack_folder(archive: Path, folder: str, target: Path) -> None:
    """Extract regular files below `<top>/<folder>/` of a .tar.gz into `target`.

    Raises SetupError for a damaged archive, an absolute or climbing path, a link or any other special member there,
    and for an archive without that folder.
    """
    count = 0
    try:
        with tarfile.open(archive, "r:gz") as members:
            for member in members:
                inner = _below(member.name, folder, archive)
                if inner is None or member.isdir():
                    continue
                if not member.isfile():
                    raise SetupError(f"{archive.name}: {member.name} is a link or a device; only files are unpacked.")
                content = members.extractfile(member)
                place = target.joinpath(*inner.parts)
                place.parent.mkdir(parents=True, exist_ok=True)
                with content, place.open("wb") as out:
                    shutil.copyfileobj(content, out)
                count += 1
    except (tarfile.TarError, EOFError, OSError) as error:
        raise SetupError(f"{archive.name} could not be unpacked: {error}") from error
    if count == 0:
        raise SetupError(f"{archive.name} holds no {folder}.")


def _below(name: str, folder: str, archive: Path) -> PurePosixPath | None:
    """The member's path relative to `<top>/<folder>`, or None if it lies elsewhere."""
    path = PurePosixPath(name)
    if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
        raise SetupError(f"{archive.name}: the path {name!r} leads out of the archive; nothing was installed.")
    wanted = PurePosixPath(folder).parts
    inside = path.parts[1 : 1 + len(wanted)] == wanted and len(path.parts) > 1 + len(wanted)
    return PurePosixPath(*path.parts[1 + len(wanted) :]) if inside else None
