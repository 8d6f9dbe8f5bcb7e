import re

import jax
import numpy as np
import pytest

from latentspike.models.lfads import LFADS
from latentspike.models.lfads.importer import import_state_dict, read_state_dict
from latentspike.models.protocol import DataSpec

IN, OUT, IC, GEN, FAC, CI, CON, U = 5, 6, 3, 4, 2, 3, 4, 2  # sizes; readout has one neuron more


def gru(state, name, n_in, size, rng):
    for part, shape in {
        "weight_ih": (3 * size, n_in), "weight_hh": (3 * size, size),
        "bias_ih": (3 * size,), "bias_hh": (3 * size,),
    }.items():  # fmt: skip
        state[f"{name}.{part}"] = rng.normal(size=shape).astype(np.float32)


def linear(state, name, n_in, n_out, rng):
    state[f"{name}.weight"] = rng.normal(size=(n_out, n_in)).astype(np.float32)
    state[f"{name}.bias"] = rng.normal(size=n_out).astype(np.float32)


def state_dict(controller=True):
    rng, state = np.random.default_rng(0), {}
    for kind, size in (("ic", IC), ("ci", CI))[: 2 if controller else 1]:
        state[f"encoder.{kind}_enc_h0"] = rng.normal(size=(2, 1, size)).astype(np.float32)
        for side in ("fwd", "bwd"):
            gru(state, f"encoder.{kind}_enc.{side}_gru.cell", IN, size, rng)
    linear(state, "encoder.ic_linear", 2 * IC, 2 * IC, rng)
    state["ic_prior.mean"] = rng.normal(size=IC).astype(np.float32)
    state["ic_prior.logvar"] = np.full(IC, np.log(0.1), np.float32)
    linear(state, "decoder.ic_to_g0", IC, GEN, rng)
    gru(state, "decoder.rnn.cell.gen_cell", U if controller else 0, GEN, rng)
    state["decoder.rnn.cell.fac_linear.weight"] = rng.normal(size=(FAC, GEN)).astype(np.float32)
    linear(state, "readout.0", FAC, OUT, rng)
    if controller:
        gru(state, "decoder.rnn.cell.con_cell", 2 * CI + FAC, CON, rng)
        state["decoder.con_h0"] = rng.normal(size=(1, CON)).astype(np.float32)
        linear(state, "decoder.rnn.cell.co_linear", CON, 2 * U, rng)
        state["co_prior.logtaus"] = np.full(U, np.log(10), np.float32)
        state["co_prior.lognvars"] = np.full(U, np.log(0.1), np.float32)
    return state


@pytest.mark.parametrize("controller", [False, True])
def test_sizes_are_read_off_and_parameters_have_our_shapes(controller):
    architecture, params = import_state_dict(state_dict(controller), ci_lag=2, clip=3.0)
    assert architecture.has_controller == controller
    assert (architecture.generator_size, architecture.n_factors) == (GEN, FAC)
    assert (architecture.ci_lag, architecture.clip) == (2, 3.0)
    fresh = LFADS(architecture).init(
        DataSpec(IN, 9, OUT, 9, 0, np.ones(OUT)), key=jax.random.key(0)
    )
    shapes = lambda tree: jax.tree.map(np.shape, tree)  # noqa: E731
    assert shapes(params) == shapes(fresh)


def test_a_wrappers_prefix_is_ignored():
    state = state_dict()
    _, plain = import_state_dict(state)
    _, wrapped = import_state_dict({f"model.net.{k}": v for k, v in state.items()})
    jax.tree.map(np.testing.assert_array_equal, plain, wrapped)


@pytest.mark.parametrize("name", sorted(state_dict()))
def test_every_missing_parameter_is_named(name):
    state = state_dict()
    del state[name]
    with pytest.raises(ValueError, match=re.escape(name)):
        import_state_dict(state)


@pytest.mark.parametrize("name", sorted(state_dict()))
def test_every_wrong_shape_is_refused(name):
    state = state_dict()
    value = state[name]
    state[name] = value[None]
    with pytest.raises(ValueError, match=rf"{re.escape(name)} must have {value.ndim} dimensions"):
        import_state_dict(state)
    state[name] = np.concatenate([value, value], axis=-1)
    if name == "decoder.rnn.cell.gen_cell.weight_ih":
        # a generator with more columns has measured inputs: nothing is wrong with that
        assert import_state_dict(state)[1]["generator"]["gates"].shape[0] == GEN + 2 * U
        return
    with pytest.raises(ValueError, match="shape"):
        import_state_dict(state)


def test_a_foreign_state_dict():
    with pytest.raises(ValueError, match=r"no 'encoder\.ic_enc_h0'; it has conv1"):
        import_state_dict({"conv1": np.ones(3)})
    with pytest.raises(ValueError, match="state dict"):
        import_state_dict({})


@pytest.mark.parametrize("content", [b"", b"hello", b"PK\x03\x04broken"])
def test_a_damaged_archive_is_named(tmp_path, content):
    (tmp_path / "a.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"a\.npz"):
        read_state_dict(tmp_path / "a.npz")


def test_pickled_objects_are_never_loaded(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match=r"a\.npz"):
        read_state_dict(tmp_path / "a.npz")


def test_a_missing_file(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_state_dict(tmp_path / "a.npz")


class Evil:
    def __reduce__(self):
        return print, ("code has run",)


@pytest.mark.parametrize("content", ["damaged", "no dict", "evil"])
def test_checkpoints_of_torch_that_hold_no_tensors(tmp_path, content, capsys):
    torch = pytest.importorskip("torch")
    path = tmp_path / "a.ckpt"
    if content == "damaged":
        path.write_bytes(b"hello")
    else:
        torch.save([1, 2] if content == "no dict" else {"state_dict": Evil()}, path)
    with pytest.raises(ValueError, match=r"a\.ckpt"):
        read_state_dict(path)
    assert "code has run" not in capsys.readouterr().out
