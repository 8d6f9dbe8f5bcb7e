"""The NumPy reference, all its quirks on, against the published program's outputs, to 1e-10.

Errors are absolute for outputs below 1 in size and relative above.
"""

import functools
import importlib.util
from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

_spec = importlib.util.spec_from_file_location(
    "neulvm_reference", Path(__file__).with_name("neulvm_reference.py")
)
assert _spec and _spec.loader
reference = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(reference)

TOLERANCE = 1e-10
ALL = reference.Quirks.all()
OUTPUTS = ("logp_spike", "logp_silent", "nll_frac", "frac_pred", "mass_deficit")
TOTALS = ("loss_y", "loss_z", "loss_total", "sum_logp_y", "sum_logp_z")

SEEN_IN = {
    "initial_voltage_from_spike": "abd",
    "initial_survival_on_ms_grid": "ab",
    "initial_class_missing": "abd",
    "age_from_history": "abd",
    "tiny_hazard_at_zero": "abd",
    "linear_small_hazard": "abd",
    "clamped_spike_from_voltage": "abd",
    "unbounded_hazard": "d",
    "short_pi": "abd",
}
NOT_IN_THE_FILES = {"unseen_just_fired", "huge_rate_without_mass", "delay_cut", "synapse_waits"}


@functools.cache
def golden(name):
    return reference.read_golden(name)


def outputs(case, found):
    """Of a `Score`, under the names and with the axes of the file."""
    k, n_bins, n_observed = case.file["logp_spike"].shape
    by_neuron = lambda x: np.swapaxes(x.reshape(n_bins, k, n_observed), 0, 1)  # noqa: E731
    sum_y = found.log_did(case.observed).sum()
    sum_z = -found.negative_log_density.sum()
    return {
        "logp_spike": by_neuron(found.log_spike),
        "logp_silent": by_neuron(found.log_silent),
        "nll_frac": found.negative_log_density.T,
        "frac_pred": found.mean.T,
        "mass_deficit": found.mass_deficit.T,
        "sum_logp_y": sum_y,
        "sum_logp_z": sum_z,
        "loss_y": -sum_y / (k * n_bins),
        "loss_z": -sum_z / (k * n_bins),
        "loss_total": -(sum_y + sum_z) / (k * n_bins),
    }


def error(ours, theirs):
    assert np.shape(ours) == np.shape(theirs)
    return np.max(np.abs(ours - theirs) / np.maximum(1.0, np.abs(theirs)))


def difference(one, other):
    """Largest error of any array of two `Score`s."""
    return np.max([error(a, b) for a, b in zip(one, other, strict=True)])


@pytest.mark.parametrize("name", ["a", "b", "d"])
def test_all_quirks_give_the_published_outputs(name):
    case = golden(name)
    ours = outputs(case, case.score(ALL))
    assert set(ours) == {*OUTPUTS, *TOTALS} <= set(case.file)
    errors = {key: error(value, case.file[key]) for key, value in ours.items()}
    assert all(e < TOLERANCE for e in errors.values()), errors


@pytest.mark.parametrize(
    ("name", "quirk"), [(n, quirk) for quirk, names in SEEN_IN.items() for n in names]
)
def test_without_one_quirk_the_published_outputs_are_missed(name, quirk):
    case = golden(name)
    ours = outputs(case, case.score(replace(ALL, **{quirk: False})))
    assert max(error(ours[key], case.file[key]) for key in OUTPUTS) > TOLERANCE


@pytest.mark.parametrize("name", ["a", "b", "d"])
def test_the_files_hold_nothing_that_the_other_quirks_change(name):
    case = golden(name)
    ours = outputs(case, case.score(replace(ALL, **dict.fromkeys(NOT_IN_THE_FILES, False))))
    assert all(error(ours[key], case.file[key]) < TOLERANCE for key in OUTPUTS)


def test_every_quirk_is_tested():
    assert {f.name for f in fields(reference.Quirks)} == {*SEEN_IN, *NOT_IN_THE_FILES}


def short(case, n_bins=30):
    """The first bins of a file."""
    observed = case.observed._replace(spikes=case.observed.spikes[:n_bins])
    return case._replace(
        activity=case.activity[:n_bins], observed=observed, current=case.current[:n_bins]
    )


def effect(case, quirk):
    return difference(case.score(replace(ALL, **{quirk: False})), case.score(ALL))


def test_neurons_without_an_earlier_spike_have_just_fired():
    case = short(golden("a"))
    silent = case.observed._replace(history=0 * case.observed.history)
    assert effect(case._replace(observed=silent), "unseen_just_fired") > 0.01


def test_a_population_that_never_fired_has_a_huge_rate():
    case = short(golden("a"))
    silent = case._replace(activity=0 * case.activity, initial_rate=0 * case.initial_rate)
    assert effect(silent, "huge_rate_without_mass") > 0.01
    assert np.all(silent.score(ALL).mean == 1.0)
    assert np.all(silent.score().mean == 0.0)


def test_delays_are_cut_to_whole_bins():
    case = short(golden("a"))
    system = replace(case.system, bin_width=0.0002, delay=np.full(3, 0.0006))
    case = case._replace(system=system)
    assert effect(case, "delay_cut") > 1e-6
    two_bins = case._replace(system=replace(system, delay=np.full(3, 0.0004)))
    assert difference(case.score(ALL), two_bins.score(ALL)) == 0.0


def test_waiting_synapses_change_nothing_while_the_past_is_stationary():
    """They wait at the rate that filtering the constant past gives: no switch can show it."""
    case = short(golden("d"))
    assert case.system.delay[0] > 0
    assert effect(case, "synapse_waits") < 1e-12
