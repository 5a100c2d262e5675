"""The operator's enclave in docs/security.md: well formed, and of names that the nodes have."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from pathlib import Path

DOCS = Path(__file__).parents[1] / 'docs'
MANAGED = {'controller_node', 'policy_node'}
# Of the nodes themselves, of their life cycle, and of parameters.
SERVICES = {'enable', 'reset', 'change_state', 'set_parameters'}


def test_the_operator_may_call_what_commands_and_publish_words_alone() -> None:
    text = re.search('```xml\n(.*?)```', (DOCS / 'security.md').read_text(), re.DOTALL)
    assert text is not None
    policy = ET.fromstring(text[1])
    assert (policy.tag, policy.get('version')) == ('policy', '0.2.0')
    assert [each.get('path') for each in policy.iter('enclave')] == ['/operator']
    named = {element.text for element in policy.iter('service')}
    assert named == {f'/{node}/{service}' for node in MANAGED for service in SERVICES}
    topics = {
        key: {topic.text for each in policy.iter('topics') if each.get(key) for topic in each}
        for key in ('publish', 'subscribe')
    }
    assert topics['publish'] == {'/instruction', '/question'}
    interface = (DOCS / 'architecture.md').read_text()
    for topic in topics['publish'] | topics['subscribe']:
        assert re.search(f'`/?{topic.strip("/")}`', interface), topic
