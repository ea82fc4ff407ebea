"""The measurements on made-up readings whose answer is known: a perfect swap, leaks, dependence, and nothing at all."""

import math
from dataclasses import replace

import numpy as np
import pytest
import torch

from sfsr_model.evaluation.cases import PRIMARIES, PRIMARY, plan_cases
from sfsr_model.evaluation.expression_judges import READABLE
from sfsr_model.evaluation.metrics import (
    active_errors,
    bins,
    correlation_figure,
    figure,
    inside_differences,
    outside_differences,
    pose_errors,
    quantile_figure,
    recognised,
    retrieved,
)
from sfsr_model.evaluation.pictures import KINDS
from sfsr_model.evaluation.readings import Measured, Reading, join
from sfsr_model.evaluation.summary import by_bin, summarise
from sfsr_model.evaluation.tables import as_json, as_markdown, formatted

PEOPLE = 12
CASES = plan_cases(PEOPLE, 3)


def ideal() -> Measured:
    """What judges without error read where every face is made exactly as asked for."""
    references, sources, targets = torch.eye(3 * PEOPLE).split(PEOPLE)
    expressions = torch.rand(PEOPLE, 52, generator=torch.Generator().manual_seed(4))
    primaries = {word: torch.rand(52, generator=torch.Generator().manual_seed(10 + n)) for n, word in enumerate(PRIMARIES)}
    wanted = torch.stack(
        [primaries[case.expression] if case.kind == PRIMARY else expressions[case.expression] for case in CASES]
    )
    people = torch.tensor([case.person for case in CASES])
    places = torch.tensor([case.target for case in CASES])
    angles = torch.zeros(len(CASES), 3)
    angles[:, 1] = torch.linspace(-0.9, 0.9, PEOPLE)[places]
    zeros = torch.zeros(len(CASES))
    reading = Reading(references[people], wanted, angles, torch.ones(len(CASES)), zeros, zeros, zeros)
    worn = torch.tensor([0 if case.kind == PRIMARY else case.expression for case in CASES])
    light = torch.linspace(0, 1, PEOPLE)[places]
    kinds = dict.fromkeys(KINDS, reading)
    return Measured(kinds, wanted, angles, references[people], sources[worn], targets[places], light)


def generated(**changes: torch.Tensor) -> Measured:
    """The ideal, with what was generated read differently."""
    measured = ideal()
    return replace(measured, kinds=measured.kinds | {"generated": replace(measured.kinds["generated"], **changes)})


def values(measured: Measured) -> dict[str, float]:
    return {name: kinds["generated"].value for name, kinds in summarise(CASES, measured).items()}


def test_a_perfect_swap():
    found = values(ideal())
    for name in ("identity_cosine", "identity_retrieval", "expression_correlation", "primaries_recognised", "face_seen"):
        assert found[name] == pytest.approx(1.0), name
    for name in ("expression_error", "pose_error", "source_leakage", "target_leakage", "identity_moved_by_expression"):
        assert found[name] == pytest.approx(0.0, abs=1e-6), name
    assert found["expression_moved_by_identity"] == pytest.approx(0.0)
    assert found["identity_moved_by_identity"] > 0.5


def test_the_sources_identity_leaks():
    """Every picture shows the person whose expression was asked for: N times chance, and nobody else is found."""
    measured = ideal()
    found = values(generated(embedding=measured.source))
    assert found["source_leakage"] == 1.0
    assert found["source_leakage_times_chance"] == PEOPLE
    assert found["identity_retrieval"] < 0.3
    assert found["identity_moved_by_expression"] > 0.5
    assert found["identity_moved_beyond_answer"] == pytest.approx(found["identity_moved_by_expression"])


def test_the_targets_identity_stays():
    found = values(generated(embedding=ideal().target))
    assert found["target_leakage"] == 1.0
    assert found["target_leakage_times_chance"] == PEOPLE
    assert found["identity_moved_by_identity"] == pytest.approx(0.0, abs=1e-6)


