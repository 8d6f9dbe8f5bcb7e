"""Tables of models: checked before anything runs."""

import pytest

from latentspike.compare.settings import check_models, merged
from latentspike.models.registry import MODELS


def test_names_become_tables_in_order():
    assert list(check_models(["smoothing", "lfads"])) == ["smoothing", "lfads"]
    assert check_models("smoothing") == {"smoothing": {"model": {"name": "smoothing"}}}


def test_a_label_of_its_own_names_its_model():
    tables = check_models({"narrow": {"model": {"name": "smoothing", "width": 0.01}}})
    assert tables["narrow"]["model"] == {"name": "smoothing", "width": 0.01}


@pytest.mark.parametrize(
    ("models", "said"),
    [
        ([], "no model to compare; known: lfads"),
        (["smoothing", "smoothing"], "model 'smoothing' is named twice"),
        (["smooth"], r"unknown model.*'smooth' is not a known model; known: .*smoothing"),
        ({"mine": {"model": {"name": "our"}}}, "'our' is not a known model; known"),
        ({"a/b": {"model": {"name": "lfads"}}}, "model 'a/b': a label has letters"),
        ({"lfads": {"hyperparam": {}}}, "unknown key lfads.hyperparam; known: model, hyperparams"),
        ({"lfads": {"training": 3}}, "lfads.training must be a table, got 3"),
        ({"lfads": {"samples": -1}}, "lfads.samples must be a whole number of 0 or more, got -1"),
        ({"lfads": {"trials": 0}}, "lfads.trials must be a whole number of 1 or more, got 0"),
        ({"lfads": {"training": {"epochs": 3}}}, "unknown key lfads.training.epochs; known: max_"),
        (
            {"lfads": {"model": {"architecture": {"size": 3}}}},
            "unknown key lfads.model.architecture.size; known: generator_size",
        ),
        ({"neulvm": {"model": {"nets": {}}}}, "unknown key neulvm.model.nets; known: network"),
    ],
)
def test_what_is_unknown_is_named_with_what_is_known(models, said):
    with pytest.raises(ValueError, match=said):
        check_models(models)


def test_every_model_of_the_registry_may_be_compared():
    assert list(check_models(list(MODELS))) == list(MODELS)


def test_merging_keeps_what_only_one_side_has():
    below = {"model": {"a": {"x": 1, "y": 2}, "b": 3}, "samples": 5}
    found = merged(below, {"model": {"a": {"y": 4}, "b": {"z": 1}}})
    assert found == {"model": {"a": {"x": 1, "y": 4}, "b": {"z": 1}}, "samples": 5}
    assert below["model"]["a"]["y"] == 2
