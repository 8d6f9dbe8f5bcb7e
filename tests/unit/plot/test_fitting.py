import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike import plot
from latentspike.evaluate import Score


@pytest.fixture
def ax():
    return Figure().add_subplot()


def texts(ax):
    return [text.get_text() for text in ax.texts]


def test_training_curves_draws_what_there_is(ax):
    history = {"epoch": [5, 10], "sv_loss": [2.0, 1.0], "valid_loss": [3.0, 2.5], "lr": [1, 1]}
    plot.training_curves(history, ax=ax)
    curves = {line.get_label(): line for line in ax.get_lines()}
    assert set(curves) == {"validation", "sample validation"}
    np.testing.assert_array_equal(curves["sample validation"].get_xydata(), [[5, 2], [10, 1]])


def test_training_curves_counts_epochs_from_one(ax):
    plot.training_curves({"train_loss": [3.0, 2.0, 1.0]}, ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[0].get_xdata(), [1, 2, 3])


def test_the_loss_of_the_true_rates_is_a_line_across(ax):
    plot.training_curves({"train_loss": [3.0, 2.0]}, true_loss=1.5, ax=ax)
    line = ax.get_lines()[-1]
    assert line.get_label() == "true rates"
    np.testing.assert_array_equal(line.get_ydata(), [1.5, 1.5])


def test_a_single_epoch_is_visible(ax):
    plot.training_curves({"train_loss": [3.0]}, ax=ax)
    assert ax.get_lines()[0].get_marker() == "o"


def test_a_metric_measured_now_and_then_is_one_line(ax):
    plot.training_curves({"r2": [np.nan, 0.1, np.nan, np.nan, 0.5]}, show="r2", ax=ax)
    np.testing.assert_array_equal(ax.get_lines()[0].get_xydata(), [[2, 0.1], [5, 0.5]])


def test_training_curves_names_the_columns_it_looked_for():
    with pytest.raises(ValueError, match=r"none of kl_ic, kl_co; it has train_loss, r2"):
        plot.training_curves({"train_loss": [1.0], "r2": [0.1]}, show="kl")
    with pytest.raises(ValueError, match="show must be one of loss, kl, r2"):
        plot.training_curves({"train_loss": [1.0]}, show="accuracy")


def test_weights_have_zero_in_the_middle_of_the_colors(ax):
    weights = np.array([[0.5, -2.0], [0.0, 1.0]])
    plot.autoencoder_weights(weights, ax)
    image = ax.images[0]
    np.testing.assert_array_equal(image.get_array(), weights)
    assert image.get_clim() == (-2, 2)


def test_weights_of_zero_have_a_color_scale(ax):
    plot.autoencoder_weights(np.zeros((3, 3)), ax)
    low, high = ax.images[0].get_clim()
    assert low < 0 < high


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        (np.ones((2, 3)), r"square matrix, got shape \(2, 3\)"),
        (np.ones(3), "square matrix"),
        (np.array([[1.0, 2.0], [np.nan, 1.0]]), r"weights\[1, 0\] = nan"),
    ],
)
def test_weights_that_are_no_matrix_are_refused(weights, message):
    with pytest.raises(ValueError, match=message):
        plot.autoencoder_weights(weights)


def test_each_score_stands_above_its_baseline(ax):
    rows = [Score("rates R²", "", 0.81, 0.02, 0.5), Score("PSTH R²", "", 0.7, None, 0.6)]
    plot.scores(rows, ax=ax)
    model, baseline = (
        [bar for bar in ax.patches if bar.get_facecolor() == color]
        for color in dict.fromkeys(bar.get_facecolor() for bar in ax.patches)
    )
    assert [bar.get_width() for bar in model] == [0.81, 0.7]
    assert [bar.get_width() for bar in baseline] == [0.5, 0.6]
    assert [label.get_text() for label in ax.get_yticklabels()] == ["rates R²", "PSTH R²"]
    assert texts(ax) == ["0.81", "0.70", "0.50", "0.60"]
    assert ax.yaxis_inverted()  # the first row on top


def test_scores_without_baseline_have_no_second_bar(ax):
    plot.scores([Score("rates R²", "", 0.8)], ax=ax)
    assert len(ax.patches) == 1
    assert ax.get_legend() is None


def test_a_score_without_value_is_a_dash(ax):
    plot.scores([Score("rates R²", "", 0.8), Score("PSTH R²", "", None, note="flat")], ax=ax)
    assert texts(ax) == ["0.80", "–"]


def test_a_negative_score_is_drawn_left_of_zero(ax):
    plot.scores([Score("co-smoothing", "bits/spike", -0.1)], ax=ax)
    assert ax.patches[0].get_width() == -0.1
    assert texts(ax) == ["-0.10"]


def test_scores_says_what_is_wrong():
    with pytest.raises(ValueError, match="no scores to draw"):
        plot.scores([])
    with pytest.raises(ValueError, match=r"row 1 is no score.*value"):
        plot.scores([Score("a", "", 1.0), {"metric": "b", "unit": ""}])