def test_the_person_changes_the_expression():
    """Each person adds 0.2 times their number mod 2 to every coefficient: another person moves it by 0.2."""
    measured = ideal()
    shift = 0.2 * torch.tensor([case.person % 2 for case in CASES])[:, None]
    found = values(generated(coefficients=measured.wanted + shift))
    assert found["expression_moved_by_identity"] == pytest.approx(0.2, abs=1e-6)
    assert found["expression_moved_beyond_answer"] == pytest.approx(0.2, abs=1e-6)
    assert found["expression_error"] == pytest.approx(0.1, abs=1e-6)
    assert found["identity_moved_by_expression"] == pytest.approx(0.0, abs=1e-6)
    # As many people gain the error as lose it.
    assert found["expression_error_change"] == pytest.approx(0.0, abs=1e-6)


def test_a_network_that_ignores_the_expression():
    still = torch.full((len(CASES), 52), 0.3)
    found = values(generated(coefficients=still))
    assert found["expression_correlation"] == pytest.approx(0.0, abs=1e-6)
    assert found["primaries_recognised"] == pytest.approx(1 / len(PRIMARIES))
    assert found["expression_moved_by_identity"] == pytest.approx(0.0)


def test_without_an_expression_judge_nothing_is_made_up():
    measured = ideal()
    nothing = torch.full((len(CASES), 52), math.nan)
    unread = replace(measured.kinds["answer"], coefficients=nothing, presence=nothing[:, 0], pose=nothing[:, :3])
    found = values(replace(measured, kinds=dict.fromkeys(KINDS, unread)))
    for name in ("expression_error", "expression_correlation", "pose_error", "primaries_recognised", "face_seen"):
        assert found[name] is None, name
    assert found["identity_retrieval"] == 1.0


def test_bins_hold_every_triplet_once_and_tell_the_hard_ones():
    """Faces turned by 30 degrees and more show somebody else."""
    measured = ideal()
    turned = torch.rad2deg(measured.pose[:, 1].abs()) >= 30
    embedding = torch.where(turned[:, None], measured.target, measured.reference)
    binned = by_bin(CASES, generated(embedding=embedding))
    for parts in binned.values():
        assert sum(count for _, count, _ in parts) == PEOPLE
    shares = {label: figures["identity_retrieval"]["generated"].value for label, _, figures in binned["yaw"]}
    assert shares == {"0 to 15": 1.0, "15 to 30": 1.0, "30 and more": 0.0}


def test_parts_join_to_the_whole():
    measured = ideal()

    def cut(part: slice) -> Measured:
        kinds = {k: Reading(**{n: v[part] for n, v in vars(r).items()}) for k, r in measured.kinds.items()}
        return Measured(kinds, **{n: v[part] for n, v in vars(measured).items() if n != "kinds"})

    joined = join([cut(slice(0, 5)), cut(slice(5, None))])
    assert torch.equal(joined.wanted, measured.wanted)
    assert torch.equal(joined.kinds["generated"].embedding, measured.kinds["generated"].embedding)


def test_a_tie_is_no_retrieval():
    same = torch.ones(4, 8)
    assert not retrieved(same, same, torch.arange(4)).any()


def test_errors_count_active_and_readable_coefficients_alone():
    wanted, read = torch.zeros(2, 52), torch.zeros(2, 52)
    wanted[0, 0], read[0, 0] = 0.5, 0.2
    wanted[0, 1], read[0, 1] = 0.05, 0.9  # hardly asked for
    blind = int((~READABLE).nonzero()[0, 0])
    wanted[0, blind] = 1.0
    first, second = active_errors(read, wanted, READABLE).tolist()
    assert first == pytest.approx(0.3)
    assert math.isnan(second)


def test_correlation_of_a_line_and_of_its_mirror():
    wanted = torch.zeros(6, 52)
    wanted[:, 0] = torch.linspace(0, 1, 6)
    everything = torch.ones(52, dtype=torch.bool)
    assert correlation_figure(0.2 + 0.5 * wanted, wanted, everything).value == pytest.approx(1.0)
    mirrored = correlation_figure(1 - wanted, wanted, everything)
    assert (mirrored.value, mirrored.low) == (pytest.approx(-1.0), pytest.approx(-1.0))
    assert correlation_figure(wanted, torch.zeros(6, 52), everything).value is None


