"""LFADS against reference outputs of an independent implementation, in float64 to 1e-9.

The reference's Poisson loss holds Stirling's constant and its controller KL is a one-draw estimate
(tests/golden/README.md): both are written out here, next to ours.
"""

import os
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.models.lfads import LFADS
from latentspike.models.lfads.importer import import_state_dict, read_state_dict
from latentspike.models.lfads.network import Noise, run_network
from latentspike.models.lfads.objective import (
    kl_inferred_inputs,
    kl_initial_condition,
    l2_terms,
)
from latentspike.models.observations import masked_sums, negative_log_likelihood
from latentspike.models.protocol import Batch

HERE = Path(__file__).parents[1] / "golden"
SHARED = Path(os.environ.get("LATENTSPIKE_GOLDEN", HERE.parents[2] / "shared" / "golden"))
TOLERANCE = 1e-9


@pytest.fixture(params=[1, 2, 3])
def golden(request):
    name = f"lfads_torch_{request.param}.npz"
    path = HERE / name if (HERE / name).exists() else SHARED / name
    if not path.exists():
        pytest.skip(f"{name} (11 MB) is not beside the checkout")
    with jax.enable_x64(True), np.load(path, allow_pickle=False) as file:
        yield {key: file[key] for key in file.files}


def load(golden):
    state = {k[6:]: v.astype(np.float64) for k, v in golden.items() if k.startswith("param/")}
    hp = {k[3:]: v.item() for k, v in golden.items() if k.startswith("hp/")}
    architecture, params = import_state_dict(state, ci_lag=hp["ci_lag"], clip=hp["cell_clip"])
    return architecture, params, hp


def time_first(array):
    return jnp.swapaxes(jnp.asarray(array, jnp.float64), 0, 1)


def noise_of(golden, prefix):
    if f"{prefix}/noise_ic" not in golden:
        return None
    inputs = golden.get(f"{prefix}/noise_co")
    return Noise(
        jnp.asarray(golden[f"{prefix}/noise_ic"], jnp.float64),
        None if inputs is None else time_first(inputs),
    )


def forward(golden, architecture, params, noise, read=None, all_states=False):
    counts = golden["in/recon_data"]
    read = golden["in/encod_data"] if read is None else read
    external = jnp.zeros((counts.shape[1], counts.shape[0], 0))
    return run_network(
        architecture, params, time_first(read), external, noise=noise, all_states=all_states
    )


def stirling(x):
    x = np.asarray(x, np.float64)
    safe = np.maximum(x, 1.0)
    return np.where(x > 1, safe * np.log(safe) - safe + 0.5 * np.log(2 * np.pi * safe), 0.0)


def kl_one_draw(outputs, prior, noise):
    """The reference's estimate: log q(u) − log p(u) at one fresh draw u, mean over trials."""
    mean, std = outputs.input_mean, outputs.input_std
    u = mean + std * time_first(noise)
    alpha = jnp.exp(-1 / jnp.exp(prior["log_time_constant"]))
    variance = jnp.exp(prior["log_variance"])
    log_normal = lambda x, m, v: -0.5 * (jnp.log(2 * jnp.pi * v) + (x - m) ** 2 / v)  # noqa: E731
    log_q = log_normal(u, mean, std**2).sum()
    log_p = log_normal(u[0], 0.0, variance / (1 - alpha**2)).sum()
    log_p += log_normal(u[1:], alpha * u[:-1], variance).sum()
    return (log_q - log_p) / u.shape[1]


def reference_total(golden, hp, architecture, params, outputs, kl_noise, graded=None):
    """The reference's objective from our terms: mean reconstruction, its own L2 denominator."""
    counts = time_first(golden["in/recon_data"])
    entries = negative_log_likelihood(outputs.predictor, counts, "poisson")
    recon, _ = masked_sums(entries, None, graded)
    n_entries = counts.shape[0] * counts.shape[2]
    recon_mean = recon.mean() / n_entries + stirling(golden["in/recon_data"]).mean()
    kl_ic = kl_initial_condition(outputs.ic_mean, outputs.ic_std, params["ic_prior"]).mean()
    l2, sizes = 0.0, 0
    scales = {
        "l2_ic_encoder": "ic_enc",
        "l2_gen": "gen",
        "l2_con": "con",
        "l2_ci_encoder": "ci_enc",
    }
    dims = {k: hp[f"{k}_dim"] for k in ("ic_enc", "gen", "con", "ci_enc")}
    for name, term in l2_terms(architecture, params).items():
        short = scales[name]
        size = 3 * dims[short] ** 2 * (2 if short.endswith("enc") else 1)
        l2 += hp[f"l2_{short}_scale"] * term * size
        sizes += size
    l2 = l2 / (sizes + 1e-8)
    total = recon_mean + l2 + hp["kl_ic_scale"] * kl_ic
    kl_co = 0.0
    if architecture.has_controller:
        kl_co = kl_one_draw(outputs, params["input_prior"], kl_noise)
        total += hp["kl_co_scale"] * kl_co
    terms = {"recon_mean": recon_mean, "kl_ic": kl_ic, "l2": l2, "kl_co_mc": kl_co}
    return hp["loss_scale"] * total, terms


