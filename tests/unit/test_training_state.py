"""Order of the data, settings and state of a training run."""

import json

import pytest
import torch
from torch.nn import Conv2d, Linear

from sfsr_model.training.order import StepBatches, batch_indices, step_generator
from sfsr_model.training.settings import SettingsError, load_settings
from sfsr_model.training.state import StateError, Trained, latest_state, load_state, save_state, trained_state

GOOD = "task: autoencoder\ndata: {path: faces.npz}\nstate: state\n"
SFSR = "task: sfsr\nautoencoder: a.safetensors\ndata: {path: faces.npz}\nstate: state\n"


def test_every_pass_sees_each_sample_once_in_another_order():
    passes = [[index for step in range(first, first + 10) for index in batch_indices(3, step, 4, 40)] for first in (0, 10)]
    assert sorted(passes[0]) == sorted(passes[1]) == list(range(40))
    assert passes[0] != passes[1]


def test_a_step_may_straddle_passes_and_depends_on_nothing_before_it():
    later = batch_indices(3, 7, 16, 40)
    assert [index for step in range(10) for index in batch_indices(3, step, 16, 40)][7 * 16 : 8 * 16] == later
    assert list(StepBatches(3, 7, 8, 16, 40)) == [later]
    assert batch_indices(4, 7, 16, 40) != later


def test_processes_share_a_step_without_overlap():
    parts = [next(iter(StepBatches(1, 2, 3, 4, 100, process, 2))) for process in range(2)]
    assert sorted(parts[0] + parts[1]) == sorted(batch_indices(1, 2, 8, 100))


def test_random_numbers_depend_on_seed_step_and_process_alone():
    draws = {
        (s, t, p): tuple(torch.rand(3, generator=step_generator(s, t, p)).tolist())
        for s in (0, 1)
        for t in (0, 1)
        for p in (0, 1)
    }
    assert len(set(draws.values())) == 8
    assert draws[1, 1, 0] == tuple(torch.rand(3, generator=step_generator(1, 1)).tolist())


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- a", r"holds no entries, found \['a'\]"),
        ("", "holds no entries, found None"),
        (GOOD + "stepz: 3", "stepz: there is no such entry; did you mean steps"),
        (GOOD + "losses: {estimatr: ddim}", "losses.estimatr: there is no such entry; did you mean estimator"),
        (GOOD + "codec: {qqqq: 1}", "codec.qqqq: there is no such entry; expected .*crop"),
        (GOOD + "steps: 0", "steps: Input should be greater than 0, found 0"),
        (GOOD + "optimiser: {rate: fast}", "optimiser.rate: Input should be a valid number.*found 'fast'"),
        (GOOD + "optimiser: {rate: .nan}", "optimiser.rate: Input should be a finite number"),
        (GOOD + "losses: {estimator: truth}", "losses.estimator: truth looks at the truth"),
        (GOOD + "losses: {estimator: heun}", "losses.estimator: estimator: expected one of one_step"),
        (GOOD + "network: {attention: [true]}", "network: attention has 1 entries, channel_mult 3"),
        (GOOD + "network: {channel_mult: [], attention: []}", "network.channel_mult: Tuple should have at least 1 item"),
        (GOOD + "network: {model_channels: 48}", "network.model_channels: Input should be a multiple of 32, found 48"),
        (GOOD + "network: {num_heads: 0}", "network: num_heads: found 0; expected a divisor of model_channels"),
        (GOOD + "network: {num_heads: 7}", "network: num_heads: found 7; expected a divisor of model_channels"),
        (GOOD + f"seed: {2**63}", "seed: Input should be less than"),
        (SFSR.replace("faces.npz", "faces.npz, size: 72"), "data.size: found 72; expected a multiple of 32"),
        (GOOD.replace("autoencoder", "sfsr"), "autoencoder: the task sfsr needs one"),
        (GOOD.replace("faces.npz", "faces.npz, memory: true"), "data: memory: only data of kind shards can be kept decoded"),
        ("task: autoencoder\nstate: s", "data: Field required"),
        ("task: [", "cannot be read as YAML"),
    ],
)
def test_bad_settings_name_the_entry(tmp_path, text, message):
    path = tmp_path / "run.yaml"
    path.write_text(text)
    with pytest.raises(SettingsError, match=message) as caught:
        load_settings(path)
    assert str(path) in str(caught.value)


def test_a_missing_settings_file_is_named(tmp_path):
    with pytest.raises(SettingsError, match=r"nowhere.yaml: no such file"):
        load_settings(tmp_path / "nowhere.yaml")


def test_no_precision_may_be_written_as_yaml_understands_it(tmp_path):
    path = tmp_path / "run.yaml"
    path.write_text(GOOD + "precision: no")
    assert load_settings(path).precision == load_settings(path, {"precision": "'no'"}).precision == "no"


