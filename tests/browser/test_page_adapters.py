"""The workflows on weights that people own, on the page of a host that has files under the true names."""

import time
from pathlib import Path

import pytest
from harness.workflow import load_workflow
from testkit.browser import Page
from testkit.browser_workflow import differences, flat, page_form
from testkit.model_stand_ins import write_stand_ins

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
NAMES = ("sd15_face", "arc2face_portrait", pytest.param("sdxl_face", marks=pytest.mark.full))


@pytest.fixture
def twin(request, server, client):
    """The API workflow of a name as the page writes it; the files that it asks for are there as long as the test runs."""
    prompt = load_workflow(WORKFLOWS / "api" / f"{request.param}.json")
    written, _ = write_stand_ins(prompt, server.base_dir / "models")
    yield request.param, page_form(prompt, client.object_info())
    for path in written:
        path.unlink()


@pytest.mark.parametrize("twin", NAMES, indirect=True)
def test_with_its_files_there_no_node_is_red(twin, server, client):
    """Neither when the workflow is dropped nor when the button was pressed and the host has looked at every input."""
    name, expected = twin
    with Page() as page:
        page.open(server.url)
        page.drop_file(WORKFLOWS / f"{name}.json")
        assert {entry["class_type"] for entry in expected.values()} <= set(page.graph_types())
        assert differences(flat(page.graph_to_prompt()), expected) == []
        page.queue()
        wait_until(lambda: running(client) or page.missing_nodes())
        assert page.missing_nodes() == []
        client.interrupt()
        wait_until(lambda: not running(client))
        assert page.console_errors() == []


def running(client):
    return client.get("/queue")["queue_running"]


def wait_until(holds, seconds=120):
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.2)
