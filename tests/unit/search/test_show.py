import io
import re
import sys

import pytest
from rich.console import Console
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from latentspike.search import pace, show
from latentspike.search.show import SearchReporter

NAN = float("nan")


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


@pytest.fixture
def clock(monkeypatch):
    clock = Clock()
    monkeypatch.setattr(show, "_now", clock)
    monkeypatch.setattr(pace, "_now", clock)
    return clock


@pytest.fixture
def terminal(monkeypatch):
    """What a person sees: the text of a terminal of a given size."""

    def make(width=100, height=30):
        file = io.StringIO()
        console = Console(file=file, force_terminal=True, width=width, height=height)
        monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
        monkeypatch.setattr(show, "_console", lambda: console)
        return file

    return make


def reporter_of(n_members, folder=None, *, names=("l2_gen",), epochs=2, generations=3, **rest):
    return SearchReporter(
        folder,
        n_members=n_members,
        epochs_per_generation=epochs,
        max_generations=generations,
        names=names,
        show=rest.get("show", True),
    )


def told(epoch, losses):
    return [
        (member, {"epoch": epoch, "valid_loss": loss + 1, "selection_smoothed": loss})
        for member, loss in losses.items()
    ]


def ended(scores, ancestors=None, **hyperparams):
    ancestors = ancestors or list(range(len(scores)))
    return [
        {"member": i, "ancestor": ancestors[i], "score": score}
        | {name: values[i] for name, values in hyperparams.items()}
        for i, score in enumerate(scores)
    ]


def start(reporter, n_members, generation=0, scores=None, names=("l2_gen",)):
    values = [dict.fromkeys(names, 0.01234 * (i + 1)) for i in range(n_members)]
    reporter.begin(generation, values, scores or [None] * n_members)


def last_table(file):
    """Lines of the table that was drawn last, without styles."""
    text = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]", "", file.getvalue()).replace("\r", "")
    return text[text.rindex("generation ") :].splitlines()


def scalars(run):
    events = EventAccumulator(str(run))
    events.Reload()
    return {
        tag: [(event.step, pytest.approx(event.value, rel=1e-6)) for event in events.Scalars(tag)]
        for tag in events.Tags()["scalars"]
    }


def test_a_search_that_is_not_shown_says_nothing(capsys):
    reporter = reporter_of(1, show=False)
    reporter.note("hello")
    start(reporter, 1)
    reporter.epoch(told(0, {0: 5.0}))
    reporter.end(ended([5.0], l2_gen=[0.1]))
    reporter.close()
    assert capsys.readouterr() == ("", "")


def test_one_line_per_generation_and_one_in_ten_seconds(capsys, clock):
    reporter = reporter_of(4, epochs=10)
    reporter.note("4 members on CPU")
    start(reporter, 4)
    for epoch in range(10):
        clock.seconds += 2.0
        reporter.epoch(told(epoch, {0: 9.0, 1: 123.44, 3: 8.5}))
    reporter.end(ended([9.0, 123.44, NAN, 8.5], [0, 3, 3, 3], l2_gen=[0.1] * 4))
    reporter.close()
    out, err = capsys.readouterr()
    # 27 epochs after the first, compiling one, in 18 s; the member of which nothing is heard may
    # have 30 left, and 20 once it continues from another
    assert out == ""
    assert err.splitlines() == [
        "4 members on CPU",
        "generation 1/3 epoch 5/10: best 8.5 (member 3), 1.5 member-epochs/s, at most 70 s left",
        "generation 1/3 epoch 10/10: best 8.5 (member 3), 1.5 member-epochs/s, at most 60 s left",
        "generation 1/3: best 8.5 (member 3), 2 replaced, 1 failed, "
        "1.5 member-epochs/s, at most 54 s left",
    ]


def test_a_generation_in_which_all_failed_has_no_best(capsys, clock):
    reporter = reporter_of(2)
    start(reporter, 2)
    reporter.epoch([])
    reporter.end(ended([NAN, NAN], l2_gen=[0.1, 0.2]))
    reporter.close()
    assert capsys.readouterr().err == "generation 1/3: no finite score, 0 replaced, 2 failed\n"


def test_the_rate_leaves_out_what_compiles(clock):
    p = pace.Pace(2, 4, 2)
    clock.seconds += 100  # compiles
    p.count(told(0, {0: 1.0, 1: 1.0}))
    assert p.rate() is None and p.seconds_left() is None
    clock.seconds += 4
    p.count(told(1, {0: 1.0, 1: 1.0}))
    assert p.rate() == 0.5
    assert p.seconds_left() == 2 * 6 / 0.5


def test_epochs_that_are_told_all_at_once_make_no_rate(clock):
    p = pace.Pace(1, 3, 3)
    for generation in range(2):
        clock.seconds += 6
        for epoch in range(3):
            p.count(told(3 * generation + epoch, {0: 1.0}))
        if generation == 0:
            assert p.rate() is None
        p.end({0: 0})
    assert p.rate() == 0.5
    assert p.seconds_left() == 6


