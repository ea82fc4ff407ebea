"""A film as the target, in a real ComfyUI: followed, swapped, saved with its sound; stopped, killed, long."""

import os
import re
import signal
import sys
from pathlib import Path

import av
import numpy as np
import pytest
from harness.client import ApiClient, PromptFailed, PromptInterrupted, PromptRejected, ServerGone
from harness.server import ComfyServer
from PIL import Image
from testkit.small_graph import SmallGraph

from sfsr_model.samples import FOLDER

RATE, SIDE = 24, 160
SOUND_RATE = 44100


def write_film(path: Path, frames: int, side: int = SIDE, portrait: str | None = "portrait_20.jpg") -> Path:
    """A sample portrait, or none, that sways before a still background, with a tone."""
    person = Image.open(FOLDER / portrait).convert("RGB").resize((side, side)) if portrait else None
    with av.open(str(path), "w") as film:
        video = film.add_stream("h264", rate=RATE)
        video.width, video.height, video.pix_fmt, video.options = side + 32, side, "yuv420p", {"crf": "10"}
        sound = film.add_stream("aac", rate=SOUND_RATE, layout="mono")
        for number in range(frames):
            canvas = Image.new("RGB", (side + 32, side), (90, 100, 110))
            if person:
                canvas.paste(person, (16 + round(12 * np.sin(number / 6)), 0))
            film.mux(video.encode(av.VideoFrame.from_image(canvas)))
        film.mux(video.encode(None))
        samples = int(frames / RATE * SOUND_RATE)
        tone = 0.3 * np.sin(np.arange(samples, dtype=np.float32) / 20)[None]
        frame = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        frame.sample_rate, frame.pts = SOUND_RATE, 0
        film.mux(sound.encode(frame))
        film.mux(sound.encode(None))
    return path


def read_film(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """Frames [T, H, W, 3] and samples [N] of a file."""
    with av.open(str(path)) as film:
        frames = np.stack([frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)])
    with av.open(str(path)) as film:
        parts = [frame.to_ndarray()[0] for frame in film.decode(audio=0)] if film.streams.audio else [np.zeros(0)]
    return frames, np.concatenate(parts)


def coarse(frames: np.ndarray) -> np.ndarray:
    """Frames as a file of this kind keeps them."""
    bytes_ = frames.astype(np.uint8)
    kept = [av.VideoFrame.from_ndarray(one, format="rgb24").reformat(format="yuv420p") for one in bytes_]
    return np.stack([one.to_ndarray(format="rgb24") for one in kept]).astype(float)


class FilmGraph(SmallGraph):
    """Film Swap on the untrained network at 64 pixels, one step; the carried detector looks."""

    def __init__(self, file: str) -> None:
        super().__init__()
        self.video = self.node("LoadVideo", file=file)
        self.noise_levels = self.node("BasicScheduler", model=self.model, scheduler="normal", steps=2, denoise=1.0)
        self.solver = self.sampler(order=1)
        self.choice = {"size": 64, "face_order": "largest first", "face_index": 0, "no_face": "hold the last face"}

    def swap(self, **changes):
        streams = {
            f"{stream}_{name}": value
            for stream in ("identity", "expression")
            for name, value in (("weight", 1.0), ("start", 0.0), ("end", 1.0), ("guidance", 1.0))
        }
        wires = {"video": self.video, "model": self.model, "vae": self.vae, "identity": self.identity}
        wires |= {"expression": self.expression, "sampler": self.solver, "sigmas": self.noise_levels}
        numbers = {"noise_seed": 7, "cfg": 1.0, "filename_prefix": "films/swap", "feather": 0.06, "colour_match": 1.0}
        settings = {"chunk": 5, "crf": 0.0}
        return self.node("SFSRFilmSwap", **{**wires, **self.choice, **streams, **numbers, **settings, **changes})

    def one_by_one(self):
        """The same by single nodes, saved by the host."""
        parts = self.node("GetVideoComponents", video=self.video)
        crop = self.node("SFSRFilmFaceCrop", images=parts.out(0), **self.choice)
        conditioned = self.conditioned(image=crop.out(0), mask=crop.out(1))
        noise = self.node("LatentBatchSeedBehavior", samples=conditioned.out(3), seed_behavior="fixed")
        wires = {"model": conditioned.out(0), "positive": conditioned.out(1), "negative": conditioned.out(2)}
        sampled = self.node(
            "SamplerCustom",
            **wires,
            add_noise=True,
            noise_seed=7,
            cfg=1.0,
            sampler=self.solver,
            sigmas=self.noise_levels,
            latent_image=noise,
        )
        faces = self.node("VAEDecode", samples=sampled, vae=self.vae)
        numbers = {"feather": 0.06, "colour_match": 1.0}
        pasted = self.node("SFSRFacePaste", images=parts.out(0), faces=faces, face=crop.out(2), **numbers)
        return self.save(pasted, "single"), self.save(parts.out(0), "frames")

    def save(self, images, name):
        return self.node("SaveImage", images=images, filename_prefix=f"films/{name}")


