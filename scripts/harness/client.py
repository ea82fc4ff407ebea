"""Talk to a running ComfyUI: upload, submit, follow, fetch."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.error
import urllib.parse
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.graph import Prompt
from harness.rejection import explain_rejection

REQUEST_TIMEOUT_S = 120.0
# Called with the node's title, the value and the maximum of its progress.
OnProgress = Callable[[str, float, float], None]


class PromptRejected(HarnessError):
    """The host refused a prompt; `answer` is its JSON."""

    def __init__(self, message: str, answer: dict[str, Any]) -> None:
        super().__init__(message)
        self.answer = answer


class PromptFailed(HarnessError):
    """A node raised while the prompt ran."""

    def __init__(self, node_id: str, class_type: str, message: str, traceback: str = "") -> None:
        super().__init__(f"Node {node_id} ({class_type}) failed: {message.strip()}")
        self.node_id = node_id
        self.class_type = class_type
        self.traceback = traceback


class PromptInterrupted(HarnessError):
    """The prompt was stopped by Interrupt."""


class PromptTimeout(HarnessError):
    """A prompt took longer than the caller allowed."""


class ServerGone(HarnessError):
    """The host cannot be reached, or went away while a prompt ran."""


@dataclass(frozen=True)
class ImageRef:
    """A picture in the host's folders."""

    filename: str
    subfolder: str
    type: str
    node_id: str = ""


@dataclass(frozen=True)
class RunResult:
    """What a prompt left: `outputs` maps node ids to their UI output; `executed` and `cached` are node ids."""

    prompt_id: str
    outputs: dict[str, dict[str, Any]]
    images: list[ImageRef]
    executed: list[str]
    cached: list[str]
    seconds: float


@dataclass
class _Progress:
    """What the websocket has told so far."""

    executed: list[str] = field(default_factory=list)
    cached: list[str] = field(default_factory=list)