def test_who_stopped_or_failed_takes_no_more_time(clock):
    p = pace.Pace(3, 2, 3)
    p.count(told(0, {0: 1.0, 1: 1.0, 2: 1.0}))
    clock.seconds += 2
    p.count(told(1, {0: 1.0, 1: 1.0}))
    p.end({0: 0, 1: 1, 2: 2})  # member 2 has stopped
    assert p.seconds_left() == 2 * 4 / p.rate()
    p.count(told(3, {0: 1.0}))
    clock.seconds += 2
    p.end({0: 0, 1: 0, 2: 2})  # member 1 failed and takes over member 0's weights
    assert p.seconds_left() == 2 * 2 / p.rate()


def test_a_resumed_search_has_only_the_rest_before_it(clock):
    p = pace.Pace(1, 10, 5)
    p.start(4)
    p.count(told(40, {0: 1.0}))
    clock.seconds += 2
    p.count(told(41, {0: 1.0}))
    assert p.seconds_left() == 8 / 0.5


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.2, "1 s"), (90, "2 min"), (301, "6 min"), (5400, "1.5 h"), (7201, "2.1 h")],
)
def test_time_left_is_rounded_up(seconds, text):
    assert pace._duration(seconds) == text


def test_the_table_has_a_row_per_member(terminal, clock):
    file = terminal()
    reporter = reporter_of(3, names=["l2_gen", "learning_rate"])
    start(reporter, 3, names=["l2_gen", "learning_rate"])
    reporter.epoch(told(0, {0: 120.0, 1: 130.0, 2: 0.12345}))
    clock.seconds += 2
    reporter.epoch(told(1, {0: 120.0, 1: 110.0, 2: 0.12345}))
    title, *_, first, second, third = last_table(file)
    assert title.strip() == (
        "generation 1/3 · epoch 2/2 · 1.5 member-epochs/s · at most 8 s left "
        "· best 0.1235 (member 2)"
    )
    assert first.split() == ["0", "120.0", "0.0123", "0.0123"]
    assert second.split() == ["1", "110.0", "0.0247", "0.0247"]
    assert third.split() == ["2", "0.1235", "0.037", "0.037"]
    reporter.close()


def test_only_the_best_row_stands_out(terminal):
    file = terminal()
    reporter = reporter_of(3)
    start(reporter, 3)
    reporter.epoch(told(0, {0: 5.0, 1: 4.0, 2: NAN}))
    reporter.close()
    rows = file.getvalue().split("generation ")[-1].splitlines()[-4:-1]
    assert ["\x1b[1;32m" in row for row in rows] == [False, True, False]


def test_the_table_says_what_happened_to_each(terminal):
    file = terminal()
    reporter = reporter_of(4)
    start(reporter, 4)
    reporter.epoch(told(1, {0: 9.0, 1: 7.0, 2: 8.0}))
    reporter.end(ended([9.0, 7.0, 8.0, NAN], [1, 1, 2, 3], l2_gen=[0.1] * 4))
    start(reporter, 4, 1, [7.0, 7.0, 8.0, None])
    title, *_, first, second, third, fourth = last_table(file)
    # member 0 has the loss of member 1 now, but did not earn it
    assert "generation 2/3 · epoch 0/2" in title and "best 7 (member 1)" in title
    assert first.split()[:4] == ["0", "7", "←", "1"]
    assert second.split()[:2] == ["1", "7"] and "←" not in second
    assert third.split()[:2] == ["2", "8"]
    assert fourth.split()[:3] == ["3", "–", "failed"]
    reporter.close()


def test_members_beyond_the_terminal_are_counted(terminal):
    file = terminal(height=12)
    reporter = reporter_of(40)
    start(reporter, 40)
    losses = {i: 100.0 + (i * 7) % 40 for i in range(40)}
    reporter.epoch(told(0, losses))
    reporter.close()
    lines = last_table(file)
    assert len(lines) < 12
    shown = {int(line.split()[0]): float(line.split()[1]) for line in lines[3:-1]}
    assert shown == {i: loss for i, loss in losses.items() if loss < 107}
    assert list(shown) == sorted(shown)
    assert lines[-1].startswith("not shown: 33 members")


def test_no_number_is_cut_where_a_terminal_is_narrow(terminal):
    names = ["l2_gen", "keep_ratio", "learning_rate"]
    file = terminal(width=40)
    reporter = reporter_of(2, names=names)
    start(reporter, 2, names=names)
    reporter.epoch(told(0, {0: 1.0, 1: 2.0}))
    reporter.close()
    lines = last_table(file)
    assert "…" not in "".join(lines[2:-1])
    assert lines[-1].strip() == "not shown: learning_rate"
    assert lines[-2].split() == ["1", "2", "0.0247", "0.0247"]


