"""The demo's second half, run by the environment's Python: start the host, run the workflow, save what it made."""

from __future__ import annotations

import json
import signal
import sys
import threading
from pathlib import Path
from typing import Any

from harness.client import ApiClient, PromptFailed, RunResult
from harness.demo import Plan
from harness.errors import HarnessError
from harness.graph import Prompt
from harness.pictures import free_name, require_decodable
from harness.progress import ProgressBar
from harness.server import ComfyServer
from harness.workflow import (
    EXPRESSION_PICTURE,
    PERSON,
    TARGET,
    apply_expression_picture,
    apply_picture,
    apply_word,
    load_workflow,
    named_pictures,
    set_input,
    titled,
)

RUN_TIMEOUT_S = 3600.0
# The folder, in that of the pictures, of ComfyUI's own: its page's pictures, uploads and saved workflows.
KEPT = "comfyui"
# The nodes that pictures of the options come from, by title.
OPTIONS = {"--identity": PERSON, "--target": TARGET, "--expression": (EXPRESSION_PICTURE,)}


def main(plan: Plan) -> int:
    """Run a plan; returns the exit status."""
    server, prompt = None, {}
    try:
        prompt = load_workflow(Path(plan.workflow))
        _apply_numbers(prompt, plan)
        for option, path in (("--identity", plan.identity), ("--target", plan.target)):
            if path is not None:
                apply_picture(prompt, OPTIONS[option], Path(path).name, option)
                require_decodable(Path(path), option)
        if plan.expression_picture is not None:
            require_decodable(Path(plan.expression_picture), "--expression")
        models = None if plan.models is None else Path(plan.models)
        # What is made on the page must outlive it; its log, the next demo.
        kept = Path(plan.output) / KEPT if plan.keep_running else None
        log = Path(plan.log) if kept is None else kept / "comfyui.log"
        cpu = True if plan.cpu else None
        print(f"Starting ComfyUI; its log: {log}", flush=True)
        server = ComfyServer(
            Path(plan.host), Path(plan.python), kept=kept, models=models, cpu=cpu, log_path=log, on_wait=_still_starting
        )
        with server:
            print(f"ComfyUI answers at {server.url}", flush=True)
            client = ApiClient(server.url)
            _upload(client, prompt, plan)
            result = _run(client, prompt)
            _save(client, result, Path(plan.output))
            _print_report(_read_report(prompt, result), result.seconds, _asked(plan))
            if kept is not None:
                _wait(server, kept)
    except HarnessError as error:
        option = _option_behind(prompt, error.node_id) if isinstance(error, PromptFailed) else ""
        print(f"Error: {option}{error}", file=sys.stderr)
        # A node that failed has said why; for everything else the reason may stand in the host's log alone.
        _print_log(server, with_errors=not isinstance(error, PromptFailed))
        return error.exit_code
    except KeyboardInterrupt:
        print("\nStopped.", file=sys.stderr)
        return 130
    return 0


def _still_starting(seconds: float) -> None:
    print(f"Still starting ComfyUI after {seconds:.0f} s", flush=True)


def _apply_numbers(prompt: Prompt, plan: Plan) -> None:
    if plan.steps is not None:
        set_input(prompt, "Steps", ("steps",), plan.steps, "--steps")
    if plan.seed is not None:
        set_input(prompt, "Seed", ("noise_seed", "seed"), plan.seed, "--seed")
    if plan.expression_word is not None:
        apply_word(prompt, plan.expression_word)


def _upload(client: ApiClient, prompt: Prompt, plan: Plan) -> None:
    """Put the pictures where the graph finds them: those of the options, and those that lie beside the workflow."""
    for option, path in (("--identity", plan.identity), ("--target", plan.target)):
        if path is not None:
            # Under its own name, by which its owner's ComfyUI may know it too; two different photos may share one.
            name = client.upload_image(Path(path), overwrite=False)
            apply_picture(prompt, OPTIONS[option], name, option)
    if plan.expression_picture is not None:
        name = client.upload_image(Path(plan.expression_picture), overwrite=False)
        apply_expression_picture(prompt, name, client.options("SFSRLoadExpressionEncoder", "encoder")[0])
    for name in set(named_pictures(prompt).values()):
        beside = Path(plan.workflow).parent / name
        if beside.is_file():
            client.upload_image(beside, name)


