"""The host's real page in Chromium, driven as a user does: drop a workflow, press Run, look at the picture.

A `Page` starts `browser_driver.cjs` in node and exchanges one JSON object a line with it.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from harness.cache import cache_folder
from harness.errors import HarnessError
from harness.graph import Prompt

from testkit.browser_tools import browser_environment, find_chromium

DRIVER = Path(__file__).with_name("browser_driver.cjs")
CANVAS = "#graph-canvas"
QUEUE_BUTTON = '[data-testid="queue-button"]'
# Nodes 2.0: the page draws nodes as HTML elements instead of on the canvas.
NODES_2 = "Comfy.VueNodes.Enabled"
TIMEOUT_S = 180.0
_STARTED_S = 120.0
_GRACE_S = 20.0
_MIN_TYPES = 100
_OUTSIDE = re.compile(r"https?://(?!127\.0\.0\.1|localhost)")
_POLICY = "Content Security Policy"

# Settings of every page. Without the first a dialog for newcomers covers the canvas.
_SETTINGS = {"Comfy.TutorialCompleted": True, "Comfy.Workflow.ShowMissingModelsWarning": False}

# Console errors of the host that say nothing about this pack; each with the reason why it appears.
BENIGN = (
    # Files a fresh user has not saved yet (styles, workflows, templates): the page asks and gets 404.
    "/user.css",
    "/api/userdata",
    # The page complains about itself while it starts.
    "ComfyApp graph accessed before initialization",
)


class BrowserError(HarnessError):
    """node, playwright-core or Chromium is missing, or the page did not do what it was asked to."""


@dataclass(frozen=True)
class MissingNode:
    """A node of the graph that the page cannot run: its type is not registered, or the page marked it."""

    id: str
    type: str
    registered: bool


@dataclass(frozen=True)
class PageMessage:
    """An error the page reported: kind (console, exception, crash), text, and address of the script or request."""

    kind: str
    text: str
    url: str


class Page:
    """One page in a browser of its own; a context manager.

    settings    ComfyUI settings of this page alone, such as {NODES_2: True}; nothing is stored on the host
    width       width and height of the window in pixels
    """

    def __init__(self, settings: Mapping[str, Any] | None = None, *, width: int = 1600, height: int = 900) -> None:
        self._settings = {**_SETTINGS, NODES_2: False, **(settings or {})}
        self._size = {"width": width, "height": height}
        self._driver: subprocess.Popen[str] | None = None
        self._answers: queue.SimpleQueue[dict[str, Any] | None] = queue.SimpleQueue()
        self._log: IO[str] | None = None
        self._count = 0

    def __enter__(self) -> Page:
        node = shutil.which("node")
        if node is None:
            raise BrowserError("The browser tests need node, which is not on PATH. Install Node.js 18 or newer.")
        chromium = find_chromium()
        if chromium is None:
            raise BrowserError("The browser tests need Chromium. Install it, or name its executable in SFSR_CHROMIUM.")
        self._log = tempfile.TemporaryFile("w+", encoding="utf-8")
        self._driver = subprocess.Popen(
            [node, str(DRIVER)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._log,
            text=True,
            encoding="utf-8",
            env={"NODE_PATH": browser_environment(cache_folder())["NODE_PATH"]} | os.environ,
        )
        threading.Thread(target=self._read_answers, args=(self._driver.stdout,), daemon=True).start()
        try:
            self._ask("start", _STARTED_S, executable=chromium, settings=self._settings, **self._size)
        except BrowserError as error:
            self.close()
            raise _explain_start(error, chromium) from None
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the browser and the node process; may be called again."""
        driver, self._driver = self._driver, None
        if driver is None:
            return
        driver.stdin.close()
        try:
            driver.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            driver.kill()
            driver.wait()
        driver.stdout.close()
        self._log.close()

    @property
    def pid(self) -> int | None:
        """Process id of the driver, the browser's parent; None when the page is closed."""
        return None if self._driver is None else self._driver.pid

    def open(self, url: str, timeout: float = TIMEOUT_S) -> None:
        """Open ComfyUI's page and wait until its graph and its nodes are there."""
        self._ask("open", timeout, url=url, timeout=timeout * 1000)
        ready = (
            "return !!window.app?.graph && !!window.LiteGraph && Object.keys(LiteGraph.registered_node_types).length > argument"
        )
        self.wait_for(ready, _MIN_TYPES, timeout=timeout, what="the page's graph and nodes")
        self.evaluate(_FOLLOW_RUNS)
        self.settle()

    def settle(self, seconds: float = 1.5) -> None:
        """Give the page time for what it does after it looks ready."""
        self.evaluate("await new Promise((done) => setTimeout(done, argument))", seconds * 1000)

    def evaluate(self, code: str, argument: Any = None, timeout: float = TIMEOUT_S) -> Any:
        """Run the body of an async JavaScript function of `argument` in the page; returns what it returns, as JSON."""
        return self._ask("evaluate", timeout, code=code, argument=argument)

    def wait_for(self, code: str, argument: Any = None, *, timeout: float = TIMEOUT_S, what: str = "a condition") -> Any:
        """Wait until the body of a JavaScript function of `argument` returns something true, and return that."""
        try:
            return self._ask("wait", timeout, code=code, argument=argument, timeout=timeout * 1000)
        except BrowserError as error:
            raise BrowserError(f"The page did not show {what} within {timeout:g} s: {error}") from None

    def drop_file(self, path: Path, timeout: float = TIMEOUT_S) -> None:
        """Drop a file on the canvas, as a user does, and wait until the page has replaced its graph."""
        self.evaluate("window.graphBefore = app.graph.nodes;")
        self._ask("drop", timeout, file=str(Path(path).absolute()), selector=CANVAS)
        # The page's graph makes a new list of nodes whenever it loads a workflow.
        self.wait_for("return app.graph.nodes !== window.graphBefore", timeout=timeout, what=f"the dropped {path}")
        self.settle()

    def open_template(self, name: str, pack_name: str, timeout: float = TIMEOUT_S) -> None:
        """Open a workflow of a pack as its entry among the templates does."""
        self.evaluate("window.graphBefore = app.graph.nodes;")
        self.evaluate(_OPEN_TEMPLATE, {"name": name, "pack": pack_name}, timeout)
        self.wait_for("return app.graph.nodes !== window.graphBefore", timeout=timeout, what=f"the template {name}")
        self.settle()

    def graph_types(self) -> list[str]:
        """Types of the graph's nodes, those inside subgraphs too, in the order of the page."""
        return [node["type"] for node in self._nodes()]

    def missing_nodes(self) -> list[MissingNode]:
        """Nodes whose type is not registered, or that the page has marked as faulty."""
        return [
            MissingNode(str(node["id"]), node["type"], node["registered"])
            for node in self._nodes()
            if not node["registered"] or node["faulty"]
        ]

    def graph_to_prompt(self) -> Prompt:
        """The graph in API format, as the page itself makes it for the host."""
        return self.evaluate("return (await app.graphToPrompt()).output")

    def serialize(self) -> dict[str, Any]:
        """The graph in the page's own format, as saving does."""
        return self.evaluate("return (await app.graphToPrompt()).workflow")

    def queue(self, timeout: float = TIMEOUT_S) -> None:
        """Press Run."""
        self.follow_run()
        self.click(QUEUE_BUTTON, timeout)

    def follow_run(self) -> None:
        """Forget the run before, so that `wait_for_image` waits for the next."""
        self.evaluate("window.followedRun = { finished: false, error: null };")

    def click(self, selector: str, timeout: float = TIMEOUT_S) -> None:
        """Click the first element of a CSS selector, scrolled into sight if need be."""
        self._ask("click", timeout, selector=selector, timeout=timeout * 1000)

    def click_at(self, place: tuple[float, float]) -> None:
        """Click where the window shows x, y."""
        self._ask("clickAt", TIMEOUT_S, x=place[0], y=place[1])

    def choose_file(self, place: tuple[float, float], path: Path, timeout: float = TIMEOUT_S) -> None:
        """Click at x, y, where the page asks for a file, and give it this one."""
        self._ask("choose", timeout, x=place[0], y=place[1], file=str(Path(path).absolute()), timeout=timeout * 1000)

    def resize(self, width: int, height: int) -> None:
        """Give the window another size."""
        self._ask("resize", TIMEOUT_S, width=width, height=height)
        self.settle()

    def wait_for_image(self, node: int | str, timeout: float = 1200.0) -> dict[str, Any]:
        """Wait for the end of the run that `queue` started and for the picture on a node, given by id or title.

        Returns {"src", "width", "height"}; raises BrowserError if the host refuses the graph or a node fails.
        """
        seen = self.wait_for(_IMAGE_SHOWN, str(node), timeout=timeout, what=f"a picture on node {node}")
        if "error" in seen:
            raise BrowserError(f"The run started in the page failed: {seen['error']}")
        return seen

    def screenshot(self, path: Path) -> Path:
        """Save the window as PNG."""
        self._ask("screenshot", TIMEOUT_S, file=str(Path(path).absolute()))
        return Path(path)

    def messages(self) -> list[PageMessage]:
        """Every error that the page reported so far."""
        return [PageMessage(**message) for message in self._ask("messages", TIMEOUT_S)]

    def forget_messages(self) -> None:
        """Start the list of errors anew."""
        self._ask("forgetMessages", TIMEOUT_S)

    def console_errors(self) -> list[PageMessage]:
        """The errors that count: not those of refused requests to other hosts, nor the BENIGN ones."""
        return [
            message
            for message in self.messages()
            if not _went_outside(message) and not any(text in message.text + message.url for text in BENIGN)
        ]

    def _nodes(self) -> list[dict[str, Any]]:
        return self.evaluate(_ALL_NODES)

    def _ask(self, command: str, patience: float, **arguments: Any) -> Any:
        if self._driver is None:
            raise BrowserError("The page is closed.")
        self._count += 1
        request = {"id": self._count, "command": command, "arguments": arguments}
        try:
            self._driver.stdin.write(json.dumps(request) + "\n")
            self._driver.stdin.flush()
            reply = self._answers.get(timeout=patience + _GRACE_S)
        except queue.Empty:
            raise BrowserError(f"The browser did not answer to {command!r} within {patience + _GRACE_S:g} s.") from None
        except BrokenPipeError:
            reply = None
        if reply is None:
            raise BrowserError(f"The browser's driver ended during {command!r}: {self._driver_log()}")
        if "error" in reply:
            raise BrowserError(reply["error"])
        return reply["result"]

    def _read_answers(self, stream: IO[str]) -> None:
        try:
            for line in stream:
                self._answers.put(json.loads(line))
        except ValueError:
            pass  # closed by close(), or no JSON: the end either way
        self._answers.put(None)

    def _driver_log(self) -> str:
        self._log.seek(0)
        return self._log.read().strip() or "it said nothing"


