"""Allocator settings last for a whole process, so each test has one of its own."""

import subprocess
import sys

import pytest

from robomamba_ros.common.memory import keep_freed_memory

# Counts the pages that the kernel hands out while a process makes and drops the same arrays, again
# and again.
PAGES_TAKEN = """
import resource, sys
import numpy as np
from robomamba_ros.common.memory import keep_freed_memory

if sys.argv[1] == 'keep':
    assert keep_freed_memory()

def work():
    [np.ones(1 << 21, np.uint8) for _ in range(20)]

for _ in range(3):
    work()
before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for _ in range(20):
    work()
print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
"""


def pages_taken(mode):
    command = [sys.executable, '-c', PAGES_TAKEN, mode]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(sys.platform != 'linux', reason='glibc is the C library of Linux')
def test_kept_memory_is_not_taken_from_the_kernel_again():
    if not keep_freed_memory():
        pytest.skip('this C library has no mallopt')
    assert pages_taken('keep') < 100
    assert pages_taken('default') > 2000
