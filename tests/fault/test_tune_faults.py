"""A search that is killed, interrupted or out of disk, and folders that are not its own."""

from __future__ import annotations

import errno
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from latentspike import SpikeData
from latentspike.cli import search_plan
from latentspike.cli.main import main
from latentspike.files import load_arrays
from latentspike.io import write_npz
from latentspike.search import SearchFailedError
from latentspike.search.show import SearchReporter

LINEAR = ["--set=model.name=linear_autoencoder", "--set=search.patience=99"]


def sizes(n_members: int, n_generations: int, n_epochs: int) -> list[str]:
    values = {"n_members": n_members, "max_generations": n_generations}
    values |= {"epochs_per_generation": n_epochs}
    return [*LINEAR, *(f"--set=search.{name}={value}" for name, value in values.items())]


SHORT, LONG = sizes(2, 3, 2), sizes(4, 12, 15)


@pytest.fixture(scope="module")
def recording(tmp_path_factory) -> Path:
    rng = np.random.default_rng(0)
    values = rng.normal(size=(30, 2, 2)) @ rng.normal(size=(2, 5)) + rng.normal(size=(30, 2, 5))
    path = tmp_path_factory.mktemp("faults") / "session.npz"
    write_npz(path, SpikeData(values, bin_width=0.1, kind="continuous"))
    return path


@pytest.fixture(scope="module")
def whole(recording) -> Path:
    """A short search that nothing disturbed."""
    assert main(["tune", str(recording), "--out", str(recording.parent / "whole"), *SHORT]) == 0
    return recording.parent / "whole"


@pytest.fixture(scope="module")
def whole_long(recording) -> Path:
    """A longer one."""
    assert main(["tune", str(recording), "--out", str(recording.parent / "long"), *LONG]) == 0
    return recording.parent / "long"


def assert_same(run: Path, whole: Path) -> None:
    """The same search, bit for bit."""
    (arrays, header), (expected, about) = (load_arrays(f / "model.npz") for f in (run, whole))
    assert header == about
    assert arrays.keys() == expected.keys()
    for name, value in expected.items():
        assert arrays[name].tobytes() == value.tobytes(), name
    for name in ("lineage.csv", "config.toml", "search.toml", "search.json"):
        assert (run / name).read_text() == (whole / name).read_text(), name
    scores = [path.name for path in sorted((whole / "scores").iterdir())]
    assert sorted(os.listdir(run / "scores")) == scores
    for name in scores:
        assert (run / "scores" / name).read_text() == (whole / "scores" / name).read_text()
    assert not [path for path in run.iterdir() if path.name.startswith(".")]
    assert json.loads((run / "run.json").read_text())["status"] == "finished"


def failure(capsys, *words: object) -> tuple[int, str]:
    """Exit code and the one line that says why."""
    capsys.readouterr()
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    assert captured.out == ""
    lines = [line for line in captured.err.splitlines() if line.startswith("latentspike: ")]
    assert len(lines) == 1 and "Traceback" not in captured.err
    return code, lines[0]


# --- killed ------------------------------------------------------------------------------------


def kill_when(path: Path, words: list[str]) -> None:
    """SIGKILL the program as soon as a file is there."""
    program = [sys.executable, "-m", "latentspike.cli.main", *words]
    with subprocess.Popen(program, stderr=subprocess.DEVNULL) as process:
        deadline = time.monotonic() + 120
        while not path.exists():
            assert process.poll() is None, "it ended before it could be killed"
            assert time.monotonic() < deadline
            time.sleep(0.002)
        process.kill()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("moment", ["tensorboard/search", "scores/0004.csv"])
def test_killed_and_resumed_is_the_same_search(moment, recording, whole_long, tmp_path):
    run = tmp_path / "run"
    kill_when(run / moment, ["tune", str(recording), "--out", str(run), *LONG])
    assert not (run / "model.npz").exists()
    assert (run / "search.json").exists() == (moment != "tensorboard/search")
    assert main(["tune", "--resume", "--out", str(run)]) == 0
    assert_same(run, whole_long)


class Killed(BaseException):
    """Nothing handles it: what ran before stays, what would have run after does not."""


def die_at_write(monkeypatch, number: int) -> list[str]:
    """Die before the file with this number is moved into place; returns the names so far."""
    written: list[str] = []
    real = os.replace

    def replace(source, target):
        if len(written) == number:
            raise Killed(str(target))
        written.append(Path(target).name)
        real(source, target)

    monkeypatch.setattr(os, "replace", replace)
    return written


