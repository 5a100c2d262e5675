"""Episodes in MP4 files: frames in and out by number, several episodes joined in one file.

The one place that knows PyAV.
"""

from __future__ import annotations

import math
from fractions import Fraction
from pathlib import Path

import numpy as np

from robomamba_ros.common.files import refuse_special
from robomamba_ros.errors import BackendError, DataError
from robomamba_ros.types import UInt8Array

try:
    import av
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
except ImportError as error:
    raise BackendError(
        f"videos in LeRobot data sets need the package '{error.name}': "
        "pip install 'robomamba_ros[lerobot]'"
    ) from error

# H.264 plays everywhere. Every second frame can be read without the one before it, as in lerobot's
# own videos: training reads frames in any order.
CODEC, PIXELS = 'libx264', 'yuv420p'
# How far a frame may be from the time of the one that is sought, in frames.
NEAR = 0.1
OPTIONS = {'g': '2', 'crf': '18', 'preset': 'veryfast'}


class EpisodeVideo:
    """A video file of one episode to be; use it with `with`. fps is whole."""

    def __init__(self, path: Path, fps: int, height: int, width: int) -> None:
        if height % 2 or width % 2:
            raise DataError(
                f'images of {width} x {height} pixels cannot become a video, which needs even '
                'sizes; store them as images'
            )
        self._container = av.open(str(path), 'w')
        stream = self._container.add_stream(CODEC, rate=fps, options=dict(OPTIONS))
        assert isinstance(stream, VideoStream)
        self._stream = stream
        self._stream.pix_fmt, self._stream.height, self._stream.width = PIXELS, height, width

    def add(self, rgb: UInt8Array) -> None:
        """Add the next frame, RGB (h, w, 3)."""
        self._container.mux(self._stream.encode(VideoFrame.from_ndarray(rgb, format='rgb24')))

    def close(self) -> None:
        """Write what the encoder still holds, and close the file."""
        try:
            self._container.mux(self._stream.encode(None))
        finally:
            self._container.close()

    def __enter__(self) -> EpisodeVideo:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def join_videos(first: Path, frames: int, second: Path, joined: Path) -> None:
    """Write the first `frames` frames of `first`, then all of `second`, without encoding again.

    Both were written by EpisodeVideo or by this; `frames` ends on the end of an episode.
    """
    with av.open(str(joined), 'w', options={'movflags': 'faststart'}) as output:
        stream: VideoStream | None = None
        for path, start, count in ((first, 0, frames), (second, frames, None)):
            with av.open(str(path)) as source:
                template = source.streams.video[0]
                if stream is None:
                    stream = output.add_stream_from_template(template)
                    stream.time_base = template.time_base
                step = _frame_ticks(template)
                for packet in source.demux(template):
                    if packet.dts is None:
                        continue
                    # An episode begins with a frame that nothing before it needs, so that whatever
                    # follows the last packet wanted can be left out.
                    if packet.pts is not None and count is not None and packet.pts >= count * step:
                        break
                    packet.pts = (packet.pts or 0) + start * step
                    packet.dts = packet.dts + start * step
                    packet.stream = stream
                    output.mux(packet)


def same_encoding(first: Path, second: Path) -> bool:
    """Return whether two videos can be joined: the decoder's settings are the same."""
    with av.open(str(first)) as a, av.open(str(second)) as b:
        one, other = a.streams.video[0], b.streams.video[0]
        return (
            one.codec_context.extradata == other.codec_context.extradata
            and one.time_base == other.time_base
        )


def _frame_ticks(stream: VideoStream) -> int:
    rate, base = stream.base_rate or stream.average_rate, stream.time_base
    assert rate is not None
    assert base is not None
    return round(1 / (Fraction(rate) * base))


class VideoFile:
    """A video to read frames from, in any order; neighbours one after the other are fastest."""

    def __init__(self, path: Path, fps: float) -> None:
        self._path, self._fps = path, fps
        try:
            refuse_special(path)
            self._container = av.open(str(path))
            self._stream = self._container.streams.video[0]
            # Threads that decode ahead are lost at every seek.
            self._stream.codec_context.thread_count = 1
            base = self._stream.time_base
            assert base is not None
            self._ticks = 1.0 / (fps * float(base))
        except Exception as error:  # PyAV's own attributes fail on what is damaged
            raise self._failure(f'it cannot be opened ({error})') from error
        self._frames = self._container.decode(self._stream)
        self._next = 0

    def frame(self, number: int, size: tuple[int, int]) -> UInt8Array:
        """Return a frame as RGB (h, w, 3) uint8, counted from the beginning at the set's rate.

        size: (h, w). Raises DataError where the file has no frame at that time, as one of another
        rate, where the frame is of another size, or where the file is damaged there.
        """
        try:
            # A seek costs more than decoding a frame or two on the way.
            if not self._next <= number <= self._next + 2:
                self._container.seek(round(number * self._ticks), stream=self._stream)
                self._frames = self._container.decode(self._stream)
            for frame in self._frames:
                assert frame.pts is not None
                found = frame.pts / self._ticks
                self._next = math.floor(found + NEAR) + 1
                if found >= number - NEAR:
                    break
            else:
                raise self._failure(f'it has no frame {number}: it is truncated or not of this set')
            if found > number + NEAR:
                raise self._failure(
                    f'it has no frame {number}, {number / self._fps:.3f} s in: its rate is '
                    f'{float(self._stream.average_rate or 0):g}, that of the set {self._fps:g} per '
                    'second'
                )
            if (frame.height, frame.width) != size:
                raise self._failure(
                    f'it is of {frame.width} x {frame.height} pixels; info.json says {size[1]} x '
                    f'{size[0]}'
                )
            return np.asarray(frame.to_ndarray(format='rgb24'), dtype=np.uint8)
        except DataError:
            self._next = -1
            raise
        except Exception as error:  # what a damaged stream raises is not only FFmpeg's
            self._next = -1
            raise self._failure(f'frame {number} cannot be decoded ({error})') from error

    def _failure(self, reason: str) -> DataError:
        return DataError(f'{self._path}: {reason}; get or record this file again')
