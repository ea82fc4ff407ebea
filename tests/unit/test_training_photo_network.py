"""Labelled photos beside renders in the training of autoencoder and network: what is cut out, who it is, what crosses."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from testkit.onnx_models import save_recogniser
from testkit.onnx_nets import save_se_recogniser
from testkit.tiny_landmarker import write_tiny_task
from testkit.tiny_training import SIZE, write_labelled, write_settings, write_triplets

from sfsr_model.face.crop import template
from sfsr_model.guidance import PLAIN
from sfsr_model.network import load_checkpoint, untrained_checkpoint
from sfsr_model.network.layout import HOST_FACTOR, taesd_shapes
from sfsr_model.network.untrained import random_state
from sfsr_model.training.autoencoder import AutoencoderTask
from sfsr_model.training.data import collated, length, picked, split_mixed, step_batches
from sfsr_model.training.loop import train
from sfsr_model.training.network import NetworkTask, _crossed
from sfsr_model.training.order import step_generator
from sfsr_model.training.photo_crops import VIEWS, OtherPictures, PhotoCrops
from sfsr_model.training.settings import load_settings
from sfsr_model.training.taught import TaughtFaces, prepare_labelled

CHANNELS = 16


@pytest.fixture(scope="module")
def shared(tmp_path_factory):
    folder = tmp_path_factory.mktemp("shared")
    write_labelled(folder / "photos")
    write_tiny_task(folder / "tiny.task")
    save_se_recogniser(folder / "recogniser.onnx")
    prepare_labelled(folder / "photos", folder / "store", 80, folder / "tiny.task")
    write_triplets(folder / "triplets")
    weights = random_state(taesd_shapes(CHANNELS), 1) | {"vae_scale": torch.tensor(HOST_FACTOR), "vae_shift": torch.tensor(0.0)}
    save_file(weights, folder / "autoencoder.safetensors", {"format": "sfsr-autoencoder"})
    return folder


@pytest.fixture
def started(shared, tmp_path):
    """Settings and the network's task on photos and renders; changes replace settings."""

    def make(**changes):
        entries = {
            "photos": {"path": str(shared / "store"), "batch": 4},
            "encoders": {"identity": str(shared / "recogniser.onnx"), "expression": str(shared / "tiny.task")},
            "network": {"latent_channels": CHANNELS},
            **changes,
        }
        path = write_settings(tmp_path, shared / "triplets", shared / "autoencoder.safetensors", **entries)
        settings = load_settings(path)
        return settings, NetworkTask(settings, quiet=True)

    return make


def first_step(settings, dataset):
    return dataset.__getitems__(next(iter(step_batches(settings, dataset, 0))))


def test_photos_are_cut_out_as_a_detector_finds_them(shared):
    photos = TaughtFaces(shared / "store")
    crops = PhotoCrops(photos, SIZE, seed=3)
    assert len(crops) == VIEWS * len(photos) == 12
    sample = crops.__getitems__(range(12))
    assert sample["image"].shape == (12, 3, SIZE, SIZE)
    # The five points lie about where the crop rule puts them, but never exactly.
    off = (sample["landmarks"] - (template() * SIZE - 0.5)).norm(dim=-1)
    assert float(off.min()) > 0
    assert float(off.max()) < 0.15 * SIZE
    assert sample["mask"].float().mean() > 40
    # The same numbers give the same crops, alone or among others; another seed other ones.
    assert all(torch.equal(value, sample[name][7]) for name, value in crops[7].items())
    assert not torch.equal(PhotoCrops(photos, SIZE, seed=4)[7]["image"], sample["image"][7])
    mirrored, plain = sample["image"][6].float().flip(-1), sample["image"][0].float()
    assert (mirrored - plain).abs().mean() < (mirrored - sample["image"][1].float()).abs().mean()


