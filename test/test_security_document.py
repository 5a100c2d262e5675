"""docs/security.md: the enclaves that it names are those of the policy that is written."""

from __future__ import annotations

import re
from pathlib import Path

from robomamba_ros.bringup.sros2 import ENCLAVES

DOCS = Path(__file__).parents[1] / 'docs'


def test_the_document_has_every_enclave_and_no_other() -> None:
    text = (DOCS / 'security.md').read_text(encoding='utf-8')
    rows = re.findall(r'^\| `(/\w+)` \|', text, re.MULTILINE)
    assert sorted(rows) == sorted(ENCLAVES)
    used = re.findall(r'(?:--enclave |OVERRIDE=)(/\w+)', text)
    assert len(used) == 3
    assert set(used) <= set(ENCLAVES)
