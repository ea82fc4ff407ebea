"""Fixtures for tests that need a real ComfyUI. Nothing of the host is touched until a test asks for it."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from harness.client import ApiClient
    from harness.server import ComfyServer


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests marked `full` run only with scripts/test.py --full."""
    if os.environ.get("SFSR_FULL"):
        return
    skip = pytest.mark.skip(reason="too long for every run; scripts/test.py --full runs it")
    for item in items:
        if item.get_closest_marker("full"):
            item.add_marker(skip)


@pytest.fixture(scope="session")
def host_path() -> Path:
    """The ComfyUI under test: SFSR_TEST_HOST, or the newest one that scripts/test.py installed."""
    from harness.cache import cache_folder
    from harness.host import NEWEST, inspect_host, installed_folder

    named = os.environ.get("SFSR_TEST_HOST")
    return inspect_host(Path(named) if named else installed_folder(cache_folder(), NEWEST)).path


@pytest.fixture(scope="session")
def host_version(host_path: Path) -> str:
    """Version of the ComfyUI under test; checked against what the caller meant to test."""
    from harness.host import inspect_host

    version = inspect_host(host_path).version
    assert os.environ.get("SFSR_TEST_HOST_VERSION", version) == version
    return version


@pytest.fixture(scope="session")
def pack_name() -> str:
    """Folder name of the pack inside the host's custom_nodes."""
    from harness.server import PACK_NAME

    return PACK_NAME


@pytest.fixture(scope="session")
def other_packs() -> tuple[Path, ...]:
    """Folders of packs that lie beside this one in the host."""
    return ()


@pytest.fixture(scope="session")
def server(host_path: Path, host_version: str, pack_name: str, other_packs: tuple[Path, ...]) -> Iterator[ComfyServer]:
    """A running ComfyUI with this pack. The session fails if its log holds an error of ours that no test expected."""
    from harness.server import ComfyServer

    with ComfyServer(host_path, Path(sys.executable), pack_name=pack_name, other_packs=other_packs) as running:
        yield running
        errors = running.errors_in_log()
    assert not errors, f"ComfyUI {host_version} logged errors of this pack:\n" + "\n".join(errors)


@pytest.fixture(scope="session")
def client(server: ComfyServer) -> ApiClient:
    """API client of the running ComfyUI."""
    from harness.client import ApiClient

    return ApiClient(server.url)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--update-schema", action="store_true", help="write the node schema snapshot again")
