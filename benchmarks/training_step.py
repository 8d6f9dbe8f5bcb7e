"""One LFADS training step as a fraction of this machine's float32 matrix-product peak.

    python benchmarks/training_step.py [--torch] [--repeats 7]

Prints, from interleaved runs: the peak of a large product, one model's step, members of a
population one after another and side by side, the same model written with torch's GRU cell, the
compile time and the memory of the program.
"""

from __future__ import annotations

import argparse
import os
import resource
import subprocess
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

from flops import training_step_flops
from latentspike import SpikeData
from latentspike.models.lfads import LFADS, Architecture
from latentspike.models.protocol import DataSpec
from latentspike.training.epoch import Program, _compiled, one_epoch, train_epoch
from latentspike.training.fit import RunOptions  # noqa: F401  (asks for one device per core)
from latentspike.training.trials import Reading, put_trials

BATCH, BINS, NEURONS, STEPS = 128, 100, 50, 6
FLOPS = training_step_flops(
    batch=BATCH,
    bins=BINS,
    neurons=NEURONS,
    encoder=64,
    controller=64,
    generator=100,
    factors=20,
    inferred_inputs=4,
)
HYPERPARAMS = {
    "learning_rate": 1e-3,
    "keep_ratio": 0.7,
    "dropout": 0.1,
    "kl_ic": 0.1,
    "kl_co": 0.1,
    "l2_gen": 100.0,
    "l2_con": 100.0,
    "l2_ic_encoder": 0.0,
    "l2_ci_encoder": 0.0,
    "ramp": 1.0,
}


def seconds(call) -> float:
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def gemm():
    size = 2048
    a = jnp.asarray(np.random.default_rng(0).standard_normal((size, size)), jnp.float32)
    product = jax.jit(lambda a: a @ a)
    return lambda: product(a), 2.0 * size**3


def setup(n_devices: int):
    rng = np.random.default_rng(0)
    data = SpikeData(rng.poisson(0.2, (BATCH * STEPS, BINS, NEURONS)), 0.01)
    small = data.select_trials(slice(0, 2 * n_devices))
    model = LFADS(Architecture())
    program = Program(model, Reading.of(data, 0.0), BATCH, 200.0, n_devices)
    params = model.init(DataSpec.of(data), key=jax.random.key(0))
    return program, program.start(params), (put_trials(data), put_trials(small))


def epoch_call(program, state, trials):
    traced = {k: jnp.asarray(v) for k, v in HYPERPARAMS.items()}
    key = jax.random.key(1)
    return lambda: train_epoch(program, state, trials, traced, jnp.asarray(0), key=key)


def population_call(n_members: int):
    """Members mapped one after another on each device: the layout of a CPU search."""
    program, state, trials = setup(1)
    n_devices = len(jax.local_devices())
    traced = {k: jnp.full(n_members, v) for k, v in HYPERPARAMS.items()}
    keys = jax.random.split(jax.random.key(1), n_members)

    def members(states, hyperparams, keys, trials):
        def one(member):
            return one_epoch(program, member[0], trials, member[1], jnp.asarray(0), member[2])

        return jax.lax.map(one, (states, hyperparams, keys))

    mesh = jax.sharding.Mesh(np.array(jax.local_devices()), ("members",))
    member, shared = jax.sharding.PartitionSpec("members"), jax.sharding.PartitionSpec()
    run = jax.shard_map(
        members,
        mesh=mesh,
        in_specs=(member, member, member, shared),
        out_specs=member,
        check_vma=False,
    )
    options = {"xla_cpu_multi_thread_eigen": False} if n_devices > 1 else {}
    compiled = jax.jit(run, compiler_options=options)
    states = jax.tree.map(lambda a: np.stack([a] * n_members), jax.device_get(state))
    sharded = jax.sharding.NamedSharding(mesh, member)
    states, traced, keys = jax.device_put((states, traced, keys), sharded)
    trials = jax.device_put(jax.device_get(trials), jax.sharding.NamedSharding(mesh, shared))
    return lambda: compiled(states, traced, keys, trials)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--torch", action="store_true")
    parser.add_argument("--members", type=int, default=4)
    parser.add_argument("--profile", default=None)
    arguments = parser.parse_args()
    n_devices = len(jax.local_devices())
    product, product_flops = gemm()
    one = epoch_call(*setup(n_devices))
    many = population_call(arguments.members)
    compile_one, compile_many = seconds(one), seconds(many)
    product()
    rows = [(seconds(product), seconds(one), seconds(many)) for _ in range(arguments.repeats)]
    peak, step, members = np.median(rows, axis=0)
    peak = product_flops / peak
    step /= STEPS
    per_member = members / STEPS / arguments.members
    print(f"devices {n_devices}  peak {peak / 1e9:.0f} GFLOP/s  step {FLOPS / 1e9:.1f} GFLOP")
    for name, value in (("one model", step), (f"{arguments.members} members, each", per_member)):
        print(f"{name:22s} {1e3 * value:7.1f} ms  {FLOPS / value / peak:6.1%} of the peak")
    print(f"first call (compile): one {compile_one:.1f} s, population {compile_many:.1f} s")
    program, state, trials = setup(n_devices)
    traced = {k: jnp.asarray(v) for k, v in HYPERPARAMS.items()}
    analysis = (
        _compiled(program).lower(state, trials, traced, jnp.asarray(0), jax.random.key(1)).compile()
    ).memory_analysis()
    print(f"temporary memory of the program: {analysis.temp_size_in_bytes / 2**20:.0f} MiB")
    peak_memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**10
    print(f"peak memory of this process: {peak_memory:.0f} MiB")
    if arguments.profile:
        with jax.profiler.trace(arguments.profile):
            jax.block_until_ready(one())
    if arguments.torch:
        here = os.path.dirname(os.path.abspath(__file__))
        subprocess.run([sys.executable, os.path.join(here, "torch_step.py")], check=True)


if __name__ == "__main__":
    main()
