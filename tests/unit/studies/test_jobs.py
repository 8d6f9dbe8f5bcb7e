"""Fits in processes of their own: resumed by file, never mixed, failures named."""

import json

import pytest

from latentspike.studies.jobs import Job, JobError, run_jobs


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """A module outside of the package whose function counts its calls in a file."""
    (tmp_path / "echoing.py").write_text(
        "import os\n"
        "def echo(settings, folder):\n"
        "    with open(folder / 'calls', 'a') as file:\n"
        "        file.write('x')\n"
        "    if settings.get('fails'):\n"
        "        raise RuntimeError('as asked')\n"
        "    names = ('OMP_NUM_THREADS', 'JAX_NUM_CPU_DEVICES', 'XLA_FLAGS')\n"
        "    return settings | {name: os.environ[name] for name in names}\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))

    def make(name, **settings):
        return Job(tmp_path / "jobs" / name, "echoing:echo", settings)

    return make


def test_results_come_in_order_from_processes_of_one_core(echo, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", "--xla_other=1")
    said = []
    found = run_jobs([echo("a", x=1), echo("b", x=2)], n_processes=2, say=said.append)
    assert [each["x"] for each in found] == [1, 2]
    assert found[0]["OMP_NUM_THREADS"] == found[0]["JAX_NUM_CPU_DEVICES"] == "1"
    assert found[0]["XLA_FLAGS"] == "--xla_other=1 --xla_cpu_multi_thread_eigen=false"
    assert len(said) == 2 and said[-1].endswith("0 left")


def test_a_rerun_repeats_only_what_failed(echo):
    good, bad = echo("good"), echo("bad", fails=True)
    with pytest.raises(JobError, match=r"1 of 2 jobs failed; see .*bad/log.txt"):
        run_jobs([bad, good], n_processes=1, say=lambda _: None)
    assert "as asked" in (bad.folder / "log.txt").read_text()
    with pytest.raises(JobError):
        run_jobs([bad, good], n_processes=1, say=lambda _: None)
    assert (good.folder / "calls").read_text() == "x"
    assert (bad.folder / "calls").read_text() == "xx"


def test_other_settings_are_not_mixed_in(echo):
    run_jobs([echo("a", x=1)], n_processes=1, say=lambda _: None)
    with pytest.raises(ValueError, match=r"made with other settings .*'x': 1"):
        run_jobs([echo("a", x=2)], n_processes=1, say=lambda _: None)
    stored = json.loads((echo("a").folder / "result.json").read_text())
    assert stored["result"]["x"] == 1


def test_no_process_at_all_is_refused(echo):
    with pytest.raises(ValueError, match="at least one process is needed, got 0"):
        run_jobs([echo("a")], n_processes=0)