@pytest.fixture(scope="module")
def film(server):
    return write_film(server.base_dir / "input" / "sways.mp4", 20)


def saved_film(server, result, swap) -> Path:
    (shown,) = result.outputs[swap.id]["images"]
    return server.base_dir / "output" / shown["subfolder"] / shown["filename"]


@pytest.fixture
def pictures(client, tmp_path):
    """The pictures [T, H, W, 3] that a node of a finished run saved."""

    def read(result, saved):
        found = []
        for image in result.images:
            if image.node_id == saved.id:
                with Image.open(client.download(image, tmp_path / image.filename)) as picture:
                    found.append(np.asarray(picture.convert("RGB"), dtype=float))
        return np.stack(found)

    return read


def test_a_film_is_what_single_nodes_make_of_its_frames(client, server, film, pictures):
    graph = FilmGraph("sways.mp4")
    swap, (single, before) = graph.swap(), graph.one_by_one()
    result = client.run(graph.prompt(), timeout=600)
    frames, sound = read_film(saved_film(server, result, swap))
    expected, source = pictures(result, single), pictures(result, before)
    assert frames.shape == expected.shape == source.shape == (20, SIDE, SIDE + 32, 3)
    # The file is lossless but for colours, of which it keeps one for four pixels; either reader rounds in its own way.
    assert np.abs(frames - coarse(expected)).mean() < 1.5
    assert np.abs(expected - source)[:, 40:140, 60:140].mean() > 10
    # Outside the mask each pixel is the frame's own, to the bit.
    assert np.array_equal(expected[:, :8], source[:, :8])
    assert np.array_equal(expected[:, :, :20], source[:, :, :20])
    tone = read_film(film)[1]
    assert abs(len(sound) - len(tone)) < 3 * 1024
    assert sound[4096:20000].std() == pytest.approx(tone[4096:20000].std(), rel=0.1)


def test_what_every_part_would_warn_of_is_said_once(client, server, film):
    graph = FilmGraph("sways.mp4")
    wires = {"vae": graph.vae, "id_encoder": graph.encoder, "identity": graph.identity}
    never = graph.sampler(order=1, identity_guidance=1.0, guidance_start=0.3, guidance_end=0.5, **wires)
    graph.swap(sampler=never, chunk=5)
    before = server.log_text().count("none of the 2 steps lies")
    for _ in range(2):
        client.run(graph.prompt(), timeout=600)
        client.free()
    assert server.log_text().count("none of the 2 steps lies") - before == 2


def test_a_face_may_start_from_the_one_before(client, server, film):
    """The first frame is as it was; the others are spared half of the steps, chunk or not."""
    graph, alone = FilmGraph("sways.mp4"), {"calm_frames": 0, "colour_match": 0.0}
    swaps = [graph.swap(**alone), graph.swap(**alone, carry_over=0.5), graph.swap(**alone, carry_over=0.5, chunk=2)]
    result = client.run(graph.prompt(), timeout=600)
    plain, carried, in_parts = (read_film(saved_film(server, result, swap))[0].astype(float) for swap in swaps)
    change = np.abs(carried - plain).mean((1, 2, 3))
    assert change[0] < 0.1
    assert change[1:].min() > 0.3
    assert np.array_equal(carried, in_parts)


