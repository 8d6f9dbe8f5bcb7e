"""Every claim on small results that are made up: once it holds, once it does not, once neither."""

import copy

import numpy as np
import pytest

from latentspike.studies import claims_keshtkaran, claims_wang
from latentspike.studies.catalog import STUDIES
from latentspike.studies.claims import (
    FAILED,
    HELD,
    UNKNOWN,
    Missing,
    is_above,
    is_within,
    numbers,
    part,
    worst,
)

CLAIMS = {f"{s.name}: {c.sentence}": c for s in STUDIES for c in s.claims}


def claim(words):
    """The one claim whose sentence holds these words."""
    [found] = [c for name, c in CLAIMS.items() if words in name]
    return found


def search(**arms):
    """Results of a search; arms by letter: rank correlation, losses, R²."""
    names = {x[1]: x for x in ("(a) plain", "(b) sample validation", "(c) coordinated dropout")}
    rows = {
        names[letter]: [{"rank_correlation": rho, "losses": losses, "r2": r2}]
        for letter, (rho, losses, r2) in arms.items()
    }
    return {"random_search": {"arms": rows, "true_loss": 10.0}}


def traces(underfit, well_fit):
    """Roughness of the chosen plain models, seed by seed."""
    rows = [
        {"examples": {"underfit": {"roughness": a}, "well fit": {"roughness": b}}}
        for a, b in zip(underfit, well_fit, strict=True)
    ]
    return {"random_search": {"arms": {"(a) plain": rows}}}


ABOVE = list(range(11, 31))  # 20 losses above that of the true rates
BELOW = [5, *range(11, 30)]
GOOD = [0.5] * 20
FIRST_POOR = [-1.0, *[0.5] * 19]
FIRST_GOOD = [0.9, *[0.5] * 19]


def autoencoder(with_recon, with_true, without_recon, without_true):
    rows = {
        "with": [
            {"loss_recon": a, "loss_true": b} for a, b in zip(with_recon, with_true, strict=False)
        ],
        "without": [
            {"loss_recon": a, "loss_true": b}
            for a, b in zip(without_recon, without_true, strict=False)
        ],
    }
    return {"linear_autoencoder": {"last_epoch": rows}}


def trained(pbt, fixed, random=((0.1, 0.1), (0.1, 0.1))):
    """R² with few and with all trials."""
    names = ("PBT", "fixed setting", "random search: chosen by validation loss")
    table = {
        share: {
            name: list(values[i]) for name, values in zip(names, (pbt, fixed, random), strict=False)
        }
        for i, share in enumerate(("0.1", "1"))
    }
    return {"population_based_training": {"r2": table}}


def monkey(last, whole, smoothing=(0.7, 0.7)):
    table = {
        "LFADS with coordinated dropout, last 10 bins": last,
        "LFADS with coordinated dropout, whole trial": whole,
        "spikes smoothed with 1 bins, last 10 bins": [0.1],
        "spikes smoothed with 2 bins, last 10 bins": [smoothing[0]],
        "spikes smoothed with 2 bins, whole trial": [smoothing[1]],
    }
    return {"monkey_m1": {"velocity_r2": table}}


def reaching(pbt, fixed, smoothing=0.7, improvement=None):
    """R² of each share's draws, from few trials to all, the same for x and y."""
    shares = ("0.05", "0.1", "1")
    table = {
        share: {"PBT": [[v, v] for v in a], "fixed setting": [[v, v] for v in b]}
        for share, a, b in zip(shares, pbt, fixed, strict=True)
    }
    gain = {
        share: improvement or [100 * (p / f - 1) for p, f in zip(a, b, strict=True)]
        for share, a, b in zip(shares, pbt, fixed, strict=True)
    }
    trials = dict(zip(shares, (48, 96, 960), strict=True))
    baselines = {"smoothing, 60 ms": [smoothing, smoothing]}
    document = {"velocity_r2": table, "improvement": gain, "n_trials": trials}
    return {"reaching": document | {"baselines": baselines}}


def spectra(orders, rate=0.2):
    rows = [
        {"strength": 58.0 + i, "order": order, "orders": [order] * 2, "rates": [rate, rate]}
        for i, order in enumerate(orders)
    ]
    return {"cluster_states": {"spectra": rows}}


