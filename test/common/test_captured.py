"""What stays the same about a captured function on every device; the graph itself needs CUDA."""

import numpy as np
import pytest
import torch

from robomamba_ros.common.captured import Captured, where_possible

DEVICE = torch.device('cuda' if torch.cuda.is_available() else 'cpu')


def test_inputs_go_in_and_a_result_comes_out_at_the_same_addresses_every_time():
    total = torch.zeros(3, device=DEVICE)
    seen = set()

    def add(frame, scale):
        seen.add((frame.data_ptr(), scale.data_ptr()))
        assert frame.device == scale.device == total.device
        return total.add_(frame[:3].float() * scale).clone()

    inputs = {'frame': torch.zeros(5, dtype=torch.uint8), 'scale': torch.zeros(1)}
    run = Captured(add, inputs, DEVICE, [total])
    total.zero_()
    first = run(frame=np.array([1, 2, 3, 4, 255], np.uint8), scale=[0.5])
    assert first.device.type == 'cpu'
    assert first.tolist() == [0.5, 1.0, 1.5]
    again = run(scale=[2.0])  # the frame stays
    assert again.tolist() == [2.5, 5.0, 7.5]
    assert again.data_ptr() == first.data_ptr()
    assert len(seen) == 1
    assert all(address % 16 == 0 for pair in seen for address in pair)


def test_work_without_a_result_leaves_it_in_what_is_kept():
    kept = torch.zeros(2, device=DEVICE)

    def keep(x):
        kept.copy_(x)

    run = Captured(keep, {'x': torch.zeros(2)}, DEVICE, [kept])
    assert run(x=[1.0, 2.0]) is None
    assert kept.tolist() == [1.0, 2.0]


def test_what_is_kept_may_not_move():
    kept = torch.zeros(2, device=DEVICE)
    run = Captured(lambda: kept + 1, {}, DEVICE, [kept])
    assert run().tolist() == [1.0, 1.0]
    kept.data = torch.ones(2, device=DEVICE)
    with pytest.raises(RuntimeError, match='has moved; capture it again'):
        run()


def test_an_input_of_another_shape_is_refused():
    run = Captured(lambda x: x, {'x': torch.zeros(2, 3)}, DEVICE)
    with pytest.raises(RuntimeError, match='size'):
        run(x=torch.zeros(4, 5))


def test_a_gpu_that_takes_no_graph_is_named_and_nothing_fails(caplog):
    def capture():
        raise RuntimeError('operation not permitted when stream is capturing\nand more')

    assert where_possible(capture, torch.device('cuda')) is None
    assert 'not permitted when stream is capturing): step by step then' in caplog.text
    assert where_possible(lambda: 1, torch.device('cuda')) == 1
    assert where_possible(lambda: 1, torch.device('cpu')) is None
