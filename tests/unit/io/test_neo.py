import numpy as np
import pytest

from latentspike.io import from_neo

neo = pytest.importorskip("neo")


def train(times, *, start=0, stop=400, name=None):
    return neo.SpikeTrain(times, units="ms", t_start=start, t_stop=stop, name=name)


def segment(*trains, **annotations):
    made = neo.Segment(**annotations)
    for item in trains:
        made.spiketrains.append(item)
    return made


def test_each_segment_is_a_trial_in_seconds():
    block = neo.Block()
    block.segments.append(segment(train([50, 310], name="a"), train([], name="b"), side="left"))
    block.segments.append(segment(train([], name="a"), train([150], name="b"), side="right"))
    data = from_neo(block, bin_width=0.1, condition="side")
    assert data.counts[0].T.tolist() == [[1, 0, 0, 1], [0, 0, 0, 0]]
    assert data.counts[1].T.tolist() == [[0, 0, 0, 0], [0, 1, 0, 0]]
    assert data.neuron_ids.tolist() == ["a", "b"]
    assert data.conditions.tolist() == ["left", "right"] and data.observed.all()


def test_shorter_segments_end_in_missing_bins():
    segments = [segment(train([50], stop=200)), segment(train([50], stop=400))]
    data = from_neo(segments, bin_width=0.1)
    assert data.observed[:, :, 0].tolist() == [[True, True, False, False], [True] * 4]


def test_segments_on_one_clock_and_on_their_own():
    own = [segment(train([-50], start=-100, stop=100)) for _ in range(3)]
    data = from_neo(own, bin_width=0.1)
    assert data.t_start == -0.1 and data.counts[:, 0, 0].tolist() == [1, 1, 1]
    shared = [segment(train([1e3 * k + 150], start=1e3 * k, stop=1e3 * k + 300)) for k in range(3)]
    data = from_neo(shared, bin_width=0.1)
    assert data.t_start == 0.0 and data.counts[:, 1, 0].tolist() == [1, 1, 1]


def test_a_train_that_starts_late_is_missing_until_then():
    data = from_neo([train([50]), train([250], start=200)], bin_width=0.1)
    assert data.n_trials == 1 and data.observed[0, :, 1].tolist() == [False, False, True, True]


def test_repeated_names_are_not_used():
    data = from_neo([train([50], name="a"), train([60], name="a")], bin_width=0.1)
    assert data.neuron_ids.tolist() == [0, 1]


@pytest.mark.parametrize(
    ("recording", "message"),
    [
        ([], "got nothing"),
        ([1.0], "got float"),
        ([segment()], "segment 0 has 0 spike trains"),
        ([segment(train([1])), segment(train([1]), train([2]))], "segment 1 has 2 spike trains"),
    ],
)
def test_what_cannot_be_read_is_named(recording, message):
    with pytest.raises(ValueError, match=message):
        from_neo(recording, bin_width=0.1)


def test_a_missing_annotation_is_named():
    with pytest.raises(ValueError, match="segment 0 has no annotation 'side'; it has block"):
        from_neo([segment(train([1]), block=np.int64(1))], bin_width=0.1, condition="side")


def test_without_neo_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "neo", None)
    with pytest.raises(ImportError, match=r"latentspike\[neo\]"):
        from_neo([], bin_width=0.1)
