"""Memory of a process: its peak, and nothing of the process that started it."""

import subprocess
import sys

import numpy as np

from latentspike.compare.memory import peak_bytes

CHILD = """
import numpy as np
from latentspike.compare.memory import peak_bytes
before = peak_bytes()
block = np.ones(10_000_000)
held = peak_bytes()
del block
print(before, held, peak_bytes())
"""


def test_a_child_counts_its_own_peak_and_not_its_parents():
    block = np.ones(40_000_000)  # 320 MB
    told = peak_bytes()
    assert told is not None and told > block.nbytes
    found = subprocess.run(
        [sys.executable, "-c", CHILD], capture_output=True, text=True, check=True
    )
    before, held, after = map(int, found.stdout.split())
    assert 0 < before < 200e6
    assert 75e6 < held - before < 90e6
    assert after > 0.99 * held
