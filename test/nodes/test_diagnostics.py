"""What a node says of itself is on /diagnostics always, and in the log where it is new."""

from __future__ import annotations

from diagnostic_msgs.msg import DiagnosticArray

from robomamba_ros.nodes.common import qos
from robomamba_ros.nodes.common.diagnostics import OK, WARN, Diagnostics, Report
from robomamba_ros.nodes.common.warning_counts import WarningCounts


def test_what_is_new_but_for_its_numbers_is_logged(peer, capfd) -> None:
    said = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    reports = [
        Report(OK, 'tracking'),
        Report(WARN, 'stopping: joints are late (0.31 s)'),
        Report(WARN, 'stopping: joints are late (0.4 s)'),
        Report(OK, 'tracking'),
    ]
    diagnostics = Diagnostics(peer.node, lambda: reports[min(len(said), 3)])
    for count in range(1, 5):
        diagnostics.publish()
        peer.wait_for(lambda count=count: len(said) >= count, f'report {count}')
    assert [each.status[0].message for each in said[:4]] == [each.message for each in reports]
    lines = [line.split(maxsplit=3) for line in capfd.readouterr().err.splitlines()]
    assert [(level, text) for level, _, _, text in lines] == [
        ('[INFO]', 'tracking'),
        ('[WARN]', 'stopping: joints are late (0.31 s)'),
        ('[INFO]', 'tracking'),
    ]


def test_texts_of_other_nodes_are_shortened(peer, capfd) -> None:
    said = peer.record(DiagnosticArray, '/diagnostics', qos.DIAGNOSTICS)
    report = Report(WARN, f'a frame {"x" * 100_000}', {'reason': 'y' * 100_000})
    Diagnostics(peer.node, lambda: report).publish()
    peer.wait_for(lambda: said, 'the report')
    status = said[0].status[0]
    assert status.message.startswith('a frame xxx')
    assert status.message.endswith('.. (100008 letters)')
    assert max(len(status.message), len(status.values[0].value)) < 5000
    logged: list[str] = []
    WarningCounts(logged.append).note(RuntimeError('z' * 100_000))
    assert len(logged[0]) < 2000
    assert len(capfd.readouterr().err) < 10_000