def test_dying_before_any_write_and_resuming_is_the_same_search(
    recording, whole, tmp_path, monkeypatch
):
    words = ["tune", str(recording), *SHORT]
    with monkeypatch.context() as patch:
        files = die_at_write(patch, -1)
        assert main([*words, "--out", str(tmp_path / "all")]) == 0
    assert files[:5] == ["run.json", "split.npz", "config.toml", "search.toml", "search.toml"]
    assert files.count("search.json") == 3 and files[-1] == "run.json"
    for number in range(len(files)):
        run = tmp_path / f"{number}"
        with monkeypatch.context() as patch:
            die_at_write(patch, number)
            with pytest.raises(Killed):
                main([*words, "--out", str(run)])
        (run / ".run.json.kill").touch()  # what a killed write leaves behind
        again = ["--out", str(run)] if (run / "search.toml").exists() else words[1:]
        assert main(["tune", "--resume", "--out", str(run), *again]) == 0, files[number]
        assert_same(run, whole)


def test_killed_while_it_measures(recording, tmp_path, monkeypatch):
    run = tmp_path / "run"

    def killed(*_, **__):
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(search_plan.defaults, "choose_generations", killed)
        with pytest.raises(Killed):
            main(["tune", str(recording), "--out", str(run), *LINEAR, "--minutes=1"])
    text = (run / "search.toml").read_text()
    assert "minutes = 1" in text and "max_generations" not in text

    def chosen(task, n_members, epochs_per_generation, *, minutes):
        assert minutes == 1
        return 2, 1.0

    monkeypatch.setattr(search_plan.defaults, "choose_generations", chosen)
    assert main(["tune", "--resume", "--out", str(run)]) == 0
    assert "max_generations = 2" in (run / "search.toml").read_text()


# --- interrupted -------------------------------------------------------------------------------


def interrupt_after(monkeypatch, n_generations: int) -> None:
    """SIGINT, as of Ctrl-C, in the first epoch after so many generations."""
    # a test run in the background starts with SIGINT ignored
    signal.signal(signal.SIGINT, signal.default_int_handler)
    real, seen = SearchReporter.epoch, []

    def begin(self, generation, *rest):
        seen.append(generation)
        return real_begin(self, generation, *rest)

    def epoch(self, told):
        real(self, told)
        if len(seen) == n_generations + 1:
            seen.append(-1)
            signal.raise_signal(signal.SIGINT)

    real_begin = SearchReporter.begin
    monkeypatch.setattr(SearchReporter, "begin", begin)
    monkeypatch.setattr(SearchReporter, "epoch", epoch)


@pytest.mark.parametrize("n_done", [0, 2])
def test_interrupted_and_resumed_is_the_same_search(
    n_done, recording, whole, tmp_path, capsys, monkeypatch
):
    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        interrupt_after(patch, n_done)
        code, message = failure(capsys, "tune", recording, "--out", run, *SHORT)
    assert code == 130
    assert f"latentspike tune --resume --out {run}" in message
    assert ("2 generations kept" if n_done else "no generation was kept") in message
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    code, message = failure(capsys, "infer", run)
    assert code == 3 and f"latentspike tune --resume --out {run}" in message
    assert main(["tune", "--resume", "--out", str(run)]) == 0
    assert_same(run, whole)


# --- full disks, failures ----------------------------------------------------------------------


@pytest.mark.parametrize("after", [0, 20, 41])
def test_a_full_disk_and_a_resumed_search(after, recording, whole, tmp_path, capsys, monkeypatch):
    run, written = tmp_path / "run", []
    real = np.lib.format.write_array

    def write_array(file, array, **options):
        written.append(array)
        if len(written) > after:
            raise OSError(errno.ENOSPC, "No space left on device")
        return real(file, array, **options)

    words = ["--out", str(run), *SHORT]
    with monkeypatch.context() as patch:
        patch.setattr(np.lib.format, "write_array", write_array)
        code, message = failure(capsys, "tune", recording, *words)
    assert code == 3 and "No space left" in message
    assert not (run / "model.npz").exists()
    if after:
        assert json.loads((run / "run.json").read_text())["status"] == "failed"
    assert main(["tune", str(recording), "--resume", *words]) == 0
    assert_same(run, whole)