def test_who_is_in_a_photo_is_seen_in_the_whole_of_it(started):
    settings, task = started()
    sample = collated(task.photos, 0, 12)
    assert sample["whole"].shape == (12, 3, 80, 80)
    photos = TaughtFaces(settings.photos.path).__getitems__(range(6))["image"]
    assert torch.equal(sample["whole"], torch.cat((photos, photos.flip(-1))))
    wanted = task._recogniser.embed(sample["whole"].movedim(1, -1).float() / 255, sample["whole_points"])
    found = task._encoded(sample).identity
    torch.testing.assert_close(found, torch.nn.functional.normalize(wanted, dim=-1))
    # An aligned face reaches above the crop, where it would be black.
    assert not torch.allclose(found, task._encoded({**sample, "whole": sample["whole"] // 2}).identity)


def test_another_picture_says_who_somebody_is():
    people = torch.tensor([5, 9, 5, 7, 5, 9])
    others = OtherPictures(people, torch.arange(6.0)[:, None])
    generator = torch.Generator().manual_seed(0)
    drawn = torch.stack([others.draw(torch.arange(6), generator)[:, 0] for _ in range(60)])
    found = [set(column.int().tolist()) for column in drawn.unbind(1)]
    assert found == [{2, 4}, {5}, {0, 4}, {3}, {0, 2}, {1}]


def test_a_step_mixes_renders_and_photos(started, shared):
    settings, task = started()
    dataset = task.dataset()
    assert dataset.counts == (6, 12)
    renders, photos = split_mixed(first_step(settings, dataset))
    assert len(renders["latent"]) == 2
    assert len(photos["latent"]) == 4
    assert photos["latent"].shape[1:] == (CHANNELS, SIZE // 8, SIZE // 8)
    # Renders come with their own answers, photos may be asked for others' faces.
    assert renders["crosses"].tolist() == [0, 0]
    assert photos["crosses"].tolist() == [1] * 4
    examples = task._examples(first_step(settings, dataset), torch.Generator().manual_seed(0))
    assert sorted(examples.crosses.tolist()) == [0, 0, 1, 1, 1, 1]
    # A photo's person is said by another picture, its expression by the encoder, its latents are its own.
    for latent, identity, expression, alone in zip(
        examples.latent, examples.identity, examples.expression, examples.crosses, strict=True
    ):
        if alone:
            row = int((photos["latent"].float() == latent).flatten(1).all(1).nonzero())
            assert not torch.allclose(identity, photos["identity"][row])
            assert torch.equal(expression, photos["expression"][row])
    stored = collated(task.photos, 0, 12)
    assert not torch.allclose(stored["coefficients"], dataset.photos.__getitems__(range(12))["expression"])


def test_the_network_learns_from_both_and_says_its_channels(started, tmp_path):
    settings, task = started(steps=60, save_every=100, losses={"outside": 1.0}, optimiser={"rate": 0.004})
    sample = first_step(settings, task.dataset())

    def loss():
        with torch.no_grad():
            return np.mean([float(task.loss(task.modules, sample, step_generator(7, number))[0]) for number in range(6)])

    before = loss()
    train(settings, task)
    assert loss() < 0.93 * before
    task.export(settings, tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert (loaded.metadata.unet.in_channels, loaded.metadata.unet.latent_channels) == (2 * CHANNELS + 1, CHANNELS)
    assert "labelled photos: store, 6" in loaded.metadata.training_data


def test_the_sheet_asks_photos_for_each_others_people(started):
    _, task = started()
    sheet = task.show({})
    assert sheet.shape == (5, 6 + 8, 3, SIZE, SIZE)
    reference, target, first, made, answer = sheet
    assert not torch.equal(first, made)
    assert torch.equal(target[6:], answer[6:])
    assert not torch.equal(target[:6], answer[:6])
    some = picked(task.photos, torch.linspace(0, 11, 8).long().tolist())
    shown = torch.nn.functional.interpolate(some["whole"].float() / 255, (SIZE, SIZE), mode="area")
    torch.testing.assert_close(reference[6:], shown.roll(-1, 0))
    torch.testing.assert_close(task._shown[1].identity[6:], task._encoded(some).identity.roll(-1, 0))


def test_losses_on_pictures_ask_photos_for_others_faces(started):
    settings, task = started(losses={"identity": 1.0, "expression": 1.0, "share": 1.0, "cross": 1.0}, steps=1)
    dataset = task.dataset()
    examples = task._examples(first_step(settings, dataset), torch.Generator().manual_seed(0))
    whose, which = _crossed(examples.crosses > 0, 6)
    for row in range(6):
        crossed = bool(examples.crosses[row])
        assert int(whose[row]) == (row + crossed) % 6
        assert int(which[row]) == (row + 2 * crossed) % 6
    figures = []
    train(settings, task, lambda step, values: figures.append(values))
    assert {"identity", "expression", "diffusion"} <= figures[0].keys()


def test_a_crossed_example_shows_no_face_but_what_the_network_made(started):
    settings, task = started(losses={"identity": 1.0, "share": 1.0, "walked": 3})
    examples = task._examples(first_step(settings, task.dataset()), torch.Generator().manual_seed(0))
    count = len(examples.latent)
    ones = torch.ones(count)
    tokens = task.compound(examples.identity, examples.expression, examples.pose, ones, ones)
    noise = torch.randn(examples.latent.shape, generator=torch.Generator().manual_seed(1))
    sigma = torch.full((count,), 0.5)

    def walked(latent):
        generator = torch.Generator().manual_seed(2)
        return task._walked(task.modules, replace(examples, latent=latent), tokens, noise, sigma, generator)

    noised, own = examples.latent + 0.5 * noise, walked(examples.latent)
    beyond = (1 - examples.hole).expand_as(own)
    torch.testing.assert_close(own * beyond, noised * beyond)
    # Inside, nothing of the photo's face plays a part.
    other = walked(examples.latent * beyond)
    torch.testing.assert_close(own * examples.hole, other * examples.hole)
    assert float(((own - noised) * examples.hole).abs().max()) > 0.1


def test_the_identity_loss_looks_through_a_recogniser_of_its_own(started, shared, tmp_path):
    other = save_recogniser(tmp_path / "other.onnx", dim=96)
    encoders = {"identity": str(shared / "recogniser.onnx"), "expression": str(shared / "tiny.task"), "likeness": str(other)}
    settings, task = started(losses={"identity": 1.0, "share": 1.0}, encoders=encoders)
    examples = task._examples(first_step(settings, task.dataset()), torch.Generator().manual_seed(0))
    seen = task._picture_losses.likeness(examples.picture, examples.points)
    assert seen.shape == (len(examples.latent), 96)
    assert examples.identity.shape[1] != 96
    assert task.loss(task.modules, first_step(settings, task.dataset()), step_generator(0, 0))[1]["identity"] > 0


def test_the_identity_loss_looks_from_somewhere_else_in_every_step(started):
    settings, task = started(losses={"identity": 1.0, "share": 1.0}, steps=6)
    judged = []
    task._picture_losses.register_forward_pre_hook(lambda module, given: judged.append(given[0]))
    train(settings, task)
    assert len({one.view for one in judged}) == 6
    assert {one.view.mirrored for one in judged} == {True, False}
    found = [task._picture_losses(replace(judged[0], view=view))["identity"][1] for view in (PLAIN, judged[0].view)]
    assert not torch.equal(*found)
    assert torch.equal(task._picture_losses(judged[0])["identity"][1], found[1])


def test_the_critic_learns_along_and_stays_behind(started, tmp_path):
    settings, task = started(losses={"realism": 1.0, "share": 1.0, "realism_sigma": 20.0}, steps=3)
    before = {name: value.clone() for name, value in task.modules["critic"].state_dict().items()}
    figures = []
    train(settings, task, lambda step, values: figures.append(values))
    assert figures[0]["realism"] > 0
    assert any(not torch.equal(value, before[name]) for name, value in task.modules["critic"].state_dict().items())
    task.export(settings, tmp_path / "model.safetensors")
    loaded = load_checkpoint(tmp_path / "model.safetensors")
    assert set(loaded.compound) == set(task.compound.state_dict())


def test_the_autoencoder_sees_both(shared, tmp_path):
    entries = {
        "task": "autoencoder",
        "photos": {"path": str(shared / "store"), "batch": 3},
        "codec": {"crop": 32, "channels": 8},
    }
    settings = load_settings(write_settings(tmp_path, shared / "triplets", tmp_path / "none", **entries))
    task = AutoencoderTask(settings)
    seen = []
    task.autoencoder.register_forward_pre_hook(lambda module, given: seen.append(given[0].shape))
    dataset = task.dataset()
    assert length(dataset) == 6 + 6
    task.loss(task.modules, first_step(settings, dataset), torch.Generator().manual_seed(0))
    # Two triplets of four pictures, and three photos.
    assert seen[0] == (2 * 4 + 3, 3, 32, 32)


def test_another_latent_size_than_the_autoencoders_is_named(started):
    with pytest.raises(ValueError, match=r"network.latent_channels: found 4; expected .*has, 16"):
        started(network={"latent_channels": 4})


def test_untrained_weights_have_the_channels_asked_for():
    assert untrained_checkpoint().metadata.unet.latent_channels == 4
