"""What a search is configured by, what it chooses itself, and what its folder holds."""

from __future__ import annotations

import dataclasses
import json
import tomllib
from pathlib import Path

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.cli import run_folder, search_plan
from latentspike.cli.main import main
from latentspike.cli.outcome import UsageError, exit_code
from latentspike.cli.search_configuration import (
    SearchTable,
    check_tables,
    make_space,
    merged,
    space_to_dict,
)
from latentspike.cli.search_folder import check_changes
from latentspike.io import write_npz
from latentspike.models.fitted import Fitted
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.smoothing import GaussianSmoothing
from latentspike.search import PBT, RandomSearch, SearchFailedError, SearchSettings, Space
from latentspike.search import folder as search_files
from latentspike.search.folder import SearchFolder

LINEAR = ["--set=model.name=linear_autoencoder"]
SHORT = [
    *LINEAR, "--set=search.n_members=3", "--set=search.max_generations=2",
    "--set=search.epochs_per_generation=2",
]  # fmt: skip


@pytest.fixture(scope="module")
def file(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 2, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(30, 2, 5))
    path = tmp_path_factory.mktemp("tune") / "session.npz"
    write_npz(path, SpikeData(values, bin_width=0.1, kind="continuous"))
    return path


@pytest.fixture(scope="module")
def tuned(file) -> Path:
    """Folder of a search that has ended."""
    folder = file.parent / "tuned"
    assert main(["tune", str(file), "--out", str(folder), *SHORT, "--seed=3"]) == 0
    return folder


# --- tables ------------------------------------------------------------------------------------


def test_the_search_table_becomes_settings():
    table = {"n_members": 5, "epochs_per_generation": 2, "max_generations": 4, "patience": 2}
    found = SearchTable.from_dict(table | {"selection": "tournament"})
    pbt = PBT(max_generations=4, patience=2, selection="tournament")
    assert found.is_complete and found.settings() == SearchSettings(pbt, 5, 2)
    assert SearchTable.from_dict(
        {k: v for k, v in found.to_dict().items() if v is not None}
    ) == found  # fmt: skip
    table = {"algorithm": "random", "max_generations": 3, "quasi": True, "n_members": 2}
    found = SearchTable.from_dict(table)
    assert not found.is_complete
    assert dataclasses.replace(found, epochs_per_generation=1).settings() == SearchSettings(
        RandomSearch(3, quasi=True), 2, 1
    )


@pytest.mark.parametrize(
    "table, said",
    [
        ({"algorithm": "grid"}, r"search\.algorithm: unknown algorithm 'grid'; known: pbt, random"),
        ({"n_member": 3}, r"unknown key search\.n_member for pbt; known: .*n_members"),
        ({"algorithm": "random", "patience": 3}, r"unknown key search\.patience for random"),
        ({"n_members": 0}, r"search\.n_members must be a whole number, at least 1, got 0"),
        ({"max_generations": 2.5}, r"search\.max_generations must be a whole number"),
        ({"minutes": -1}, r"search\.minutes must be a number above 0, got -1"),
        ({"minutes": "long"}, r"search\.minutes must be a number"),
        ({"fraction": 0.8}, r"search: fraction must be in"),
        ({"fraction": "half"}, r"search\.fraction must be float"),
        ({"patience": 0}, r"search: patience must be a whole number"),
    ],
)
def test_a_bad_search_table_is_named(table, said):
    with pytest.raises(ValueError, match=said):
        SearchTable.from_dict(table)


def test_hyperparams_belong_into_the_space():
    with pytest.raises(UsageError, match=r"fix a value in \[space\], as in --set space\.kl_ic="):
        check_tables({"hyperparams": {"kl_ic": 1.0}})
    check_tables({"hyperparams": {}, "seed": 1, "space": {}})
    with pytest.raises(ValueError, match=r"unknown key sarch; known: seed, .*search, space"):
        check_tables({"sarch": {}})
    with pytest.raises(ValueError, match="search must be a table, got 3"):
        check_tables({"search": 3})


SPACES = {
    "usual": {},
    "fixed": {"keep_ratio": 0.7},
    "narrowed": {"kl_ic": {"high": 1}},
    "drawn start": {"keep_ratio": {"start": "random"}},
    "another scale": {"dropout": {"low": 0.01, "scale": "log"}},
    "added": {"l2_ic_encoder": {"low": 1, "high": 10, "scale": "log", "start": 2}},
}


