"""The schedule on made-up scores, checked by hand."""

import json

import numpy as np
import pytest

from latentspike.training.progress import Progress
from latentspike.training.settings import TrainingSettings


def run(scores, rate=0.01, **settings):
    """Progress after the scores (or until it stops), and which epochs were the best so far."""
    progress, best = Progress(), []
    chosen = TrainingSettings(**{"max_epochs": 1000, "ramp_epochs": 0, "smoothing": 1.0} | settings)
    for score in scores:
        best.append(progress.record({"valid_loss": score}, score, chosen, rate))
        if progress.stopped:
            break
    return progress, best


def test_smoothing_is_an_exponential_average():
    progress, _ = run([10.0, 20.0, 0.0], smoothing=0.7)
    expected = [10.0, 0.7 * 20 + 0.3 * 10, 0.3 * (0.7 * 20 + 0.3 * 10)]
    assert [row["selection_smoothed"] for row in progress.history] == pytest.approx(expected)
    assert [row["epoch"] for row in progress.history] == [0, 1, 2]


def test_the_best_epoch_is_that_of_the_smoothed_loss():
    # raw best is epoch 2 (0.0); smoothed: 10, 8.5, 5.95, 5.665 (the best), 6.9655
    progress, best = run([10.0, 5.0, 0.0, 5.0, 10.0], smoothing=0.3)
    assert best == [True, True, True, True, False]
    assert progress.best_epoch == 3 and progress.best == pytest.approx(5.665)


def test_equal_scores_do_not_replace_the_best():
    _, best = run([3.0, 3.0, 2.0])
    assert best == [True, False, True]


def test_stops_after_patience_without_improvement():
    progress, _ = run([5, 4, 4, 4, 4, 4, 4], patience=3)
    assert progress.epoch == 5  # epoch 2 improved, then three did not
    assert progress.stopped == "no improvement in 3 epochs"
    assert progress.best_epoch == 1


def test_improvement_must_be_relative_and_adds_up():
    slow = [100 - 0.4 * i for i in range(12)]  # 0.4 % an epoch, 1.2 % in three
    assert run(slow, patience=4, min_improvement=0.01)[0].stopped is None
    assert run(slow, patience=2, min_improvement=0.01)[0].epoch == 3


def test_improvement_of_negative_losses():
    """A log-likelihood of continuous data may be below zero: the share is of its size."""
    assert run([-100.0 - i for i in range(8)], patience=3)[0].stopped is None
    assert run([-100.0 + i for i in range(8)], patience=3)[0].epoch == 4


def test_patience_counts_after_the_ramp():
    rising = [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0]
    assert run(rising, patience=2)[0].epoch == 3
    assert run(rising, patience=2, ramp_epochs=4)[0].epoch == 6


def test_decay_on_a_plateau():
    progress, _ = run([5.0] * 7, decay_factor=0.5, decay_patience=2, patience=100)
    # epoch 1 sets the reference; decays after epochs 3, 5 and 7
    assert progress.rate_factor == 0.5**3
    improving = [5.0 - i for i in range(7)]
    assert run(improving, decay_factor=0.5, decay_patience=2)[0].rate_factor == 1.0
    assert run([5.0] * 7, decay_patience=2, patience=100)[0].rate_factor == 1.0


def test_decay_ends_at_the_least_learning_rate():
    progress, _ = run(
        [5.0] * 50, rate=1e-2, decay_factor=0.1, decay_patience=1, min_learning_rate=5e-4
    )
    # 1e-3 after epoch 2, 1e-4 after epoch 3: below the least
    assert progress.epoch == 3 and progress.stopped == "learning rate below 0.0005"


def test_stops_at_the_limit_of_epochs():
    progress, _ = run(range(10, 0, -1), max_epochs=4)
    assert progress.epoch == 4 and progress.stopped == "reached 4 epochs"


def test_raised_limits_are_decided_again():
    progress, _ = run([5.0, 5.0, 5.0], max_epochs=3, patience=9)
    longer = TrainingSettings(max_epochs=10, patience=9, ramp_epochs=0)
    assert progress.reason_to_stop(longer, 0.01) is None
    shorter = TrainingSettings(max_epochs=10, patience=2, ramp_epochs=0)
    assert progress.reason_to_stop(shorter, 0.01) == "no improvement in 2 epochs"


def test_a_score_that_is_not_a_number_is_never_the_best():
    _, best = run([5.0, float("nan"), 4.0])
    assert best[1] is False


@pytest.mark.parametrize("scores", [[], [5.0, 4.1, 4.2]])
def test_json_round_trip_is_exact(scores):
    progress, _ = run(scores, smoothing=0.7)
    document = json.loads(json.dumps(progress.to_dict(), allow_nan=False))
    restored = Progress.from_dict(document)
    assert restored == progress
    assert np.isinf(restored.best) == (not scores)


def test_a_copy_is_independent():
    progress, _ = run([5.0, 4.0])
    copy = progress.copy()
    copy.record({}, 3.0, TrainingSettings(), 0.01)
    assert progress.epoch == 2 and len(progress.history) == 2
