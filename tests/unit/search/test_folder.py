"""Weights and tables of a search on disk."""

import numpy as np
import pytest

from latentspike.search.folder import SearchFolder
from latentspike.search.member import Weights
from latentspike.search.store import Store
from latentspike.training.epoch import TrainState


def weights(value=1.0):
    params = {"a": np.full((2, 3), value, np.float32)}
    return Weights(TrainState(params, {"count": np.int32(4)}), {"a": np.zeros((2, 3), np.float32)})


ROWS = [
    {"generation": 0, "member": i, "ancestor": i, "reason": "", "score": 0.1 + i / 3, "kl_ic": 1e-5}
    for i in range(2)
]


def test_weights_come_back_as_they_went(tmp_path):
    store = Store(tmp_path)
    store.save(3, 7, weights(2.5))
    found = store.load(3, 7, weights())
    np.testing.assert_array_equal(found.state.params["a"], np.full((2, 3), 2.5))
    np.testing.assert_array_equal(found.best["a"], np.zeros((2, 3)))
    assert (tmp_path / "0003" / "member-0007.npz").exists()


def test_weights_of_another_place_are_refused(tmp_path):
    store = Store(tmp_path)
    store.save(3, 7, weights())
    store.path(3, 8).write_bytes(store.path(3, 7).read_bytes())
    with pytest.raises(ValueError, match="member-0008"):
        store.load(3, 8, weights())
    with pytest.raises(FileNotFoundError):
        store.load(4, 7, weights())


def test_only_the_committed_generation_is_kept(tmp_path):
    store = Store(tmp_path / "weights")
    store.forget_all_but(0)  # nothing there yet
    for generation in range(3):
        store.save(generation, 0, weights())
    store.forget_all_but(1)
    assert [p.name for p in store.folder.iterdir()] == ["0001"]


def test_tables_come_back_exactly(tmp_path):
    folder = SearchFolder(tmp_path)
    assert not folder.exists()
    scores = [{"generation": 0, "member": 0, "epoch": 2, "valid_loss": 1 / 3}]
    folder.commit(0, {"ancestors": [0, 1]}, scores, ROWS)
    assert folder.exists()
    assert folder.manifest()["ancestors"] == [0, 1]
    assert folder.lineage() == ROWS
    assert folder.scores(0) == scores


def test_a_failed_score_is_nan(tmp_path):
    folder = SearchFolder(tmp_path)
    rows = [ROWS[0] | {"score": float("nan"), "reason": "loss is not finite, in epoch 1"}]
    folder.commit(0, {"ancestors": [0]}, [], rows)
    (row,) = folder.lineage()
    assert np.isnan(row["score"]) and row["reason"] == rows[0]["reason"]
    assert folder.scores(0) == []


def test_rows_that_were_never_committed_do_not_count(tmp_path):
    folder = SearchFolder(tmp_path)
    folder.commit(0, {"ancestors": [0, 1]}, [], ROWS)
    manifest = (tmp_path / "search.json").read_text()
    folder.commit(1, {"ancestors": [0, 1]}, [], ROWS + [row | {"generation": 1} for row in ROWS])
    (tmp_path / "search.json").write_text(manifest)  # as if it had been killed before
    assert folder.lineage() == ROWS


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "search.json is damaged"),
        ("[]", "describes no search"),
        ('{"kind": "search", "format": 99}', "format 99"),
    ],
)
def test_a_damaged_manifest_is_named(tmp_path, text, message):
    (tmp_path / "search.json").write_text(text)
    with pytest.raises(ValueError, match=message):
        SearchFolder(tmp_path).manifest()


def test_a_shortened_table_is_named(tmp_path):
    folder = SearchFolder(tmp_path)
    folder.commit(0, {"ancestors": [0, 1]}, [], ROWS)
    text = (tmp_path / "lineage.csv").read_text().splitlines(keepends=True)
    (tmp_path / "lineage.csv").write_text("".join(text[:-1]))
    with pytest.raises(ValueError, match=r"lineage\.csv is damaged: it has 1 rows of 2"):
        folder.lineage()


def test_a_damaged_table_is_named(tmp_path):
    folder = SearchFolder(tmp_path)
    folder.commit(0, {"ancestors": [0, 1]}, [], ROWS)
    (tmp_path / "lineage.csv").write_text("generation,member\n0,x\n")
    with pytest.raises(ValueError, match=r"lineage\.csv is damaged"):
        folder.lineage()
