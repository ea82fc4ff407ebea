"""The running host hands the page the pack's texts and help, and they are those of the nodes it runs."""

import urllib.request

from testkit.node_texts import HELP, LOCALES, as_json, english, help_pages, read_json

FILES = ("main.json", "nodeDefs.json")


def test_english_is_that_of_the_schemas(client, pack_name):
    made = english(client.object_info(), pack_name)
    for name in FILES:
        committed = (LOCALES / "en" / name).read_text(encoding="utf-8")
        assert committed == as_json(made[name]), f"locales/en/{name} is not what the nodes say: run scripts/build_help.py"


def test_the_host_serves_every_language(client):
    served = client.get("/i18n")
    for folder in LOCALES.iterdir():
        main, nodes = (read_json(folder / name) for name in FILES)
        assert served[folder.name] == main | {"nodeDefs": nodes}


def test_the_host_serves_every_help_page(server, pack_name):
    pages = list(help_pages())
    assert pages
    for _, _, path in pages:
        address = f"{server.url}/extensions/{pack_name}/docs/{path.relative_to(HELP).as_posix()}"
        with urllib.request.urlopen(address, timeout=60) as answer:
            assert answer.read() == path.read_bytes()


def test_every_node_is_found_by_other_words(client, pack_name):
    """Each has words that people may type in the search."""
    for name, entry in client.object_info().items():
        if entry["python_module"] == f"custom_nodes.{pack_name}":
            aliases = [alias.lower() for alias in entry["search_aliases"]]
            assert len(set(aliases)) == len(aliases) >= 3, name