def _run(client: ApiClient, prompt: Prompt) -> RunResult:
    bar = ProgressBar()
    try:
        return client.run(prompt, on_progress=bar.update, timeout=RUN_TIMEOUT_S)
    finally:
        bar.close()


def _option_behind(prompt: Prompt, node_id: str) -> str:
    """The option, with a colon, whose picture the node itself loads or looks at; empty where there is none such."""
    node = prompt.get(node_id, {"inputs": {}})
    looked_at = {node_id, *(str(value[0]) for value in node["inputs"].values() if isinstance(value, list))}
    options = [f"{option}: " for option, titles in OPTIONS.items() if titled(prompt, *titles) in looked_at]
    return options[0] if len(options) == 1 else ""


def _read_report(prompt: Prompt, result: RunResult) -> dict[str, Any]:
    """The JSON of the node titled "Report"; empty if the workflow has none."""
    node_id = titled(prompt, "Report")
    texts = result.outputs.get(node_id or "", {}).get("text") or []
    return json.loads(texts[0]) if texts else {}


def _save(client: ApiClient, result: RunResult, folder: Path) -> None:
    """Save the pictures that were meant to be kept, or the previews if there are no others; print their paths."""
    images = [image for image in result.images if image.type == "output"] or result.images
    if not images:
        raise HarnessError("The workflow ran, but made no picture.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for image in images:
            path = free_name(folder, "portrait", Path(image.filename).suffix)
            client.download(image, path)
            print(f"Picture: {path}", flush=True)
    except OSError as error:
        raise HarnessError(f"--output: the picture cannot be written to {folder} ({error.strerror}).") from error


def _asked(plan: Plan) -> str:
    """Who goes into what, with which expression: what the options said."""
    person, target = (Path(path).name if path else "a sample" for path in (plan.identity, plan.target))
    look = plan.expression_word or (plan.expression_picture and Path(plan.expression_picture).name) or "the workflow's"
    return f"{person} into {target}, expression: {look}"


def _print_report(report: dict[str, Any], seconds: float, asked: str) -> None:
    """What the report node measured, the verdict first, and its notes (one of them says so if the weights are untrained)."""
    print(f"Asked for: {asked}")
    likeness = report.get("likeness") or {}
    if told := [word for word in likeness.get("pictures") or () if word]:
        print(f"Looks like the person: {', '.join(told)} (to '{likeness['by']}')")
    untouched, judged = report.get("target") or {}, report.get("judges") or {}
    for key, label, best in (("identity_cosine", "Identity cosine", 1), ("expression_error", "Expression error", 0)):
        beside = [f"{best} is perfect"]
        for who, figures in (("the target as it was", untouched), ("a network that took no part", judged)):
            beside += [] if figures.get(key) is None else [f"{who}: {figures[key]:.3f}"]
        value = report.get(key)
        print(f"{label}: {'not measured' if value is None else f'{value:.3f}'} ({'; '.join(beside)})")
    print(f"Seconds: {seconds:.1f}")
    for note in report.get("notes") or ():
        print(f"Note: {note}")


def _wait(server: ComfyServer, kept: Path) -> None:
    print(f"The page is at {server.template_url('portrait')} until you press Ctrl-C here.", flush=True)
    print(f"More workflows: Templates, {server.pack_name}; or drop the picture on the canvas.", flush=True)
    print(f"What you make there stays in {kept}: pictures in output, saved workflows in user.", flush=True)
    try:
        while server.is_alive():
            threading.Event().wait(1.0)
    except KeyboardInterrupt:
        print("\nStopping ComfyUI", flush=True)
        return
    raise HarnessError(f"ComfyUI ended by itself. Its log:\n{server.log_tail()}")


def _print_log(server: ComfyServer | None, *, with_errors: bool) -> None:
    """Where the host's log is and, if wanted, what it says about this pack: the reason behind a node that is missing."""
    if server is None:
        return
    for text in server.errors_in_log() if with_errors else []:
        print(text.rstrip(), file=sys.stderr)
    print(f"ComfyUI's log: {server.log_path}", file=sys.stderr)


if __name__ == "__main__":
    # A polite kill, or a closed terminal, must also stop the host.
    for name in ("SIGTERM", "SIGHUP"):
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda number, _: sys.exit(128 + number))
    sys.exit(main(Plan(**json.loads(sys.argv[1]))))
