"""Our GRU and its gradients against torch's automatic differentiation, in float64.

`torch.nn.GRU` is the cuDNN variant: the reset gate multiplies the recurrent *product*, ours
multiplies the state before it. The two agree where the candidate's recurrent kernel is diagonal,
for then both are ``r · u · h`` entry by entry: there `torch.nn.GRU` itself is the oracle. For a
full kernel the oracle is the original cell written in torch.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from latentspike.models.gru import init_gru, run_gru

torch = pytest.importorskip("torch")

N_BINS, N_TRIALS, N_INPUTS, SIZE = 8, 5, 3, 6
TOLERANCE = 1e-12


@pytest.fixture(autouse=True)
def double_precision():
    with jax.enable_x64(True):
        yield


def example(diagonal):
    rng = np.random.default_rng(3)
    gru = {k: np.array(v) for k, v in init_gru(N_INPUTS, SIZE, key=jax.random.key(3)).items()}
    gru["candidate_bias"] = rng.normal(size=SIZE)
    if diagonal:
        gru["candidate"][N_INPUTS:] = np.diag(rng.normal(size=SIZE))
    return gru, rng.normal(size=(N_TRIALS, SIZE)), rng.normal(size=(N_BINS, N_TRIALS, N_INPUTS))


def ours(gru, initial, inputs, clip, reverse, weighting):
    """States and gradients of a weighted sum of all of them."""

    def loss(gru, initial, inputs):
        _, states = run_gru(gru, initial, inputs, clip=clip, reverse=reverse)
        return jnp.sum(states * weighting), states

    differentiated = jax.jit(jax.grad(loss, argnums=(0, 1, 2), has_aux=True))
    gradients, states = differentiated(gru, initial, inputs)
    return states, gradients


def close(a, b):
    np.testing.assert_allclose(np.asarray(a), b.detach().numpy(), rtol=0, atol=TOLERANCE * 10)


def test_torch_module_where_both_variants_agree():
    gru, initial, inputs = example(diagonal=True)
    weighting = np.random.default_rng(4).normal(size=(N_BINS, N_TRIALS, SIZE))
    module = torch.nn.GRU(N_INPUTS, SIZE).double()
    # torch stacks [reset, update, candidate]; ours are [update, reset], candidate
    update, reset = gru["gates"][:, :SIZE], gru["gates"][:, SIZE:]
    stacked = np.concatenate([reset, update, gru["candidate"]], axis=1).T
    bias = np.concatenate(
        [gru["gates_bias"][SIZE:], gru["gates_bias"][:SIZE], gru["candidate_bias"]]
    )
    with torch.no_grad():
        module.weight_ih_l0.copy_(torch.from_numpy(stacked[:, :N_INPUTS].copy()))
        module.weight_hh_l0.copy_(torch.from_numpy(stacked[:, N_INPUTS:].copy()))
        module.bias_ih_l0.copy_(torch.from_numpy(bias))
        module.bias_hh_l0.zero_()
    h0 = torch.from_numpy(initial[None].copy()).requires_grad_()
    x = torch.from_numpy(inputs.copy()).requires_grad_()
    states, _ = module(x, h0)
    (states * torch.from_numpy(weighting)).sum().backward()

    found, (d_gru, d_initial, d_inputs) = ours(gru, initial, inputs, 1e9, False, weighting)
    close(found, states)
    close(d_initial, h0.grad[0])
    close(d_inputs, x.grad)
    d_ih, d_hh = module.weight_ih_l0.grad, module.weight_hh_l0.grad
    rows = {"reset": slice(0, SIZE), "update": slice(SIZE, 2 * SIZE), "new": slice(2 * SIZE, None)}
    close(d_gru["gates"][:N_INPUTS, :SIZE].T, d_ih[rows["update"]])
    close(d_gru["gates"][:N_INPUTS, SIZE:].T, d_ih[rows["reset"]])
    close(d_gru["gates"][N_INPUTS:, :SIZE].T, d_hh[rows["update"]])
    close(d_gru["gates"][N_INPUTS:, SIZE:].T, d_hh[rows["reset"]])
    close(d_gru["candidate"][:N_INPUTS].T, d_ih[rows["new"]])
    # off the diagonal the variants differ in what a change of the kernel would do
    close(np.diag(d_gru["candidate"][N_INPUTS:]), torch.diagonal(d_hh[rows["new"]]))
    close(d_gru["gates_bias"][:SIZE], module.bias_ih_l0.grad[rows["update"]])
    close(d_gru["candidate_bias"], module.bias_ih_l0.grad[rows["new"]])


@pytest.mark.parametrize("reverse", [False, True])
@pytest.mark.parametrize("clip", [5.0, 0.4])
def test_original_cell_written_in_torch(clip, reverse):
    gru, initial, inputs = example(diagonal=False)
    weighting = np.random.default_rng(5).normal(size=(N_BINS, N_TRIALS, SIZE))
    tensors = {k: torch.from_numpy(v.copy()).requires_grad_() for k, v in gru.items()}
    h0 = torch.from_numpy(initial.copy()).requires_grad_()
    x = torch.from_numpy(inputs.copy()).requires_grad_()
    h, states = h0, [torch.zeros(0)] * N_BINS
    for t in reversed(range(N_BINS)) if reverse else range(N_BINS):
        joined = torch.cat([x[t], h], dim=1)
        z, r = torch.sigmoid(joined @ tensors["gates"] + tensors["gates_bias"]).chunk(2, dim=1)
        reset = torch.cat([x[t], r * h], dim=1)
        n = torch.tanh(reset @ tensors["candidate"] + tensors["candidate_bias"])
        h = torch.clamp(z * h + (1 - z) * n, -clip, clip)
        states[t] = h
    (torch.stack(states) * torch.from_numpy(weighting)).sum().backward()

    found, (d_gru, d_initial, d_inputs) = ours(gru, initial, inputs, clip, reverse, weighting)
    close(found, torch.stack(states))
    close(d_initial, h0.grad)
    close(d_inputs, x.grad)
    for name, tensor in tensors.items():
        close(d_gru[name], tensor.grad)
