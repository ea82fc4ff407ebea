"""How evenly a network listens to its streams: the RMS of their tokens, and where cross-attention looks."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..compound import CompoundConfig
from ..schedule import ScaledLinearSchedule
from .network import Network
from .plots import plotting, save
from .store import out_folder, write_text
from .study import Samples, Study

STREAMS = ("identity", "expression", "pose")
_COLOURS = {"identity": "#30638e", "expression": "#d1495b", "pose": "#8d99ae"}


@dataclass(frozen=True)
class Balance:
    """By stream. tokens: how many. rms: of the tokens' entries, and rms_null: of their learned nulls. mass: share of the
    cross-attention's weight, a mean over queries, heads, layers, timesteps and samples; even_mass: what equal attention to all
    tokens would give. by_layer, by_timestep: the same mass apart."""

    tokens: dict[str, int]
    rms: dict[str, float]
    rms_null: dict[str, float]
    mass: dict[str, float]
    even_mass: dict[str, float]
    by_layer: dict[str, dict[str, float]]
    by_timestep: dict[str, dict[str, float]]


def stream_slices(config: CompoundConfig) -> dict[str, slice]:
    """Where each stream's tokens lie along the sequence."""
    each = config.tokens_per_stream
    return {"identity": slice(0, each), "expression": slice(each, 2 * each), "pose": slice(2 * each, 2 * each + 1)}


class MassRecorder:
    """An attention processor for diffusers that computes plain attention and keeps each stream's share of the weights.

    shares: one [streams] a call, summing to 1; the mean over batch, heads and queries.
    """

    def __init__(self, slices: Sequence[slice]) -> None:
        self._slices = slices
        self.shares: list[Tensor] = []

    def __call__(
        self, attn: Any, hidden_states: Tensor, encoder_hidden_states: Tensor, attention_mask: Tensor | None = None, **_: Any
    ) -> Tensor:
        """hidden_states [B, Q, C], encoder_hidden_states [B, T, D]; returns [B, Q, C]."""
        query = attn.head_to_batch_dim(attn.to_q(hidden_states))
        key = attn.head_to_batch_dim(attn.to_k(encoder_hidden_states))
        value = attn.head_to_batch_dim(attn.to_v(encoder_hidden_states))
        weights = attn.get_attention_scores(query, key, attention_mask)
        self.shares.append(torch.stack([weights[..., part].sum(-1).mean() for part in self._slices]))
        result = attn.batch_to_head_dim(torch.bmm(weights, value))
        return attn.to_out[1](attn.to_out[0](result))


def record_mass(network: Network) -> dict[str, MassRecorder]:
    """Put a recorder into every cross-attention of a network; by layer, in the order of the network's own names."""
    slices = list(stream_slices(network.metadata.compound).values())
    recorders, processors = {}, {}
    for name, processor in network.unet.attn_processors.items():
        processors[name] = processor
        if name.endswith("attn2.processor"):
            processors[name] = recorders[name.removesuffix(".transformer_blocks.0.attn2.processor")] = MassRecorder(slices)
    network.unet.set_attn_processor(processors)
    return recorders


