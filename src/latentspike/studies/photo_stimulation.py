"""A pulse of light, in the network and in a model fitted to it (neuLVM, Fig. 5).

    python -m latentspike.studies.photo_stimulation --fitted FOLDER

FOLDER is the run of a fit, such as `runs/winner_take_all/fits-sampling/0/run`, which
`latentspike.studies.winner_take_all` leaves;
without it the network is compared with the model that has its true parameters.

A current pulse of 4 ms to the active or to the silent excitatory population, 100 trials each, in
the network (neuron by neuron), in the mesoscopic model with the true parameters, and in the model
that was fitted to ten seconds of spontaneous activity. The paper does not give the strength of its
pulse: 5 mV switches about half of the trials when the silent population gets it, 60 mV makes
nearly all neurons of the population fire at once. 0 mV shows how often the network switches
without a pulse.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, get_args

import matplotlib.pyplot as plt

from latentspike.dynamics import Network
from latentspike.evaluate import Proportion, PulseOutcomes, pulse_outcomes
from latentspike.models import Fitted
from latentspike.models.neulvm import NeuLVM
from latentspike.plot import save
from latentspike.plot.switching import switch_probabilities
from latentspike.simulate import Pulse, pulse_experiment, winner_take_all
from latentspike.simulate.perturb import Kind, NoWinner, PulseTrials, Target
from latentspike.studies.common import arguments, keep, tabulated
from latentspike.studies.winner_take_all_figures import pulses as draw_pulses

PULSE = 0.004  # s
ONSET = 0.6  # s, by when one population has won
TARGETS: tuple[Target, ...] = get_args(Target)
OUTCOMES = ("switch", "return")


def sources(fitted: Path | None) -> dict[str, tuple[Network, Kind]]:
    """What is stimulated, by name.

    Raises
    ------
    ValueError : if the folder holds a model of another kind.
    """
    found: dict[str, tuple[Network, Kind]] = {
        "network": (winner_take_all(), "network"),
        "true parameters": (winner_take_all(), "mesoscopic"),
    }
    if fitted is not None:
        loaded = Fitted.load(fitted)
        if not isinstance(loaded.model, NeuLVM):
            raise ValueError(f"{fitted} holds a {type(loaded.model).__name__}, no NeuLVM")
        found["fitted model"] = loaded.model.fitted_network(loaded.params), "mesoscopic"
    return found


def pulsed(
    network: Network, kind: Kind, target: Target, pulse: Pulse, *, seed: int, options: Any
) -> tuple[PulseTrials, PulseOutcomes]:
    """Trials with a pulse, and whether the populations changed places, or changed back."""
    trials = pulse_experiment(
        network,
        pulse,
        target=target,
        kind=kind,
        seed=seed,
        n_trials=options.trials,
        horizon=options.horizon,
    )
    return trials, pulse_outcomes(
        trials.activity,
        trials.pulse_time,
        bin_width=trials.bin_width,
        pair=trials.pair,
        names=trials.names,
        horizon=options.horizon,
    )


def main(argv: list[str] | None = None) -> dict[str, Any]:
    """Run the study; returns and writes its figures."""
    parser = arguments(__doc__ or "", "photo_stimulation", seeds=1)
    parser.add_argument("--fitted", type=Path, help="run folder of a fit of the network")
    parser.add_argument("--trials", type=int, default=100)
    parser.add_argument("--amplitudes", type=float, nargs="+", default=[0.0, 5.0, 60.0], help="mV")
    parser.add_argument("--horizon", type=float, default=0.5, help="s after the pulse")
    options = parser.parse_args(argv)
    document: dict[str, Any] = {}
    with tabulated(options.out):
        for seed in range(options.seeds):
            document[f"seed {seed}"] = _run(seed, options)
    keep(options.out, document | {"trials": options.trials, "horizon": options.horizon})
    return document


def _run(seed: int, options: Any) -> dict[str, Any]:
    print(
        f"\nSwitches within {options.horizon:g} s after a pulse of 4 ms, {options.trials} trials, "
        f"95 % intervals (Wilson), seed {seed}\nnetwork: exact membrane, steps of 0.2 ms; the "
        "others: mesoscopic, exact membrane, steps of 4 ms; counted in bins of 4 ms\n"
        f"  {'pulse':32s}{'':18s}{'switch':24s}switch and back",
        flush=True,
    )
    results: dict[str, dict[str, dict[str, Proportion]]] = {}
    for amplitude in options.amplitudes:
        shown = {}
        for target in TARGETS:
            pulse = Pulse(ONSET, PULSE, amplitude)
            condition = f"{target} population, {amplitude:g} mV"
            for name, (network, kind) in sources(options.fitted).items():
                try:
                    trials, outcomes = pulsed(
                        network, kind, target, pulse, seed=seed, options=options
                    )
                except NoWinner as error:  # a fit may have no two states
                    print(f"  {condition:32s}{name:18s}{error}", flush=True)
                    continue
                shown[target, name] = trials, outcomes
                found = {outcome: outcomes.probability(outcome) for outcome in OUTCOMES}
                results.setdefault(condition, {})[name] = found
                both = "".join(f"{_text(share):24s}" for share in found.values())
                print(f"  {condition:32s}{name:18s}{both.rstrip()}", flush=True)
        if amplitude == max(options.amplitudes):
            draw_pulses(shown, amplitude, options.out / f"activity_{amplitude:g}_mV_{seed}.png")
    _draw(results, options.out / f"switch_probabilities_{seed}.png")
    return {
        condition: {
            name: {outcome: vars(share) for outcome, share in found.items()}
            for name, found in group.items()
        }
        for condition, group in results.items()
    }


def _text(share: Proportion) -> str:
    return f"{share.value:.2f} ({share.low:.2f} to {share.high:.2f})"


def _draw(results: dict[str, dict[str, dict[str, Proportion]]], path: Path) -> None:
    figure, axes = plt.subplots(2, 1, figsize=(9.0, 6.0), constrained_layout=True)
    labels = {"switch": "probability of a switch", "return": "… of a switch and back"}
    for ax, outcome in zip(axes, OUTCOMES, strict=True):
        shown = {
            condition.replace(" population, ", "\n"): {
                name: found[outcome] for name, found in group.items()
            }
            for condition, group in results.items()
        }
        switch_probabilities(shown, label=labels[outcome], ax=ax)
    save(figure, path)
    plt.close(figure)


if __name__ == "__main__":
    main()
