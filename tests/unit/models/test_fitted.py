import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.models.fitted import Fitted
from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.models.reading import padded_chunks
from latentspike.models.registry import from_dict, model_from_config
from latentspike.models.tree import flatten, nest, unflatten_like

TREE = {"a": {"weight": jnp.ones((2, 3)), "bias": jnp.zeros(3)}, "b": jnp.arange(4)}


def test_trees_are_named_by_their_paths_and_come_back():
    named = flatten(TREE)
    assert set(named) == {"a/weight", "a/bias", "b"}
    back = nest(named)
    assert jax.tree.structure(back) == jax.tree.structure(TREE)
    jax.tree.map(np.testing.assert_array_equal, back, TREE)
    again = unflatten_like(TREE, named, "here")
    jax.tree.map(np.testing.assert_array_equal, again, TREE)


def test_double_precision_survives_where_jax_is_set_to_single():
    value = np.array([1 / 3])
    assert nest({"a": value})["a"].dtype == np.float64
    np.testing.assert_array_equal(nest({"a": value})["a"], value)


@pytest.mark.parametrize(
    "change, said",
    [
        (lambda named: named.pop("b"), "x.npz lacks array 'b'"),
        (lambda named: named.update(c=np.ones(1)), "x.npz has an unexpected array 'c'"),
        (lambda named: named.update(b=np.ones(5)), r"'b' has shape \(5,\), expected \(4,\)"),
    ],
)
def test_arrays_that_do_not_fit_the_tree_are_named(change, said):
    named = flatten(TREE)
    change(named)
    with pytest.raises(ValueError, match=said):
        unflatten_like(TREE, named, "x.npz")


def test_a_copy_with_changes_leaves_the_original():
    fitted = Fitted(LinearAutoencoder(), {}, [], {"n_epochs": 3})
    assert fitted.replace(about={}).about == {} and fitted.about == {"n_epochs": 3}


@pytest.mark.parametrize("n_trials", [1, 2, 7, 64, 65, 130])
@pytest.mark.parametrize("size", [1, 3, 64])
def test_chunks_cover_every_trial_once_in_equal_sizes(n_trials, size):
    chunks = list(padded_chunks(n_trials, size))
    np.testing.assert_array_equal(np.concatenate([v for _, v in chunks]), np.arange(n_trials))
    sizes = {trials.size for trials, _ in chunks}
    assert len(sizes) == 1 and sizes.pop() <= size
    for trials, valid in chunks:
        assert valid.size > 0
        np.testing.assert_array_equal(trials[: valid.size], valid)
        assert (trials[valid.size :] == valid[-1]).all()


@pytest.mark.parametrize(
    "fields, said",
    [
        (
            {"architecture": {"generator_sise": 3}},
            r"lfads\.architecture\.generator_sise; known: ci",
        ),
        ({"architecture": {"generator_size": 2.5}}, r"generator_size must be int, got 2\.5"),
        ({"architecture": {"generator_size": True}}, "generator_size must be int, got True"),
        ({"architecture": {"clip": "5"}}, "clip must be float, got '5'"),
        ({"architecture": {"observation": "none"}}, "observation must be 'poisson'"),
        ({"architecture": 5}, r"lfads\.architecture must be a table of values, got 5"),
    ],
)
def test_configurations_that_do_not_fit_name_the_key(fields, said):
    with pytest.raises(ValueError, match=said):
        model_from_config({"name": "lfads", **fields})


def test_whole_numbers_pass_as_floats_and_absent_keys_keep_their_defaults():
    model = model_from_config({"architecture": {"clip": 3, "n_factors": 7}})
    assert model.architecture.clip == 3.0 and isinstance(model.architecture.clip, float)
    assert model.architecture.n_factors == 7 and model.architecture.generator_size == 100
    assert from_dict(LinearAutoencoder, {}, where="x") == LinearAutoencoder()