def test_correlation_is_numpys_and_its_interval_holds_it():
    generator = torch.Generator().manual_seed(0)
    wanted = torch.rand(60, 52, generator=generator)
    read = 0.6 * wanted + 0.4 * torch.rand(60, 52, generator=generator)
    expected = np.mean([np.corrcoef(read[:, n], wanted[:, n])[0, 1] for n in range(52) if READABLE[n]])
    found = correlation_figure(read, wanted, READABLE)
    assert found.value == pytest.approx(expected)
    assert expected - 0.05 < found.low < expected < found.high < expected + 0.05


def test_pose_in_degrees():
    assert pose_errors(torch.tensor([[0.1, 0.2, 0.3]]), torch.tensor([[0.1, 0.2, 0.0]])).item() == pytest.approx(
        math.degrees(0.1), rel=1e-5
    )


def test_classes_are_known_from_other_people():
    """One person's classes are swapped; known from others, that person is never recognised."""
    labels, owners = torch.tensor([0, 1] * 4), torch.arange(4).repeat_interleave(2)
    features = torch.eye(2)[labels]
    features[:2] = features[:2].flip(0)
    assert recognised(features, labels, owners, features, labels, owners).tolist() == [False] * 2 + [True] * 6
    with pytest.raises(ValueError, match="class 0 is known from person 0 alone"):
        recognised(features[:2], labels[:2], owners[:2], features[:2], labels[:2], owners[:2])


def test_differences_inside_and_outside_the_mask():
    target = torch.full((1, 4, 4, 3), 100, dtype=torch.uint8)
    mask = torch.zeros(1, 4, 4)
    mask[:, :2] = 1
    picture = target.clone()
    picture[:, 0], picture[:, 3, 3, 0] = 140, 90
    largest, mean = outside_differences(picture, target, mask)
    assert (largest.item(), mean.item()) == (10.0, pytest.approx(10 / 24))
    assert inside_differences(picture, target, mask).item() == pytest.approx(20.0)


def test_figures_leave_out_what_was_not_measured():
    one = figure(torch.tensor([1.0, math.nan, 3.0]))
    assert (one.value, one.count) == (2.0, 2)
    assert one.low <= 2.0 <= one.high
    assert figure(torch.tensor([math.nan])).value is None
    together = figure(torch.tensor([0.0, 1.0, 0.0, 1.0]), torch.tensor([0, 0, 1, 1]))
    assert (together.low, together.high) == (0.5, 0.5)


def test_bins_are_half_open():
    parts = bins(torch.tensor([0.0, 14.9, 15.0, 80.0]), (0.0, 15.0, 30.0))
    assert [label for label, _ in parts] == ["0 to 15", "15 to 30", "30 and more"]
    assert [members.tolist() for _, members in parts] == [
        [True, True, False, False], [False, False, True, False], [False, False, False, True]
    ]  # fmt: skip


def test_tables_and_json_say_the_same():
    measured = ideal()
    figures, binned = summarise(CASES, measured), by_bin(CASES, measured)
    table = as_markdown({"seed": 1}, ["a note"], figures, binned)
    assert "| identity: retrieved first among all people | 100.0% (100.0% to 100.0%) |" in table
    assert "> a note" in table
    assert as_json({"seed": 1}, figures, binned) == as_json({"seed": 1}, figures, binned)
    assert formatted("pose_error", figure(torch.tensor([math.nan]))) == "-"


@pytest.mark.parametrize(("people", "primary", "named"), [(1, 0, "people"), (5, 1, "primary-people"), (5, 6, "primary-people")])
def test_plans_with_nothing_to_compare(people, primary, named):
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        plan_cases(people, primary)


def test_quantiles_are_of_owners():
    """A tenth of 0 to 99 is 9; where each owner has ten neighbouring values, the interval is that of owners drawn anew."""
    values = torch.arange(100.0)[torch.randperm(100, generator=torch.Generator().manual_seed(0))]
    found = quantile_figure(torch.cat((values, torch.tensor([math.nan]))), 0.1)
    assert (found.value, found.count) == (9, 100)
    assert found.low < 9 < found.high < 20
    owned = quantile_figure(values, 0.1, (values / 10).long())
    assert owned.value == 9
    assert owned.high - owned.low > found.high - found.low
    assert quantile_figure(values, 0.5).value == 49
    assert quantile_figure(torch.zeros(0), 0.5).value is None
