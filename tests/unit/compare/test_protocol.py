"""What all models share: kept in files, refused when it changes."""

import numpy as np
import pytest

from latentspike.compare.protocol import Protocol, choose_trials, open_folder, read_protocol
from latentspike.spikes import SpikeData, Split


@pytest.fixture
def protocol(recording):
    return Protocol(recording, Split([0, 1, 3, 4], [2, 5]), lag=0.02)


def test_a_process_reads_what_was_left(protocol, tmp_path):
    digest = open_folder(tmp_path / "c", protocol)
    again = read_protocol(tmp_path / "c")
    assert again.document() == protocol.document() and again.lag == 0.02
    np.testing.assert_array_equal(again.test.counts, protocol.data.counts[[2, 5]])
    np.testing.assert_array_equal(
        again.train.behavior["hand"][1], protocol.data.behavior["hand"][1]
    )
    assert open_folder(tmp_path / "c", again) == digest


def changed(protocol, what):
    data, split = protocol.data, protocol.split
    counts = data.counts.copy()
    counts[3, 2, 1] += 1
    hand = data.behavior["hand"].copy()
    hand[0, 0, 0] += 1e-9
    rates = np.asarray(data.truth["rates"])
    return {
        "counts": Protocol(data.replace(counts=counts), split, 0.02),
        "behavior.hand": Protocol(data.replace(behavior={"hand": hand}), split, 0.02),
        "truth.rates": Protocol(data.replace(truth={"rates": rates + 1}), split, 0.02),
        "conditions": Protocol(data.replace(conditions=None), split, 0.02),
        "bin_width": Protocol(data.replace(bin_width=0.02), split, 0.02),
        "heldout_neurons": Protocol(data.replace(heldout=None), split, 0.02),
        "n_forward_bins": Protocol(data.replace(n_forward_bins=4), split, 0.02),
        "test_trials": Protocol(data, Split([0, 1, 3, 2], [4, 5]), 0.02),
        "lag": Protocol(data, split, 0.0),
    }[what]


@pytest.mark.parametrize(
    "what",
    [
        "counts", "behavior.hand", "truth.rates", "conditions", "bin_width", "heldout_neurons",
        "n_forward_bins", "test_trials", "lag",
    ],
)  # fmt: skip
def test_another_protocol_is_refused_by_name(what, protocol, tmp_path):
    open_folder(tmp_path, protocol)
    before = (tmp_path / "recording.npz").read_bytes()
    with pytest.raises(ValueError, match=rf"on another recording or other trials .*{what} = "):
        open_folder(tmp_path, changed(protocol, what))
    assert (tmp_path / "recording.npz").read_bytes() == before


def test_foreign_folders_are_left_alone(protocol, tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match="is not empty and holds no comparison"):
        open_folder(tmp_path, protocol)
    assert [path.name for path in tmp_path.iterdir()] == ["thesis.tex"]
    with pytest.raises(ValueError, match="is not empty and holds no comparison"):
        open_folder(tmp_path / "thesis.tex", protocol)


def test_a_start_that_was_killed_begins_again(protocol, tmp_path):
    (tmp_path / "recording.npz").write_bytes(b"half")
    (tmp_path / ".trials.npz.x1").write_bytes(b"half")
    open_folder(tmp_path, protocol)
    assert read_protocol(tmp_path).document() == protocol.document()
    assert not (tmp_path / ".trials.npz.x1").exists()


def test_a_damaged_protocol_is_named(protocol, tmp_path):
    open_folder(tmp_path, protocol)
    (tmp_path / "protocol.json").write_text("{")
    with pytest.raises(ValueError, match=r"protocol.json is damaged"):
        open_folder(tmp_path, protocol)


def test_a_fraction_draws_the_same_trials_again():
    data = SpikeData(np.ones((20, 4, 3), int), 0.01, conditions=np.arange(20) % 2)
    first, again = choose_trials(data, 0.2), choose_trials(data, 0.2)
    assert first.validation.tolist() == again.validation.tolist()
    assert first.validation.size == 4 and (data.conditions[first.validation] == 0).sum() == 2
    with pytest.raises(ValueError, match="names trials 0 … 25 of 20"):
        choose_trials(data, Split([0], [25]))