@pytest.mark.parametrize("name", SPACES)
def test_a_space_as_toml_is_the_same_space(name):
    space = make_space(LFADS(), SPACES[name])
    assert make_space(LFADS(), space_to_dict(space)) == space
    assert Space.from_dict(space_to_dict(space)) == space
    assert (space == Space.table_1()) == (name == "usual")


@pytest.mark.parametrize(
    "changes, said",
    [
        ({"kl_icc": 1.0}, r"space: unknown hyperparameter 'kl_icc'; known: .*kl_ic"),
        ({"kl_ic": {"high": 0.01}}, r"space: hyperparameter kl_ic: low must be below high"),
        ({"kl_ic": {"hi": 1}}, r"space: hyperparameter kl_ic: unknown field hi"),
        ({"kl_ic": "big"}, r"space: hyperparameter kl_ic: a fixed value must be a finite number"),
        ({"keep_ratio": 1.5}, r"space: hyperparameter keep_ratio must be in \(0, 1\]"),
        ({"l2_ic_encoder": {"low": 1}}, r"space: .*l2_ic_encoder: a new range needs"),
    ],
)
def test_a_bad_space_is_named(changes, said):
    with pytest.raises(ValueError, match=said):
        make_space(LFADS(), changes)


def test_the_space_of_a_model_without_hyperparameters():
    assert list(make_space(LinearAutoencoder(), {}).ranges) == ["keep_ratio", "learning_rate"]
    with pytest.raises(ValueError, match="GaussianSmoothing is not learned by gradient"):
        make_space(GaussianSmoothing(), {})


def test_merging_nested_tables():
    first = {"a": {"b": 1, "c": {"d": 2}}, "e": 3}
    assert merged(first, {"a": {"c": {"f": 4}}, "e": {"g": 5}}) == {
        "a": {"b": 1, "c": {"d": 2, "f": 4}}, "e": {"g": 5},
    }  # fmt: skip
    assert first == {"a": {"b": 1, "c": {"d": 2}}, "e": 3}


def test_what_may_change_when_a_search_is_resumed(tmp_path):
    before = {"seed": 1, "search": {"n_members": 4, "max_generations": 2}, "space": {"x": 0.5}}
    for changes in (
        {},
        {"seed": 1, "search": {"n_members": 4}, "space": {"x": 0.5}},
        {"search": {"max_generations": 9, "patience": 3}, "data": {"path": "elsewhere"}},
    ):
        check_changes(tmp_path, before, changes)
    for changes, named in (
        ({"seed": 2}, "seed = 1, not 2"),
        ({"search": {"n_members": 5}}, r"search\.n_members = 4, not 5"),
        ({"space": {"x": {"high": 1}}}, r"space\.x\.high = None, not 1"),
        ({"space": {"y": 1}}, r"space\.y = None, not 1"),
    ):
        with pytest.raises(UsageError, match=named):
            check_changes(tmp_path, before, changes)


def test_a_search_that_fails_is_code_4_and_a_model_too_large_code_2():
    assert exit_code(SearchFailedError("all members failed")) == 4
    assert exit_code(ZeroDivisionError("division by zero")) == 1
    assert exit_code(MemoryError("one member needs about 9 GiB")) == 2


# --- what is chosen ----------------------------------------------------------------------------


def plan_of(file: Path, **tables):
    return search_plan.make_plan({"data": {"path": str(file)}, **tables})


def test_everything_but_the_length_is_chosen_without_a_measurement(file):
    plan = plan_of(file)
    base, search = plan.configuration.base, plan.configuration.search
    assert isinstance(base.model, LFADS) and base.model.architecture.observation == "gaussian"
    assert base.training.batch_size == 8 and plan.split.train.size == 24
    assert search.n_members and search.epochs_per_generation == 40
    assert (search.max_generations, search.minutes) == (None, 40)
    assert set(plan.chosen) == {
        "model", "training.batch_size", "training.decay_factor", "training.decay_patience",
        "search.n_members", "search.epochs_per_generation", "search.warmup",
    }  # fmt: skip