class ApiClient:
    """The HTTP API of one ComfyUI. Plain calls may be made from any thread, also while `run` waits."""

    def __init__(self, url: str) -> None:
        self.url = url.rstrip("/")
        self.client_id = uuid.uuid4().hex

    def get(self, path: str) -> Any:
        """JSON answer of a GET."""
        return json.loads(self._request(path) or b"null")

    def object_info(self, class_type: str | None = None) -> dict[str, Any]:
        """Descriptions of all nodes, or of one."""
        return self.get("/object_info" if class_type is None else f"/object_info/{urllib.parse.quote(class_type)}")

    def options(self, class_type: str, name: str) -> list[str]:
        """What a required list input of a node offers, first the one that a fresh node shows."""
        kind, *details = self.object_info(class_type)[class_type]["input"]["required"][name]
        return kind if isinstance(kind, list) else details[0]["options"]

    def history(self, prompt_id: str | None = None) -> dict[str, Any]:
        """Finished prompts by id."""
        return self.get("/history" if prompt_id is None else f"/history/{prompt_id}")

    def interrupt(self) -> None:
        """Ask the host to stop the running prompt."""
        self._post("/interrupt", {})

    def free(self) -> None:
        """Make the host unload models and forget cached results."""
        self._post("/free", {"unload_models": True, "free_memory": True})
        # It does so when its worker wakes, or after a prompt that was faster: the next prompt must not be that one.
        self.run({"1": {"class_type": "PreviewAny", "inputs": {"source": "freed"}}})

    def upload_image(self, path: Path, name: str | None = None, *, overwrite: bool = True) -> str:
        """Put a picture into the host's input folder; returns the name for LoadImage, which without `overwrite` is another
        than its own where a different picture has that."""
        boundary = uuid.uuid4().hex
        filename = (name or Path(path).name).replace('"', "_")
        flag = str(overwrite).lower()
        body = b"".join(
            (
                f'--{boundary}\r\nContent-Disposition: form-data; name="overwrite"\r\n\r\n{flag}\r\n'.encode(),
                f'--{boundary}\r\nContent-Disposition: form-data; name="image"; filename="{filename}"\r\n'.encode(),
                b"Content-Type: application/octet-stream\r\n\r\n",
                Path(path).read_bytes(),
                f"\r\n--{boundary}--\r\n".encode(),
            )
        )
        answer = json.loads(self._request("/upload/image", body, f"multipart/form-data; boundary={boundary}"))
        return "/".join(part for part in (answer.get("subfolder"), answer["name"]) if part)

    def download(self, image: ImageRef, path: Path) -> Path:
        """Save a picture of the host at `path`."""
        query = urllib.parse.urlencode({"filename": image.filename, "subfolder": image.subfolder, "type": image.type})
        Path(path).write_bytes(self._request(f"/view?{query}"))
        return Path(path)

    def submit(self, prompt: Prompt, extra_data: dict[str, Any] | None = None) -> str:
        """Queue a prompt and return its id; raises PromptRejected if the host finds any fault in it.

        A prompt of which only some outputs are valid is withdrawn: half a result would look like success.
        """
        body = {"prompt": prompt, "client_id": self.client_id, "extra_data": extra_data or {}}
        answer = self._post("/prompt", body)
        prompt_id = answer.get("prompt_id")
        if prompt_id is not None and not answer.get("node_errors"):
            return prompt_id
        if prompt_id is not None:
            self._post("/queue", {"delete": [prompt_id]})
            self._post("/interrupt", {"prompt_id": prompt_id})
        raise PromptRejected(explain_rejection(answer), answer)

    def run(
        self,
        prompt: Prompt,
        on_progress: OnProgress | None = None,
        extra_pnginfo: dict[str, Any] | None = None,
        timeout: float = 900.0,
    ) -> RunResult:
        """Submit a prompt and follow it to its end.

        Raises PromptRejected, PromptFailed, PromptInterrupted, PromptTimeout (after interrupting it) or ServerGone.
        """
        extra = {} if extra_pnginfo is None else {"extra_pnginfo": extra_pnginfo}
        return asyncio.run(self._run(prompt, on_progress, extra, timeout))

    async def _run(self, prompt: Prompt, on_progress: OnProgress | None, extra: dict[str, Any], timeout: float) -> RunResult:
        import aiohttp  # the rest works before the environment stands

        start = time.monotonic()
        progress = _Progress()
        address = f"{self.url}/ws?clientId={self.client_id}"
        try:
            async with aiohttp.ClientSession() as session, session.ws_connect(address, max_msg_size=0) as socket:
                prompt_id = await asyncio.to_thread(self.submit, prompt, extra)
                following = asyncio.create_task(_follow(socket, prompt, prompt_id, progress, on_progress))
                await asyncio.wait({following}, timeout=timeout)
                if not following.done():
                    following.cancel()
                    self.interrupt()
                    raise PromptTimeout(f"The prompt did not finish within {timeout:g} s and was interrupted.")
                following.result()
        except aiohttp.ClientError as error:
            raise ServerGone(f"ComfyUI at {self.url} cannot be reached: {error}") from error
        outputs = self.history(prompt_id)[prompt_id]["outputs"]
        return RunResult(prompt_id, outputs, _images(outputs), progress.executed, progress.cached, time.monotonic() - start)

    def _post(self, path: str, body: Any) -> dict[str, Any]:
        return json.loads(self._request(path, json.dumps(body).encode(), "application/json") or b"{}")

    def _request(self, path: str, body: bytes | None = None, content_type: str | None = None) -> bytes:
        headers = {} if content_type is None else {"Content-Type": content_type}
        request = urllib.request.Request(self.url + path, data=body, headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=REQUEST_TIMEOUT_S) as answer:
                return answer.read()
        except urllib.error.HTTPError as error:
            content = error.read()
            if path == "/prompt" and content[:1] == b"{":
                return content
            said = content.decode(errors="replace")
            raise HarnessError(f"ComfyUI answered {error.code} to {path}: {said}") from error
        except OSError as error:
            raise ServerGone(f"ComfyUI at {self.url} cannot be reached: {error}") from error


async def _follow(socket: Any, prompt: Prompt, prompt_id: str, progress: _Progress, on_progress: OnProgress | None) -> None:
    """Read websocket messages until the prompt ends."""
    async for message in socket:
        if not isinstance(message.data, str):
            continue
        event = json.loads(message.data)
        data = event.get("data") or {}
        if data.get("prompt_id") != prompt_id:
            continue
        match event.get("type"):
            case "execution_cached":
                progress.cached += map(str, data["nodes"])
            case "executing" if data.get("node") is None:
                # Sent after the result has entered the history, unlike execution_success.
                return
            case "executing":
                progress.executed.append(str(data["node"]))
            case "progress" if on_progress is not None:
                on_progress(_title(prompt, str(data.get("node"))), data["value"], data["max"])
            case "execution_error":
                trace = "".join(data.get("traceback") or ())
                fault = data.get("exception_message") or data.get("exception_type") or "no message"
                raise PromptFailed(str(data["node_id"]), data["node_type"], fault, trace)
            case "execution_interrupted":
                raise PromptInterrupted(f"The prompt was interrupted in node {data.get('node_id')}.")
    raise ServerGone("ComfyUI closed the connection while the prompt ran; its log says why.")


def _title(prompt: Prompt, node_id: str) -> str:
    entry = prompt.get(node_id, {})
    return (entry.get("_meta") or {}).get("title") or entry.get("class_type") or f"node {node_id}"


def _images(outputs: dict[str, dict[str, Any]]) -> list[ImageRef]:
    return [
        ImageRef(image["filename"], image.get("subfolder", ""), image.get("type", "output"), node_id)
        for node_id, output in outputs.items()
        for image in output.get("images") or ()
    ]