@torch.no_grad()
def measure(samples: Samples) -> Balance:
    """Tokens and attention on held-out answers under noise, with every stream active, the pose's as well where it is told."""
    network, times = samples.network, samples.study.timesteps
    recorders = record_mass(network)
    slices = stream_slices(network.metadata.compound)
    schedule = ScaledLinearSchedule()
    tokens, nulls, counts = [], [], []
    mass = torch.zeros(len(recorders), len(times), len(STREAMS), dtype=torch.float64)
    for batch in samples.batches():
        told = network.tokens(batch.identity, batch.expression, batch.pose, 1.0, 1.0)
        tokens.append(told)
        nulls.append(network.tokens(batch.identity, batch.expression, batch.pose, 0.0, 0.0)[:1])
        counts.append(len(told))
        for place, time in enumerate(times):
            sigma = schedule.sigma(time)
            x_t = (batch.x0 + sigma * batch.noise) / (1 + sigma**2) ** 0.5
            network.predict(x_t, sigma, told, batch.shown)
            for layer, recorder in enumerate(recorders.values()):
                mass[layer, place] += recorder.shares.pop().double().cpu() * len(told)
    mass /= sum(counts)
    sequence = sum(_lengths(slices).values())
    return Balance(
        tokens=_lengths(slices),
        rms={name: _rms(torch.cat(tokens)[:, part]) for name, part in slices.items()},
        rms_null={name: _rms(nulls[0][:, part]) for name, part in slices.items()},
        mass=_named(mass.mean((0, 1))),
        even_mass={name: length / sequence for name, length in _lengths(slices).items()},
        by_layer={layer: _named(share) for layer, share in zip(recorders, mass.mean(1), strict=True)},
        by_timestep={str(time): _named(share) for time, share in zip(times, mass.mean(0), strict=True)},
    )


def balance(study: Study, out: Path | None) -> str:
    """Measure, write balance.json and balance.png where there is a folder for them, and return a table."""
    if out is not None:
        plotting()
    samples = Samples(study)
    if out is not None:
        out_folder(out)
    result = measure(samples)
    if out is not None:
        run = {"checkpoint": samples.network.name, "balanced": samples.network.metadata.compound.balanced, "seed": study.seed,
               "samples": study.samples, "note": samples.note}  # fmt: skip
        text = json.dumps({"run": run, **asdict(result)}, indent=2) + "\n"
        write_text(out / "balance.json", text)
        _plot(result, out / "balance.png")
    return _table(result, samples)


def _table(result: Balance, samples: Samples) -> str:
    balanced = "on" if samples.network.metadata.compound.balanced else "off"
    lines = [f"{samples.network.name}, balancing {balanced}, {samples.study.samples} triplets; {samples.note}", ""]
    lines += ["| stream | tokens | RMS | RMS of its null | attention mass | if even |", "|---|---|---|---|---|---|"]
    for name in STREAMS:
        lines.append(
            f"| {name} | {result.tokens[name]} | {result.rms[name]:.3f} | {result.rms_null[name]:.3f} | "
            f"{result.mass[name]:.1%} | {result.even_mass[name]:.1%} |"
        )
    return "\n".join(lines)


def _plot(result: Balance, path: Path) -> None:
    pyplot = plotting()
    drawn, (left, right) = pyplot.subplots(1, 2, figsize=(12, 4))
    for name in STREAMS:
        times = sorted(result.by_timestep, key=int)
        left.plot([int(time) for time in times], [result.by_timestep[time][name] for time in times], "o-", label=name,
                  color=_COLOURS[name])  # fmt: skip
        left.axhline(result.even_mass[name], color=_COLOURS[name], linewidth=0.6, linestyle=":")
    left.set_xlabel("timestep")
    left.set_ylabel("share of cross-attention")
    left.legend()
    bottom = [0.0] * len(result.by_layer)
    for name in STREAMS:
        values = [shares[name] for shares in result.by_layer.values()]
        right.bar(range(len(values)), values, bottom=bottom, color=_COLOURS[name])
        bottom = [low + value for low, value in zip(bottom, values, strict=True)]
    right.set_xticks(range(len(bottom)), [layer.replace("_blocks", "").replace(".attentions", "") for layer in result.by_layer],
                     rotation=60, fontsize=7)  # fmt: skip
    right.set_title("by layer")
    save(drawn, path)


def _lengths(slices: dict[str, slice]) -> dict[str, int]:
    return {name: part.stop - part.start for name, part in slices.items()}


def _named(shares: Tensor) -> dict[str, float]:
    return dict(zip(STREAMS, shares.tolist(), strict=True))


def _rms(tokens: Tensor) -> float:
    return float(tokens.float().square().mean().sqrt())