def test_what_is_given_is_not_chosen(file):
    plan = plan_of(
        file,
        model={"architecture": {"n_inferred_inputs": 0, "generator_size": 5}},
        training={"batch_size": 12, "decay_factor": 1.0, "decay_patience": 3},
        search={"n_members": 3, "epochs_per_generation": 2, "max_generations": 7, "warmup": 1},
    )
    assert plan.chosen == {}
    sizes = plan.configuration.base.model.architecture
    assert (sizes.generator_size, sizes.n_inferred_inputs, sizes.n_factors) == (5, 0, 4)
    assert sizes != Architecture(generator_size=5, n_inferred_inputs=0)  # the rest is chosen
    assert plan.configuration.base.training.batch_size == 12
    assert "kl_co" not in plan.configuration.space.ranges
    assert search_plan.completed(plan) is plan
    assert plan.configuration.as_fit({}).training.max_epochs == 14


def test_the_length_is_chosen_for_the_minutes_given(file, monkeypatch):
    asked = []

    def choose(task, n_members, epochs_per_generation, *, minutes):
        asked.append((minutes, n_members, epochs_per_generation))
        return 9, 30.0

    monkeypatch.setattr(search_plan.defaults, "choose_generations", choose)
    search = {"n_members": 3, "epochs_per_generation": 20, "minutes": 10}
    plan = search_plan.completed(plan_of(file, search=search, model={"name": "linear_autoencoder"}))
    assert asked == [(10, 3, 20)]
    found = plan.configuration.search
    assert (found.max_generations, found.epochs_per_generation) == (9, 20)
    assert "about 30.0 s each: at most 4.5 min" in plan.chosen["search.max_generations"]
    assert found.to_dict()["minutes"] is None


def test_limits_of_a_fit_are_not_those_of_a_search(file, capsys):
    linear = {"name": "linear_autoencoder"}
    plan = plan_of(file, training={"max_epochs": 5, "patience": 2}, model=linear)
    text = capsys.readouterr().err
    assert "training.max_epochs has no effect" in text and "training.patience has no" in text
    assert not {"max_epochs", "patience"} & set(plan.configuration.to_dict()["training"])
    table = {"algorithm": "random"}
    plan = plan_of(file, training={"patience": 2}, model=linear, search=table)
    assert plan.configuration.to_dict()["training"]["patience"] == 2


# --- the command -------------------------------------------------------------------------------


