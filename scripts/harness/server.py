"""Run a ComfyUI headless in a process of its own."""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from harness.errors import HarnessError
from harness.hostlog import LogError, find_errors, import_seconds, plain
from harness.link import link_folder, unlink_folder
from harness.pip import clean_environment

REPOSITORY = Path(__file__).resolve().parents[2]
PACK_NAME = "ComfyUI-DiffSFSR"
LOOPBACK = "127.0.0.1"
TAIL_LINES = 40
_START_TRIES = 3
_TELL_S = 15.0
_POLL_S = 0.25
_STOP_GRACE_S = 10.0
_ACCELERATOR_PROBE = (
    "import torch; print(torch.cuda.is_available() or torch.backends.mps.is_available()"
    " or (hasattr(torch, 'xpu') and torch.xpu.is_available()))"
)


class ServerError(HarnessError):
    """The host did not start, or died."""


class _PortTakenError(Exception):
    """Somebody took the port between our choice and the host's bind."""


class ComfyServer:
    """A ComfyUI on a loopback port with this pack linked in; a context manager.

    host_path, python    the ComfyUI folder and the interpreter that runs it
    pack_name            folder name under custom_nodes; None leaves the pack out
    other_packs          folders of further packs, linked in under their own names
    base_dir             where custom_nodes, input, output, models and user lie; a temporary folder if None
    kept                 folder for input, output and user instead, which stays when the host has stopped
    models               folder to use as models, as that of an existing host
    cpu                  None: CPU only if torch finds no accelerator
    port                 None: any free one
    startup_timeout      seconds until the host must answer
    on_wait              is told now and then for how many seconds the host has been starting
    """

    def __init__(
        self,
        host_path: Path,
        python: Path,
        *,
        pack_name: str | None = PACK_NAME,
        pack: Path = REPOSITORY,
        other_packs: Sequence[Path] = (),
        base_dir: Path | None = None,
        kept: Path | None = None,
        models: Path | None = None,
        cpu: bool | None = True,
        port: int | None = None,
        extra_args: Sequence[str] = (),
        log_path: Path | None = None,
        startup_timeout: float = 300.0,
        on_wait: Callable[[float], None] | None = None,
    ) -> None:
        self.host_path = Path(host_path)
        self.python = Path(python)
        self.pack_name = pack_name
        self.pack = Path(pack)
        self.other_packs = tuple(other_packs)
        self.port = port
        self.extra_args = tuple(extra_args)
        self.startup_timeout = startup_timeout
        self._on_wait = on_wait
        self._port_given = port is not None
        self._models = models
        self._cpu = cpu
        self._own_base = base_dir is None
        self.base_dir = Path(tempfile.mkdtemp(prefix="sfsr-host-")) if base_dir is None else Path(base_dir).absolute()
        self._kept = None if kept is None else Path(kept).absolute()
        self.log_path = log_path or self.base_dir / "comfyui.log"
        self._links: list[Path] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._expected: list[LogError] = []
        self._kept_log: str | None = None

    @property
    def url(self) -> str:
        """Address of the page and the API."""
        return f"http://{LOOPBACK}:{self.port}"

    def template_url(self, name: str) -> str:
        """Address of the page with one of the pack's templates opened; the page knows packs by the names of their folders."""
        return f"{self.url}/?template={name}&source={self.pack_name}"

    @property
    def pid(self) -> int | None:
        """Process id of the host; None when it does not run."""
        return self._process.pid if self.is_alive() else None

    def is_alive(self) -> bool:
        """Whether the process that this object started still runs."""
        return self._process is not None and self._process.poll() is None

    def __enter__(self) -> ComfyServer:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Start the host and return when it answers; raises ServerError with the end of its log."""
        atexit.register(self.stop)
        self._kept_log = None
        try:
            self._prepare_base()
            if self._port_given and not _is_free(self.port):
                raise ServerError(f"Port {self.port} on {LOOPBACK} is taken by another program. Choose another one.")
            for _ in range(_START_TRIES):
                if not self._port_given:
                    self.port = free_port()
                try:
                    self._launch()
                    return
                except _PortTakenError:
                    if self._port_given:
                        break
            raise ServerError(f"Port {self.port} on {LOOPBACK} was taken by another program while ComfyUI started.")
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End the process group that this object started and remove its temporary folder; may be called again."""
        process, self._process = self._process, None
        if process is not None:
            _end(process)
        atexit.unregister(self.stop)
        self._kept_log = self.log_text()
        for place in self._links:
            unlink_folder(place)
        self._links.clear()
        if self._own_base:
            shutil.rmtree(self.base_dir, ignore_errors=True)

    def log_text(self) -> str:
        """What the host has printed so far; stays readable after stop()."""
        if self._kept_log is not None:
            return self._kept_log
        return plain(self.log_path.read_text(encoding="utf-8", errors="replace")) if self.log_path.is_file() else ""

    def log_tail(self, lines: int = TAIL_LINES) -> str:
        """The last lines of the log, indented."""
        return "\n".join("  " + line for line in self.log_text().splitlines()[-lines:])

    def errors_in_log(self, markers: Sequence[str] | None = None) -> list[str]:
        """Error lines and tracebacks that name this pack (or one of `markers`) and that no test expected."""
        expected = {error.offset for error in self._expected}
        found = find_errors(self.log_text(), self._markers() if markers is None else markers)
        return [error.text for error in found if error.offset not in expected]

    def import_seconds(self, pack_name: str | None = None) -> float:
        """The host's own "Import times for custom nodes" entry, in seconds; LookupError if it failed to import."""
        return import_seconds(self.log_text(), pack_name or self.pack_name or "")

    @contextlib.contextmanager
    def expecting_error(self, text: str) -> Iterator[None]:
        """Within the block an error of ours whose log entry contains `text` is wanted and not held against us.

        Raises AssertionError if none appeared.
        """
        start = len(self.log_text())
        yield
        errors = find_errors(self.log_text(), self._markers())
        wanted = [error for error in errors if error.offset >= start and text in error.text]
        if not wanted:
            raise AssertionError(f"The host logged no error of this pack that contains {text!r}.")
        self._expected += wanted

    def _markers(self) -> tuple[str, ...]:
        return (self.pack_name or PACK_NAME, str(self.pack), "sfsr_model", "SFSR")

    def _prepare_base(self) -> None:
        (self.base_dir / "custom_nodes").mkdir(parents=True, exist_ok=True)
        of_the_user = self._kept or self.base_dir
        for name in ("input", "output", "user/default"):
            (of_the_user / name).mkdir(parents=True, exist_ok=True)
        if self._models is None:
            (self.base_dir / "models").mkdir(exist_ok=True)
        else:
            self._link(self._models, self.base_dir / "models")
        if self.pack_name is not None:
            self._link(self.pack, self.base_dir / "custom_nodes" / self.pack_name)
        for other in self.other_packs:
            self._link(other, self.base_dir / "custom_nodes" / other.name)
        settings = of_the_user / "user" / "default" / "comfy.settings.json"
        if not settings.exists():
            settings.write_text(json.dumps({"Comfy.TutorialCompleted": True}), encoding="utf-8")

    def _link(self, source: Path, place: Path) -> None:
        if place.exists() and place.resolve() == source.resolve():
            return
        link_folder(source, place)
        self._links.append(place)

    def _arguments(self) -> list[str]:
        if self._cpu is None:
            self._cpu = not has_accelerator(self.python)
        arguments = [str(self.python), str(self.host_path / "main.py")]
        arguments += ["--listen", LOOPBACK, "--port", str(self.port), "--base-directory", str(self.base_dir)]
        arguments += ["--database-url", "sqlite:///:memory:", "--disable-api-nodes", "--disable-auto-launch"]
        if self._kept is not None:
            for name in ("input", "output", "user"):
                arguments += [f"--{name}-directory", str(self._kept / name)]
        if self._cpu:
            arguments += ["--cpu", "--use-pytorch-cross-attention"]
        return [*arguments, *self.extra_args]

    def _launch(self) -> None:
        self.log_path.parent.mkdir(parents=True, exist_ok=True)
        environment = clean_environment() | {"PYTHONUNBUFFERED": "1", "PYTHONIOENCODING": "utf-8"}
        windows = os.name == "nt"
        with self.log_path.open("wb") as log, _held_signals():
            self._process = subprocess.Popen(
                self._arguments(),
                cwd=self.host_path,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=not windows,
                creationflags=subprocess.CREATE_NEW_PROCESS_GROUP if windows else 0,
            )
        started = told = time.monotonic()
        while not self._answers():
            status = self._process.poll()
            if status is not None:
                if "is already in use" in self.log_text():
                    raise _PortTakenError
                raise ServerError(f"ComfyUI ended with status {status} while it started. Its log:\n{self.log_tail()}")
            now = time.monotonic()
            if now - started > self.startup_timeout:
                waited = f"{self.startup_timeout:g} s"
                raise ServerError(f"ComfyUI did not answer on {self.url} within {waited}. Its log:\n{self.log_tail()}")
            if self._on_wait is not None and now - told > _TELL_S:
                self._on_wait(now - started)
                told = now
            time.sleep(_POLL_S)

    def _answers(self) -> bool:
        """Whether the host behind the port is the one started here: another one may have won the port."""
        try:
            with urllib.request.urlopen(f"{self.url}/system_stats", timeout=30) as answer:
                stats = json.load(answer)
        except (OSError, ValueError):
            return False
        return str(self.base_dir) in stats.get("system", {}).get("argv", ())


