"""Ranges and spaces: what is drawn, how far a perturbation goes, what a user may change."""

import json
import math
import tomllib

import numpy as np
import pytest

from latentspike.models import LFADS, Architecture, GaussianSmoothing, LinearAutoencoder
from latentspike.search.space import Range, Space
from latentspike.training.settings import TRAINING_HYPERPARAMS

TABLE_1 = {
    "l2_gen": (5, 5e4, "log", None),
    "l2_con": (5, 5e4, "log", None),
    "kl_ic": (0.05, 5, "log", None),
    "kl_co": (0.05, 5, "log", None),
    "dropout": (0, 0.7, "linear", None),
    "keep_ratio": (0.3, 0.99, "linear", 0.5),
    "learning_rate": (1e-5, 0.02, "log", 0.01),
}
LOG, LINEAR = Range(0.05, 5, "log"), Range(0.0, 0.7, "linear")


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1_is_the_paper_s(name):
    found = Space.table_1().ranges[name]
    assert (found.low, found.high, found.scale, found.start) == TABLE_1[name]


def test_table_1_has_nothing_else():
    space = Space.table_1()
    assert set(space.ranges) == set(TABLE_1) and not space.fixed
    reaches = {name: found.perturbation for name, found in space.ranges.items()}
    assert reaches == {
        "l2_gen": 0.8, "l2_con": 0.8, "kl_ic": 0.8, "kl_co": 0.8,
        "dropout": 0.1, "keep_ratio": 0.1, "learning_rate": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize("scale, middle", [("log", 10.0), ("linear", 50.5)])
def test_quantiles_are_uniform_on_the_scale(scale, middle):
    found = Range(1, 100, scale, start=2)
    assert (found.sample(0), found.sample(1)) == (1, 100)
    assert found.sample(0.5) == pytest.approx(middle)


def test_a_quantile_outside_the_unit_interval_raises():
    with pytest.raises(ValueError, match=r"\[0, 1\], got 1\.1"):
        LOG.sample(1.1)


@pytest.mark.parametrize("p", [0.1, 0.8, 3.0])
def test_a_log_perturbation_does_not_drift(p):
    wide, rng = Range(1e-9, 1e9, "log", perturbation=p), np.random.default_rng(0)
    logs = np.log([wide.perturb(1.0, rng) for _ in range(4000)])
    error = logs.std() / math.sqrt(logs.size)
    assert abs(logs.mean()) < 4 * error  # a factor 1 ± 0.8 would be off by 15 errors
    assert np.abs(logs).max() <= math.log1p(p)
    assert np.abs(logs).max() > 0.99 * math.log1p(p)
    assert logs.std() == pytest.approx(math.log1p(p) / math.sqrt(3), rel=0.05)


def test_a_linear_perturbation_does_not_drift():
    wide, rng = Range(0, 10, "linear", perturbation=0.2), np.random.default_rng(0)
    steps = np.array([wide.perturb(5.0, rng) for _ in range(4000)]) - 5
    assert abs(steps.mean()) < 4 * steps.std() / math.sqrt(steps.size)
    assert 1.98 < np.abs(steps).max() <= 2


@pytest.mark.parametrize("scale, p", [("log", 0.8), ("linear", 0.1), ("log", 1e6), ("linear", 7.3)])
def test_reflection_keeps_values_uniform_on_the_scale(scale, p):
    """Clipping would pile values up at the bounds, and redrawing would thin them out there."""
    found, rng = Range(0.05, 5, scale, perturbation=p), np.random.default_rng(1)
    values = [found.sample(u) for u in np.linspace(0, 1, 5001)]
    for _ in range(2):
        values = [found.perturb(value, rng) for value in values]
    assert min(values) >= 0.05 and max(values) <= 5
    edges = [found.sample(u) for u in np.linspace(0, 1, 11)]
    shares = np.histogram(values, edges)[0] / len(values)
    np.testing.assert_allclose(shares, 0.1, atol=4 * math.sqrt(0.09 / len(values)))


@pytest.mark.parametrize("found", [LOG, LINEAR])
def test_a_value_at_a_bound_moves_inside(found):
    rng = np.random.default_rng(0)
    moved = [found.perturb(bound, rng) for bound in (found.low, found.high) for _ in range(50)]
    assert found.low < min(moved) and max(moved) < found.high


def test_without_a_perturbation_the_default_of_the_scale_holds():
    assert LOG.reach == math.log(1.8)
    assert LINEAR.reach == pytest.approx(0.07)


def test_a_perturbation_of_zero_moves_nothing():
    rng = np.random.default_rng(0)
    assert Range(1, 9, "log", perturbation=0).perturb(3.0, rng) == pytest.approx(3.0, rel=1e-15)


def test_bounds_that_share_a_logarithm_are_no_trouble():
    low = 1e30
    narrow = Range(low, math.nextafter(low, math.inf), "log")
    assert math.log(narrow.low) == math.log(narrow.high)
    assert narrow.low <= narrow.perturb(low, np.random.default_rng(0)) <= narrow.high


@pytest.mark.parametrize("value", [0.04, 5.1, math.nan])
def test_a_value_outside_its_range_is_not_perturbed(value):
    with pytest.raises(ValueError, match=f"{value} lies outside"):
        LOG.perturb(value, np.random.default_rng(0))


BAD_CHANGES = {
    "two bounds in the wrong order": ("kl_ic", {"low": 3, "high": 2}, r"low 3\.0 and high 2\.0"),
    "equal bounds": ("kl_ic", {"low": 2, "high": 2}, "low must be below high"),
    "zero on a log scale": ("kl_ic", {"low": 0}, r"positive on a log scale, got 0\.0"),
    "start outside": ("keep_ratio", {"low": 0.6}, r"start 0\.5 lies outside \[0\.6, 0\.99\]"),
    "unknown field": ("kl_ic", {"hihg": 3}, "unknown field hihg = 3; known: low, high"),
    "unknown scale": ("kl_ic", {"scale": "cubic"}, "'log' or 'linear', got 'cubic'"),
    "negative perturbation": ("kl_ic", {"perturbation": -0.1}, r"0 or more, got -0\.1"),
    "text for a bound": ("kl_ic", {"high": "5"}, "high must be a finite number, got '5'"),
    "text for a start": ("kl_ic", {"start": "middle"}, "start must be .*'middle'"),
    "infinite bound": ("l2_gen", {"high": math.inf}, "high must be a finite number, got inf"),
    "infinite in single precision": ("l2_gen", {"high": 1e39}, "finite number, got 1e"),
    "missing bound": ("l2_ic_encoder", {"low": 1, "scale": "log"}, "high is missing"),
    "missing scale": ("l2_ic_encoder", {"low": 1, "high": 2}, "scale is missing"),
    "truth value": ("dropout", True, "finite number, got True"),
    "list": ("dropout", [0.1, 0.2], r"finite number, got \[0\.1, 0\.2\]"),
    "none": ("dropout", None, "finite number, got None"),
    "not a number": ("dropout", math.nan, "finite number, got nan"),
    "dropout of everything": ("dropout", {"high": 1.0}, r"in \[0, 1\), got 1\.0"),
    "keep nothing": ("keep_ratio", {"low": 0.0}, r"in \(0, 1\], got 0\.0"),
    "keep more than all": ("keep_ratio", {"high": 1.1}, r"in \(0, 1\], got 1\.1"),
    "fixed out of range": ("keep_ratio", 0, r"in \(0, 1\], got 0\.0"),
    "negative penalty": ("l2_gen", {"low": -1.0, "scale": "linear"}, r"not negative, got -1\.0"),
    "no learning": ("learning_rate", {"low": 0, "scale": "linear"}, r"positive.*got 0\.0"),
}


@pytest.mark.parametrize("case", BAD_CHANGES)
def test_a_bad_change_names_hyperparameter_and_value(case):
    name, change, message = BAD_CHANGES[case]
    with pytest.raises(ValueError, match=f"(?s)hyperparameter {name}.*{message}"):
        Space.table_1().updated({name: change})


def test_a_name_is_searched_or_fixed_but_not_both():
    with pytest.raises(ValueError, match="kl_ic has a range and a fixed value 1"):
        Space({"kl_ic": LOG}, {"kl_ic": 1.0})


def test_a_number_fixes_and_a_table_narrows_or_adds():
    text = """
        dropout = 0
        kl_ic = {high = 1}
        keep_ratio = {low = 0.6, start = 0.7}
        l2_ic_encoder = {low = 1, high = 100, scale = "log", perturbation = 0.2}
    """
    space = Space.table_1().updated(tomllib.loads(text))
    assert space.fixed == {"dropout": 0.0}
    assert space.ranges["kl_ic"] == Range(0.05, 1, "log", perturbation=0.8)
    assert space.ranges["keep_ratio"] == Range(0.6, 0.99, "linear", 0.7, 0.1)
    assert space.ranges["l2_ic_encoder"] == Range(1, 100, "log", perturbation=0.2)
    assert set(space.ranges) == set(TABLE_1) - {"dropout"} | {"l2_ic_encoder"}


def test_updating_leaves_the_old_space_alone():
    old = Space.table_1()
    old.updated({"dropout": 0.1, "kl_ic": {"high": 1}})
    assert old == Space.table_1()


def test_a_fixed_name_can_be_searched_again():
    table = {"low": 0.1, "high": 0.4, "scale": "linear"}
    space = Space.table_1().updated({"dropout": 0.2}).updated({"dropout": table})
    assert not space.fixed and space.ranges["dropout"] == Range(0.1, 0.4, "linear")


@pytest.mark.parametrize("none", ["random", None])
def test_a_start_can_be_taken_away(none):
    space = Space.table_1().updated({"keep_ratio": {"start": none}})
    assert space.ranges["keep_ratio"].start is None
    assert "keep_ratio" in space.drawn and "keep_ratio" not in Space.table_1().drawn


def test_another_scale_brings_its_own_perturbation():
    space = Space.table_1().updated({"kl_ic": {"scale": "linear"}})
    assert space.ranges["kl_ic"] == Range(0.05, 5, "linear")
    given = Space.table_1().updated({"kl_ic": {"scale": "linear", "perturbation": 0.3}})
    assert given.ranges["kl_ic"].perturbation == 0.3


def test_plain_values_and_back():
    space = Space.table_1().updated({"dropout": 0.1, "kl_ic": {"high": 1 / 3}})
    assert Space.from_dict(json.loads(json.dumps(space.to_dict()))) == space


CONTROLLED = {"kl_co", "l2_con"}
MODELS = {
    "input-driven": (LFADS(), set(TABLE_1)),
    "autonomous": (LFADS(Architecture(n_inferred_inputs=0)), set(TABLE_1) - CONTROLLED),
    "linear": (LinearAutoencoder(), {"keep_ratio", "learning_rate"}),
}


@pytest.mark.parametrize("kind", MODELS)
def test_the_space_of_a_model_has_what_the_model_has(kind):
    model, names = MODELS[kind]
    space = Space.for_model(model)
    assert set(space.ranges) == names and not space.fixed
    space.check(TRAINING_HYPERPARAMS | model.default_hyperparams())


def test_a_model_without_gradients_cannot_be_searched():
    with pytest.raises(ValueError, match="GaussianSmoothing is not learned by gradient"):
        Space.for_model(GaussianSmoothing(width=0.05))


@pytest.mark.parametrize("change", [1.0, {"low": 1, "high": 2, "scale": "log"}])
def test_a_name_the_model_has_not_is_found(change):
    known = TRAINING_HYPERPARAMS | LFADS().default_hyperparams()
    with pytest.raises(ValueError, match=r"unknown hyperparameter 'l2_genn'; known: .*l2_gen"):
        Space.table_1().updated({"l2_genn": change}).check(known)


def test_exploring_moves_all_that_is_searched_and_only_that():
    space = Space.table_1().updated({"dropout": 0.2})
    old = space.place([0.5] * len(space.drawn))
    new = space.explore(old, np.random.default_rng(0))
    assert {name for name in old if new[name] != old[name]} == set(space.ranges)
    assert old["learning_rate"] == 0.01 and old["dropout"] == 0.2


def test_the_order_of_names_changes_no_draw():
    space = Space.table_1()
    turned = Space.from_dict(dict(reversed(space.to_dict().items())))
    assert list(turned.ranges) != list(space.ranges)
    quantiles = np.linspace(0.1, 0.9, len(space.drawn))
    old = space.place(quantiles)
    assert turned.place(quantiles) == old
    again = [s.explore(old, np.random.default_rng(3)) for s in (space, turned)]
    assert again[0] == again[1]


def test_a_member_of_another_space_is_refused():
    member = Space.table_1().place([0.9] * 5)
    narrow = Space.table_1().updated({"l2_gen": {"high": 100}})
    with pytest.raises(ValueError, match=r"hyperparameter l2_gen: .* lies outside"):
        narrow.explore(member, np.random.default_rng(0))
    del member["l2_gen"]
    with pytest.raises(ValueError, match="a member has"):
        narrow.explore(member, np.random.default_rng(0))