def fits(what, rows):
    """Rows: true strength, recovered, number of neurons, recovered by full observability."""
    names = ("strength", "value", "n_neurons", "fully_observed")
    table = [dict(zip(names, row, strict=False)) | {"n_spikes": 9} for row in rows]
    table.append({"n_spikes": 0, "strength": 59.0, "n_neurons": 1})  # is left out
    return {"cluster_states": {f"{what}, particles": {"fits": table}}}


def strengths(error):
    return fits("strengths", [(j, j + error(j), 6, 0) for j in (59.0, 61.0, 63.0, 65.0) * 2])


def neurons(ours, other):
    rows = [
        (60.0, 60 + a, n, 60 + b)
        for n, a, b in zip((1, 10, 599), ours, other, strict=False)
        for _ in "ab"
    ]
    return fits("neurons", rows)


def draws(right, smallest=4):
    rows = [{"is_right": x, "smallest": smallest} for x in right]
    return {"found_populations": {"by_duration": {"5": rows, "10": rows}}}


def pulses(counts):
    """Switches of 100 trials at (silent, 5), (active, 5), (silent, 60), (active, 60), none."""
    names = [f"{t} population, {a} mV" for a in (5, 60) for t in ("silent", "active")]
    names.append("active population, 0 mV")
    seed = {
        name: {
            source: {"switch": {"n_successes": n, "n_trials": 100}}
            for source in ("network", "fitted model")
        }
        for name, n in zip(names, counts, strict=False)
    }
    return {"photo_stimulation": {"seed 0": seed, "trials": 100}}


def switching(r=(0.8, 0.82, 0.84), rates=(9, 10, 11), network=10.0, before=(0.0, 0.0), **rivals):
    """Rivals by name: r after the best map, switches."""
    ours = [{"r": a, "mesoscopic": {"value": b}} for a, b in zip(r, rates, strict=False)]
    named = {"plds": "plds", "slds": "slds, 40 ms", "glm": "glm"}
    others = {
        named[name]: [{"paper_r": a, "switches": b} for a, b in zip(*values, strict=False)]
        for name, values in rivals.items()
    }
    start = {"middle of the boxes": [before[0]], "random starts": [before[1]] * 3}
    own = {"fits, sampling": ours, "network": {"value": network}, "before": start}
    return {"winner_take_all": own, "winner_take_all_rivals": {"fits": others}}


LOW, HIGH = (0.5, 0.52, 0.54), (0.9, 0.92, 0.94)
NEAR, NONE = (9, 10, 11), (0, 0, 0)


def transition(
    ours=(0.9, 0.8), other=(0.4, 0.5), moments=(0.52, 0.54), seen=0.5, found=(20, 25), chance=9.0
):
    """Results of two draws of neurons, the same for both methods."""

    def fit(i):
        state = {
            "n_missed_by_other": 30,
            "n_of_these_inferred": found[i],
            "n_by_chance": chance,
            "neuLVM": {"r": ours[i], "share_seen": 0.9, "n_extra": 1},
            "fully observed": {"r": other[i], "share_seen": seen, "n_extra": 0},
        }
        names = ("whole trial", "4 clusters", "3 clusters")
        moment = {"neuLVM": moments[i], "fully observed": None}
        return {"scores": {"moment": moment} | dict.fromkeys(names, state)}

    fits = [fit(i) for i in range(len(ours))]
    return {"cluster_transition": {"moment": 0.53, "particles": fits, "hard": fits}}


TRANSITIONS = [
    ("during the 4-cluster state (", transition(), HELD),
    ("during the 4-cluster state (", transition(other=(0.95, 0.97)), FAILED),
    ("during the 4-cluster state (", transition(other=(0.7, 0.99)), UNKNOWN),
    ("during the 3-cluster state (", transition(), HELD),
    ("during the 3-cluster state (", transition(other=(0.95, 0.97)), FAILED),
    ("approximately detects the transition", transition(), HELD),
    ("approximately detects the transition", transition(moments=(0.1, 0.12)), FAILED),
    ("approximately detects the transition", transition(moments=(0.52, 0.72)), UNKNOWN),
    ("approximately detects the transition", transition(moments=(0.52, None)), UNKNOWN),
    ("approximately detects the transition", transition(moments=(None, None)), FAILED),
    ("peaks that are missing", transition(), HELD),
    ("peaks that are missing", transition(found=(2, 5)), FAILED),
    ("peaks that are missing", transition(found=(2, 17)), UNKNOWN),
]