def to_torch(tree, has_controller):
    """Our gradients under the reference's names and shapes."""
    rows = lambda g: np.concatenate([np.asarray(g["gates"]), np.asarray(g["candidate"])], 1).T  # noqa: E731
    found = {}

    def gru(name, g):
        stacked = rows(g)
        size = g["candidate"].shape[1]
        found[f"{name}.weight_ih"] = stacked[:, :-size]
        found[f"{name}.weight_hh"] = stacked[:, -size:]
        found[f"{name}.bias_ih"] = np.concatenate([g["gates_bias"], g["candidate_bias"]])

    def linear(name, layer):
        found[f"{name}.weight"], found[f"{name}.bias"] = layer["weight"].T, layer["bias"]

    def encoder(kind):
        g = tree[f"{kind}_encoder"]
        gru(f"encoder.{kind}_enc.fwd_gru.cell", g["forward"])
        gru(f"encoder.{kind}_enc.bwd_gru.cell", g["backward"])
        found[f"encoder.{kind}_enc_h0"] = np.stack([g["forward_initial"], g["backward_initial"]])[
            :, None
        ]

    encoder("ic")
    linear("encoder.ic_linear", tree["ic_posterior"])
    linear("decoder.ic_to_g0", tree["generator_initial"])
    gru("decoder.rnn.cell.gen_cell", tree["generator"])
    found["decoder.rnn.cell.fac_linear.weight"] = tree["factors"].T
    linear("readout.0", tree["readout"])
    found["ic_prior.mean"] = tree["ic_prior"]["mean"]
    if has_controller:
        encoder("ci")
        gru("decoder.rnn.cell.con_cell", tree["controller"])
        found["decoder.con_h0"] = tree["controller_initial"][None]
        linear("decoder.rnn.cell.co_linear", tree["input_posterior"])
        found["co_prior.logtaus"] = tree["input_prior"]["log_time_constant"]
        found["co_prior.lognvars"] = tree["input_prior"]["log_variance"]
    return found


def assert_close(ours, reference, name):
    ours, reference = np.asarray(ours), np.asarray(reference)
    assert ours.shape == reference.shape, name
    if reference.size:
        scale = np.abs(reference).max() + 1e-300
        error = np.abs(ours - reference).max() / scale
        assert error < TOLERANCE, f"{name}: relative error {error:.2e}"


def assert_gradients(golden, prefix, gradient, has_controller):
    ours = to_torch(gradient, has_controller)
    reference = {
        k.split("/", 1)[1]: v for k, v in golden.items() if k.startswith(f"{prefix}_grad/")
    }
    reference = {k: v for k, v in reference.items() if v.size}
    assert set(reference) <= set(ours)
    assert len(reference) >= (29 if has_controller else 17)
    for name, value in reference.items():
        assert_close(ours[name], value, f"{prefix} gradient of {name}")


@pytest.mark.parametrize("prefix", ["out64", "samp64"])
def test_every_output_loss_and_gradient(golden, prefix):
    architecture, params, hp = load(golden)
    noise = noise_of(golden, "samp") if prefix == "samp64" else None
    kl_noise = golden.get(f"{prefix[:-2]}/noise_kl_co")

    def total(params):
        outputs = forward(golden, architecture, params, noise, all_states=True)
        value, terms = reference_total(golden, hp, architecture, params, outputs, kl_noise)
        return value, (outputs, terms)

    (value, (outputs, terms)), gradient = jax.jit(jax.value_and_grad(total, has_aux=True))(params)
    back = lambda a: None if a is None else np.swapaxes(np.asarray(a), 0, 1)  # noqa: E731
    counts = golden["in/recon_data"].astype(np.float64)
    logrates = back(outputs.predictor)
    entries = back(negative_log_likelihood(outputs.predictor, time_first(counts), "poisson"))
    ours = {
        "ic_mean": outputs.ic_mean,
        "ic_std": outputs.ic_std,
        "gen_init": outputs.generator_initial,
        "gen_states": back(outputs.generator),
        "factors": back(outputs.factors),
        "logrates": logrates,
        "rates": np.exp(logrates),
        "recon_elementwise": entries + stirling(counts),
        "recon_sum_mean": (entries + stirling(counts)).sum((1, 2)).mean(),
        "total_loss": value,
        **{k: v for k, v in terms.items() if k != "kl_co_mc" or architecture.has_controller},
    }
    if architecture.has_controller:
        ours |= {
            "co_means": back(outputs.input_mean),
            "co_stds": back(outputs.input_std),
            "con_states": back(outputs.controller),
            "gen_inputs": back(outputs.inferred_inputs),
            "kl_co_closed": kl_inferred_inputs(
                outputs.input_mean, outputs.input_std, params["input_prior"]
            ).mean(),
        }
    reference = {k.split("/")[1]: v for k, v in golden.items() if k.startswith(f"{prefix}/")}
    empty_or_zero = {k for k, v in reference.items() if v.size == 0 or not np.any(v)}
    assert set(reference) - empty_or_zero <= set(ours)
    for name in set(reference) & set(ours):
        assert_close(ours[name], reference[name], f"{prefix}/{name}")
    assert_gradients(golden, prefix, gradient, architecture.has_controller)


