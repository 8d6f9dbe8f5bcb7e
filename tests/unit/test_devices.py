"""One device per core and a cache of programs, but never against the user's own settings."""

import os
import subprocess
import sys

SHOW = (
    "import latentspike.training, jax; "
    "print(len(jax.local_devices()), jax.config.jax_compilation_cache_dir)"
)


def run(code=SHOW, **environment):
    clean = {
        k: v for k, v in os.environ.items() if not k.startswith(("JAX_", "LATENTSPIKE", "XLA"))
    }
    found = subprocess.run(
        [sys.executable, "-c", code],
        env=clean | environment,
        capture_output=True,
        text=True,
        check=True,
    )
    return found.stdout.split()


def test_one_cpu_device_per_usable_core_and_a_cache(tmp_path):
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    n_devices, cache = run(LATENTSPIKE_CACHE=str(tmp_path))
    assert int(n_devices) == min(cores, 8)
    assert cache == str(tmp_path)


def test_what_the_user_chose_stays(tmp_path):
    assert run(LATENTSPIKE_CACHE="off", JAX_NUM_CPU_DEVICES="3") == ["3", "None"]
    flags = "--xla_force_host_platform_device_count=1"
    own = {"XLA_FLAGS": flags, "JAX_COMPILATION_CACHE_DIR": str(tmp_path)}
    assert run(**own) == ["1", str(tmp_path)]


def test_jax_that_has_already_started_is_left_alone():
    started = "import jax; jax.local_devices(); " + SHOW
    assert run(started, LATENTSPIKE_CACHE="off") == ["1", "None"]