def _with(words, how):
    """Words of the sentence that tell of a method."""
    [found] = [name for name in CLAIMS if words in name and how in name]
    return found


HOW = ("Baum–Viterbi, as in the paper", "a swarm, as this library does")
REACHING = [f"keshtkaran-2019/fig5{x}" for x in ("", "-reaching", "-monkey-trials")]
FLAT, FALLING = [(0.88, 0.9), (0.88, 0.9), (0.9,)], [(0.5, 0.52), (0.7, 0.72), (0.9,)]
RISING = [(0.9, 0.92), (0.9, 0.92), (0.6,)]
SHARES = [
    ("Velocity is decoded better with optimized", reaching(FLAT, FALLING), HELD),
    ("Velocity is decoded better with optimized", reaching(FALLING, FLAT), FAILED),
    ("Velocity is decoded better with optimized", reaching(FLAT, FLAT), UNKNOWN),
    ("With fixed hyperparameters performance worsens", reaching(FLAT, FALLING), HELD),
    ("With fixed hyperparameters performance worsens", reaching(FLAT, RISING), FAILED),
    ("Optimized hyperparameters keep more", reaching(FLAT, FALLING), HELD),
    ("Optimized hyperparameters keep more", reaching(FALLING, FLAT), FAILED),
    ("Optimized hyperparameters keep more", reaching(FLAT, FLAT), UNKNOWN),
    ("Optimized hyperparameters keep more", reaching(FLAT, [LOW[:2], LOW[:2], (-0.1,)]), UNKNOWN),
    ("The improvement by optimized", reaching(FLAT, FALLING), HELD),
    ("The improvement by optimized", reaching(FALLING, FLAT), FAILED),
    ("The improvement by optimized", reaching(FLAT, FLAT, improvement=[None]), UNKNOWN),
    ("With all trials velocity", reaching(FLAT, FLAT), HELD),
    ("With all trials velocity", reaching(FLAT, FLAT, smoothing=0.95), FAILED),
    ("With all trials velocity", reaching(FLAT, FLAT, smoothing=None), UNKNOWN),
]
CASES = [
    ("does not say how well rates", search(a=(0.3, ABOVE, GOOD)), HELD),
    ("does not say how well rates", search(a=(-0.8, ABOVE, GOOD)), FAILED),
    ("does not say how well rates", search(a=(-0.1, ABOVE, GOOD)), UNKNOWN),
    ("Overfit models have", search(a=(0.0, BELOW, FIRST_POOR)), HELD),
    ("Overfit models have", search(a=(0.0, BELOW, FIRST_GOOD)), FAILED),
    ("Overfit models have", search(a=(0.0, ABOVE, GOOD)), UNKNOWN),
    ("overly smooth", traces([0.2], [0.8]), HELD),
    ("overly smooth", traces([0.9], [0.8]), FAILED),
    ("overly smooth", traces([1.2], [1.8]), FAILED),
    ("overly smooth", traces([0.2, 0.8], [0.5, 0.6]), UNKNOWN),
    ("lower sample validation loss", search(b=(-0.8, ABOVE, GOOD)), HELD),
    ("lower sample validation loss", search(b=(0.2, ABOVE, GOOD)), FAILED),
    ("lower sample validation loss", search(b=(-0.2, ABOVE, GOOD)), UNKNOWN),
    ("lower sample validation loss", search(b=(-1.0, ABOVE, GOOD[:4])), UNKNOWN),
    ("R² falls with the standard", search(c=(-0.8, ABOVE, GOOD)), HELD),
    ("R² falls with the standard", search(c=(0.1, ABOVE, GOOD)), FAILED),
    ("prevents overfitting", search(a=(0, BELOW, GOOD), c=(0, ABOVE, GOOD)), HELD),
    ("prevents overfitting", search(a=(0, BELOW, GOOD), c=(0, BELOW, GOOD)), FAILED),
    ("prevents overfitting", search(a=(0, ABOVE, GOOD), c=(0, ABOVE, GOOD)), UNKNOWN),
    ("correspond better", search(b=(-0.5, ABOVE, GOOD), c=(-0.95, ABOVE, GOOD)), HELD),
    ("correspond better", search(b=(-0.95, ABOVE, GOOD), c=(-0.5, ABOVE, GOOD)), FAILED),
    ("correspond better", search(b=(-0.9, ABOVE, GOOD), c=(-0.91, ABOVE, GOOD)), UNKNOWN),
    ("outputs its input", autoencoder([1.2], [0.2], [0.01], [0.9]), HELD),
    ("outputs its input", autoencoder([1.2], [0.2], [1.1], [1.3]), FAILED),
    ("noisy observations is much worse", autoencoder([1.2], [0.2], [0.01], [0.9]), HELD),
    ("noisy observations is much worse", autoencoder([0.1], [0.2], [0.3], [0.9]), FAILED),
    ("truth dramatically better", autoencoder([1.2], [0.2], [0.01], [0.9]), HELD),
    ("truth dramatically better", autoencoder([1.2], [0.9], [0.01], [0.3]), FAILED),
    ("truth dramatically better", autoencoder([1, 1], [0.1, 0.9], [0, 0], [0.5, 0.6]), UNKNOWN),
    ("few trials models with optimized", trained((HIGH, HIGH), (LOW, HIGH)), HELD),
    ("few trials models with optimized", trained((LOW, HIGH), (HIGH, HIGH)), FAILED),
    ("few trials models with optimized", trained((LOW, LOW), (LOW, LOW)), UNKNOWN),
    ("more optimizing hyperparameters", trained((HIGH, HIGH), (LOW, HIGH)), HELD),
    ("more optimizing hyperparameters", trained((HIGH, HIGH), (HIGH, LOW)), FAILED),
    ("more optimizing hyperparameters", trained((HIGH, HIGH), ((-0.1,) * 3, LOW)), UNKNOWN),
    ("performance is better maintained", trained((HIGH, HIGH), (LOW, HIGH)), HELD),
    ("performance is better maintained", trained((LOW, HIGH), (HIGH, HIGH)), FAILED),
    ("PBT outperforms random", trained((HIGH, HIGH), (LOW, LOW), (LOW, LOW)), HELD),
    ("PBT outperforms random", trained((HIGH, LOW), (LOW, LOW), (LOW, HIGH)), FAILED),
    ("PBT outperforms random", trained((HIGH, LOW), (LOW, LOW), (LOW, LOW)), UNKNOWN),
    ("from LFADS than from smoothed", monkey([0.8, 0.9], [0.8, 0.9]), HELD),
    ("from LFADS than from smoothed", monkey([0.8, 0.9], [0.8, 0.9], (0.7, 0.95)), FAILED),
    ("from LFADS than from smoothed", monkey([0.8, 0.9], [0.8, 0.9], (0.7, 0.851)), UNKNOWN),
    *((f"{study}: {words}", *more) for study in REACHING for words, *more in SHARES),
    ("falls from 3 over 2 to 1", spectra([0, 3, 2, 2, 1]), HELD),
    ("falls from 3 over 2 to 1", spectra([0, 3, 1, 2, 1]), FAILED),
    ("falls from 3 over 2 to 1", spectra([0, 3, 3, 1, 1]), FAILED),
    ("falls from 3 over 2 to 1", spectra([0, 3, 2]), UNKNOWN),
    ("no activity around 58", spectra([0, 3]), HELD),
    ("no activity around 58", spectra([0, 3], rate=5.0), FAILED),
    ("six of 600 neurons", strengths(lambda j: 0.1 * (j % 3)), HELD),
    ("six of 600 neurons", strengths(lambda j: -2 * (j - 62)), FAILED),
    ("six of 600 neurons", fits("strengths", [(59.0, 59.0, 6, 0)]), UNKNOWN),
    ("mean recovered J of each true J", strengths(lambda j: 1.0), HELD),
    ("mean recovered J of each true J", strengths(lambda j: 1.5 * (j == 65)), FAILED),
    ("mean recovered J of each true J",
     fits("strengths", [(59.0, 58.0, 6, 0), (59.0, 62.0, 6, 0)]), UNKNOWN),
    ("neuLVM recovers J where a method", neurons((1, 1, 1), (9, 3, 0)), HELD),
    ("neuLVM recovers J where a method", neurons((1, 4, 1), (9, 3, 0)), FAILED),
    ("neuLVM recovers J where a method", neurons((1,), (9,)), UNKNOWN),
    ("wildly inaccurate", neurons((1, 1, 1), (40, 3, 1)), HELD),
    ("wildly inaccurate", neurons((1, 1, 1), (0.5, 3, 1)), FAILED),
    ("near the true one for 1 to 599", neurons((1, 1, 1), (9, 3, 0)), HELD),
    ("near the true one for 1 to 599", neurons((-2, 1, 1), (9, 3, 0)), FAILED),
    ("finds their populations", draws([True, True]), HELD),
    ("finds their populations", draws([True, False]), FAILED),
    ("finds their populations", draws([]), UNKNOWN),
    ("less than three neurons", draws([True], smallest=3), HELD),
    ("less than three neurons", draws([True], smallest=2), FAILED),
    ("In the network a pulse to the silent", pulses([50, 1, 60, 20, 1]), HELD),
    ("In the network a pulse to the silent", pulses([50, 1, 10, 40, 1]), FAILED),
    ("In the network a pulse to the silent", pulses([50, 1, 41, 40, 1]), UNKNOWN),
    ("So it does in neuLVM fitted", pulses([50, 1, 60, 20, 1]), HELD),
    ("So it does in neuLVM fitted", pulses([1, 50, 60, 20, 1]), FAILED),
    ("rebound switches in the network", pulses([50, 1, 60, 20, 1]), HELD),
    ("rebound switches in the network", pulses([50, 1, 60, 1, 1]), FAILED),
    ("rebound switches in the network", pulses([50, 1, 60, 4, 1]), UNKNOWN),
    ("So it does in the fitted neuLVM", pulses([50, 1, 60, 20, 1]), HELD),
    ("So it does in the fitted neuLVM", pulses([50, 1, 60, 0, 1]), FAILED),
    ("infers the latent population", switching(), HELD),
    ("infers the latent population", switching(r=(0.5, 0.52, 0.54)), FAILED),
    ("infers the latent population", switching(r=(0.7, 0.79, 0.9)), UNKNOWN),
    ("better than PLDS", switching(plds=(LOW, NONE)), HELD),
    ("better than PLDS", switching(plds=(HIGH, NONE)), FAILED),
    ("better than PLDS", switching(plds=((0.81, 0.82, 0.83), NONE)), UNKNOWN),
    ("better than SLDS", switching(slds=(LOW, NEAR)), HELD),
    ("better than SLDS", switching(slds=(HIGH, NEAR)), FAILED),
    ("about as often as the network", switching(rates=(9, 10, 11)), HELD),
    ("about as often as the network", switching(rates=(30, 31, 32)), FAILED),
    ("about as often as the network", switching(rates=(3, 13, 23)), UNKNOWN),
    ("about as often as the network", switching(rates=(10,), r=(0.8,)), UNKNOWN),
    ("correct mean frequency", switching(slds=(LOW, (9.9, 10, 10.1))), HELD),
    ("correct mean frequency", switching(slds=(LOW, (0, 1, 2))), FAILED),
    ("correct mean frequency", switching(network=0.0, slds=(LOW, NEAR)), UNKNOWN),
    ("less reliably than neuLVM", switching(slds=(LOW, (0, 10, 30))), HELD),
    ("less reliably than neuLVM", switching(rates=(0, 10, 30), slds=(LOW, NEAR)), FAILED),
    ("less reliably than neuLVM", switching(slds=(LOW, NEAR)), UNKNOWN),
    ("PLDS does not switch", switching(plds=(LOW, NONE)), HELD),
    ("PLDS does not switch", switching(plds=(LOW, NEAR)), FAILED),
    ("GLM does not switch", switching(glm=(LOW, NONE)), HELD),
    ("GLM does not switch", switching(glm=(LOW, NEAR)), FAILED),
    ("GLM does not switch", switching(glm=(LOW, (0, 0, 6))), UNKNOWN),
    ("Before learning neuLVM", switching(), HELD),
    ("Before learning neuLVM", switching(before=(0.0, 8.0)), FAILED),
    ("Before learning neuLVM", switching(before=(8.0, 0.0)), FAILED),
    ("miss two out of four peaks", transition(), HELD),
    ("miss two out of four peaks", transition(seen=0.9), FAILED),
    *((_with(words, how), *more) for how in HOW for words, *more in TRANSITIONS),
]  # fmt: skip