def test_a_search_in_which_all_fail_is_code_4(recording, tmp_path, capsys, monkeypatch):
    def fail(*_, **__):
        raise SearchFailedError("all 2 members failed; the first: loss is not finite")

    run = tmp_path / "run"
    with monkeypatch.context() as patch:
        patch.setattr("latentspike.search.tune", fail)
        code, message = failure(capsys, "tune", recording, "--out", run, *SHORT)
    assert code == 4 and "all 2 members failed" in message
    assert json.loads((run / "run.json").read_text())["status"] == "failed"
    # nothing was found yet: the next one may begin anew
    assert main(["tune", str(recording), "--out", str(run), *SHORT]) == 0


def test_members_that_diverge_are_code_4(tmp_path, capsys):
    values = np.full((20, 2, 4), 1e30) * np.random.default_rng(0).normal(size=(20, 2, 4))
    write_npz(tmp_path / "huge.npz", SpikeData(values, bin_width=0.1, kind="continuous"))
    run = tmp_path / "run"
    code, message = failure(capsys, "tune", tmp_path / "huge.npz", "--out", run, *SHORT)
    assert code == 4 and "failed" in message and "not finite" in message
    assert not (run / "model.npz").exists()


# --- settings and folders ----------------------------------------------------------------------


@pytest.mark.parametrize(
    "toml, named",
    [
        ("[space]\nkl_icc = 1.0", "kl_icc"),
        ("[space]\nkeep_ratio = 2.0", "keep_ratio"),
        ("[space.learning_rate]\nlow = 1.0", "learning_rate"),
        ("[space.keep_ratio]\nlowest = 0.1", "lowest"),
        ("[space", "is not TOML"),
        ("[search]\nmembers = 3", "search.members"),
        ("[search]\nfraction = 3.0", "fraction"),
        ("[hyperparams]\nkeep_ratio = 0.5", "[space]"),
        ("[spaces]\nkeep_ratio = 0.5", "spaces"),
        ("[training]\nbatch = 3", "training.batch"),
        ("space = 3", "space must be a table"),
    ],
)
def test_a_bad_configuration_is_named_and_nothing_begun(toml, named, recording, tmp_path, capsys):
    (tmp_path / "bad.toml").write_text(toml)
    words = ["tune", recording, "--config", tmp_path / "bad.toml", "--out", tmp_path / "run"]
    code, message = failure(capsys, *words, "--set=model.name=linear_autoencoder")
    assert code == 2 and named in message
    assert not (tmp_path / "run").exists()


def test_options_that_do_not_go_together(recording, whole, tmp_path, capsys):
    new = tmp_path / "new"
    table = {
        ("--resume", "--overwrite", "--out", new): "choose one",
        ("--out", new): "no recording",
        ("--resume",): "--out RUN",
        (recording, "--out", new, "--minutes=3", *SHORT): "give one of them",
        (recording, "--out", new, "--minutes=-3"): "search.minutes",
        (recording, "--out", new, *SHORT, "--ray-blocks=2"): "--executor ray",
        (recording, "--out", new, "--set=model.name=smoothing"): "not learned by gradient",
        (recording, "--out", new, "--set=space.kl_ic"): "KEY=VALUE",
    }
    for words, expected in table.items():
        code, message = failure(capsys, "tune", *words)
        assert code == 2 and expected in message, (words, message)
    assert not new.exists()
    code, message = failure(capsys, "tune", "--resume", "--out", new)
    assert code == 3 and f"latentspike tune FILE --out {new}" in message


def snapshot(run: Path) -> dict[str, bytes]:
    return {str(p.relative_to(run)): p.read_bytes() for p in run.rglob("*") if p.is_file()}


