from datetime import UTC, datetime

import numpy as np
import pytest

from latentspike.io import ReadOptions, read_nwb, write_nwb
from latentspike.spikes import SpikeData

pynwb = pytest.importorskip("pynwb")
nwbinspector = pytest.importorskip("nwbinspector")

SUBJECT = {
    "subject_id": "1",
    "species": "Mus musculus",
    "sex": "U",
    "age": "P90D",
    "description": "none",
}


def save(path, fill):
    """A file made with pynwb alone, as other laboratories make theirs."""
    nwb = pynwb.NWBFile(
        session_description="made up",
        identifier="1",
        session_start_time=datetime(2020, 1, 1, tzinfo=UTC),
    )
    fill(nwb)
    with pynwb.NWBHDF5IO(path, "w") as io:
        io.write(nwb)
    return path


def add_units(nwb):
    nwb.add_unit(id=11, spike_times=[0.05, 1.05, 1.15, 2.0], obs_intervals=[[0.0, 1.5]])
    nwb.add_unit(id=7, spike_times=[0.25, 1.25], obs_intervals=[[0.0, 1.0], [1.2, 3.0]])


def add_trials(nwb):
    nwb.add_trial_column("go_time", "seconds")
    nwb.add_trial_column("side", "text")
    for start, side in ((0.0, "left"), (1.0, "right")):
        nwb.add_trial(
            start_time=start, stop_time=start + 0.4, go_time=start + 0.1, side=side, timeseries=None
        )


def add_behavior(nwb):
    times = np.arange(0, 3, 0.05)
    position = pynwb.behavior.SpatialSeries(
        name="hand",
        data=np.column_stack([times, -times]),
        timestamps=times,
        reference_frame="table",
        conversion=2.0,
        offset=1.0,
    )
    module = nwb.create_processing_module("behavior", "made up")
    module.add(pynwb.behavior.Position(spatial_series=position))
    nwb.add_acquisition(pynwb.TimeSeries(name="force", data=np.arange(30.0), unit="N", rate=10.0))


def everything(nwb):
    add_units(nwb)
    add_trials(nwb)
    add_behavior(nwb)


ALIGNED = {"bin_width": 0.1, "align_to": "go_time", "window": (-0.1, 0.3)}


def test_trials_are_aligned_to_a_column(tmp_path):
    path = save(tmp_path / "a.nwb", everything)
    data = read_nwb(path, ReadOptions(**ALIGNED, condition="side"))
    assert data.counts[:, :, 0].tolist() == [[1, 0, 0, 0], [1, 1, 0, 0]]
    assert data.counts[:, :, 1].tolist() == [[0, 0, 1, 0], [0, 0, 1, 0]]
    assert data.neuron_ids.tolist() == [11, 7] and data.trial_ids.tolist() == [0, 1]
    assert data.conditions.tolist() == ["left", "right"] and data.t_start == -0.1


def test_bins_outside_observation_intervals_are_missing(tmp_path):
    data = read_nwb(save(tmp_path / "a.nwb", everything), ReadOptions(**ALIGNED))
    assert data.observed[:, :, 0].all()
    assert data.observed[0, :, 1].all()
    assert data.observed[1, :, 1].tolist() == [False, False, True, True]


def test_invalid_times_are_missing(tmp_path):
    def fill(nwb):
        everything(nwb)
        nwb.add_invalid_time_interval(start_time=0.15, stop_time=0.25)

    data = read_nwb(save(tmp_path / "a.nwb", fill), ReadOptions(**ALIGNED))
    for neuron in range(2):
        assert data.observed[0, :, neuron].tolist() == [True, False, False, True]


def test_behavior_is_scaled_and_brought_onto_the_bins(tmp_path):
    path = save(tmp_path / "a.nwb", everything)
    names = ("hand", "force", "behavior/Position/hand")
    data = read_nwb(path, ReadOptions(**ALIGNED, behavior=names))
    # Bin [1.0, 1.1) holds the samples at 1.0 and 1.05 s; value = 2 × time + 1.
    np.testing.assert_allclose(data.behavior["hand"][1, 0], [2 * 1.025 + 1, -2 * 1.025 + 1])
    np.testing.assert_array_equal(data.behavior["hand"], data.behavior["behavior/Position/hand"])
    np.testing.assert_allclose(data.behavior["force"][1, :, 0], [10, 11, 12, 13])


def test_a_measured_input_does_not_count_as_behavior(tmp_path):
    path = save(tmp_path / "a.nwb", everything)
    data = read_nwb(path, ReadOptions(**ALIGNED, behavior=("hand",), inputs="force"))
    assert data.inputs.shape == (2, 4, 1) and list(data.behavior) == ["hand"]


def test_without_an_event_the_recording_is_one_trial(tmp_path):
    path = save(tmp_path / "a.nwb", everything)
    data = read_nwb(path, ReadOptions(bin_width=0.1, behavior=("force",)))
    assert (data.n_trials, data.n_bins, data.t_start) == (1, 30, 0.0)
    assert data.counts.sum() == 6 and data.behavior["force"].shape == (1, 30, 1)
    assert data.observed[0, :, 0].sum() == 15
    part = read_nwb(path, ReadOptions(bin_width=0.1, window=(1.0, 2.0)))
    assert part.n_bins == 10 and part.counts.sum() == 3 and part.t_start == 1.0


