import json

import numpy as np
import pytest

from latentspike import Posterior, SpikeData
from latentspike.evaluate import (
    as_records,
    co_smoothing_bits,
    decode,
    format_table,
    rate_r2,
    score_table,
)
from latentspike.simulate import linear_factors


def _everything():
    data = linear_factors(n_conditions=5, n_trials_per_condition=4, n_neurons=8, seed=0)
    velocity = data.truth["factors"][:, :, :2]
    return data.replace(
        heldout=np.arange(8) >= 6, n_forward_bins=20, behavior={"velocity": velocity}
    )


def _posterior(data, rates):
    return Posterior(rates, data.bin_width, data.trial_ids, data.neuron_ids)


def test_the_table_holds_every_metric_that_applies_beside_the_baseline():
    data = _everything()
    ours = _posterior(data, data.truth["rates"])
    theirs = _posterior(data, np.full(data.counts.shape, data.mean_rate))
    table = {row.metric: row for row in score_table(data, ours, baseline=theirs)}
    assert list(table) == [
        "rates R²",
        "co-smoothing bits per spike",
        "forward bits per spike",
        "held-in bits per spike",
        "PSTH R²",
        "velocity R² (OLE)",
        "velocity R² (ridge, 10 bins)",
        "velocity R² (ridge, whole trial)",
    ]
    bits = table["co-smoothing bits per spike"]
    assert bits.value == co_smoothing_bits(data, ours).value
    assert bits.baseline == co_smoothing_bits(data, theirs).value
    assert bits.standard_error == co_smoothing_bits(data, ours).standard_error
    assert table["rates R²"].value == rate_r2(data, ours).mean
    assert table["rates R²"].baseline == pytest.approx(rate_r2(data, theirs).mean)
    expected = decode(ours.rates, data.behavior["velocity"], bin_width=data.bin_width).mean
    assert table["velocity R² (OLE)"].value == expected


def test_the_table_leaves_out_what_does_not_apply():
    data = SpikeData(np.random.default_rng(0).poisson(1.0, (5, 10, 3)), 0.02)
    rows = score_table(data, _posterior(data, np.full((5, 10, 3), 50.0)))
    assert [row.metric for row in rows] == ["held-in bits per spike"]
    assert rows[0].baseline is None


def test_the_table_of_continuous_data_has_no_bits():
    values = np.random.default_rng(0).normal(size=(5, 10, 3))
    data = SpikeData(values, 0.02, kind="continuous", truth={"rates": values})
    assert [row.metric for row in score_table(data, _posterior(data, values))] == ["rates R²"]


def test_a_metric_that_cannot_be_computed_becomes_a_note():
    data = SpikeData(np.zeros((5, 10, 3), int), 0.02)
    (row,) = score_table(data, _posterior(data, np.ones((5, 10, 3))))
    assert row.value is None
    assert "no spike" in row.note
    assert "no spike" in format_table([row])


def test_the_posterior_of_other_trials_is_an_error_and_no_note():
    data = _everything()
    fewer = data.select_trials(slice(5))
    with pytest.raises(ValueError, match="shape"):
        score_table(data, _posterior(fewer, fewer.truth["rates"]))


def test_the_table_can_be_written_as_strict_json_and_printed():
    data = _everything()
    rows = score_table(data, _posterior(data, data.truth["rates"]))
    assert json.loads(json.dumps(as_records(rows), allow_nan=False)) == as_records(rows)
    lines = format_table(rows).splitlines()
    assert len(lines) == len(rows) + 1
    assert all(row.metric in line for row, line in zip(rows, lines[1:], strict=True))