def test_the_title_names_the_members_that_train(terminal):
    file = terminal()
    reporter = reporter_of(6)
    start(reporter, 6)
    reporter.epoch(told(0, {2: 1.0, 3: 2.0}))
    reporter.close()
    assert "epoch 1/2 (members 2–3)" in last_table(file)[0]


def test_a_resumed_table_knows_the_scores(terminal):
    file = terminal()
    reporter = reporter_of(2)
    start(reporter, 2, 1, [33.0, None])
    reporter.close()
    assert "best 33 (member 0)" in last_table(file)[0]


def test_the_table_is_not_drawn_at_every_epoch(terminal, clock):
    file = terminal()
    reporter = reporter_of(1, epochs=1000)
    start(reporter, 1)
    before = file.getvalue().count("generation")
    for epoch in range(1000):
        clock.seconds += 0.001
        reporter.epoch(told(epoch, {0: 1.0}))
    assert file.getvalue().count("generation") - before == 4
    reporter.close()


def test_notes_stand_above_the_table_as_they_are(terminal):
    file = terminal()
    reporter = reporter_of(1)
    reporter.note("4 members [bold]on CPU")
    start(reporter, 1)
    reporter.close()
    assert "4 members [bold]on CPU\n" in file.getvalue()
    assert file.getvalue().endswith("\x1b[?25h")  # the cursor is back


def run_search(folder, generations, n_members=3, base=10.0):
    reporter = reporter_of(n_members, folder, generations=5, show=False)
    for g in generations:
        start(reporter, n_members, g)
        for epoch in (2 * g, 2 * g + 1):
            reporter.epoch(told(epoch, {i: base + i + epoch for i in range(n_members)}))
        scores = [base + i - g for i in range(n_members)]
        rates = [0.1 * (i + 1) for i in range(n_members)]
        reporter.end(ended(scores, l2_gen=rates))
    return reporter


def test_members_have_runs_in_tensorboard(tmp_path):
    run_search(tmp_path, range(2)).close()
    runs = sorted(run.name for run in (tmp_path / "tensorboard").iterdir())
    assert runs == ["member-000", "member-001", "member-002", "search"]
    assert scalars(tmp_path / "tensorboard" / "member-001") == {
        "valid_loss": [(0, 12.0), (1, 13.0), (2, 14.0), (3, 15.0)],
        "score": [(1, 11.0), (3, 10.0)],
        "hyperparams/l2_gen": [(1, 0.2), (3, 0.2)],
    }


def test_the_search_has_a_run_of_its_own(tmp_path):
    run_search(tmp_path, range(2)).close()
    assert scalars(tmp_path / "tensorboard" / "search") == {
        "best/score": [(1, 10.0), (3, 9.0)],
        "median/score": [(1, 11.0), (3, 10.0)],
        "hyperparams/l2_gen/lower": [(1, 0.15), (3, 0.15)],
        "hyperparams/l2_gen/median": [(1, 0.2), (3, 0.2)],
        "hyperparams/l2_gen/upper": [(1, 0.25), (3, 0.25)],
    }


def test_a_resumed_search_has_every_step_once(tmp_path):
    interrupted = run_search(tmp_path, range(2), base=50.0)
    interrupted.epoch(told(4, {0: 1.0}))  # of a generation that is never finished
    interrupted.close()
    run_search(tmp_path, range(1, 3)).close()
    found = scalars(tmp_path / "tensorboard" / "member-000")
    assert found["valid_loss"] == [
        (0, 51.0), (1, 52.0), (2, 13.0), (3, 14.0), (4, 15.0), (5, 16.0)
    ]  # fmt: skip
    assert found["score"] == [(1, 50.0), (3, 9.0), (5, 8.0)]
    found = scalars(tmp_path / "tensorboard" / "search")
    assert [step for step, _ in found["best/score"]] == [1, 3, 5]


def test_events_of_a_finished_generation_are_on_disk_before_the_end(tmp_path):
    reporter = run_search(tmp_path, range(1))
    assert scalars(tmp_path / "tensorboard" / "search")["best/score"] == [(1, 10.0)]
    reporter.close()


def test_a_failed_score_leaves_a_gap(tmp_path):
    reporter = reporter_of(2, tmp_path, show=False)
    start(reporter, 2)
    reporter.end(ended([NAN, 4.0], l2_gen=[0.1, 0.2]))
    start(reporter, 2, 1)
    reporter.end(ended([NAN, NAN], l2_gen=[0.1, 0.2]))
    reporter.close()
    assert "score" not in scalars(tmp_path / "tensorboard" / "member-000")
    assert scalars(tmp_path / "tensorboard" / "search")["best/score"] == [(1, 4.0)]


def test_large_populations_have_only_the_run_of_the_search(tmp_path):
    run_search(tmp_path, range(1), n_members=show.MEMBER_RUNS + 1).close()
    assert [run.name for run in (tmp_path / "tensorboard").iterdir()] == ["search"]
    assert scalars(tmp_path / "tensorboard" / "search")["best/score"] == [(1, 10.0)]
