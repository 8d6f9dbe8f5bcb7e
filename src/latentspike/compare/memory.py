"""How much memory a process has needed."""

from __future__ import annotations

import sys
from pathlib import Path


def peak_bytes() -> int | None:
    """Most memory that this process has held; None where the system does not tell (Windows).

    Linux counts what the parent process held towards the child's ``ru_maxrss``; its own figure for
    the program that runs now, ``VmHWM``, does not.
    """
    try:
        for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    except OSError:
        pass
    try:
        import resource
    except ImportError:
        return None
    unit = 1 if sys.platform == "darwin" else 1024
    return unit * resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
