"""Shows what is watched in Rerun: a viewer beside this program, or an .rrd file for later."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import rerun as rr

from robomamba_ros.watching.shown import Line, Number, Picture, Shown, Trace

_LEVELS = ('INFO', 'WARN', 'ERROR')


class RerunView:
    """Draws in Rerun; a context manager. file: the .rrd to write, a new one; None: a viewer."""

    def __init__(self, file: Path | None) -> None:
        self._to = rr.RecordingStream('robomamba')
        if file is None:
            self._to.spawn()
        else:
            self._to.save(file)

    def show(self, shown: Shown) -> None:
        """Draw one value at its own time."""
        self._to.set_time('time', timestamp=np.datetime64(shown.stamp_ns, 'ns'))
        if isinstance(shown, Picture):
            drawn: rr.AsComponents = rr.Image(shown.rgb)
        elif isinstance(shown, Number):
            drawn = rr.Scalars(shown.value)
        elif isinstance(shown, Line):
            drawn = rr.LineStrips3D([shown.points])
        elif isinstance(shown, Trace):
            drawn = rr.LineStrips2D([shown.pixels])
        else:
            drawn = rr.TextLog(shown.text, level=_LEVELS[min(shown.level, 2)])
        self._to.log(shown.path, drawn)

    def __enter__(self) -> RerunView:
        return self

    def __exit__(self, *_: object) -> None:
        self._to.flush()
        self._to.disconnect()
