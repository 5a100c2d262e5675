"""Messages of openpi's policy protocol: msgpack, with NumPy arrays as mappings.

An array is {b'__ndarray__': True, b'data', b'dtype', b'shape'}, as openpi_client's msgpack_numpy
writes it. Only arrays of numbers and truth values are read, and nothing in a message is executed.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from robomamba_ros.errors import BackendError

INSTALL = (
    "a policy on a server needs the packages websockets and msgpack: pip install -e '.[remote]'"
)
# Kinds of NumPy types that a message may carry: bool, integers and floats.
_KINDS = 'biuf'
# Bytes of one message. Ten raw images of 1920 x 1080 fit.
LARGEST_MESSAGE = 64 << 20


def require_packages() -> None:
    """Raise BackendError where what both sides need is not installed."""
    try:
        import msgpack  # noqa: F401
        import websockets  # noqa: F401
    except ImportError as error:
        raise BackendError(f'{INSTALL} ({error})') from error


def pack(value: object) -> bytes:
    """Return a message; raises TypeError for a value that has no form in it."""
    import msgpack

    return bytes(msgpack.packb(value, default=_packed))


def unpack(message: bytes) -> Any:
    """Return the value of a message; raises ValueError saying what is wrong with it."""
    import msgpack

    try:
        return msgpack.unpackb(message, object_hook=_unpacked)
    except (msgpack.UnpackException, ValueError, TypeError, RecursionError) as error:
        raise ValueError(str(error) or type(error).__name__) from error


def _packed(value: object) -> object:
    if not isinstance(value, (np.ndarray, np.generic)) or value.dtype.kind not in _KINDS:
        raise TypeError(f'a message cannot carry {type(value).__name__}')
    if isinstance(value, np.generic):
        return {b'__npgeneric__': True, b'data': value.item(), b'dtype': value.dtype.str}
    return {
        b'__ndarray__': True,
        b'data': value.tobytes(),
        b'dtype': value.dtype.str,
        b'shape': value.shape,
    }


def _unpacked(mapping: dict[Any, Any]) -> object:
    if b'__ndarray__' in mapping:
        dtype, shape, data = (mapping.get(key) for key in (b'dtype', b'shape', b'data'))
        kind = _number_type(dtype)
        if not isinstance(shape, list) or not all(type(n) is int and n >= 0 for n in shape):
            raise ValueError(f'an array has the shape {str(shape)[:80]}')
        # A buffer of another length would be read beyond its end, or not to it.
        if not isinstance(data, bytes) or len(data) != math.prod(shape) * kind.itemsize:
            raise ValueError(f'an array of the shape {shape} and type {kind} has other data')
        return np.frombuffer(data, kind).reshape(shape)
    if b'__npgeneric__' in mapping:
        return _number_type(mapping.get(b'dtype')).type(mapping.get(b'data'))
    return mapping


def _number_type(name: object) -> np.dtype[Any]:
    dtype = np.dtype(name) if isinstance(name, str) else None
    if dtype is None or dtype.kind not in _KINDS:
        raise ValueError(f'an array has the type {str(name)[:80]}; only numbers are read')
    return dtype
