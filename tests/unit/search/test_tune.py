"""The loop of a search: generations, folder, resume, the best member as a fitted model."""

import json

import jax
import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.models import Fitted, GaussianSmoothing
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.search import (
    PBT,
    RandomSearch,
    SearchFailedError,
    SearchOptions,
    SearchSettings,
    Space,
    tune,
)
from latentspike.search.executor import local_executor
from latentspike.search.folder import SearchFolder
from latentspike.search.local import LocalExecutor
from latentspike.spikes import Split
from latentspike.training import TrainingSettings

KEY = jax.random.key(0)
SPLIT = Split(np.arange(24), np.arange(24, 30))
SPACE = Space().updated(
    {
        "learning_rate": {"low": 1e-4, "high": 0.1, "scale": "log"},
        "keep_ratio": {"low": 0.3, "high": 1.0, "scale": "linear"},
    }
)


def values(seed=5):
    rng = np.random.default_rng(seed)
    found = rng.normal(size=(30, 3, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(30, 3, 5))
    return SpikeData(found, 0.1, kind="continuous")


def search(folder=None, *, algorithm=None, n=4, epochs=2, resume=False, **more):
    options = {"folder": folder, "resume": resume, "show": False}
    if "executor" in more:
        options["executor"] = more.pop("executor")
    return tune(
        more.pop("model", LinearAutoencoder()),
        more.pop("data", None) or values(),
        split=SPLIT,
        space=more.pop("space", SPACE),
        search=SearchSettings(algorithm or PBT(4, fraction=0.5), n, epochs),
        settings=TrainingSettings(batch_size=12, **more.pop("settings", {})),
        options=SearchOptions(**options),
        key=more.pop("key", KEY),
    )


def same_lineage(a, b):
    assert json.dumps(a) == json.dumps(b)


def test_the_best_member_is_an_ordinary_fitted_model(tmp_path):
    result = search(tmp_path)
    loaded = Fitted.load(tmp_path)
    np.testing.assert_array_equal(loaded.params["weights"], result.best.params["weights"])
    best = min(result.members, key=lambda row: row["score"])
    assert loaded.about["best_selection_loss"] == best["score"]
    assert loaded.about["search"]["member"] == best["member"]
    kept = {name: loaded.about["hyperparams"][name] for name in SPACE.names}
    assert kept == {name: best[name] for name in SPACE.names}
    np.testing.assert_array_equal(
        result.params_of(best["member"])["weights"], loaded.params["weights"]
    )
    posterior = loaded.infer(values(), key=KEY)
    assert posterior.rates.shape == (30, 3, 5)


def test_the_history_is_that_of_the_lineage():
    result = search(algorithm=PBT(6, fraction=0.5), n=6)
    assert any(row["ancestor"] != row["member"] for row in result.lineage)
    history = result.best.history
    assert [row["epoch"] for row in history] == list(range(len(history)))
    # of each ancestor: the learning rate that it had
    rates = {(r["generation"], r["member"]): r["learning_rate"] for r in result.lineage}
    ancestors = {(r["generation"], r["member"]): r["ancestor"] for r in result.lineage}
    member = result.best.about["search"]["member"]
    for row in reversed(history):
        generation = int(row["epoch"]) // 2
        if row["epoch"] % 2 == 1 and generation * 2 + 2 < len(history):
            member = ancestors[generation, member]
        assert row["learning_rate"] == rates[generation, member]


def test_the_same_key_gives_the_same_search():
    a, b, c = search(), search(), search(key=jax.random.key(1))
    same_lineage(a.lineage, b.lineage)
    assert a.lineage[0]["learning_rate"] != c.lineage[0]["learning_rate"]


@pytest.mark.parametrize("algorithm", [PBT(4, fraction=0.5), RandomSearch(4)], ids=repr)
def test_a_search_in_parts_is_the_same_search(tmp_path, algorithm):
    whole = search(tmp_path / "whole", algorithm=algorithm)
    short = type(algorithm)(2) if isinstance(algorithm, RandomSearch) else PBT(2, fraction=0.5)
    search(tmp_path / "parts", algorithm=short)
    parts = search(tmp_path / "parts", algorithm=algorithm, resume=True)
    same_lineage(whole.lineage, parts.lineage)
    np.testing.assert_array_equal(whole.best.params["weights"], parts.best.params["weights"])
    assert whole.best.history == parts.best.history
    for name in ("lineage.csv", "search.json"):
        assert (tmp_path / "whole" / name).read_bytes() == (tmp_path / "parts" / name).read_bytes()


def test_a_finished_search_resumes_to_its_result(tmp_path):
    first = search(tmp_path)
    again = search(tmp_path, resume=True)
    same_lineage(first.lineage, again.lineage)
    np.testing.assert_array_equal(first.best.params["weights"], again.best.params["weights"])


def test_more_patience_continues_a_search_that_had_lost_it(tmp_path):
    impatient = PBT(6, fraction=0.5, patience=1, min_improvement=0.9)
    first = search(tmp_path / "a", algorithm=impatient)
    assert first.stopped == "no improvement in 1 generations"
    patient = PBT(6, fraction=0.5, patience=9, min_improvement=0.9)
    whole = search(tmp_path / "b", algorithm=patient)
    again = search(tmp_path / "a", algorithm=patient, resume=True)
    assert again.stopped == whole.stopped == "reached 6 generations"
    same_lineage(whole.lineage, again.lineage)


def test_a_smaller_budget_trains_no_further(tmp_path):
    first = search(tmp_path, algorithm=PBT(4, fraction=0.5))
    again = search(tmp_path, algorithm=PBT(2, fraction=0.5), resume=True)
    assert again.stopped == "reached 2 generations"
    same_lineage(first.lineage, again.lineage)


class Interrupted(LocalExecutor):
    """Stops in the middle of a generation."""

    def train(self, orders, *, generation, n_epochs, on_epoch=None, **more):
        told = []

        def listen(rows):
            told.append(rows)
            if generation == 2 and len(told) == 2:
                raise KeyboardInterrupt

        return super().train(
            orders, generation=generation, n_epochs=n_epochs, on_epoch=listen, **more
        )


def interrupted(task, key, n_members, store):
    return Interrupted(task, key=key, n_members=n_members, store=store)


def test_ctrl_c_in_a_generation_costs_that_generation_only(tmp_path):
    whole = search(tmp_path / "whole")
    with pytest.raises(KeyboardInterrupt):
        search(tmp_path / "parts", executor=interrupted)
    assert SearchFolder(tmp_path / "parts").manifest()["generation"] == 1
    parts = search(tmp_path / "parts", resume=True)
    same_lineage(whole.lineage, parts.lineage)
    np.testing.assert_array_equal(whole.best.params["weights"], parts.best.params["weights"])


def test_the_folder_tells_the_whole_story(tmp_path):
    result = search(tmp_path)
    folder = SearchFolder(tmp_path)
    assert len(folder.lineage()) == 16
    assert {row["member"] for row in folder.scores(3)} == set(range(4))
    assert len(folder.scores(3)) == 8
    assert [p.name for p in (tmp_path / "weights").iterdir()] == ["0003"]
    assert folder.manifest()["state"]["stopped"] == result.stopped == "reached 4 generations"


def test_a_folder_is_not_overwritten(tmp_path):
    search(tmp_path)
    with pytest.raises(FileExistsError, match="already holds a search"):
        search(tmp_path)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"n": 5}, "n_members"),
        ({"epochs": 3}, "epochs_per_generation"),
        ({"algorithm": PBT(4, fraction=0.25)}, "algorithm"),
        ({"space": SPACE.updated({"keep_ratio": 0.5})}, "space"),
        ({"key": jax.random.key(8)}, "key"),
        ({"settings": {"smoothing": 0.5}}, "settings"),
    ],
)
def test_another_search_does_not_resume(tmp_path, change, named):
    search(tmp_path)
    with pytest.raises(ValueError, match=f"another search: {named} was"):
        search(tmp_path, resume=True, **change)