@pytest.mark.parametrize(("words", "results", "verdict"), CASES)
def test_verdicts(words, results, verdict):
    before = copy.deepcopy(results)
    found = claim(words).of(results)
    assert found.verdict == verdict, found
    assert found.ours and found.sample
    assert found.reason or verdict != UNKNOWN
    assert results == before


@pytest.mark.parametrize("name", CLAIMS)
def test_every_claim_can_hold_and_not_hold_and_needs_its_results(name):
    verdicts = {verdict for words, _, verdict in CASES if words in name}
    assert verdicts >= {HELD, FAILED}
    for empty in ({}, {step.module: {} for study in STUDIES for step in study.steps}):
        found = CLAIMS[name].of(empty)
        assert found.verdict == UNKNOWN and found.reason


def test_arms_are_those_of_the_search():
    from latentspike.studies import population_based_training, random_search

    for name in ("PLAIN", "SAMPLE", "DROPOUT"):
        assert getattr(claims_keshtkaran, name) == getattr(random_search, name)
    text = population_based_training.run_once.__code__.co_consts
    for name in (claims_keshtkaran.PBT, claims_keshtkaran.FIXED, claims_keshtkaran.RANDOM):
        assert any(name == each or (isinstance(each, tuple) and name in each) for each in text)


def test_methods_are_those_of_the_study_of_reaches():
    from latentspike.studies import claims_reaching
    from latentspike.studies import reaching as study

    for name in ("PBT", "FIXED", "SMOOTHING"):
        assert getattr(claims_reaching, name) == getattr(study, name)


