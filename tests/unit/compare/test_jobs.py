"""Fits in processes of their own: resumed by file, never mixed, failures named."""

import json

import pytest

from latentspike.compare.jobs import Job, JobError, end_jobs, run_jobs


@pytest.fixture
def echo(tmp_path, monkeypatch):
    """A module outside of the package whose function counts its calls in a file."""
    (tmp_path / "echoing.py").write_text(
        "import os, signal, sys\n"
        "def echo(settings, folder):\n"
        "    with open(folder / 'calls', 'a') as file:\n"
        "        file.write('x')\n"
        "    if settings.get('fails'):\n"
        "        raise RuntimeError('as asked')\n"
        "    if settings.get('starves'):\n"
        "        raise MemoryError\n"
        "    if settings.get('leaves'):\n"
        "        sys.exit(3)\n"
        "    if 'signal' in settings:\n"
        "        os.kill(os.getpid(), settings['signal'])\n"
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
    with pytest.raises(ValueError, match=r"other settings \(settings.x = 1 before, 2 now\)"):
        run_jobs([echo("a", x=2)], n_processes=1, say=lambda _: None)
    stored = json.loads((echo("a").folder / "result.json").read_text())
    assert stored["result"]["x"] == 1


def test_no_process_at_all_is_refused(echo):
    with pytest.raises(ValueError, match="at least one process is needed, got 0"):
        run_jobs([echo("a")], n_processes=0)


def test_every_way_to_fail_has_its_reason_and_stops_no_other(echo):
    cases = {
        "raises": ({"fails": True}, "RuntimeError: as asked"),
        "starves": ({"starves": True}, "out of memory"),
        "killed": ({"signal": 9}, "killed by signal 9 (SIGKILL), as the system does when memory"),
        "crashes": ({"signal": 11}, "killed by signal 11 (SIGSEGV)"),
        "leaves": ({"leaves": True}, "ended with exit code 3 and no result"),
        "works": ({}, ""),
    }
    said = []
    jobs = [echo(name, **settings) for name, (settings, _) in cases.items()]
    ended = end_jobs(jobs, n_processes=3, say=said.append)
    for (name, (_, reason)), end in zip(cases.items(), ended, strict=True):
        assert end.reason.startswith(reason) and bool(end.reason) == bool(reason), name
        assert (end.result is None) == bool(reason)
    assert any("killed failed" in line and "signal 9" in line for line in said)


def test_the_reason_is_that_of_the_last_attempt(echo):
    assert end_jobs([echo("a", fails=True)], n_processes=1, say=print)[0].reason
    (end,) = end_jobs([echo("a")], n_processes=1, say=print)
    assert end.reason == "" and end.result is not None
    assert not (echo("a").folder / "error.json").exists()


def test_a_damaged_result_is_named(echo):
    job = echo("a")
    job.folder.mkdir(parents=True)
    (job.folder / "result.json").write_text("{")
    with pytest.raises(ValueError, match=r"result.json is damaged .* remove it"):
        end_jobs([job], n_processes=1)
