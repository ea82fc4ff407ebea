"""The pack twice in one ComfyUI, in two versions: the log names both folders and says which nodes come from where."""

import json
import re

import pytest


@pytest.fixture
def copies(copy_of_pack, tmp_path):
    """Two copies below one custom_nodes: this version, and an old one that lacks a family and knows nothing of copies."""
    folder = tmp_path / "custom_nodes"
    folder.mkdir()
    new, old = copy_of_pack(folder / "new"), copy_of_pack(folder / "old.copy")
    (old / "nodes" / "host" / "copies.py").unlink()
    (old / "nodes" / "sheet.py").unlink()
    families = old / "nodes" / "__init__.py"
    text = families.read_text(encoding="utf-8")
    text = re.sub(r"(?m)^.*(tell_of_copies|\"sheet\").*\n", "", text)
    families.write_text(text, encoding="utf-8")
    (folder / "pack.disabled").mkdir()
    (folder / "another pack").mkdir()
    return new, old


@pytest.fixture
def loaded(in_host):
    """Has the host load folders in this order; returns which folder each node is of, and what the pack logged."""

    def load(*folders):
        code = f"""
            import folder_paths, json

            folder_paths.folder_names_and_paths["custom_nodes"] = ([{str(folders[0].parent)!r}], set())
            for folder in {[str(folder) for folder in folders]!r}:
                assert asyncio.run(host_nodes.load_custom_node(folder))
            nodes = host_nodes.NODE_CLASS_MAPPINGS
            places = {{name: getattr(one, "RELATIVE_PYTHON_MODULE", "") for name, one in nodes.items()}}
            print(json.dumps({{name: place for name, place in places.items() if place.startswith("custom_nodes.")}}))
        """
        answer = in_host(code)
        places = json.loads(answer.stdout.strip().splitlines()[-1])
        return places, [line for line in answer.stderr.splitlines() if "installed twice" in line]

    return load


@pytest.mark.parametrize("order", ["the old one first", "the new one first"])
def test_which_nodes_come_from_where(copies, loaded, order):
    new, old = copies
    places, (line,) = loaded(*((old, new) if order == "the old one first" else (new, old)))
    assert f"in '{new}' and in '{old}'" in line
    told = re.search(r"mixed: (.+) come from '(.+)', (.+) from '(.+)'; move", line)
    for names, folder in ((told[1], told[2]), (told[3], told[4])):
        for name in names.split(", ") if names != "none" else ():
            assert places.pop(name) == f"custom_nodes.{folder.rpartition('/')[2]}"
    assert places == {}


def test_two_of_this_version_are_told_of_once(copy_of_pack, tmp_path, loaded):
    folders = [copy_of_pack(tmp_path / name) for name in ("one", "two")]
    _, lines = loaded(*folders)
    assert len(lines) == 1


def test_one_alone_is_not_spoken_of(copies, loaded):
    new, old = copies
    old.rename(old.with_name("old.disabled"))
    (new.parent / "link").symlink_to(new)
    assert loaded(new)[1] == []
