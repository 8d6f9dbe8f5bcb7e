"""Power spectra of spike trains and of population activity."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

_CHUNK_ENTRIES = 4_000_000  # counts transformed at once: bounds the memory


@dataclass(frozen=True, eq=False)
class Spectrum:
    """Power spectra of several spike trains or populations.

    Parameters
    ----------
    frequencies : float [frequencies], Hz
        From ``1 / segment`` up to the Nyquist frequency.
    power : float [frequencies, trains], Hz
        A Poisson process has its rate at every frequency.
    rates : float [trains], Hz
        Mean over the segments used.
    n_segments : int [trains]
        Segments averaged; the standard error of ``power`` is ``power / sqrt(n_segments)`` (at the
        Nyquist frequency larger by ``sqrt(2)``).
    """

    frequencies: np.ndarray
    power: np.ndarray
    rates: np.ndarray
    n_segments: np.ndarray

    @property
    def mean(self) -> np.ndarray:
        """Power averaged over spike trains, float [frequencies], Hz."""
        return self.power.mean(axis=1)


def power_spectrum(
    counts: np.ndarray,
    *,
    bin_width: float,
    segment: float = 1.0,
    observed: np.ndarray | None = None,
) -> Spectrum:
    """Power spectra of binned spikes, averaged over segments of all trials.

    ``|Σ_t (n[t] − mean) exp(−2πi f t)|² / segment`` with the mean of each segment, averaged over
    segments that follow each other without overlap or taper. What is left at the end of a trial is
    not used.

    Parameters
    ----------
    counts : array [trials, bins, trains]
        Spikes per bin: of single neurons, or summed over a population.
    bin_width : float
        Seconds.
    segment : float
        Seconds; the resolution of the spectrum is ``1 / segment``.
    observed : bool array [trials, bins, trains], optional
        Segments with a bin that was not observed are not used for that train.

    Raises
    ------
    ValueError
        If shapes differ, a count is not finite, or a train has no whole segment.

    References
    ----------
    Bartlett (1950), Periodogram analysis and continuous spectra, Biometrika 37, 1–16.
    Wang, Schmutz, Brea & Gerstner (2022), Fig. 2B.

    Examples
    --------
    >>> counts = np.random.default_rng(0).poisson(0.02, (50, 1000, 1))
    >>> spectrum = power_spectrum(counts, bin_width=0.001, segment=0.1)
    >>> print(f"{spectrum.mean.mean():.0f} Hz at all {spectrum.frequencies.size} frequencies")
    20 Hz at all 50 frequencies
    """
    counts = np.asarray(counts)
    seen = np.asarray(np.ones(counts.shape) if observed is None else observed, bool)
    _check_counts(counts, seen)
    n_bins = round(segment / bin_width)
    if not 2 <= n_bins <= counts.shape[1]:
        raise ValueError(
            f"a segment of {segment} s has {n_bins} bins of {bin_width} s; trials have "
            f"{counts.shape[1]} bins, and a segment needs 2 or more"
        )
    return _power_spectrum(_segments(counts, n_bins), _segments(seen, n_bins), bin_width)


def _check_counts(counts: np.ndarray, seen: np.ndarray) -> None:
    if counts.ndim != 3 or counts.shape != seen.shape:
        raise ValueError(
            "counts (and observed) must have shape [trials, bins, trains], got "
            f"{counts.shape} (and {seen.shape})"
        )
    bad = np.asarray(seen & ~np.isfinite(counts))
    if bad.any():
        trial, time_bin, train = np.argwhere(bad)[0].tolist()
        raise ValueError(
            f"counts[trial {trial}, bin {time_bin}, train {train}] = "
            f"{counts[trial, time_bin, train]}: give `observed` where nothing was recorded"
        )


def _segments(values: np.ndarray, n_bins: int) -> np.ndarray:
    """Whole segments of all trials [segments, bins of a segment, trains]."""
    n_trials, n_all, n_trains = values.shape
    whole = values[:, : n_all - n_all % n_bins]
    return whole.reshape(n_trials * (n_all // n_bins), n_bins, n_trains)


def _power_spectrum(segments: np.ndarray, seen: np.ndarray, bin_width: float) -> Spectrum:
    n_segments, n_bins, n_trains = segments.shape
    complete = np.asarray(seen.all(axis=1))
    number = np.sum(complete, axis=0)
    if not number.all():
        raise ValueError(
            f"train {int(np.argmin(number))} has no segment in which every bin was observed: "
            "choose shorter segments, or leave the train out"
        )
    power, total = np.zeros((n_bins // 2, n_trains)), np.zeros(n_trains)
    chunk = max(1, _CHUNK_ENTRIES // (n_bins * n_trains))
    for first in range(0, n_segments, chunk):
        used = complete[first : first + chunk, None]
        values = np.where(used, segments[first : first + chunk], 0).astype(np.float64)
        total += values.sum(axis=(0, 1))
        # Without the mean only frequency 0 is lost, which is left out.
        power += (np.abs(np.fft.rfft(values, axis=1)[:, 1:]) ** 2).sum(axis=0)
    duration = n_bins * bin_width
    frequencies = np.fft.rfftfreq(n_bins, bin_width)[1:]
    return Spectrum(frequencies, power / (number * duration), total / (number * duration), number)
