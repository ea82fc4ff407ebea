"""Titles and notes of the bundled workflows: a node is called in a graph what it is called everywhere else."""

import re
from pathlib import Path

import pytest
from harness.workflow import load_workflow
from testkit.browser_layout import read_layout
from testkit.node_texts import LOCALES, read_json

WORKFLOWS = Path(__file__).resolve().parents[2] / "workflows"
NAMES = sorted(path.stem for path in (WORKFLOWS / "api").glob("*.json"))
DISPLAYED = {
    node: texts["display_name"].removesuffix(" (SFSR)") for node, texts in read_json(LOCALES / "en/nodeDefs.json").items()
}
# The host's nodes that notes name without having them in their graph.
OF_THE_HOST = {
    *("Load Image", "Batch Images", "Image Rotate", "Load CLIP Vision", "Load ControlNet Model"),
    "Latent Batch Seed Behavior",
}
every_workflow = pytest.mark.parametrize("name", NAMES)


def titles(name):
    return {
        entry["_meta"]["title"]: entry["class_type"] for entry in load_workflow(WORKFLOWS / "api" / f"{name}.json").values()
    }


@every_workflow
def test_a_title_is_the_nodes_own_name(name):
    """With what tells it apart behind a colon, where a graph has several."""
    ours = {title: DISPLAYED[node] for title, node in titles(name).items() if node in DISPLAYED}
    assert ours
    assert {title: shown for title, shown in ours.items() if title.partition(":")[0] != shown} == {}


@every_workflow
def test_notes_name_nodes_that_there_are(name):
    layout = read_layout(WORKFLOWS / "layout" / f"{name}.yaml")
    notes = [cell.text for cell in layout.cells() if cell.text]
    named = {found for note in notes for found in re.findall(r"(?<!\*)\*([A-Z][^*]+)\*(?!\*)", note)}
    known = {*titles(name), *DISPLAYED.values(), *OF_THE_HOST, *(part.title for part in layout.parts)}
    known |= {block.group for blocks in layout.columns for block in blocks}
    assert named
    assert sorted(named - known) == []
