"""Every model on the real recordings, under the protocol of `latentspike compare`.

    LATENTSPIKE_TEST_DATA=… python -m latentspike.studies.compared_recordings --jobs 2

Rat motor cortex: 20 neurons predict 10 held-out ones in 254 test trials. Monkey M1: a tenth of the
71 neurons is held out, and the hand's velocity is decoded in a fifth of the trials. All models have
the defaults of `latentspike compare`, none is tuned. Fits that have ended are files: the same
command goes on where it was stopped.
"""

from __future__ import annotations

from typing import Any

from latentspike.compare import compare, format_results
from latentspike.spikes import hold_out_neurons
from latentspike.studies.common import arguments, keep, kept_before, recordings_folder
from latentspike.studies.recordings import monkey_m1, rat_motor_cortex

MODELS = ("lfads", "neulvm", "plds", "slds", "glm", "gpfa", "psth", "smoothing")
RECORDINGS = ("rat_motor_cortex", "monkey_m1")
N_HELDOUT = 7  # of the monkey's 71 neurons


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "compared_recordings")
    parser.add_argument("--only", nargs="+", choices=RECORDINGS, default=RECORDINGS)
    parser.add_argument("--models", nargs="+", choices=MODELS, default=MODELS)
    parser.add_argument("--jobs", type=int, default=2, help="fits at a time, one core each")
    options = parser.parse_args(argv)
    document: dict[str, Any] = {}
    for name in options.only:
        if name == "rat_motor_cortex":
            data, split = rat_motor_cortex(recordings_folder())
        else:
            data, split = hold_out_neurons(monkey_m1(recordings_folder()), N_HELDOUT, seed=0), 0.2
        print(f"\n{name}: {data}", flush=True)
        results = compare(
            data,
            options.models,
            folder=options.out / name,
            seeds=options.seeds,
            split=split,
            n_processes=options.jobs,
            say=lambda text: print(text, flush=True),
        )
        print(format_results(results))
        document[name] = results["models"]
    keep(options.out, kept_before(options.out) | document)
    return document


if __name__ == "__main__":
    main()
