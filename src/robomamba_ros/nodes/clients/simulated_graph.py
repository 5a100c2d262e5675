"""A simulated arm and its policy as live nodes in this process, and a client that runs episodes.

For the demo, for evaluation through the graph, and for tests.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial

from robomamba_ros.bringup.graph import NodeSpec
from robomamba_ros.errors import RoboMambaError
from robomamba_ros.nodes.clients.episode_runner import EpisodeRunner
from robomamba_ros.nodes.common.context import ros_joined
from robomamba_ros.nodes.common.host import Host
from robomamba_ros.nodes.common.hosted_node import NodeFactory
from robomamba_ros.nodes.graph import make_node
from robomamba_ros.nodes.policy.policy_node import LoadPolicy, load_checkpoint


@contextmanager
def simulated_graph(
    specs: Sequence[NodeSpec],
    *,
    extra: Sequence[NodeFactory] = (),
    load: LoadPolicy = load_checkpoint,
) -> Iterator[EpisodeRunner]:
    """Start the nodes of `specs` and `extra`, yield a client, and bring everything to rest.

    load: makes the policy, see PolicyNode. Raises RoboMambaError with what made a node fail.
    """

    def factory(spec: NodeSpec) -> NodeFactory:
        arguments = {'load': load} if spec.executable == 'policy_node' else {}
        return partial(make_node, spec, **arguments)

    # Between episodes nodes are disabled and wait; who runs them says how each ended.
    arguments = ['--ros-args', '--log-level', 'error']
    with (
        ros_joined(arguments),
        Host([*(factory(spec) for spec in specs), *extra]) as host,
    ):
        try:
            with EpisodeRunner(
                namespace=specs[0].namespace, failed=lambda: bool(host.failures)
            ) as runner:
                yield runner
        except RoboMambaError as error:
            # A node that failed is the cause; that it did not answer is what was seen of it.
            raise RoboMambaError('; '.join([*host.failures, str(error)])) from error