def test_a_dry_run_of_a_search_is_its_configuration(file, tmp_path, capsys):
    words = ["tune", str(file), *LINEAR, "--set=space.keep_ratio.start=random", "--minutes=3"]
    assert main([*words, "--dry-run", "--out", str(tmp_path / "run")]) == 0
    text = capsys.readouterr().out
    assert "estimated memory" in text and "for 3 minutes" in text
    assert not (tmp_path / "run").exists()
    resolved = tomllib.loads(text)
    assert resolved["search"]["minutes"] == 3 and "max_generations" not in resolved["search"]
    assert resolved["space"]["keep_ratio"]["start"] == "random"
    (tmp_path / "dry.toml").write_text(text)
    assert main(["tune", "--config", str(tmp_path / "dry.toml"), "--dry-run", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["chosen"] == {} and document["memory"]["total_bytes"] > 0
    again = {
        table: {k: v for k, v in values.items() if v is not None}
        for table, values in document["configuration"].items()
        if isinstance(values, dict)
    }
    for table in ("model", "training", "search", "space"):
        assert again[table] == resolved[table]


def test_without_a_folder_one_is_named_after_the_recording(file, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["tune", str(file), *SHORT]) == 0
    captured = capsys.readouterr()
    assert "run folder: session-tuned" in captured.err
    assert "next: latentspike infer session-tuned" in captured.out
    assert (tmp_path / "session-tuned" / "model.npz").exists()


def test_the_folder_of_a_search_is_complete(tuned):
    names = {path.name for path in tuned.iterdir()}
    assert names >= {
        "config.toml", "search.toml", "search.json", "run.json", "split.npz", "lineage.csv",
        "scores", "weights", "model.npz", "tensorboard",
    }  # fmt: skip
    constants = (search_files.MANIFEST, search_files.LINEAGE)
    assert constants == (run_folder.MANIFEST, run_folder.LINEAGE)
    assert {search_files.SCORES, search_files.WEIGHTS} < set(run_folder.OWN_FOLDERS)
    assert names <= {*run_folder.OWN, *run_folder.OWN_FOLDERS}
    assert json.loads((tuned / "run.json").read_text())["status"] == "finished"
    document = tomllib.loads((tuned / "search.toml").read_text())
    assert document["seed"] == 3 and document["search"]["n_members"] == 3


def test_the_best_member_is_an_ordinary_run(tuned, tmp_path):
    best = Fitted.load(tuned)
    configuration = run_folder.open_configuration(tuned)
    assert configuration.hyperparams == best.about["hyperparams"]
    assert configuration.training.max_epochs == 4
    lineage = SearchFolder(tuned).lineage()
    assert len(lineage) == 6
    assert best.about["search"]["generations"] == 2
    assert main(["infer", str(tuned)]) == 0
    assert main(["evaluate", str(tuned)]) == 0
    fitted = tmp_path / "fit"
    assert main(["fit", "--config", str(tuned / "config.toml"), "--out", str(fitted)]) == 0
    assert Fitted.load(fitted).model == best.model


def test_the_report_is_what_the_folder_holds(tuned, capsys):
    assert main(["tune", "--resume", "--out", str(tuned), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    about = Fitted.load(tuned).about
    assert document["best"] == {
        "member": about["search"]["member"],
        "score": about["best_selection_loss"],
        "epoch": about["best_epoch"],
        "hyperparams": about["hyperparams"],
    }
    assert (document["n_generations"], document["n_members"]) == (2, 3)
    assert document["stopped"] == "reached 2 generations"


def test_search_toml_alone_repeats_the_search(tuned, tmp_path):
    copy = tmp_path / "copy"
    assert main(["tune", "--config", str(tuned / "search.toml"), "--out", str(copy)]) == 0
    for name in ("lineage.csv", "config.toml", "search.toml"):
        assert (copy / name).read_text() == (tuned / name).read_text()


def test_figures_of_a_search(file, tuned, tmp_path, capsys):
    words = ["--set=search.n_members=2", "--set=space.keep_ratio=0.7"]
    run = tmp_path / "run"
    assert main(["tune", str(file), "--out", str(run), *SHORT, *words]) == 0
    assert main(["plot", str(run), "--dpi=30"]) == 0
    captured = capsys.readouterr()
    assert f"run `latentspike infer {run}`" in captured.out
    names = {path.stem for path in (run / "figures").iterdir()}
    assert names == {"search_scores", "search_hyperparameters", "search_sensitivity"}
    assert main(["infer", str(run)]) == 0
    assert main(["plot", str(run), "--dpi=30"]) == 0
    assert {path.stem for path in (run / "figures").iterdir()} > names | {"rates"}


def test_random_search_and_a_fixed_space(file, tmp_path, capsys):
    words = ["--set=search.algorithm=random", "--set=space.keep_ratio=0.6"]
    words += ["--set=space.learning_rate=0.002", "--json"]
    run = tmp_path / "run"
    assert main(["tune", str(file), "--out", str(run), *SHORT, *words]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["algorithm"] == "random"
    assert document["best"]["hyperparams"] == {"keep_ratio": 0.6, "learning_rate": 0.002}
    assert main(["plot", str(run), "--dpi=30"]) == 0
    assert [path.stem for path in (run / "figures").iterdir()] == ["search_scores"]


def test_a_longer_search_continues(tuned, file, tmp_path):
    whole, run = tmp_path / "whole", tmp_path / "run"
    longer = "--set=search.max_generations=4"
    short = [*SHORT, "--set=search.warmup=0"]  # else chosen for the length of the search
    assert main(["tune", str(file), "--out", str(whole), *short, longer]) == 0
    assert main(["tune", str(file), "--out", str(run), *short]) == 0
    assert main(["infer", str(run)]) == 0
    assert main(["tune", "--resume", "--out", str(run), longer]) == 0
    assert (run / "lineage.csv").read_text() == (whole / "lineage.csv").read_text()
    assert not (run / "posterior.h5").exists()
    assert "max_generations = 4" in (run / "search.toml").read_text()
