"""Adapters beside what else people have in a graph, and under the host's settings for memory and numbers."""

import re
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from harness.client import ApiClient
from harness.server import ComfyServer
from safetensors.torch import load_file
from testkit.small_graph import OwnGraph
from testkit.text_to_image import SLIM_SD15, save_control_net, save_lora, save_text_to_image

from sfsr_model.adapters.kinds import FACEID, FINEFACE, PORTRAIT
from sfsr_model.adapters.stand_ins import write_stand_in
from sfsr_model.network.layout import unet_shapes

NEIGHBOUR = Path(__file__).parent / "data" / "neighbour"
OTHERS = ("neighbour", "lora", "control")
"""What stands before SFSR Conditioning beside the adapters; the neighbour stands behind it once more."""
# The host takes --cpu or one of these, never both, and loads a model on the CPU always as a whole. This pack makes it load one
# there as it does on an accelerator with so little memory.
SPARING = """
import comfy.model_management as management

whole, free = management.load_models_gpu, management.get_free_memory


def load(*models, **others):
    known = management.is_device_cpu, management.vram_state, management.get_free_memory
    management.is_device_cpu = lambda device: False
    management.vram_state = management.VRAMState.{state}
    management.get_free_memory = lambda *_, **__: management.minimum_inference_memory() + {mib} * 2**20
    try:
        return whole(*models, **others)
    finally:
        management.is_device_cpu, management.vram_state, management.get_free_memory = known


management.load_models_gpu = load
NODE_CLASS_MAPPINGS = {{}}
"""
SETTINGS = {
    "novram": ((), {"state": "NO_VRAM", "mib": 0}, r"loaded partially.* lowvram patches: [1-9]", 1e-6),
    "lowvram": ((), {"state": "LOW_VRAM", "mib": 20}, r"loaded partially.* lowvram patches: [1-9]", 1e-6),
    "fp16-unet": (("--fp16-unet",), None, r"model weight dtype torch\.float16", 1e-3),
    "bf16-unet": (("--bf16-unet",), None, r"model weight dtype torch\.bfloat16", 0.02),
    "fp8-text": (("--fp8_e4m3fn-text-enc",), None, r"CLIP.* dtype: torch\.float8_e4m3fn", 0.1),
}
"""What the host is started with beside --cpu, what it is made to believe, what its log says then, and how far the latents may
lie from those of a host without any of it, in shares of the largest number."""


class FullGraph(OwnGraph):
    """FaceID and FineFace beside a LoRA, a ControlNet and another pack's adapter, before them and behind."""

    def everything(self, **changes):
        """A sampling run with all of it, or with weights of OTHERS changed, and inputs of SFSR Conditioning."""
        weights = {name: changes.pop(name, 0.5) for name in (*OTHERS, "behind")}
        lora = self.node(
            "LoraLoader",
            model=self.checkpoint.out(0),
            clip=self.checkpoint.out(1),
            lora_name="own.safetensors",
            strength_model=weights["lora"],
            strength_clip=0.0,
        )
        before = self.node("NeighbourAdapter", model=lora.out(0), weight=weights["neighbour"])
        wires = {"model": before.out(0), "clip": lora.out(1), "lora_strength": 0.3}
        conditioned = self.conditioned(model=self.adapted(**wires, identity_adapter="ipadapter/faceid.bin"), **changes)
        controlled = self.node(
            "ControlNetApplyAdvanced",
            positive=conditioned.out(1),
            negative=conditioned.out(2),
            control_net=self.node("ControlNetLoader", control_net_name="own.safetensors"),
            image=self.crop.out(0),
            strength=weights["control"],
            start_percent=0.0,
            end_percent=1.0,
        )
        behind = self.node("NeighbourAdapter", model=conditioned.out(0), weight=weights["behind"])
        return self.sampled(conditioned, model=behind.out(0), positive=controlled.out(0), negative=controlled.out(1))

    def in_prompt(self):
        """A run in which the text encoder itself gives the person, as Arc2Face's does."""
        return self.sampled(self.conditioned(model=self.adapted(identity_adapter="arc2face (model and clip themselves)")))


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """A models folder with a slim checkpoint and all that goes with it."""
    folder = tmp_path_factory.mktemp("models")
    for name in ("checkpoints", "ipadapter", "controlnet", "loras"):
        (folder / name).mkdir()
    save_text_to_image(folder / "checkpoints" / "own.safetensors", SLIM_SD15)
    save_control_net(folder / "controlnet" / "own.safetensors", unet_shapes(SLIM_SD15))
    save_lora(folder / "loras" / "own.safetensors", unet_shapes(SLIM_SD15))
    for kind, name in ((FACEID, "faceid.bin"), (PORTRAIT, "portrait.safetensors"), (FINEFACE, "sd15_au_encoder.ckpt")):
        write_stand_in(kind, folder / "ipadapter" / name, SLIM_SD15.ldm_arguments, seed=5)
    return folder


