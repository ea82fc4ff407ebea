"""ComfyUI's VIDEO read frame by frame, and written frame by frame with its sound, so that a film's length costs no memory.

The host's own readers and writers hold all frames at once. What is written here can be played from its first second on, also
when the process is killed; `FilmFile.close` makes an ordinary file of it, whose end is known from its start.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import count
from pathlib import Path
from typing import Any

import av
import folder_paths
import numpy as np
import torch
from comfy_api.latest import InputImpl
from torch import Tensor

# What the host writes and every browser plays.
_CODEC, _PIXELS = "h264", "yuv420p"
_CLOCK = 90_000
# Sound that an MP4 may hold as it is; other sound is encoded anew.
_COPIED = ("aac", "mp3", "ac3", "eac3", "opus", "alac")
# Samples a second that AAC knows, and what sound of another rate is brought to.
_AAC_RATES = (7350, 8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000, 64000, 88200, 96000)
_OTHER_RATE = 48000
_LAYOUTS = {1: "mono", 2: "stereo", 6: "5.1"}
# What sound of more channels than PyAV can hand on is mixed down to.
_MOST_CHANNELS = 6
# Sound is written so far before the frames it belongs to, in seconds.
_SOUND_AHEAD = 0.5
_SOUND_PART = 1 << 16
# Pieces that can be played each by itself, of about a second.
_IN_PIECES = "frag_keyframe+empty_moov+default_base_moof+use_metadata_tags"
_WHOLE = "use_metadata_tags+faststart"
_PIECE_SECONDS = 1.0
# Frames that the encoder holds back to see what comes; a killed process loses them.
_LOOKAHEAD = "10"
_MEND = "it is damaged or incomplete: copy it again, or convert it to MP4 with H.264"


@dataclass(frozen=True)
class Film:
    """A VIDEO: source is a path or an open file and [start, start + duration) the part of it in seconds, to the end for a
    duration of 0; or images [T, H, W, C] and sound, where it lies in memory. rate: frames a second. size: (height, width)."""

    source: Any
    start: float
    duration: float
    rate: Fraction
    size: tuple[int, int]
    images: Tensor | None = None
    sound: Mapping[str, Any] | None = None

    def frames(self) -> Iterator[tuple[float, Tensor]]:
        """Each frame's time from the start in seconds, and its pixels [H, W, 3]: bytes, or floats where they lie in memory.

        Frames are turned as the camera says.
        """
        if self.images is not None:
            for number, picture in enumerate(self.images):
                yield float(number / self.rate), picture[..., :3]
            return
        with _opened(self.source) as container:
            stream = container.streams.video[0]
            stream.thread_type = "AUTO"
            first = int(self.start / stream.time_base)
            last = int((self.start + self.duration) / stream.time_base)
            if first:
                container.seek(first, stream=stream)
            for number, frame in enumerate(_decoded_frames(container, stream)):
                pts = frame.pts if frame.pts is not None else int(number / self.rate / stream.time_base)
                if pts < first:
                    continue
                if self.duration and pts >= last:
                    return
                yield float((pts - first) * stream.time_base), torch.from_numpy(_upright(frame))

    def length(self) -> int:
        """How many frames it has, as far as that is known without reading them; for progress alone."""
        if self.images is not None:
            return len(self.images)
        with _opened(self.source) as container:
            stream = container.streams.video[0]
            whole = stream.frames or int(float((container.duration or 0) / av.time_base) * self.rate)
        left = max(0, whole - int(self.start * self.rate))
        return max(1, min(left, int(self.duration * self.rate)) if self.duration else left)


def open_film(video: Any) -> Film:
    """What came over a `video` socket. Raises TypeError for no VIDEO and ValueError for one without pictures."""
    if isinstance(video, InputImpl.VideoFromComponents):
        parts = video.get_components()
        if not len(parts.images):
            raise ValueError("video: it holds no frames; check the node before this one")
        height, width = parts.images.shape[1:3]
        return Film(None, 0.0, 0.0, Fraction(parts.frame_rate), (height, width), parts.images, parts.audio)
    if not hasattr(video, "get_stream_source"):
        raise TypeError(f"video: found a {type(video).__name__}, expected a VIDEO; connect Load Video or Create Video")
    start, duration = _trimmed(video)
    source = video.get_stream_source()
    with _opened(source) as container:
        if not container.streams.video:
            raise ValueError("video: its file holds no pictures, only sound; choose a film")
        stream = container.streams.video[0]
        rate = Fraction(stream.average_rate or stream.guessed_rate or 25)
    film = Film(source, start, duration, rate, (0, 0))
    _, picture = next(film.frames(), (0.0, None))
    if picture is None and (start or duration):
        part = f"{start:g} s on" if not duration else f"{start:g} to {start + duration:g} s"
        raise ValueError(f"video: there is no frame from {part}; let the part of it that is used begin earlier, or last longer")
    if picture is None:
        raise ValueError("video: none of its frames can be read; convert it to MP4 with H.264")
    return replace(film, size=tuple(picture.shape[:2]))


class FilmFile:
    """An MP4 in the making. Frames of an odd width or height lose their last column or row, as H.264 wants even numbers."""

    def __init__(self, path: Path, film: Film, crf: float, metadata: Mapping[str, Any] | None = None) -> None:
        self._path, self._film = path, film
        self._container = av.open(str(path), "w", format="mp4", options={"movflags": _IN_PIECES, "flush_packets": "1"})
        for key, value in (metadata or {}).items():
            self._container.metadata[key] = value if isinstance(value, str) else json.dumps(value)
        self._video = self._container.add_stream(_CODEC, rate=film.rate)
        height, width = film.size
        self._video.width, self._video.height, self._video.pix_fmt = width // 2 * 2, height // 2 * 2, _PIXELS
        self._video.codec_context.time_base = Fraction(1, _CLOCK)
        piece = str(max(1, round(film.rate * Fraction(_PIECE_SECONDS))))
        self._video.options = {"crf": str(crf), "g": piece, "rc-lookahead": _LOOKAHEAD}
        self._sound = _sound(film, self._container)
        self._next = next(self._sound, None)
        self._end = 0.0
        self.frames = 0

    def write(self, seconds: float, picture: Tensor) -> None:
        """The next frame [H, W, 3], float in 0..1, which is seen from that time on."""
        height, width = self._video.height, self._video.width
        pixels = picture[:height, :width].mul(255).round().clamp(0, 255).to("cpu", torch.uint8).contiguous().numpy()
        frame = av.VideoFrame.from_ndarray(pixels, format="rgb24").reformat(format=_PIXELS)
        frame.pts, frame.time_base = round(seconds * _CLOCK), Fraction(1, _CLOCK)
        self._container.mux(self._video.encode(frame))
        self.frames += 1
        self._end = seconds + float(1 / self._film.rate)
        self._write_sound(seconds + _SOUND_AHEAD)

    def close(self) -> None:
        """Write what is still held back, and make an ordinary file of the pieces; a film without frames leaves none."""
        if self.frames:
            self._container.mux(self._video.encode(None))
            self._write_sound(self._end)
        self._container.close()
        if not self.frames:
            self._path.unlink(missing_ok=True)
            return
        whole = self._path.with_name(f"{self._path.stem}.whole{self._path.suffix}")
        try:
            _copy(self._path, whole)
            whole.replace(self._path)
        finally:
            whole.unlink(missing_ok=True)

    def _write_sound(self, until: float) -> None:
        while self._next is not None and self._next[0] < until:
            self._container.mux(self._next[1])
            self._next = next(self._sound, None)


def new_film_path(prefix: str, size: tuple[int, int]) -> tuple[Path, str]:
    """Where the host would save the next film of this prefix, in its output folder, and the subfolder of that."""
    folder, stem, counter, subfolder, _ = folder_paths.get_save_image_path(
        prefix, folder_paths.get_output_directory(), size[1], size[0]
    )
    return Path(folder) / f"{stem}_{counter:05}_.mp4", subfolder


def _opened(source: Any) -> Any:
    """An open container. Raises ValueError naming `video` where it is none."""
    if hasattr(source, "seek"):
        source.seek(0)
    try:
        return av.open(source, mode="r")
    except av.FFmpegError as error:
        name = Path(source).name if isinstance(source, str | Path) else "its data"
        raise ValueError(f"video: {name} is no film that can be opened ({error.strerror}); {_MEND}") from error


def _decoded_frames(container: Any, stream: Any) -> Iterator[Any]:
    """Frames of a stream. Raises ValueError naming `video` and the frame from which on it cannot be read."""
    frames = container.decode(stream)
    for number in count():
        try:
            frame = next(frames, None)
        except av.FFmpegError as error:
            raise ValueError(
                f"video: it cannot be read from about frame {number} on ({error.strerror}); {_MEND}, or cut that part off"
            ) from error
        if frame is None:
            return
        yield frame


def _trimmed(video: Any) -> tuple[float, float]:
    """The part of its file that a VIDEO stands for: start and duration in seconds."""
    if hasattr(video, "get_active_trim_window"):
        return video.get_active_trim_window()
    # Hosts before 0.20 keep it to themselves.
    start = float(getattr(video, "_VideoFromFile__start_time", 0.0))
    if start < 0:
        start = max(video._get_raw_duration() + start, 0.0)
    return start, float(getattr(video, "_VideoFromFile__duration", 0.0))


def _upright(frame: av.VideoFrame) -> np.ndarray:
    pixels = frame.to_ndarray(format="rgb24")
    turns = round(getattr(frame, "rotation", 0) / 90) % 4
    return np.ascontiguousarray(np.rot90(pixels, turns)) if turns else pixels


def _sound(film: Film, output: Any) -> Iterator[tuple[float, Any]]:
    """The sound's packets for an output container, with their times in seconds from the film's start. The stream is added at
    once, packets come as they are asked for."""
    if film.images is not None:
        if not film.sound or not film.sound["waveform"].numel():
            return iter(())
        return _encoded(output, film.sound["sample_rate"], *_waves(film.sound))
    container = _opened(film.source)
    stream = next((one for one in reversed(container.streams.audio) if one.codec_context is not None), None)
    if stream is None:
        container.close()
        return iter(())
    if stream.codec_context.name in _COPIED:
        return _copied(film, container, stream, output.add_stream_from_template(stream))
    layout = stream.layout.name if len(stream.layout.channels) <= _MOST_CHANNELS else _LAYOUTS[_MOST_CHANNELS]
    return _encoded(output, stream.rate, layout, _decoded(film, container, stream, layout))


def _copied(film: Film, container: Any, stream: Any, target: Any) -> Iterator[tuple[float, Any]]:
    """Packets of sound as they are, from an open container, which is closed behind the last one."""
    with container:
        offset = _seek(film, container, stream)
        for packet in container.demux(stream):
            if packet.dts is None or packet.pts is None or packet.pts < offset:
                continue
            seconds = float((packet.pts - offset) * stream.time_base)
            if film.duration and seconds >= film.duration:
                return
            packet.pts, packet.dts, packet.stream = packet.pts - offset, packet.dts - offset, target
            yield seconds, packet


def _decoded(film: Film, container: Any, stream: Any, layout: str) -> Iterator[np.ndarray]:
    """Samples [channels, N] of sound of another kind, in this layout."""
    with container:
        offset = _seek(film, container, stream)
        resampler = av.AudioResampler(format="fltp", layout=layout)
        left = round(film.duration * stream.rate) if film.duration else None
        for frame in container.decode(stream):
            skip = round(float((offset - (frame.pts or 0)) * stream.time_base) * stream.rate)
            for part in resampler.resample(frame):
                samples = part.to_ndarray()[:, max(0, skip) :][:, :left]
                if left is not None:
                    left -= samples.shape[1]
                if samples.size:
                    yield samples
            if left == 0:
                return


def _seek(film: Film, container: Any, stream: Any) -> int:
    """Go to the film's start; returns it in the stream's own time."""
    offset = int(film.start / stream.time_base)
    if offset:
        container.seek(offset, stream=stream)
    return offset


def _waves(sound: Mapping[str, Any]) -> tuple[str, Iterator[np.ndarray]]:
    """The layout of the host's AUDIO, and its samples in parts [channels, N]."""
    waveform = sound["waveform"][0]
    layout = _LAYOUTS.get(len(waveform), "stereo")
    waveform = waveform if len(waveform) in _LAYOUTS else waveform[:2]  # left and right come first in all layouts
    return layout, (part.float().cpu().contiguous().numpy() for part in waveform.split(_SOUND_PART, dim=1))


