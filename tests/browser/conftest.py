"""Two pages for the whole session, because opening one is what takes long."""

import pytest
from testkit.browser import NODES_2, Page


@pytest.fixture(scope="session")
def opened_canvas(server):
    """A page that draws nodes on the canvas."""
    with Page() as page:
        page.open(server.url)
        assert page.console_errors() == []
        yield page


@pytest.fixture(scope="session")
def opened_nodes_2(server):
    """A page that draws nodes as HTML elements (Nodes 2.0)."""
    with Page({NODES_2: True}) as page:
        page.open(server.url)
        assert page.console_errors() == []
        yield page


@pytest.fixture
def canvas_page(opened_canvas):
    """The first page, with no error reported yet; what its graph holds is left from the test before."""
    opened_canvas.forget_messages()
    return opened_canvas


@pytest.fixture
def nodes_2_page(opened_nodes_2):
    """The second page, likewise."""
    opened_nodes_2.forget_messages()
    return opened_nodes_2


@pytest.fixture(params=["canvas_page", "nodes_2_page"])
def either_page(request):
    """Each of the two in turn."""
    return request.getfixturevalue(request.param)