@pytest.fixture(scope="module")
def host(host_path, models, tmp_path_factory) -> Callable[..., list[torch.Tensor]]:
    """Runs graphs one after the other in a host of its own with these settings; returns the latents that each kept."""

    def run(arguments, sparing, said, *graphs):
        packs = [NEIGHBOUR]
        if sparing is not None:
            packs.append(tmp_path_factory.mktemp("packs") / "sparing")
            packs[-1].mkdir()
            (packs[-1] / "__init__.py").write_text(SPARING.format(**sparing), encoding="utf-8")
        settings = {"other_packs": packs, "models": models, "extra_args": arguments}
        with ComfyServer(host_path, Path(sys.executable), **settings) as server:
            found = []
            for graph, *samples in graphs:
                kept = [graph.keep(one).id for one in samples]
                outputs = ApiClient(server.url).run(graph.prompt(), timeout=900).outputs
                files = [outputs[one]["latents"][0] for one in kept]
                folder = server.base_dir / "output"
                found += [load_file(folder / file["subfolder"] / file["filename"])["latent_tensor"] for file in files]
            assert not server.errors_in_log()
            log = server.log_text()
        assert re.search(said, log), log[-3000:]
        return found

    return run


@pytest.fixture(scope="module")
def plain(host):
    """What a host without any setting makes: of all of it, of the person in the prompt, without each of OTHERS, without the
    neighbour behind, without person and expression; and of all of it once more in the same session."""
    graph = FullGraph()
    less = [graph.everything(**{name: 0.0}) for name in (*OTHERS, "behind")]
    less += [graph.everything(**{f"{stream}_weight": 0.0}) for stream in ("identity", "expression")]
    again, between = FullGraph(), FullGraph()
    others = (between, between.everything(behind=0.4)), (again, again.everything())
    return host((), None, "", (graph, graph.everything(), graph.in_prompt(), *less), *others)


def difference(found, wanted):
    return float((found - wanted).abs().max() / wanted.abs().max())


def test_all_of_it_acts_beside_each_other(plain):
    whole, in_prompt, *less, _, _ = plain
    assert all(one.isfinite().all() for one in plain)
    assert min(difference(one, whole) for one in less) > 1e-3
    assert len({one.numpy().tobytes() for one in (whole, in_prompt, *less)}) == 8


def test_what_another_pack_adds_is_not_added_again_by_the_next_run(plain):
    """The graph keeps the model of SFSR Conditioning between runs; the neighbour behind it, run anew with another weight and
    with the first one again, adds to a clone of that."""
    assert torch.equal(plain[0], plain[-1])


@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=[] if name == "novram" else [pytest.mark.full]) for name in SETTINGS]
)
def test_settings_of_the_host_change_no_more_than_rounding(name, host, plain):
    *settings, allowed = SETTINGS[name]
    graph = FullGraph()
    found = host(*settings, (graph, graph.everything(), graph.in_prompt()))
    differences = [difference(one, wanted) for one, wanted in zip(found, plain, strict=False)]
    assert max(differences) <= allowed, differences
    print(f"{name}: {differences}")
