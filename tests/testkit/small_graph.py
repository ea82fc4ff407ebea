"""Graphs for pictures of 64 x 64 pixels, which the host tests and the benchmark build upon."""

from __future__ import annotations

from typing import Any

from harness.graph import GraphBuilder, Node


class SmallGraph(GraphBuilder):
    """A graph for pictures of 64 x 64: model, person, expression and target are there, conditioning and sampling are added."""

    def __init__(self, size: int = 64) -> None:
        super().__init__()
        self.model = self.node("SFSRLoadModel", checkpoint="untrained (random weights)")
        self.vae = self.model.out(1)
        self.encoder = self.node("LoadIDEncoder", encoder="untrained demo recogniser (random weights)", provider="auto")
        self.identity = self.person("portrait_05")
        self.expression = self.node("ExpressionEmbed", source="word", word="amazement", intensity=1.0)
        target = self.node("SFSRSamplePortrait", sample="portrait_20")
        choice = {"face_order": "largest first", "face_index": 0, "no_face": "error"}
        self.crop = self.node("SFSRFaceCrop", images=target, size=size, **choice)

    def person(self, sample: str) -> Node:
        photo = self.node("SFSRSamplePortrait", sample=sample)
        choice = {"face_order": "largest first", "face_index": 0}
        return self.node("SFSRIdentity", id_encoder=self.encoder, images=photo, **choice)

    def conditioned(self, **changes: Any) -> Node:
        """SFSR Conditioning with inputs changed."""
        streams = {"identity": self.identity, "expression": self.expression}
        numbers = {
            f"{stream}_{name}": value
            for stream in streams
            for name, value in (("weight", 1.0), ("start", 0.0), ("end", 1.0), ("guidance", 1.0))
        }
        scene = {"image": self.crop.out(0), "mask": self.crop.out(1)}
        return self.node("SFSRConditioning", **{"model": self.model, "vae": self.vae, **streams, **scene, **numbers, **changes})

    def sampler(self, **changes: Any) -> Node:
        """Improved Midpoint Sampler with inputs changed."""
        place = {"midpoint_location": "half log-SNR", "midpoint_fraction": 0.5, "guidance_start": 0.0, "guidance_end": 1.0}
        numbers = {"order": 2, "background_anchoring": 1.0, "eta": 0.0, "identity_guidance": 0.0, "expression_guidance": 0.0}
        return self.node("ImprovedMidpointSampler", **{**place, **numbers, **changes})

    def sampled(self, conditioned: Node, seed: int = 1, **changes: Any) -> Node:
        """KSampler behind a conditioning, two steps; `changes` may put other wires or numbers in."""
        wires = {
            "model": conditioned.out(0),
            "positive": conditioned.out(1),
            "negative": conditioned.out(2),
            "latent_image": conditioned.out(3),
        }
        numbers = {"seed": seed, "steps": 2, "cfg": 2.0, "denoise": 1.0, "sampler_name": "euler", "scheduler": "normal"}
        return self.node("KSampler", **{**wires, **numbers, **changes})

    def custom(self, conditioned: Node, sampler: Node, seed: int = 1, **changes: Any) -> Node:
        """SamplerCustomAdvanced behind a conditioning, two steps."""
        steps = self.node("BasicScheduler", model=conditioned, scheduler="normal", steps=2, denoise=1.0)
        wires = {"model": conditioned.out(0), "positive": conditioned.out(1), "negative": conditioned.out(2)}
        wires = {
            "noise": self.node("RandomNoise", noise_seed=seed),
            "guider": changes.pop("guider", None) or self.node("CFGGuider", **wires, cfg=2.0),
            "sampler": sampler,
            "sigmas": steps,
            "latent_image": conditioned.out(3),
        }
        return self.node("SamplerCustomAdvanced", **{**wires, **changes})

    def keep(self, samples: Node) -> Node:
        """Save latents so that a test can read them."""
        return self.node("SaveLatent", samples=samples, filename_prefix="kept")


class OwnGraph(SmallGraph):
    """The small graph on a stock checkpoint with adapters."""

    def __init__(self) -> None:
        super().__init__()
        self.checkpoint = self.node("CheckpointLoaderSimple", ckpt_name="own.safetensors")
        self.vae = self.checkpoint.out(2)
        self.model = self.adapted()

    def adapted(self, **changes: Any) -> Node:
        """SFSR Model from Adapters with inputs changed."""
        wires = {"model": self.checkpoint.out(0), "clip": self.checkpoint.out(1)}
        texts = {"prompt": "a face", "unwanted": "noise"}
        chosen = {"identity_adapter": "ipadapter/portrait.safetensors", "expression_adapter": "ipadapter/sd15_au_encoder.ckpt"}
        return self.node("SFSRModelFromAdapters", **{**wires, **texts, **chosen, **changes})