def test_frames_share_the_noise_that_a_step_adds(client, server, film):
    """As they share the one they start from: how many are made at once changes nothing."""
    graph, alone = FilmGraph("sways.mp4"), {"calm_frames": 0, "colour_match": 0.0}
    restless = graph.sampler(order=1, eta=1.0)
    swaps = [graph.swap(**alone), *(graph.swap(**alone, sampler=restless, chunk=chunk) for chunk in (5, 3))]
    result = client.run(graph.prompt(), timeout=600)
    plain, in_fives, in_threes = (read_film(saved_film(server, result, swap))[0].astype(float) for swap in swaps)
    assert np.abs(in_fives - plain).mean() > 0.02
    assert np.abs(in_fives - in_threes).mean() < 0.001


@pytest.mark.parametrize(("seconds", "rate", "kept"), [(4 / RATE, 192000, 48000), (4 / RATE, 1000, 48000), (0.0, 44100, 0)])
def test_sound_that_the_file_cannot_hold_as_it_is(client, server, film, seconds, rate, kept):
    """Of a rate that AAC does not know, which is brought to another, and of no length, which is left out."""
    graph = FilmGraph("sways.mp4")
    sound = graph.node("EmptyAudio", duration=seconds, sample_rate=rate, channels=2)
    parts = graph.node("GetVideoComponents", video=graph.video)
    frames = graph.node("ImageFromBatch", image=parts, batch_index=0, length=4)
    swap = graph.swap(video=graph.node("CreateVideo", images=frames, fps=float(RATE), audio=sound))
    saved = saved_film(server, client.run(graph.prompt(), timeout=600), swap)
    with av.open(str(saved)) as file:
        assert [one.rate for one in file.streams.audio] == [kept] * bool(kept)
    frames, samples = read_film(saved)
    assert len(frames) == 4
    assert abs(len(samples) - seconds * kept) < 3 * 1024


def test_sound_of_eight_channels_is_mixed_down_to_six(client, server):
    silent = write_film(server.base_dir / "input" / "silent.mp4", 4)
    with av.open(str(silent)) as source, av.open(str(silent.with_name("around.mov")), "w") as film:
        video = film.add_stream_from_template(source.streams.video[0])
        sound = film.add_stream("pcm_s16le", rate=48000, layout="7.1")
        for packet in source.demux(source.streams.video[0]):
            if packet.dts is not None:
                packet.stream = video
                film.mux(packet)
        samples = np.full((1, 8 * 8000), 3000, np.int16)
        frame = av.AudioFrame.from_ndarray(samples, format="s16", layout="7.1")
        frame.sample_rate, frame.pts = 48000, 0
        film.mux(sound.encode(frame))
        film.mux(sound.encode(None))
    graph = FilmGraph("around.mov")
    swap = graph.swap()
    saved = saved_film(server, client.run(graph.prompt(), timeout=600), swap)
    with av.open(str(saved)) as file:
        assert [one.layout.name for one in file.streams.audio] == ["5.1"]
    frames, samples = read_film(saved)
    assert len(frames) == 4
    assert abs(len(samples) - 8000) < 3 * 1024
    assert np.abs(samples).max() > 0.02


def test_what_is_done_stays_when_it_is_stopped(client, server):
    write_film(server.base_dir / "input" / "stopped.mp4", 120)
    graph = FilmGraph("stopped.mp4")
    graph.swap(filename_prefix="films/stopped")

    def stop_in_the_second_half(title, value, maximum):
        if title == "SFSRFilmSwap" and value > 0.75 * maximum:
            client.interrupt()

    with pytest.raises(PromptInterrupted):
        client.run(graph.prompt(), on_progress=stop_in_the_second_half, timeout=600)
    (file,) = (server.base_dir / "output" / "films").glob("stopped*")
    assert 40 <= len(read_film(file)[0]) < 120


def test_what_is_saved_can_be_played_when_the_process_is_killed(host_path, pack_name):
    with ComfyServer(host_path, Path(sys.executable), pack_name=pack_name) as server:
        client = ApiClient(server.url)
        write_film(server.base_dir / "input" / "killed.mp4", 240)
        graph = FilmGraph("killed.mp4")
        graph.swap(filename_prefix="films/killed")

        def kill_in_the_second_half(title, value, maximum):
            if title == "SFSRFilmSwap" and value > 0.85 * maximum and server.is_alive():
                os.kill(server.pid, signal.SIGKILL)

        with pytest.raises((ServerGone, PromptFailed)):
            client.run(graph.prompt(), on_progress=kill_in_the_second_half, timeout=600)
        (file,) = (server.base_dir / "output" / "films").glob("killed*")
        # The piece that was in the making is lost, and what the encoder held back.
        assert 240 * 0.7 - 3 * RATE <= len(read_film(file)[0]) < 240


