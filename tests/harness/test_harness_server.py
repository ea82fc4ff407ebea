"""Starting and stopping a host: what goes wrong, with small programs in the place of ComfyUI.

The subject is the harness; the real host is started in the other files.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
from harness.server import LOOPBACK, ComfyServer, ServerError, free_port

ANSWERING = """
import http.server, json, sys
from pathlib import Path

class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        body = json.dumps({"system": {"argv": ARGV}}).encode()
        self.send_response(200)
        self.end_headers()
        self.wfile.write(body)

def serve():
    port = int(sys.argv[sys.argv.index("--port") + 1])
    http.server.HTTPServer(("127.0.0.1", port), Handler).serve_forever()

ARGV = sys.argv
"""
LOSES_THE_PORT_ONCE = (
    ANSWERING
    + """
mark = Path(__file__).with_name("tried")
if not mark.exists():
    mark.touch()
    print("Port is already in use on address 127.0.0.1.")
    sys.exit(1)
serve()
"""
)
WITH_A_CHILD = (
    ANSWERING
    + """
import subprocess
child = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
print("child", child.pid, flush=True)
serve()
"""
)
STUBBORN = "import signal\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + ANSWERING + "serve()\n"


@pytest.fixture
def make_server(tmp_path):
    """Builds servers whose main.py is the given program, and stops them."""
    servers = []

    def make(program: str, **options) -> ComfyServer:
        host = tmp_path / "host"
        host.mkdir(exist_ok=True)
        (host / "main.py").write_text(program)
        servers.append(ComfyServer(host, Path(sys.executable), **options))
        return servers[-1]

    yield make
    for server in servers:
        server.stop()


def is_running(pid: int) -> bool:
    """Whether a process exists and is more than a zombie."""
    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


def test_a_host_that_dies_while_starting_shows_its_log(make_server):
    server = make_server("print('loading'); raise SystemExit('no such thing as a GPU')")
    with pytest.raises(ServerError, match=r"ended with status 1 while it started(.|\n)*loading(.|\n)*no such thing as a GPU"):
        server.start()
    assert not server.is_alive()
    assert not server.base_dir.exists()


def test_a_host_that_never_answers_is_given_up_and_stopped(make_server):
    server = make_server("import os, time; print('pid', os.getpid(), flush=True); time.sleep(600)", startup_timeout=3)
    with pytest.raises(ServerError, match=r"did not answer on http://127\.0\.0\.1:\d+ within 3 s(.|\n)*pid (\d+)"):
        server.start()
    assert not is_running(int(server.log_text().split()[1]))


def test_a_taken_port_is_named(make_server):
    with socket.create_server((LOOPBACK, 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(ServerError, match=f"Port {port} on 127.0.0.1 is taken by another program"):
            make_server(ANSWERING + "serve()", port=port).start()


def test_a_port_lost_between_choice_and_use_is_chosen_again(make_server):
    with make_server(LOSES_THE_PORT_ONCE) as server:
        assert server.is_alive()


def test_a_given_port_lost_while_starting_is_an_error(make_server):
    server = make_server(LOSES_THE_PORT_ONCE, port=free_port())
    with pytest.raises(ServerError, match=f"Port {server.port} on 127.0.0.1 was taken by another program"):
        server.start()


def test_another_host_on_the_port_is_not_taken_for_ours(make_server):
    stranger = ANSWERING + "ARGV = ['main.py', '--base-directory', '/somewhere/else']\nserve()"
    with pytest.raises(ServerError, match="did not answer"):
        make_server(stranger, startup_timeout=3).start()


def test_the_arguments_are_those_of_a_headless_host(make_server):
    with make_server(ANSWERING + "print(json.dumps(sys.argv), flush=True)\nserve()", extra_args=("--verbose",)) as server:
        arguments = json.loads(server.log_text().splitlines()[0])
    assert arguments[1:7] == ["--listen", LOOPBACK, "--port", str(server.port), "--base-directory", str(server.base_dir)]
    assert {"--cpu", "--use-pytorch-cross-attention", "--disable-api-nodes", "--verbose"} <= set(arguments)


def test_the_base_folder_holds_the_linked_pack_and_the_settings(make_server, tmp_path):
    pack = tmp_path / "pack"
    pack.mkdir()
    (pack / "precious").write_text("x")
    with make_server(ANSWERING + "serve()", pack=pack, pack_name="Any Name") as server:
        assert (server.base_dir / "custom_nodes" / "Any Name" / "precious").read_text() == "x"
        settings = json.loads((server.base_dir / "user" / "default" / "comfy.settings.json").read_text())
        assert settings["Comfy.TutorialCompleted"] is True
    assert not server.base_dir.exists()
    assert (pack / "precious").read_text() == "x"


def test_a_given_base_folder_is_kept_and_a_pack_that_is_there_is_not_linked_again(make_server, tmp_path):
    base = tmp_path / "base"
    pack = base / "custom_nodes" / "pack"
    pack.mkdir(parents=True)
    with make_server(ANSWERING + "serve()", base_dir=base, pack=pack, pack_name="pack") as server:
        assert [path.name for path in (base / "custom_nodes").iterdir()] == ["pack"]
        assert server.log_path == base / "comfyui.log"
    assert pack.is_dir()


def test_models_of_an_existing_host_are_seen_and_survive(make_server, tmp_path):
    models = tmp_path / "models"
    models.mkdir()
    (models / "big.safetensors").write_text("x")
    with make_server(ANSWERING + "serve()", models=models) as server:
        assert (server.base_dir / "models" / "big.safetensors").exists()
    assert (models / "big.safetensors").exists()


@pytest.mark.skipif(os.name == "nt", reason="process groups")
def test_stop_ends_the_host_and_its_children_and_may_be_repeated(make_server):
    server = make_server(WITH_A_CHILD)
    server.start()
    host = server.pid
    child = int(server.log_text().split()[1])
    assert is_running(child)
    server.stop()
    server.stop()
    assert not is_running(host)
    assert not is_running(child)
    assert "child" in server.log_text()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_host_that_ignores_the_polite_signal_is_killed(make_server, monkeypatch):
    monkeypatch.setattr("harness.server._STOP_GRACE_S", 1.0)
    server = make_server(STUBBORN)
    server.start()
    host = server.pid
    server.stop()
    assert not is_running(host)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_host_that_died_is_noticed_and_its_number_left_alone(make_server):
    server = make_server(ANSWERING + "serve()")
    server.start()
    os.kill(server.pid, signal.SIGKILL)
    deadline = time.monotonic() + 60
    while server.is_alive() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not server.is_alive()
    assert server.pid is None
    server.stop()


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_signal_while_the_host_is_being_started_stops_it_too(make_server, monkeypatch):
    started = []

    def heard_at_once(*arguments, **options):
        started.append(subprocess.Popen(*arguments, **options))
        signal.raise_signal(signal.SIGTERM)
        return started[0]

    def leave(number, frame):
        raise SystemExit(128 + number)

    monkeypatch.setattr("harness.server.subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": heard_at_once}))
    before = signal.signal(signal.SIGTERM, leave)
    try:
        with pytest.raises(SystemExit):
            make_server(ANSWERING + "serve()").start()
        assert signal.getsignal(signal.SIGTERM) is leave
    finally:
        signal.signal(signal.SIGTERM, before)
    assert not is_running(started[0].pid)


@pytest.mark.skipif(os.name == "nt", reason="signals")
def test_a_signal_is_heard_where_the_host_cannot_be_started(make_server, monkeypatch):
    def refused(*arguments, **options):
        signal.raise_signal(signal.SIGTERM)
        raise OSError("no more processes")

    heard = []
    monkeypatch.setattr("harness.server.subprocess", SimpleNamespace(**{**vars(subprocess), "Popen": refused}))
    before = signal.signal(signal.SIGTERM, lambda number, frame: heard.append(number))
    try:
        with pytest.raises(OSError, match="no more processes"):
            make_server(ANSWERING + "serve()").start()
    finally:
        signal.signal(signal.SIGTERM, before)
    assert heard == [signal.SIGTERM]


def test_an_exit_without_stop_still_stops_the_host(tmp_path):
    (tmp_path / "main.py").write_text(ANSWERING + "serve()")
    code = (
        "import sys; from pathlib import Path; from harness.server import ComfyServer\n"
        f"server = ComfyServer(Path({str(tmp_path)!r}), Path(sys.executable)); server.start(); print(server.pid)"
    )
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)}
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert not is_running(int(answer.stdout))


def test_an_expected_error_is_not_held_against_us(make_server):
    program = (
        ANSWERING
        + """
import threading
print("SFSR: error one", flush=True)
def late():
    while not Path(__file__).with_name("go").exists(): time.sleep(0.05)
    print("SFSR: error two", flush=True)
    Path(__file__).with_name("gone").touch()
import time
threading.Thread(target=late, daemon=True).start()
serve()
"""
    )
    with make_server(program) as server:
        with pytest.raises(AssertionError, match="error three"), server.expecting_error("error three"):
            pass
        with server.expecting_error("error two"):
            (server.host_path / "go").touch()
            while not (server.host_path / "gone").exists():
                time.sleep(0.05)
        assert server.errors_in_log() == ["SFSR: error one\n"]