@pytest.mark.parametrize(
    "change, named",
    [
        ("--set=search.n_members=3", "search.n_members = 2, not 3"),
        ("--set=search.selection=tournament", "search.selection"),
        ("--set=training.batch_size=3", "training.batch_size"),
        ("--set=space.keep_ratio=0.7", "space.keep_ratio"),
        ("--set=space.keep_ratio.high=0.8", "space.keep_ratio.high = 0.99, not 0.8"),
        ("--set=model.initial_scale=0.5", "model.initial_scale"),
        ("--seed=3", "seed = 0, not 3"),
        ("data", "has changed since"),
    ],
)
def test_resuming_with_other_settings_changes_no_file(change, named, recording, tmp_path, capsys):
    file, run = tmp_path / "a.npz", tmp_path / "run"
    file.write_bytes(recording.read_bytes())
    assert main(["tune", str(file), "--out", str(run), *SHORT]) == 0
    before, words = snapshot(run), ["tune", "--resume", "--out", run]
    if change == "data":
        values = np.ones((30, 2, 5)) * np.arange(30)[:, None, None]
        write_npz(file, SpikeData(values, bin_width=0.1, kind="continuous"))
    else:
        words.append(change)
    code, message = failure(capsys, *words)
    assert code == 2 and named in message
    assert snapshot(run) == before


def test_a_recording_that_has_moved_is_no_other_search(recording, whole, tmp_path):
    file, run = tmp_path / "a.npz", tmp_path / "run"
    file.write_bytes(recording.read_bytes())
    assert main(["tune", str(file), "--out", str(run), *SHORT]) == 0
    file.rename(tmp_path / "b.npz")
    assert main(["tune", str(tmp_path / "b.npz"), "--resume", "--out", str(run)]) == 0
    assert str(tmp_path / "b.npz") in (run / "config.toml").read_text()


def test_a_search_and_a_fit_leave_each_other_alone(recording, whole, tmp_path, capsys):
    before = snapshot(whole)
    for option in ((), ("--overwrite",), ("--resume",)):
        words = (recording, "--out", whole, "--set=model.name=linear_autoencoder", *option)
        code, message = failure(capsys, "fit", *words)
        assert code == 2 and "was made by `latentspike tune`" in message
    assert snapshot(whole) == before
    run = tmp_path / "fit"
    words = ["--out", str(run), "--set=model.name=linear_autoencoder"]
    assert main(["fit", str(recording), *words, "--set=training.max_epochs=2"]) == 0
    before = snapshot(run)
    for option in ((), ("--overwrite",), ("--resume",)):
        code, message = failure(capsys, "tune", recording, *words, *option)
        assert code == 2 and "was made by `latentspike fit`" in message
    assert snapshot(run) == before


def test_an_existing_search_is_replaced_only_when_asked(recording, whole, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["tune", str(recording), "--out", str(run), *SHORT, "--seed=5"]) == 0
    (run / "notes.txt").write_text("keep me")
    (run / "posterior.h5").write_text("stale")
    before = snapshot(run)
    code, message = failure(capsys, "tune", recording, "--out", run, *SHORT)
    assert code == 2 and "--resume" in message and "--overwrite" in message
    assert snapshot(run) == before
    assert main(["tune", str(recording), "--out", str(run), *SHORT, "--overwrite"]) == 0
    assert_same(run, whole)
    assert (run / "notes.txt").read_text() == "keep me"
    assert not (run / "posterior.h5").exists()
    n_files = sum(1 for path in (run / "tensorboard").rglob("*") if path.is_file())
    assert n_files == sum(1 for path in (whole / "tensorboard").rglob("*") if path.is_file())


def test_a_folder_of_something_else_is_not_searched_in(recording, tmp_path, capsys):
    foreign = tmp_path / "thesis"
    foreign.mkdir()
    (foreign / "search.txt").write_text("mine")
    for option in ((), ("--overwrite",)):
        code, message = failure(capsys, "tune", recording, "--out", foreign, *SHORT, *option)
        assert code == 2 and "holds no run" in message
    assert snapshot(foreign) == {"search.txt": b"mine"}


@pytest.mark.parametrize(
    "name", ["search.toml", "search.json", "lineage.csv", "split.npz", "run.json", "weights"]
)
def test_damaged_files_of_a_search(name, recording, tmp_path, capsys):
    run = tmp_path / "run"
    assert main(["tune", str(recording), "--out", str(run), *SHORT]) == 0
    path = run / name if name != "weights" else run / "weights" / "0002" / "member-0001.npz"
    content = path.read_bytes()
    half = len(content) // 2 - 3
    if path.suffix == ".toml":  # the lines before any other place may be a table of their own
        half = content.rindex(b"=", 0, half) + 1
    path.write_bytes(content[:half])
    longer = "--set=search.max_generations=4"
    code, message = failure(capsys, "tune", "--resume", "--out", run, longer)
    assert code == (2 if name == "search.toml" else 3) and path.name in message