def test_a_long_film_needs_no_more_memory_than_a_short_one(client, server):
    peaks = []
    for frames in (30, 90):
        write_film(server.base_dir / "input" / f"long_{frames}.mp4", frames, side=320)
        graph = FilmGraph(f"long_{frames}.mp4")
        graph.swap(filename_prefix="films/long")
        Path(f"/proc/{server.pid}/clear_refs").write_text("5")
        client.run(graph.prompt(), timeout=900)
        (peak,) = re.findall(r"VmHWM:\s+(\d+)", Path(f"/proc/{server.pid}/status").read_text())
        peaks.append(int(peak) / 1024)
    # All frames at once, as floats, would be 81 MB more, and twice that before and after the paste.
    assert peaks[1] - peaks[0] < 40, peaks


def refused(client, graph):
    with pytest.raises((PromptFailed, PromptRejected)) as error:
        client.run(graph.prompt(), timeout=300)
    return str(error.value)


def test_what_does_not_fit_is_named(client, server, film):
    graph = FilmGraph("sways.mp4")
    graph.swap(person=graph.identity)
    with server.expecting_error("person: it can only be told"):
        assert "person: it can only be told by a recogniser, and id_encoder is not connected" in refused(client, graph)
    graph = FilmGraph("sways.mp4")
    ends = {"start": graph.expression, "end": graph.expression}
    looks = graph.node("SFSRExpressionTravel", **ends, frames=3, easing="smoothstep", there_and_back=False)
    graph.swap(expression=looks)
    with server.expecting_error("expression: found a batch of 3"):
        assert "expression: found a batch of 3, but video is a batch of 20" in refused(client, graph)
    graph = FilmGraph("sways.mp4")
    end = graph.node("Video Slice", video=graph.video, start_time=19.5 / RATE, duration=0.0, strict_duration=False)
    graph.swap(video=end)
    with server.expecting_error("video: there is no frame from"):
        assert "video: there is no frame from 0.8125 s on; let the part of it that is used begin" in refused(client, graph)


def test_a_person_of_another_recogniser_is_named_before_the_film_is_read(client, server):
    write_film(server.base_dir / "input" / "unread.mp4", 2, portrait=None)
    graph = FilmGraph("unread.mp4")
    bundled = graph.node("SFSRLoadModel", checkpoint="bundled/photos.safetensors")
    graph.swap(model=bundled, vae=bundled.out(1), size=128)
    # Of a film that was read it would be said that no face is in it.
    with server.expecting_error("identity: it was made"):
        assert "identity: it was made by a recogniser of the space 'sfsr-untrained'" in refused(client, graph)


def test_a_damaged_film_is_named_and_nothing_is_saved(client, server):
    folder = server.base_dir / "input"
    (folder / "text.mp4").write_text("This is no film.\n" * 20)
    whole = bytearray(write_film(folder / "whole.mp4", 60).read_bytes())
    (folder / "cut_off.mp4").write_bytes(whole[: len(whole) // 2])
    start = whole.index(b"mdat") + 4
    # Frames begin with their length, so one wrong byte spoils the rest of its frame.
    for place in range(start + (len(whole) - start) // 4, start + (len(whole) - start) // 2, 7):
        whole[place] ^= 0x5A
    (folder / "spoilt.mp4").write_bytes(whole)
    for name, said in (
        ("text.mp4", "video: text.mp4 is no film that can be opened (Invalid data found when processing input)"),
        ("cut_off.mp4", "video: cut_off.mp4 is no film that can be opened"),
        ("spoilt.mp4", "video: it cannot be read from about frame "),
    ):
        graph = FilmGraph(name)
        graph.swap(filename_prefix="films/damaged")
        with server.expecting_error(""):  # the decoder's own, and what is said of it
            message = refused(client, graph)
        assert said in message
        assert "convert it to MP4 with H.264" in message
    assert not list((server.base_dir / "output").rglob("damaged*"))
