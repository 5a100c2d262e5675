"""The bytes of openpi's messages, written by openpi_client's own msgpack_numpy."""

from __future__ import annotations

import msgpack
import numpy as np
import pytest

from robomamba_ros.policies.remote.wire import pack, unpack

# packb({'actions': array([[0.5, -1.0]], float32), 'n': float64(2.5), 'text': 'grün'}), by the
# client of openpi at 15a9616.
GOLDEN = bytes.fromhex(
    '83a7616374696f6e7384c40b5f5f6e6461727261795f5fc3c40464617461c4080000003f000080bf'
    'c4056474797065a33c6634c4057368617065920102a16ecb4004000000000000a474657874a56772'
    'c3bc6e'
)


def test_a_message_of_openpi_is_read_and_written_to_the_byte():
    value = {'actions': np.array([[0.5, -1.0]], np.float32), 'n': np.float64(2.5), 'text': 'grün'}
    assert pack(value) == GOLDEN
    found = unpack(GOLDEN)
    assert found['actions'].dtype == np.float32
    assert found['actions'].tolist() == [[0.5, -1.0]]
    assert (found['n'], found['text']) == (2.5, 'grün')


@pytest.mark.parametrize('dtype', ['?', 'u1', '>i2', 'f2', '<f8'])
def test_numbers_of_every_type_and_shape_come_back(dtype):
    for shape in [(), (0,), (3, 0, 2), (2, 3)]:
        array = np.arange(np.prod(shape, dtype=int)).reshape(shape).astype(dtype)
        found = unpack(pack(array))
        assert found.dtype == array.dtype
        np.testing.assert_array_equal(found, array)


def array_message(**changes):
    fields = {'dtype': '<f4', 'shape': [2], 'data': bytes(8)} | changes
    return msgpack.packb({b'__ndarray__': True} | {k.encode(): v for k, v in fields.items()})


@pytest.mark.parametrize(
    ('message', 'said'),
    [
        (b'', 'incomplete'),
        (b'\xc1', 'FormatError'),
        (msgpack.packb({'a': 1})[:-1], 'incomplete'),
        (b'\x91' * 5000, 'StackError'),
        (array_message(dtype='|O'), r'type \|O; only numbers'),
        (array_message(dtype='<U8'), 'type <U8; only numbers'),
        (array_message(dtype='(2,)<f4'), 'only numbers'),
        (array_message(dtype=7), 'only numbers'),
        (array_message(dtype='no type'), 'not understood'),
        (array_message(shape=[3]), r'shape \[3\] and type float32 has other data'),
        (array_message(shape=[-1, -2]), r'shape \[-1, -2\]'),
        (array_message(shape=[2**62, 4]), 'has other data'),
        (array_message(data='text'), 'has other data'),
        (msgpack.packb({b'__ndarray__': True}), 'only numbers'),
        (msgpack.packb({b'__npgeneric__': True, b'dtype': '<f4', b'data': [1, 'a']}), 'convert'),
    ],
    ids=range(15),
)
def test_what_is_no_message_of_numbers_is_refused(message, said):
    with pytest.raises(ValueError, match=said):
        unpack(message)


@pytest.mark.parametrize('value', [np.array(['a']), np.array([None]), {1j}, object()])
def test_what_has_no_form_in_a_message_is_not_sent(value):
    with pytest.raises(TypeError, match='cannot carry'):
        pack({'value': value})