def _went_outside(message: PageMessage) -> bool:
    """Whether it tells of a request to another host, refused by the driver or by the host's own content policy."""
    return bool(_OUTSIDE.match(message.url) or (_POLICY in message.text and _OUTSIDE.search(message.text)))


def _explain_start(error: BrowserError, chromium: str) -> BrowserError:
    text = str(error)
    if "Cannot find module 'playwright-core'" in text:
        return BrowserError(
            "node does not find playwright-core. Install it with npm and name its node_modules folder in NODE_PATH"
            " (scripts/test.py does both)."
        )
    return BrowserError(f"Chromium ({chromium}) could not be started: {text}")


_ALL_NODES = """
const found = [];
const visit = (graph) => {
  for (const node of graph.nodes) {
    const registered = node.type in LiteGraph.registered_node_types || node.isVirtualNode === true;
    found.push({ id: String(node.id), type: node.type, registered, faulty: node.has_errors === true });
    if (node.subgraph) visit(node.subgraph);
  }
};
visit(app.rootGraph ?? app.graph);
return found;
"""

_OPEN_TEMPLATE = """
const { name, pack } = argument;
const answer = await app.api.fetchApi(`/workflow_templates/${encodeURIComponent(pack)}/${name}.json`);
await app.loadGraphData(await answer.json(), true, true, name, { openSource: 'template' });
"""

_FOLLOW_RUNS = """
window.followedRun = { finished: false, error: null };
app.api.addEventListener('execution_success', () => { window.followedRun.finished = true; });
app.api.addEventListener('execution_error', ({ detail }) => {
  window.followedRun.error = `node ${detail.node_id} (${detail.node_type}): ${detail.exception_message}`;
});
"""

_IMAGE_SHOWN = """
if (window.followedRun.error) return { error: window.followedRun.error };
const refused = Object.entries(app.lastNodeErrors ?? {});
if (refused.length) return { error: `refused: ${JSON.stringify(refused)}` };
if (!window.followedRun.finished) return null;
const node = app.graph.nodes.find((one) => String(one.id) === argument || one.title === argument);
if (!node) return { error: `the graph has no node ${argument}` };
const onElement = document.querySelector(`[data-node-id="${node.id}"] img`);
const image = node.imgs?.[0] ?? onElement;
// The page loads the picture of a node only when it draws the node.
if (!image && !app.canvas.visible_nodes.includes(node)) app.canvas.centerOnNode(node);
if (!image || !(image.naturalWidth > 0)) return null;
return { src: image.src, width: image.naturalWidth, height: image.naturalHeight };
"""