def test_coordinated_dropout_training_step(golden):
    architecture, params, hp = load(golden)
    kept, passes = golden["cd64/cd_mask"] > 0, golden["cd64/pass_mask"] > 0
    rate = golden["cd64/cd_rate"].item()
    read = golden["in/encod_data"].astype(np.float64) * kept / (1 - rate)
    counts = golden["in/recon_data"]
    graded = np.ones(counts.shape, bool)
    graded[:, : kept.shape[1], : kept.shape[2]] = ~kept | passes

    def total(params):
        outputs = forward(golden, architecture, params, noise_of(golden, "cd64"), read=read)
        mask = jnp.swapaxes(jnp.asarray(graded), 0, 1)
        return reference_total(
            golden, hp, architecture, params, outputs, golden.get("cd64/noise_kl_co"), mask
        )[0]

    value, gradient = jax.jit(jax.value_and_grad(total))(params)
    assert_close(value, golden["cd64/total_loss"], "cd64/total_loss")
    assert_gradients(golden, "cd64", gradient, architecture.has_controller)
    norm = np.sqrt(sum(float((g**2).sum()) for g in jax.tree.leaves(gradient)))
    assert_close(norm, golden["cd64/grad_norm"], "cd64/grad_norm")


def test_our_own_objective_is_the_sum_of_the_tested_terms(golden):
    """`LFADS.loss` without noise equals recon + KL + L2 computed term by term."""
    architecture, params, _ = load(golden)
    counts = golden["in/recon_data"].astype(np.float64)
    n = counts.shape[0]
    batch = Batch(
        read=jnp.asarray(golden["in/encod_data"], jnp.float64),
        counts=jnp.asarray(counts),
        observed=None,
        graded=None,
        inputs=jnp.zeros((*counts.shape[:2], 0)),
        weight=jnp.full(n, 1 / n),
    )
    h = {"dropout": 0.0, "kl_ic": 0.7, "kl_co": 0.3, "l2_gen": 11.0, "l2_con": 13.0, "ramp": 0.5}
    model = LFADS(architecture)
    loss, _ = jax.jit(lambda p: model.loss(p, batch, h, key=None))(params)
    outputs = jax.jit(lambda p: forward(golden, architecture, p, None))(params)
    entries = negative_log_likelihood(outputs.predictor, time_first(counts), "poisson")
    kl = 0.7 * kl_initial_condition(outputs.ic_mean, outputs.ic_std, params["ic_prior"]).mean()
    l2 = l2_terms(architecture, params)
    penalty = 11.0 * l2["l2_gen"]
    if architecture.has_controller:
        kl += (
            0.3
            * kl_inferred_inputs(
                outputs.input_mean, outputs.input_std, params["input_prior"]
            ).mean()
        )
        penalty += 13.0 * l2["l2_con"]
    assert_close(loss, entries.sum((0, 2)).mean() + 0.5 * (kl + penalty), "loss")


def test_importer_names_what_is_missing(golden):
    state = {k[6:]: v for k, v in golden.items() if k.startswith("param/")}
    del state["readout.0.bias"]
    with pytest.raises(ValueError, match=r"readout\.0\.bias"):
        import_state_dict(state)


def test_importer_reads_npz_and_checkpoint(golden, tmp_path):
    torch = pytest.importorskip("torch")
    state = {k[6:]: v for k, v in golden.items() if k.startswith("param/")}
    np.savez(tmp_path / "a.npz", **state)
    tensors = {f"model.{k}": torch.from_numpy(v.copy()) for k, v in state.items()}
    torch.save({"state_dict": tensors, "epoch": 3}, tmp_path / "a.ckpt")
    _, from_npz = import_state_dict(read_state_dict(tmp_path / "a.npz"))
    _, from_ckpt = import_state_dict(read_state_dict(tmp_path / "a.ckpt"))
    jax.tree.map(np.testing.assert_array_equal, from_npz, from_ckpt)
