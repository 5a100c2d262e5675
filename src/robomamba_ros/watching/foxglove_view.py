"""Shows what is watched in Foxglove: by a server on this machine, or an .mcap file for later."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import foxglove
from foxglove import Channel, Context, channels
from foxglove import messages as m

from robomamba_ros.types import NANOSECONDS
from robomamba_ros.watching.shown import Line, Number, Picture, Shown, Trace

_COLOR = m.Color(r=0.1, g=0.8, b=0.2, a=1.0)
_LEVELS = (m.LogLevel.Info, m.LogLevel.Warning, m.LogLevel.Error)
_NUMBER = {'type': 'object', 'properties': {'value': {'type': 'number'}}}


class FoxgloveView:
    """Draws in Foxglove; a context manager.

    file: the .mcap to write, a new one; None to serve ws://127.0.0.1:8765. frame: the arm's base
    frame.
    """

    def __init__(self, file: Path | None, frame: str) -> None:
        self._frame = frame
        self._context = Context()
        self._channels: dict[str, Any] = {}
        self._server: Any = None
        self._file: Any = None
        if file is None:
            self._server = foxglove.start_server(context=self._context)
        else:
            self._file = foxglove.open_mcap(file, context=self._context)

    def show(self, shown: Shown) -> None:
        """Draw one value at its own time."""
        time = m.Timestamp(*divmod(shown.stamp_ns, NANOSECONDS))
        topic = f'/{shown.path}'
        make: Callable[..., Any]
        message: Any
        if isinstance(shown, Picture):
            height, width, _ = shown.rgb.shape
            make, message = (
                channels.RawImageChannel,
                m.RawImage(
                    timestamp=time,
                    frame_id=shown.path,
                    width=width,
                    height=height,
                    encoding='rgb8',
                    step=3 * width,
                    data=shown.rgb.tobytes(),
                ),
            )
        elif isinstance(shown, Number):
            make, message = _number_channel, {'value': shown.value}
        elif isinstance(shown, Line):
            make, message = channels.SceneUpdateChannel, self._scene(shown, time)
        elif isinstance(shown, Trace):
            make, message = channels.ImageAnnotationsChannel, _annotations(shown, time)
        else:
            level = _LEVELS[min(shown.level, 2)]
            make, message = (
                channels.LogChannel,
                m.Log(timestamp=time, level=level, message=shown.text, name=shown.path),
            )
        if topic not in self._channels:
            self._channels[topic] = make(topic, context=self._context)
        self._channels[topic].log(message, log_time=shown.stamp_ns)

    def _scene(self, line: Line, time: m.Timestamp) -> m.SceneUpdate:
        drawn = m.LinePrimitive(
            type=m.LinePrimitiveLineType.LineStrip,
            thickness=0.003,
            color=_COLOR,
            points=[m.Point3(x=x, y=y, z=z) for x, y, z in line.points.tolist()],
        )
        entity = m.SceneEntity(timestamp=time, frame_id=self._frame, id=line.path, lines=[drawn])
        return m.SceneUpdate(entities=[entity])

    def __enter__(self) -> FoxgloveView:
        return self

    def __exit__(self, *_: object) -> None:
        if self._file is not None:
            self._file.close()
        if self._server is not None:
            self._server.stop()


def _number_channel(topic: str, context: Context) -> Channel:
    return Channel(topic, schema=_NUMBER, context=context)


def _annotations(trace: Trace, time: m.Timestamp) -> m.ImageAnnotations:
    drawn = m.PointsAnnotation(
        timestamp=time,
        type=m.PointsAnnotationType.LineStrip,
        points=[m.Point2(x=x, y=y) for x, y in trace.pixels.tolist()],
        outline_color=_COLOR,
        thickness=2.0,
    )
    return m.ImageAnnotations(points=[drawn])
