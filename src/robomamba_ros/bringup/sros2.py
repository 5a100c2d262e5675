"""The policy of SROS2 for an arm, from which `ros2 security` makes signed permissions.

Source: sros2/policy/schemas/policy.xsd of github.com/ros2/sros2.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from robomamba_ros.bringup.interfaces import (
    CONTROLLER,
    DOCTOR,
    OPERATOR,
    POLICY,
    RECORDER,
    interfaces,
)
from robomamba_ros.errors import ConfigError
from robomamba_ros.robots.arm import ArmContract

VERSION = '0.2.0'  # of the schema
# Element, element of an entry, and attribute for each part of an interface.
_RULES = {
    'publishes': ('topics', 'topic', 'publish'),
    'subscribes': ('topics', 'topic', 'subscribe'),
    'answers': ('services', 'service', 'reply'),
    'asks': ('services', 'service', 'request'),
    'acts': ('actions', 'action', 'call'),
    'performs': ('actions', 'action', 'execute'),
}


# The enclaves, by path: whose certificate a process has, and the nodes that run in it.
ENCLAVES = {
    '/policy_node': (POLICY,),
    '/controller_node': (CONTROLLER,),
    '/up': (POLICY, CONTROLLER),
    '/record': (RECORDER,),
    '/doctor': (DOCTOR,),
    '/operator': (OPERATOR,),
}
_NAMESPACE = re.compile(r'([A-Za-z_]\w*(/[A-Za-z_]\w*)*)?', re.ASCII)


def arm_policy(arm: ArmContract, namespace: str = '') -> str:
    """Return the policy for an arm as XML: what each enclave may do; the rest is denied.

    namespace: of the nodes; raises ConfigError where it is none.
    """
    space = namespace.strip('/')
    if not _NAMESPACE.fullmatch(space):
        raise ConfigError(f"'{namespace}' is no namespace; give names of letters, digits and _")
    found = interfaces(arm)
    root = ET.Element('policy', version=VERSION)
    listed = ET.SubElement(root, 'enclaves')
    for path, names in ENCLAVES.items():
        profiles = ET.SubElement(ET.SubElement(listed, 'enclave', path=path), 'profiles')
        for name in names:
            profile = ET.SubElement(profiles, 'profile', ns=f'/{space}', node=name)
            for part, (group, entry, allowed) in _RULES.items():
                if not (said := getattr(found[name], part)):
                    continue
                rules = ET.SubElement(profile, group, {allowed: 'ALLOW'})
                for each in sorted(said):
                    ET.SubElement(rules, entry).text = each
    ET.indent(root)
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{ET.tostring(root, encoding="unicode")}\n'