def _encoded(output: Any, rate: int, layout: str, parts: Iterator[np.ndarray]) -> Iterator[tuple[float, Any]]:
    """Samples as packets of AAC."""
    # Its encoder brings frames to its own rate.
    stream = output.add_stream("aac", rate=int(rate) if int(rate) in _AAC_RATES else _OTHER_RATE, layout=layout)

    def packets() -> Iterator[tuple[float, Any]]:
        written = 0
        for samples in parts:
            frame = av.AudioFrame.from_ndarray(np.ascontiguousarray(samples), format="fltp", layout=layout)
            frame.sample_rate, frame.pts, frame.time_base = int(rate), written, Fraction(1, int(rate))
            written += samples.shape[1]
            yield from ((written / rate, packet) for packet in stream.encode(frame))
        yield from ((written / rate, packet) for packet in stream.encode(None))

    return packets()


def _copy(source: Path, target: Path) -> None:
    """The same streams as one whole file whose index stands at its start."""
    with av.open(str(source)) as pieces, av.open(str(target), "w", format="mp4", options={"movflags": _WHOLE}) as whole:
        for key, value in pieces.metadata.items():
            whole.metadata[key] = value
        streams = {one.index: whole.add_stream_from_template(one) for one in pieces.streams}
        for packet in pieces.demux():
            if packet.dts is not None:
                packet.stream = streams[packet.stream_index if hasattr(packet, "stream_index") else packet.stream.index]
                whole.mux(packet)
