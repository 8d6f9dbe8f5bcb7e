"""Claims of Wang et al. (2022) about four clusters that turn into three: Fig. 2D and E."""

from __future__ import annotations

import numpy as np

from latentspike.studies.claims import (
    FAILED,
    UNKNOWN,
    Claim,
    Finding,
    Missing,
    Results,
    is_above,
    is_within,
    many,
    mean_sd,
    numbers,
    part,
    standard_error,
    verdict_of,
)

PAPER_MISSED = {"4 clusters": (2, 4), "3 clusters": (1, 3)}  # volleys that smoothing misses
RESOLUTION = 0.125  # s: a window that tells the order reaches so far to both sides
SWARM, HARD = "particles", "hard"
_OURS, _OTHER = "neuLVM", "fully observed"


def _scores(results: Results, method: str, state: str) -> list[dict]:
    """Of every draw of neurons."""
    fits = part(results, "cluster_transition", method)
    if not fits:
        raise Missing("the results have no fit")
    return [part(fit, "scores", state) for fit in fits]


def _draws(n: int) -> str:
    return many(n, "draw") + " of neurons"


def _infers(results: Results, method: str, state: str) -> Finding:
    """The activity, nearer to the truth than smoothed spikes."""
    rows = _scores(results, method, state)
    ours, other = (numbers((part(row, x, "r") for row in rows), "r") for x in (_OURS, _OTHER))
    verdict, reason = is_above(ours, other)
    text = f"r = {mean_sd(ours)}, smoothed spikes {mean_sd(other)}"
    return Finding(text, _draws(ours.size), verdict, reason)


def _smoothing_misses(results: Results) -> Finding:
    """As many volleys of a cycle, or more, in whole numbers as the paper counts them."""
    texts, verdicts, n = [], [], 0
    for state, (paper, of) in PAPER_MISSED.items():
        rows = _scores(results, SWARM, state)
        seen = numbers((part(row, _OTHER, "share_seen") for row in rows), "volleys")
        missed, n = of * (1 - seen), seen.size
        texts.append(f"{mean_sd(missed, 1)} of {of}")
        verdicts.append(round(float(missed.mean())) >= paper)
    return Finding(" and ".join(texts), _draws(n), verdict_of(all(verdicts)))


def _infers_missing(results: Results, method: str) -> Finding:
    """More of the volleys that smoothing misses than peaks at any phase would meet."""
    rows = _scores(results, method, "whole trial")
    rows = [row for row in rows if part(row, "n_missed_by_other")]
    if not rows:
        raise Missing("smoothing misses no volley")
    keys = ("n_of_these_inferred", "n_by_chance")
    found, chance = (
        numbers((part(row, key) / row["n_missed_by_other"] for row in rows), key) for key in keys
    )
    verdict, reason = is_above(found, chance)
    extra = np.mean([part(row, _OURS, "n_extra") for row in rows])
    text = (
        f"{mean_sd(found, 2)} of the volleys, by chance {mean_sd(chance, 2)}; {extra:.0f} peaks in "
        "a second that are none"
    )
    return Finding(text, _draws(found.size), verdict, reason)


def _detects(results: Results, method: str) -> Finding:
    """The moment is as near to the true one as the windows that tell it can say."""
    true = part(results, "cluster_transition", "moment")
    moments = [part(row, _OURS) for row in _scores(results, method, "moment")]
    sample = _draws(len(moments))
    seen = np.array([at for at in moments if at is not None])
    error = np.abs(seen - true)
    text = f"{mean_sd(1e3 * error, 0)} ms off the true {true:.2f} s" if seen.size else "none found"
    if seen.size < len(moments):
        reason = f"no transition in {len(moments) - seen.size} of the inferred activities"
        return Finding(text, sample, FAILED if 2 * seen.size < len(moments) else UNKNOWN, reason)
    verdict, reason = is_within(float(error.mean()), RESOLUTION, standard_error(error))
    return Finding(text, sample, verdict, reason)


_WHY = (
    "Spikes of two neurons can be explained by several numbers of clusters, and Baum–Viterbi stays "
    "in one that its first guess leads to: three clusters, or two, where the network has four, or "
    "volleys at another phase. Other neurons give another answer; the paper shows one draw of them."
)


def _of(method: str, how: str) -> tuple[Claim, ...]:
    """Claims of what is inferred, by one of our two methods."""
    claims = (
        ("From two of 600 neurons neuLVM infers the population activity during the 4-cluster state",
         lambda results: _infers(results, method, "4 clusters")),
        ("From two of 600 neurons neuLVM infers the population activity during the 3-cluster state",
         lambda results: _infers(results, method, "3 clusters")),
        ("It approximately detects the transition between the two states",
         lambda results: _detects(results, method)),
        ("It infers the peaks that are missing in the smoothed spikes",
         lambda results: _infers_missing(results, method)),
    )  # fmt: skip
    return tuple(
        Claim("Fig. 2E", f"{sentence} ({how}).", "figure only", judge, _WHY)
        for sentence, judge in claims
    )


TRANSITION = (
    Claim("Fig. 2E", "The summed, smoothed spike trains miss two out of four peaks of the activity "
          "in the 4-cluster state, and one out of three in the 3-cluster state.", "2 of 4, 1 of 3",
          _smoothing_misses),
    *_of(HARD, "Baum–Viterbi, as in the paper"),
    *_of(SWARM, "a swarm, as this library does"),
)  # fmt: skip
