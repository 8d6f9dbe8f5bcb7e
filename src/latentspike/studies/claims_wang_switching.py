"""Claims of Wang et al. (2022) about the network that switches: Table 1, Figs. 4 and S7."""

from __future__ import annotations

import numpy as np

from latentspike.studies.claims import (
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
    worst,
)

PAPER_R, PAPER_R_SD = 0.81, 0.02
PAPER_NETWORK, PAPER_NEULVM, PAPER_SLDS = 10.3, 7.8, 11.9  # switches per 100 s
VISIBLE = 1.0  # switch in a free run of 100 s
PLDS, SLDS, GLM = "plds", "slds, 40 ms", "glm"  # SLDS at the paper's bins
_FEWEST_FITS = 3


def _neulvm(results: Results, *path: str) -> np.ndarray:
    fits = part(results, "winner_take_all", "fits, sampling")
    return numbers((part(fit, *path) for fit in fits), f"{path[-1]} of neuLVM")


def _rival(results: Results, name: str, key: str) -> np.ndarray:
    fits = part(results, "winner_take_all_rivals", "fits", name)
    return numbers((fit[key] for fit in fits if key in fit), f"{key} of {name}")


def _r_as_in_paper(results: Results) -> Finding:
    r = _neulvm(results, "r")
    verdict, reason = is_above(r, np.array([PAPER_R - PAPER_R_SD]))
    return Finding(f"r = {mean_sd(r)}", many(r.size, "trial"), verdict, reason)


def _above_rival(results: Results, name: str) -> Finding:
    """Of neuLVM as it is, against latents after the best linear map to the scored truth."""
    ours, other = _neulvm(results, "r"), _rival(results, name, "paper_r")
    verdict, reason = is_above(ours, other)
    text = f"r = {mean_sd(ours)} against {mean_sd(other)}"
    return Finding(text, many(min(ours.size, other.size), "trial"), verdict, reason)


def _as_often(found: np.ndarray, results: Results, paper: float) -> Finding:
    """As near to the switches of the network, in percent of them, as the paper's mean is."""
    network = float(part(results, "winner_take_all", "network", "value"))
    if found.size < _FEWEST_FITS:
        raise Missing(f"{many(found.size, 'fit')}: too few for a mean of switches")
    if network == 0:
        raise Missing("the network does not switch")
    off = abs(float(found.mean()) / network - 1)
    limit = abs(paper / PAPER_NETWORK - 1)
    error = standard_error(found) / network
    verdict, _ = is_within(off, limit, error)
    return Finding(
        f"{mean_sd(found, 1)} per 100 s, network {network:.1f}",
        many(found.size, "trial"),
        verdict,
        f"{off:.0%} ± {error:.0%} (standard error) off the network; the paper's mean is "
        f"{limit:.0%} off its own",
    )


def _steadier_than_slds(results: Results) -> Finding:
    """The standard deviation of switches over fits is smaller than that of SLDS."""
    ours = _neulvm(results, "mesoscopic", "value")
    other = _rival(results, SLDS, "switches")
    if min(ours.size, other.size) < _FEWEST_FITS:
        raise Missing(f"{many(min(ours.size, other.size), 'fit')}: too few for a spread")
    sd = np.array([x.std(ddof=1) for x in (ours, other)])
    error = float(np.hypot(*(sd / np.sqrt([2 * ours.size - 2, 2 * other.size - 2]))))
    text = f"sd {sd[0]:.1f} against {sd[1]:.1f} per 100 s"
    if abs(sd[0] - sd[1]) < error:
        reason = f"the difference is within its standard error of {error:.1f}"
        return Finding(text, many(ours.size, "trial"), UNKNOWN, reason)
    return Finding(text, many(ours.size, "trial"), verdict_of(bool(sd[0] < sd[1])))


def _does_not_switch(results: Results, name: str) -> Finding:
    found = _rival(results, name, "switches")
    n_fits = len(part(results, "winner_take_all_rivals", "fits", name))
    verdict, reason = is_above(np.array([VISIBLE]), found)
    if found.size < n_fits:
        failed = f"{n_fits - found.size} of {n_fits} fits could not be simulated"
        reason = "; ".join(filter(None, [failed, reason]))
    return Finding(f"{mean_sd(found, 1)} per 100 s", many(found.size, "trial"), verdict, reason)


def _not_before_learning(results: Results) -> Finding:
    before = part(results, "winner_take_all", "before")
    middle = numbers(part(before, "middle of the boxes"), "switches before learning")
    random = numbers(part(before, "random starts"), "switches before learning")
    found = [is_above(np.array([VISIBLE]), values) for values in (middle, random)]
    reason = next((reason for _, reason in found if reason), "")
    verdict = worst(verdict for verdict, _ in found)
    text = f"{mean_sd(middle, 1)} in the middle of the boxes, {mean_sd(random, 1)} at random starts"
    return Finding(f"{text}, per 100 s", many(random.size, "start"), verdict, reason)


SWITCHING = (
    Claim("Table 1", "neuLVM infers the latent population activity.", "r = 0.81 ± 0.02",
          _r_as_in_paper),
    Claim("Table 1", "It infers it better than PLDS after the best linear map.",
          "0.81 ± 0.02 against 0.68 ± 0.11", lambda results: _above_rival(results, PLDS)),
    Claim("Table 1", "It infers it better than SLDS after the best linear map.",
          "0.81 ± 0.02 against 0.73 ± 0.02", lambda results: _above_rival(results, SLDS)),
    Claim("Table 1", "Free runs of the fitted neuLVM switch about as often as the network.",
          "7.8 ± 4.1 per 100 s, network 10.3 ± 2.7",
          lambda results: _as_often(_neulvm(results, "mesoscopic", "value"), results,
                                    PAPER_NEULVM)),
    Claim("Table 1", "SLDS switches at the correct mean frequency …",
          "11.9 ± 8.9 per 100 s, network 10.3 ± 2.7",
          lambda results: _as_often(_rival(results, SLDS, "switches"), results, PAPER_SLDS),
          why="Most fits of our SLDS do not switch at all: a trial of 10 s holds none to four "
          "switches, and a fit repeats what it has seen. How the paper's SLDS was set up we "
          "do not know."),
    Claim("Table 1", "… but less reliably than neuLVM.", "sd 4.1 against 8.9 per 100 s",
          _steadier_than_slds,
          why="Our SLDS hardly switches, so its counts vary little; fits of neuLVM repeat the "
          "none to four switches of the 10 s that they have seen."),
    Claim("Table 1", "PLDS does not switch.", "not visible",
          lambda results: _does_not_switch(results, PLDS),
          why="Of all 20 trials 12 fits did not; free runs of the others change sides a few "
          "times."),
    Claim("Table 1", "GLM does not switch.", "not visible",
          lambda results: _does_not_switch(results, GLM),
          why="What is counted are runaways of its feedback, as the figure shows, not a network "
          "that chooses."),
    Claim("Fig. S7", "Before learning neuLVM does not switch.", "not visible",
          _not_before_learning),
)  # fmt: skip
