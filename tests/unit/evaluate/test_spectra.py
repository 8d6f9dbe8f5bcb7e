import numpy as np
import pytest
from scipy.signal import welch

from latentspike.evaluate.spectra import power_spectrum

BIN = 0.002


def test_it_is_scipys_two_sided_density(rng):
    counts = rng.poisson(np.linspace(0.02, 0.3, 3), (4, 530, 3))
    found = power_spectrum(counts, bin_width=BIN, segment=0.2)
    settings = {"fs": 1 / BIN, "window": "boxcar", "nperseg": 100, "noverlap": 0}
    frequencies, power = welch(
        counts / BIN, **settings, detrend="constant", return_onesided=False, axis=1
    )
    np.testing.assert_allclose(found.frequencies, np.abs(frequencies[1:51]))
    np.testing.assert_allclose(found.power, power.mean(axis=0)[1:51], rtol=1e-9)
    assert found.n_segments.tolist() == [20, 20, 20]


def test_a_poisson_process_has_its_rate_at_every_frequency(rng):
    rates = np.array([5.0, 40.0])
    counts = rng.poisson(rates * BIN, (20, 5000, 2))
    found = power_spectrum(counts, bin_width=BIN, segment=0.25)
    assert found.n_segments[0] == 800
    np.testing.assert_allclose(found.rates, rates, rtol=0.1)
    np.testing.assert_allclose(found.power.mean(axis=0), found.rates, rtol=0.02)
    # Standard error of each frequency, as the docstring has it; the last is Nyquist's.
    error = (found.power / found.rates - 1)[:-1] * np.sqrt(800)
    assert 0.8 < error.std() < 1.2
    assert np.abs(error).max() < 5


def test_a_regular_train_has_peaks_at_the_multiples_of_its_rate():
    counts = (np.arange(4000) % 20 == 7)[None, :, None].astype(int)
    found = power_spectrum(counts, bin_width=BIN, segment=1.0)
    peaks = found.frequencies[found.mean > 1e-9]
    np.testing.assert_allclose(peaks, 25 * np.arange(1, 11))
    # All power of a segment of T s with r T spikes in one line: r² T.
    np.testing.assert_allclose(found.mean[found.mean > 1e-9], 25**2)


def test_sum_of_powers_is_the_variance(rng):
    counts = rng.poisson(0.4, (1, 400, 1))
    found = power_spectrum(counts, bin_width=BIN, segment=0.8)
    twice = np.r_[2 * found.mean[:-1], found.mean[-1]].sum()  # negative frequencies; Nyquist once
    assert twice * BIN**2 / 0.8 == pytest.approx(counts.var())


def test_segments_that_were_not_observed_do_not_count(rng):
    counts = rng.poisson(0.1, (2, 300, 2))
    observed = np.ones(counts.shape, bool)
    observed[0, 150, 1] = False
    spoiled = np.where(observed, counts, 1000).astype(float)
    spoiled[~observed] = np.nan
    found = power_spectrum(spoiled, bin_width=BIN, segment=0.2, observed=observed)
    assert found.n_segments.tolist() == [6, 5]
    kept = np.delete(counts[:, :, 1:].reshape(6, 100, 1), 1, axis=0)
    alone = power_spectrum(kept, bin_width=BIN, segment=0.2)
    np.testing.assert_allclose(found.power[:, 1], alone.power[:, 0], rtol=1e-9)
    assert found.rates[1] == pytest.approx(alone.rates[0])


def test_chunks_do_not_matter(rng, monkeypatch):
    counts = rng.poisson(0.1, (3, 300, 2))
    whole = power_spectrum(counts, bin_width=BIN, segment=0.1)
    monkeypatch.setattr("latentspike.evaluate.spectra._CHUNK_ENTRIES", 250)
    np.testing.assert_allclose(
        power_spectrum(counts, bin_width=BIN, segment=0.1).power, whole.power, rtol=1e-12
    )


def test_bad_activity_is_refused():
    counts = np.zeros((2, 50, 3))
    with pytest.raises(ValueError, match="trials have 50 bins"):
        power_spectrum(counts, bin_width=BIN, segment=1.0)
    with pytest.raises(ValueError, match=r"\[trials, bins, trains\]"):
        power_spectrum(counts[0], bin_width=BIN, segment=0.02)
    counts[1, 7, 2] = np.nan
    with pytest.raises(ValueError, match="trial 1, bin 7, train 2"):
        power_spectrum(counts, bin_width=BIN, segment=0.02)
    counts[:] = 0
    seen = np.ones(counts.shape, bool)
    seen[:, ::10, 2] = False
    with pytest.raises(ValueError, match="train 2 has no segment"):
        power_spectrum(counts, bin_width=BIN, segment=0.02, observed=seen)
