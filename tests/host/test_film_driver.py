"""A film as the driver, in a real ComfyUI: read from a video and from frames, followed by Conditioning, and what is refused."""

import re

import numpy as np
import pytest
from harness.client import PromptFailed, PromptRejected
from PIL import Image
from testkit.small_graph import SmallGraph

BUNDLED = "bundled (comes with this pack)"
SETTINGS = {"start": 10, "count": 4, "every": 12, "no_face": "interpolate", "smoothing": 0.4, "neutral": "as read"}
SETTINGS |= {"pose": "relative", "intensity": 1.0}


class DriverGraph(SmallGraph):
    """The sample film, and Expression from Film on four of its frames."""

    def __init__(self) -> None:
        super().__init__()
        self.film = self.node("SFSRSampleFilm", sample="film_speaking")
        self.reader = self.node("SFSRLoadExpressionEncoder", encoder=BUNDLED)
        self.parts = None

    def driver(self, **changes):
        wires = {"expression_encoder": self.reader, "video": self.film}
        return self.node("SFSRExpressionFilm", **{**wires, **SETTINGS, **changes})

    def from_frames(self, **changes):
        """The same from the host's batch of frames."""
        self.parts = self.parts or self.node("GetVideoComponents", video=self.film)
        inputs = {
            "expression_encoder": self.reader,
            "images": self.parts.out(0),
            "fps": self.parts.out(2),
            "id_encoder": self.encoder,
        }
        return self.node("SFSRExpressionFilm", **{**inputs, **SETTINGS, **changes})

    def told(self, driver):
        """Text nodes of the info and of the rate."""
        return self.node("PreviewAny", source=driver.out(3)), self.node("PreviewAny", source=driver.out(1))

    def saved(self, images, name):
        return self.node("SaveImage", images=images, filename_prefix=f"driver/{name}")


def text(result, node):
    return result.outputs[node.id]["text"][0]


@pytest.fixture
def pictures(client, tmp_path):
    """The pictures [T, H, W, 3] that a node of a finished run saved."""

    def read(result, saved):
        found = [one for one in result.images if one.node_id == saved.id]
        return np.stack([np.asarray(Image.open(client.download(one, tmp_path / one.filename)).convert("RGB")) for one in found])

    return read


def test_a_video_and_its_frames_drive_alike_and_conditioning_makes_a_picture_of_each(client, pictures):
    graph = DriverGraph()
    driver, again = graph.driver(), graph.from_frames()
    (info, rate), (info_again, rate_again) = graph.told(driver), graph.told(again)
    drivers = (driver, again, graph.driver(start=4))
    plots = [graph.saved(one.out(2), f"plot_{number}") for number, one in enumerate(drivers)]
    decoded = graph.node("VAEDecode", samples=graph.sampled(graph.conditioned(expression=driver)), vae=graph.vae)
    made = graph.saved(decoded, "made")
    result = client.run(graph.prompt(), timeout=900)
    assert re.match(r"4 frames, 2 a second; 4 show the face; \d blinks", text(result, info))
    assert text(result, info) == text(result, info_again)
    assert float(text(result, rate)) == float(text(result, rate_again)) == 2.0
    first, second, other = (pictures(result, one).astype(int) for one in plots)
    assert len(first) == 1
    # The host's own reader may round a colour apart, which moves a line by a pixel here and there.
    assert np.abs(first - second).mean() < 0.4 * np.abs(first - other).mean()
    assert len(pictures(result, made)) == 4


def test_settings_change_what_comes_out(client, pictures):
    graph = DriverGraph()
    plain = graph.driver()
    calm, mild = graph.driver(smoothing=1.0), graph.driver(intensity=0.3, pose="none")
    plots = [graph.saved(one.out(2), "change") for one in (plain, calm, mild)]
    result = client.run(graph.prompt(), timeout=900)
    first, second, third = (pictures(result, one) for one in plots)
    assert (first != second).any()
    assert third.shape[1] < first.shape[1]  # without the row of the head


def test_a_trimmed_video_and_the_start_choose_frames(client):
    graph = DriverGraph()
    part = graph.node("Video Slice", video=graph.film, start_time=1.0, duration=1.0, strict_duration=False)
    trimmed = graph.driver(video=part, start=0, count=0, every=10)
    info, rate = graph.told(trimmed)
    result = client.run(graph.prompt(), timeout=900)
    assert text(result, info).startswith("3 frames, 2.4 a second")
    assert float(text(result, rate)) == pytest.approx(2.4)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"start": 72}, r"start: there is no frame 72, as the film has about 72"),
        ({"face_index": 2}, r"failed: face_index: found 2, but none of the 4 frames shows more than 1 face; choose 0"),
        ({"neutral": "chosen frame", "neutral_frame": 4}, r"neutral_frame: there is no frame 4; expected 0 to 3"),
        ({"video": None}, r"video: neither is connected, video and images; connect one of them"),
    ],
)
def test_what_cannot_be_read_is_named(client, server, changes, said):
    graph = DriverGraph()
    if changes.get("video", "") is None:
        inputs = {"expression_encoder": graph.reader, **SETTINGS}
        driver = graph.node("SFSRExpressionFilm", **inputs)
    else:
        driver = graph.driver(**changes)
    graph.told(driver)
    with server.expecting_error(""), pytest.raises(PromptFailed, match=said):
        client.run(graph.prompt(), timeout=900)
    assert server.is_alive()


def test_a_film_that_is_not_there_is_refused_before_anything_runs(client):
    graph = DriverGraph()
    film = graph.node("SFSRSampleFilm", sample="nobody.mp4")
    graph.told(graph.driver(video=film))
    with pytest.raises(PromptRejected, match=r"there is no film 'nobody\.mp4'"):
        client.run(graph.prompt(), timeout=60)


def test_the_page_gets_a_sample_film_as_if_it_lay_in_the_input_folder(client, server):
    import urllib.request

    with urllib.request.urlopen(f"{server.url}/view?filename=film_speaking&type=input") as answer:
        assert answer.headers["Content-Type"] == "video/mp4"
        assert answer.read(12)[4:8] == b"ftyp"