def test_limits_are_the_largest_deviations_in_the_papers_tables():
    from latentspike.studies.cluster_states import PAPER_NEURONS, PAPER_STRENGTHS

    s3 = max(abs(mean - true) for true, (mean, _) in PAPER_STRENGTHS.items())
    s4 = max(abs(mean - claims_wang.TRUE_STRENGTH) for mean, _ in PAPER_NEURONS.values())
    assert claims_wang.PAPER_BIAS_S3 == pytest.approx(s3)
    assert claims_wang.PAPER_BIAS_S4 == pytest.approx(s4)


def test_a_number_that_is_none_cannot_be_said():
    results = switching(r=(0.8, float("nan"), 0.84))
    found = claim("infers the latent population").of(results)
    assert found.verdict == UNKNOWN and "1 of 3 values are no numbers" in found.reason


def test_fits_that_could_not_be_simulated_are_told():
    results = switching(plds=(LOW, NONE))
    del results["winner_take_all_rivals"]["fits"]["plds"][0]["switches"]
    found = claim("PLDS does not switch").of(results)
    assert found.verdict == HELD and found.sample == "2 trials"
    assert found.reason == "1 of 3 fits could not be simulated"


def test_pulses_of_several_seeds_are_counted_together():
    results = pulses([50, 1, 60, 4, 1])
    document = results["photo_stimulation"]
    for seed in range(1, 5):
        document[f"seed {seed}"] = document["seed 0"]
    found = claim("rebound switches in the network").of(results)
    assert found.verdict == HELD and found.sample == "500 trials each"


def test_differences_within_their_standard_error_cannot_be_said():
    first = np.array([1.0, 3.0])
    assert is_above(first, first - 0.1) == (HELD, "")  # paired
    verdict, reason = is_above(first, np.array([1.9]))
    assert verdict == UNKNOWN and "+0.100, is within its standard error of 1.000" in reason
    assert is_above(first[:1], first[:1])[0] == UNKNOWN
    assert is_within(1.0, 1.2, 0.3)[0] == UNKNOWN
    assert (is_within(1.0, 1.2, 0.1)[0], is_within(1.5, 1.2, 0.1)[0]) == (HELD, FAILED)
    assert worst([]) == UNKNOWN


def test_what_is_missing_is_named():
    with pytest.raises(Missing, match="no a, b"):
        part({"a": {"c": 1}}, "a", "b")
    with pytest.raises(Missing, match="no r"):
        numbers([], "r")