@contextlib.contextmanager
def _held_signals() -> Iterator[None]:
    """Whoever handles a signal by raising hears of it at the end: between a process's start and its being known, nobody
    could stop it. The process itself inherits no handler."""
    heard: list[int] = []
    handlers: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for name in ("SIGINT", "SIGTERM", "SIGHUP"):
            number = getattr(signal, name, None)
            if number is not None and callable(signal.getsignal(number)):
                handlers[number] = signal.signal(number, lambda told, _: heard.append(told))
    try:
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for number in heard:
            signal.raise_signal(number)


def free_port() -> int:
    """A loopback port that is free now."""
    with socket.socket() as probe:
        probe.bind((LOOPBACK, 0))
        return probe.getsockname()[1]


def has_accelerator(python: Path) -> bool:
    """Whether the interpreter's torch can use a GPU."""
    command = [str(python), "-c", _ACCELERATOR_PROBE]
    answer = subprocess.run(command, capture_output=True, text=True, env=clean_environment(), check=False)
    return answer.stdout.strip() == "True"


def _is_free(port: int | None) -> bool:
    with socket.socket() as probe:
        if os.name != "nt":
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port or 0))
        except OSError:
            return False
    return True


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ask the process and its group to end, then make them. One that has ended by itself is left alone."""
    if process.poll() is not None:
        return
    _signal(process, signal.SIGTERM)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_STOP_GRACE_S)
    _signal(process, signal.SIGTERM if os.name == "nt" else signal.SIGKILL)
    process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        if os.name == "nt":
            process.terminate()
        else:
            os.killpg(process.pid, number)