def test_without_intervals_the_spikes_give_the_span(tmp_path):
    path = save(tmp_path / "a.nwb", lambda nwb: nwb.add_unit(spike_times=[0.34, 0.5, 1.0]))
    data = read_nwb(path, ReadOptions(bin_width=0.1))
    assert data.counts.sum() == 3 and data.t_start == pytest.approx(0.3)
    assert data.counts[0, [0, -1], 0].tolist() == [1, 1] and data.observed.all()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"align_to": "cue"}, "no column 'cue'; it has start_time, stop_time, go_time, side"),
        ({"align_to": "side"}, "'side' holds .* not times"),
        ({"condition": "color"}, "no column 'color'"),
        ({"behavior": ("foot",)}, "no time series 'foot'; there are: .*behavior/Position/hand"),
        ({"bin_width": None}, "does not state its bin width"),
        ({"window": (-0.1, 0.25)}, "whole number of bins"),
    ],
)
def test_unknown_names_list_the_known_ones(change, message, tmp_path):
    path = save(tmp_path / "a.nwb", everything)
    with pytest.raises(ValueError, match=message) as caught:
        read_nwb(path, ReadOptions(**(ALIGNED | change)))
    assert str(path) in str(caught.value)


def test_files_without_units_or_trials_say_so(tmp_path):
    bare = save(tmp_path / "a.nwb", add_behavior)
    with pytest.raises(ValueError, match="no units table"):
        read_nwb(bare, ReadOptions(**ALIGNED))
    with pytest.raises(ValueError, match="no trials table, so no column 'go_time'"):
        read_nwb(save(tmp_path / "b.nwb", add_units), ReadOptions(**ALIGNED))
    with pytest.raises(ValueError, match="needs align_to"):
        read_nwb(tmp_path / "b.nwb", ReadOptions(bin_width=0.1, condition="side"))


def some_data(**changes):
    rng = np.random.default_rng(3)
    fields = {
        "counts": rng.poisson(2.0, (4, 6, 3)),
        "bin_width": 0.01,
        "observed": rng.random((4, 6, 3)) > 0.2,
        "t_start": 0.2,
        "behavior": {"hand": rng.normal(size=(4, 6, 2))},
        "inputs": rng.normal(size=(4, 6, 1)),
        "conditions": np.arange(4) % 2,
    }
    return SpikeData(**(fields | changes))


def test_what_we_write_passes_the_validators(tmp_path):
    path = tmp_path / "a.nwb"
    write_nwb(path, some_data(), subject=SUBJECT)
    assert pynwb.validate(path=str(path)) == []
    assert serious_findings(path) == []


def serious_findings(path):
    return [
        f"{item.importance.name} {item.check_function_name}: {item.message}"
        for item in nwbinspector.inspect_nwbfile(
            nwbfile_path=str(path),
            importance_threshold=nwbinspector.Importance.BEST_PRACTICE_VIOLATION,
        )
    ]


def test_spikes_are_sorted_unique_and_where_recorded(tmp_path):
    path = tmp_path / "a.nwb"
    data = some_data()
    write_nwb(path, data)
    with pynwb.NWBHDF5IO(path, "r") as io:
        units = io.read().units
        times = [units["spike_times"][i] for i in range(3)]
    assert all((np.diff(item) > 0).all() for item in times)
    assert sum(map(len, times)) == np.sum(data.counts, where=data.observed)


def test_a_continuous_recording_returns_as_one_trial(tmp_path):
    data = SpikeData(
        np.random.default_rng(0).poisson(1.0, (1, 50, 2)),
        0.02,
        behavior={"hand": np.arange(50.0).reshape(1, 50)},
    )
    write_nwb(tmp_path / "a.nwb", data)
    after = read_nwb(tmp_path / "a.nwb", ReadOptions(bin_width=0.02, behavior=("hand",)))
    np.testing.assert_array_equal(after.counts, data.counts)
    np.testing.assert_array_equal(after.behavior["hand"], data.behavior["hand"])
    assert after.observed.all()


def test_what_nwb_cannot_hold_is_refused(tmp_path):
    with pytest.raises(ValueError, match="continuous data"):
        write_nwb(tmp_path / "a.nwb", SpikeData(np.ones((1, 2, 3)), 0.1, kind="continuous"))
    with pytest.raises(ValueError, match="'a/b' cannot be the name"):
        write_nwb(tmp_path / "a.nwb", some_data(behavior={"a/b": np.ones((4, 6))}))


def test_without_pynwb_the_extra_is_named(monkeypatch, tmp_path):
    monkeypatch.setitem(__import__("sys").modules, "pynwb", None)
    with pytest.raises(ImportError, match=r"latentspike\[nwb\]"):
        write_nwb(tmp_path / "a.nwb", some_data())