def test_random_search_keeps_members_apart():
    result = search(algorithm=RandomSearch(3), n=5)
    assert all(row["ancestor"] == row["member"] for row in result.lineage)
    rates = [row["learning_rate"] for row in result.lineage]
    assert rates[:5] == rates[5:10] and len(set(rates[:5])) == 5


def test_random_search_ends_when_all_members_have_stopped():
    settings = {"patience": 1, "min_improvement": 0.9}
    result = search(algorithm=RandomSearch(50), settings=settings)
    assert result.stopped == "every member has stopped"
    assert max(row["generation"] for row in result.lineage) < 20


def test_members_of_pbt_do_not_stop_on_their_own():
    settings = {"patience": 1, "min_improvement": 0.9}
    result = search(algorithm=PBT(4, patience=9), settings=settings)
    assert result.stopped == "reached 4 generations"


def test_one_member_is_a_search_too():
    result = search(n=1)
    assert len(result.members) == 1 and np.isfinite(result.members[0]["score"])


def test_a_member_whose_loss_is_not_finite_is_replaced(tmp_path):
    wild = SPACE.updated({"learning_rate": {"low": 1e-3, "high": 1e30}})
    result = search(tmp_path, space=wild, n=6, algorithm=PBT(3, fraction=0.3))
    lost = [row for row in result.lineage if np.isnan(row["score"])]
    assert lost and all(row["ancestor"] != row["member"] for row in lost)
    assert all("not finite" in row["reason"] for row in lost)
    assert np.isfinite(result.best.about["best_selection_loss"])
    again = search(space=wild, n=6, algorithm=PBT(3, fraction=0.3))
    assert json.dumps(again.lineage) == json.dumps(result.lineage)  # NaN is written as NaN
    assert np.isfinite(np.asarray(result.best.params["weights"])).all()


def test_when_all_members_fail_the_reason_is_told(tmp_path):
    hopeless = SPACE.updated({"learning_rate": {"low": 1e29, "high": 1e30}})
    with pytest.raises(SearchFailedError, match=r"all 4 members failed.*not finite in epoch"):
        search(tmp_path, space=hopeless)
    assert SearchFolder(tmp_path).manifest()["state"]["stopped"].startswith("all 4 members failed")


def test_an_unknown_hyperparameter_is_named():
    with pytest.raises(ValueError, match="unknown hyperparameter 'kl_ic'"):
        search(space=SPACE.updated({"kl_ic": 1.0}))


def test_only_models_learned_by_gradient_can_be_searched():
    data = SpikeData(np.ones((30, 3, 5), int), 0.01)
    with pytest.raises(ValueError, match="not learned by gradient"):
        search(model=GaussianSmoothing(0.05), data=data, space=None)


def test_the_executor_is_closed_after_an_error():
    closed = []

    def broken(task, key, n_members, store):
        executor = local_executor(task, key, n_members, store)
        executor.train = lambda *a, **k: 1 / 0
        executor.close = lambda: closed.append(True)
        return executor

    with pytest.raises(ZeroDivisionError):
        search(executor=broken)
    assert closed == [True]


@pytest.mark.parametrize("field", ["n_members", "epochs_per_generation"])
def test_settings_out_of_range_are_named(field):
    with pytest.raises(ValueError, match=f"{field} must be at least 1, got 0"):
        SearchSettings(**{field: 0})
