"""Options of studies that fit neuLVM in many jobs (see `latentspike.compare.jobs`)."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from latentspike.compare.jobs import run_here


def fit_arguments(parser: argparse.ArgumentParser, parts: Sequence[str]) -> None:
    """Options of a study that fits neuLVM to many recordings."""
    from latentspike.models.neulvm import Estimation  # JAX: not for the processes of other jobs

    defaults = Estimation()
    parser.add_argument("--only", nargs="+", choices=parts, default=parts)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    parser.add_argument("--method", choices=("sampling", "hard"), default="sampling")
    parser.add_argument("--starts", type=int, default=defaults.n_starts, help="of a fit")
    parser.add_argument("--warmup", type=int, default=defaults.n_warmup, help="samples")
    parser.add_argument("--draws", type=int, default=defaults.n_draws, help="samples")


if __name__ == "__main__":  # how studies that began before jobs moved to `compare` start theirs
    run_here(sys.argv[1])
