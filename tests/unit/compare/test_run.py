"""`compare`: resumed by file, refused when something changed, no failure dropped."""

import json

import numpy as np
import pytest

from latentspike.compare import compare, format_results, read_results, run
from latentspike.spikes import SpikeData

FAST = """
import json, os, signal, sys
def run_member(settings, folder):
    with open(folder / 'calls', 'a') as file:
        file.write('x')
    label, seed = folder.name.split('-seed')
    if label == 'lfads' and os.environ.get('LFADS') == 'dies':
        os.kill(os.getpid(), signal.SIGKILL)
    if label == 'neulvm':
        raise ImportError("this needs elephant: pip install 'latentspike[populations]'")
    value = {'smoothing': 0.3, 'lfads': 0.5}[label] + 0.01 * int(seed)
    score = {'metric': 'rates R²', 'unit': '', 'value': value, 'standard_error': 0.02,
             'replicates': [value, value - 0.01, value + 0.02], 'note': ''}
    return {'scores': [score], 'seconds_fit': 1.0, 'seconds_inference': 0.1, 'peak_bytes': 10**8,
            'n_parameters': 7, 'notes': [], 'versions': {'latentspike': '0.1.0'}}
"""


@pytest.fixture
def data(rng):
    return SpikeData(rng.poisson(0.4, (20, 10, 5)), 0.02)


@pytest.fixture
def quick(data, tmp_path, monkeypatch):
    """Compare with fits that take no time; a fresh folder keeps its name between calls."""
    (tmp_path / "quick.py").write_text(FAST)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(run, "MEMBER", "quick:run_member")

    def call(models=("smoothing", "lfads"), data=data, **more):
        settings = {"folder": tmp_path / "c", "seeds": 2, "n_processes": 3, "say": lambda _: None}
        return compare(data, models, **settings | more)

    call.folder = tmp_path / "c"
    return call


def calls(folder):
    return {path.parent.name: len(path.read_text()) for path in folder.glob("jobs/*/calls")}


def test_every_fit_is_a_row_and_the_files_say_the_same(quick):
    found = quick(["smoothing", "lfads", "neulvm"])
    assert found == read_results(quick.folder)
    rows = {row["model"]: row for row in found["models"]}
    assert list(rows) == ["smoothing", "lfads", "neulvm"]
    assert rows["lfads"]["summary"]["rates R²"]["mean"] == pytest.approx(0.505)
    assert [run["seed"] for run in rows["lfads"]["runs"]] == [0, 1]
    assert len(rows["smoothing"]["runs"]) == 1  # nothing in it is drawn
    (reason,) = rows["neulvm"]["failed"]
    assert "pip install 'latentspike[populations]'" in reason
    assert found["best"]["rates R²"] == "lfads" and found["verdicts"][0]["is_clear"]
    assert {path.name for path in quick.folder.iterdir()} == {
        "protocol.json", "recording.npz", "trials.npz", "jobs", "results.json", "table.csv",
        "table.tex", "comparison.png",
    }  # fmt: skip
    text = format_results(found)
    assert "rates R²: lfads leads smoothing by 0.205: more than" in text
    assert "note: neulvm: 2 of 2 failed: this needs elephant" in text


def test_what_has_ended_is_not_fitted_again_and_more_may_be_added(quick):
    first = quick()
    again = quick()
    assert again == first and set(calls(quick.folder).values()) == {1}
    more = quick(["lfads"], seeds=3)
    assert calls(quick.folder) == {
        "smoothing-seed0": 1, "lfads-seed0": 1, "lfads-seed1": 1, "lfads-seed2": 1
    }  # fmt: skip
    assert [row["model"] for row in more["models"]] == ["lfads"]


def test_a_killed_fit_is_a_row_and_is_tried_again(quick, monkeypatch):
    monkeypatch.setenv("LFADS", "dies")
    said = []
    found = quick(say=said.append)
    (lfads,) = [row for row in found["models"] if row["model"] == "lfads"]
    assert lfads["n_ended"] == 0 and lfads["failed"][0].startswith("killed by signal 9 (SIGKILL)")
    assert any("lfads-seed1 failed" in line and "SIGKILL" in line for line in said)
    assert found["best"] == {}
    monkeypatch.delenv("LFADS")
    found = quick()
    assert [row["n_ended"] for row in found["models"]] == [1, 2]
    assert calls(quick.folder) == {"smoothing-seed0": 1, "lfads-seed0": 2, "lfads-seed1": 2}


def test_a_changed_recording_or_setting_is_refused(quick, data):
    quick()
    before = read_results(quick.folder)
    counts = np.array(data.counts)
    counts[0, 0, 0] += 1
    with pytest.raises(ValueError, match=r"another recording or other trials \(recording.counts ="):
        quick(data=data.replace(counts=counts))
    with pytest.raises(ValueError, match=r"test_trials = "):
        quick(split=0.3)
    tables = {"smoothing": {}, "lfads": {"hyperparams": {"keep_ratio": 0.9}}}
    with pytest.raises(
        ValueError,
        match=r"settings.tables.hyperparams.keep_ratio = not given before, 0.9 now",
    ):
        quick(tables)
    assert read_results(quick.folder) == before and set(calls(quick.folder).values()) == {1}


def test_nothing_works_and_still_there_is_a_table(quick):
    found = quick(["neulvm"])
    assert found["verdicts"] == [] and "failed" in (quick.folder / "table.tex").read_text()
    assert not (quick.folder / "comparison.png").exists()
    assert "failed" in format_results(found)


def test_what_cannot_be_compared_is_refused_at_once(quick):
    with pytest.raises(ValueError, match=r"is not a known model; known: lfads"):
        quick(["gaussian"])
    with pytest.raises(ValueError, match="at least one seed is needed, got 0"):
        quick(seeds=0)
    assert not quick.folder.exists()
    with pytest.raises(FileNotFoundError, match="holds no comparison"):
        read_results(quick.folder)


def test_long_reasons_and_numbers_that_json_lacks():
    assert len(run._run(run.Ended(None, "x" * 9999))["failed"]) == 500
    assert json.dumps(run._finite({"a": [float("nan"), (1.5, float("inf"))]})) == (
        '{"a": [null, [1.5, null]]}'
    )


def test_the_figure_names_what_it_cannot_draw(quick):
    from latentspike.plot import comparison

    found = quick(["lfads", "neulvm"])
    ax = comparison(found)
    assert [text.get_text() for text in ax.texts] == ["failed"]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["lfads", "neulvm"]
    dots = next(line for line in ax.lines if line.get_marker() == "o")
    assert np.allclose(dots.get_xdata(), [0.5, 0.51])
    with pytest.raises(ValueError, match=r"no metric 'speed'; known: rates R²"):
        comparison(found, metric="speed")
    with pytest.raises(ValueError, match="every model failed"):
        comparison({"metrics": [], "models": []})
