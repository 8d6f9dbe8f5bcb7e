import csv

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from latentspike.models.linear_autoencoder import LinearAutoencoder
from latentspike.training.report import Reporter, write_metrics

ROW = {"epoch": 0, "train_loss": 3.0, "valid_loss": 4.0}


def test_metrics_have_a_column_for_every_figure(tmp_path):
    write_metrics(tmp_path / "metrics.csv", [ROW, ROW | {"epoch": 1, "r2": 0.5}])
    with open(tmp_path / "metrics.csv") as file:
        rows = list(csv.DictReader(file))
    assert [row["r2"] for row in rows] == ["", "0.5"]
    assert [float(row["valid_loss"]) for row in rows] == [4.0, 4.0]


def test_plain_lines_where_there_is_no_terminal(capsys):
    reporter = Reporter(None, 10, show=True)
    reporter.epoch(ROW)
    reporter.note("stopped")
    reporter.close()
    out, err = capsys.readouterr()
    assert out == "" and "epoch 1/10" in err and "stopped" in err


def test_nothing_is_shown_unless_asked(train, continuous, capsys):
    train(LinearAutoencoder(), continuous)
    assert capsys.readouterr() == ("", "")


def test_events_are_written_beside_the_table(train, continuous, tmp_path):
    train(LinearAutoencoder(), continuous, folder=tmp_path)
    (events,) = (tmp_path / "tensorboard").iterdir()
    content = events.read_bytes()
    assert b"valid_loss" in content and b"learning_rate" in content


def test_epochs_that_are_done_again_appear_once_in_the_events(tmp_path):
    for epochs, loss in ((range(4), 1.0), (range(2, 5), 2.0)):
        reporter = Reporter(tmp_path, 10, show=False)
        for epoch in epochs:
            reporter.epoch(ROW | {"epoch": epoch, "valid_loss": loss})
        reporter.close()
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    found = [(event.step, event.value) for event in events.Scalars("valid_loss")]
    assert found == [(0, 1.0), (1, 1.0), (2, 2.0), (3, 2.0), (4, 2.0)]
