"""The command `photos`: paint all cases, let everybody read them, write the figures."""

from __future__ import annotations

from typing import Any

from ...training.labelled import INDEX, LABELS
from ..plots import plotting
from ..store import RunFolder, digest, write_text
from .album import Album
from .cast import WORDS, Cast
from .contact import Contact
from .gathered import Gathered
from .kept import Tensors
from .painters import CHECKPOINT, ROUND_TRIP, WARPED, NetworkPainter, Painter, RoundTripPainter, Studio, WarpPainter
from .places import Places, find_places, placed
from .plan import Loaded, Plan, load
from .plot import plot_headline
from .readers import Appearance, Looks
from .renders import read_renders
from .summary import Judging
from .tables import as_json, as_markdown
from .told import facts_of, notes_of

RESULTS = ("photos.json", "photos.md", "photos.png", "contact.jpg")
"""Files that a run writes; the last shows people."""
_PLACES, _RENDERS = "places", "renders"


def run(plan: Plan) -> str:
    """Carry out a plan, or go on with it where its folder has begun it; returns the tables.

    Everything is checked before the first picture. Raises ValueError, OSError or ImportError naming what is wrong.
    """
    plotting()
    loaded = load(plan)
    settings = _settings(plan, loaded.cast)
    places = _places(loaded, RunFolder(plan.out, settings, _PLACES))
    album = Album(plan.out, loaded.cast, settings, plan.batch)
    painters = _painters(plan, loaded, places)
    judging = Judging(_gather(plan, loaded, album, painters), loaded.identity, loaded.expression)
    results, facts, notes = judging.results(), facts_of(plan, loaded, places), notes_of(plan, loaded)
    who, what = (None if one is None else one.label for one in (judging.who, judging.what))
    text = as_markdown(facts, notes, who, what, results)
    document, tables, plot, sheet = (plan.out / name for name in RESULTS)
    write_text(document, as_json(facts | {"notes": notes}, results))
    write_text(tables, text)
    plot_headline(results.headline, plot)
    Contact(album, painters, judging).draw(plan.sheet_rows, sheet)
    return text


def _settings(plan: Plan, cast: Cast) -> dict[str, Any]:
    """What the cast and the places of its faces depend on."""
    return {
        "photos": [digest(plan.photos / name) for name in (INDEX, LABELS)],
        "split": plan.split,
        "seed": plan.seed,
        "gallery": plan.numbers.gallery,
        "cases": {kind: len(cases) for kind, cases in cast.cases.items()},
        "detector": None if plan.detector is None else digest(plan.detector),
        "batch": plan.batch,
    }


def _places(loaded: Loaded, folder: RunFolder) -> Places:
    photos, finder = loaded.cast.photos, loaded.finder
    if finder is None:
        return Places(photos.points)
    rows = loaded.cast.rows()
    return placed(photos, rows, folder.part(0, lambda: find_places(photos, rows, finder)))


def _painters(plan: Plan, loaded: Loaded, places: Places) -> dict[str, Painter]:
    """By name, in the order of the tables' columns."""
    photos, expression = loaded.cast.photos, digest(plan.expression)
    painters: dict[str, Painter] = {}
    for name, one in loaded.networks.items():
        studio = Studio(photos, places, one.network.metadata.resolution)
        digests = {"checkpoint": digest(one.checkpoint), "expression": expression}
        painters[name] = NetworkPainter(one.network, one.encoder, loaded.reader, studio, plan.sampling, plan.seed, digests)
    first = loaded.networks[CHECKPOINT]
    studio = Studio(photos, places, first.network.metadata.resolution)
    digests = {"checkpoint": digest(first.checkpoint)}
    return painters | {WARPED: WarpPainter(studio), ROUND_TRIP: RoundTripPainter(first.network, studio, digests)}


def _gather(plan: Plan, loaded: Loaded, album: Album, painters: dict[str, Painter]) -> Gathered:
    renders = {} if plan.cache is None else read_renders(plan.cache, plan.seed, loaded.expression, plan.out / _RENDERS)
    everybody = (*loaded.identity, *loaded.expression)
    photos = album.photos([*everybody, Appearance(loaded.reader, digest(plan.expression))])
    painted: dict[str, dict[str, dict[str, Tensors]]] = {}
    for kind, cases in album.cast.cases.items():
        # Without the renderer's cache nobody knows what the words look like.
        if not cases or (kind == WORDS and not renders):
            continue
        readers = loaded.expression if kind == WORDS else (*everybody, Looks())
        for name, painter in painters.items():
            if kind in painter.kinds:
                painted.setdefault(name, {})[kind] = album.painted(name, painter, kind, readers)
    return Gathered(album.cast, photos, painted, renders)