def test_settings_take_changes_and_paths_from_the_files_folder(tmp_path):
    (tmp_path / "run.yaml").write_text(GOOD)
    settings = load_settings(tmp_path / "run.yaml", {"optimiser.rate": "1e-4", "data.size": "64"})
    assert (settings.optimiser.rate, settings.data.size) == (1e-4, 64)
    assert settings.data.path == tmp_path / "faces.npz"


def test_a_change_below_a_number_names_the_option(tmp_path):
    (tmp_path / "run.yaml").write_text(GOOD + "steps: 3")
    with pytest.raises(SettingsError, match=r"--set steps\.most\.of: steps holds 3"):
        load_settings(tmp_path / "run.yaml", {"steps.most.of": "1"})


def trained(seed=0):
    torch.manual_seed(seed)
    module = Linear(3, 2)
    optimiser = torch.optim.AdamW(module.parameters())
    averages = {"net": {name: value.detach().clone() for name, value in module.state_dict().items()}}
    return Trained({"net": module}, optimiser, averages)


def advance(one, steps):
    for step in range(steps):
        one.optimiser.zero_grad()
        inputs = torch.rand(4, 3, generator=torch.Generator().manual_seed(step))
        one.modules["net"](inputs).square().mean().backward()
        one.optimiser.step()
        one.averages["net"]["weight"].lerp_(one.modules["net"].weight.detach(), 0.1)


def test_a_state_brings_everything_back(tmp_path):
    first, second = trained(), trained(1)
    advance(first, 3)
    assert load_state(save_state(tmp_path, 3, first, "{}"), second, "{}") == 3
    advance(first, 2)
    advance(second, 2)
    for name, value in first.modules["net"].state_dict().items():
        assert torch.equal(value, second.modules["net"].state_dict()[name])
    assert torch.equal(first.averages["net"]["weight"], second.averages["net"]["weight"])


def test_moments_come_back_in_the_memory_layout_of_their_weights(tmp_path):
    """As on a GPU: a fused step there refuses any other, and on a CPU goes wrong without a word."""

    def started(seed):
        torch.manual_seed(seed)
        net = Conv2d(8, 8, 3).to(memory_format=torch.channels_last)
        return Trained({"net": net}, torch.optim.AdamW(net.parameters(), 0.01, fused=True), {"net": {}})

    def steps(one, count):
        for _ in range(count):
            one.optimiser.zero_grad()
            one.modules["net"](torch.ones(2, 8, 6, 6).to(memory_format=torch.channels_last)).square().mean().backward()
            one.optimiser.step()

    first, second = started(0), started(1)
    steps(first, 3)
    load_state(save_state(tmp_path, 3, first, "{}"), second, "{}")
    steps(first, 1)
    steps(second, 1)
    assert torch.equal(first.modules["net"].weight, second.modules["net"].weight)


def test_a_torn_state_is_passed_over_and_old_ones_go(tmp_path):
    one = trained()
    advance(one, 1)
    paths = [save_state(tmp_path, step, one, "{}") for step in (1, 2, 3)]
    assert not paths[0].exists()
    paths[2].write_bytes(paths[2].read_bytes()[:200])
    assert latest_state(tmp_path) == paths[1]
    with pytest.raises(StateError, match="delete it to go on from the state before it"):
        load_state(paths[2], trained(), "{}")


def test_states_of_each_nth_step_stay_and_are_found_by_their_step(tmp_path):
    paths = {step: save_state(tmp_path, step, trained(), "{}", keep_every=2) for step in range(1, 7)}
    assert [step for step, path in paths.items() if path.exists()] == [2, 4, 5, 6]
    assert trained_state(tmp_path, 4) == paths[4]
    assert trained_state(tmp_path) == paths[6]
    with pytest.raises(StateError, match=r"no state of step 3, found 2, 4, 5, 6; train with keep_every"):
        trained_state(tmp_path, 3)


def test_damaged_states_alone_are_named_and_never_push_out_a_whole_one(tmp_path):
    for step in (8, 9):
        (tmp_path / f"step-{step:08d}.safetensors").write_bytes(b"torn")
    with pytest.raises(StateError, match=r"holds 2 states and none can be read, the newest is step-00000009"):
        latest_state(tmp_path)
    paths = [save_state(tmp_path, step, trained(), "{}") for step in (1, 2, 3)]
    assert latest_state(tmp_path) == paths[2]
    assert [path.is_file() for path in paths] == [False, True, True]


def test_a_state_of_other_settings_is_refused(tmp_path):
    one = trained()
    advance(one, 1)
    path = save_state(tmp_path, 1, one, json.dumps({"batch": 4, "seed": 0}))
    with pytest.raises(StateError, match="batch: 4 then, 8 now"):
        load_state(path, trained(), json.dumps({"batch": 8, "seed": 0}))
