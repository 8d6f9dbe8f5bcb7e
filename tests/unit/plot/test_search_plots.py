import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.colors import same_color
from matplotlib.figure import Figure
from scipy.stats import spearmanr

from latentspike import plot
from latentspike.plot import style

# Scores and ancestors [generations, members]. The weights of member 0 win: member 2 takes them
# over after generation 0, member 1 takes them from there after generation 1.
SCORES = np.array([[4.0, 5.0, 6.0], [3.0, np.nan, 2.5], [2.8, 1.5, 2.0]])
ANCESTORS = np.array([[0, 1, 0], [0, 2, 2], [0, 1, 2]])
RATES = np.array([[1e-3, 1e-2, 1e-4], [1e-3, 1e-2, 2e-3], [1e-3, 3e-3, 2e-3]])


@pytest.fixture
def ax():
    return Figure().add_subplot()


@pytest.fixture(autouse=True)
def closed():
    yield
    plt.close("all")


def lineage(scores=SCORES, ancestors=ANCESTORS, **columns):
    columns = columns or {"learning_rate": RATES}
    return [
        {
            "generation": generation,
            "member": member,
            "ancestor": int(ancestors[generation][member]),
            "reason": "",
            "score": float(score),
            **{name: float(values[generation][member]) for name, values in columns.items()},
        }
        for generation, row in enumerate(scores)
        for member, score in enumerate(row)
    ]


def members(scores, **columns):
    return [
        {"member": i, "score": score, **{name: values[i] for name, values in columns.items()}}
        for i, score in enumerate(scores)
    ]


def line(ax, label):
    (found,) = [line for line in ax.get_lines() if line.get_label().startswith(label)]
    return found


def segments(ax, label):
    found = [lines for lines in ax.collections if lines.get_label() == label]
    return sorted(part.tolist() for lines in found for part in lines.get_segments())


def legend(ax):
    return ax.get_legend_handles_labels()[1]


# search_scores


def test_the_winning_line_follows_the_weights_not_the_member(ax):
    plot.search_scores(lineage(), ax=ax)
    winner = line(ax, "winner")
    assert winner.get_label() == "winner: member 1, generation 2"
    np.testing.assert_array_equal(winner.get_xydata(), [[0, 4], [1, 2.5], [2, 1.5]])


def test_members_that_took_weights_over_hang_on_their_ancestor(ax):
    plot.search_scores(lineage(), ax=ax)
    assert segments(ax, "took weights over") == [[[0, 4], [1, 2.5]], [[1, 2.5], [2, 1.5]]]
    kept = [[[0, 4], [1, 3]], [[1, 2.5], [2, 2]], [[1, 3], [2, 2.8]]]
    assert segments(ax, "kept its weights") == kept  # none to or from the failed member


def test_the_best_so_far_is_a_step_that_never_rises(ax):
    scores = SCORES[::-1]
    plot.search_scores(lineage(scores, np.tile(np.arange(3), (3, 1))), ax=ax)
    best = line(ax, "best so far")
    assert best.get_drawstyle() == "steps-post"
    np.testing.assert_array_equal(best.get_ydata(), [1.5, 1.5, 1.5])


def test_the_best_so_far_starts_where_a_member_has_a_score(ax):
    scores = [[np.nan, np.nan], [2.0, 3.0]]
    plot.search_scores(lineage(scores, [[0, 1]] * 2, lr=np.ones((2, 2))), ax=ax)
    np.testing.assert_array_equal(line(ax, "best so far").get_ydata(), [np.nan, 2.0])
    assert "failed (2)" in legend(ax)


@pytest.mark.parametrize("failure", [np.nan, np.inf])
def test_a_failed_member_is_a_cross_at_the_top(ax, failure):
    scores = np.where(np.isnan(SCORES), failure, SCORES)
    plot.search_scores(lineage(scores), ax=ax)
    crosses = line(ax, "failed (1)")
    assert crosses.get_marker() == "x"
    np.testing.assert_array_equal(crosses.get_xydata(), [[1, 0.97]])
    assert crosses.get_transform().transform((1, 1))[1] == ax.bbox.ymax  # in parts of the axes


def test_a_score_far_above_the_others_does_not_flatten_them(ax):
    scores = np.linspace(1, 2, 60).reshape(20, 3)
    scores[4, 1] = 1e6
    plot.search_scores(lineage(scores, [[0, 1, 2]] * 20, lr=np.ones((20, 3))), ax=ax)
    assert ax.get_ylim()[1] < 3
    np.testing.assert_array_equal(line(ax, "above the axis (1)").get_xdata(), [4])
    assert all(end[1] < 3 for ends in segments(ax, "kept its weights") for end in ends)


def test_the_top_of_the_axis_can_be_chosen(ax):
    plot.search_scores(lineage(), top=3, ax=ax)
    np.testing.assert_array_equal(line(ax, "above the axis (3)").get_xdata(), [0, 0, 0])
    assert 3 <= ax.get_ylim()[1] < 4
    with pytest.raises(ValueError, match=r"top = 1 leaves no score.*lowest is 1\.5"):
        plot.search_scores(lineage(), top=1)


def test_all_scores_are_shown_where_none_stands_out(ax):
    plot.search_scores(lineage(), ax=ax)
    assert sum(np.isfinite(line(ax, "_scores").get_ydata())) == 8
    assert not [name for name in legend(ax) if name.startswith("above")]


def test_one_member_of_one_generation_is_a_dot(ax):
    plot.search_scores(lineage([[2.0]], [[0]], lr=[[1.0]]), ax=ax)
    winner = line(ax, "winner: member 0, generation 0")
    assert winner.get_marker() == "o"
    np.testing.assert_array_equal(winner.get_xydata(), [[0, 2]])
    assert not ax.collections


def test_members_keep_their_names(ax):
    rows = [row | {"member": row["member"] + 10, "ancestor": row["ancestor"] + 10}
            for row in reversed(lineage())]  # fmt: skip
    plot.search_scores(rows, ax=ax)
    np.testing.assert_array_equal(line(ax, "winner: member 11").get_ydata(), [4, 2.5, 1.5])


def test_rows_as_text_are_read_and_an_empty_score_is_a_failure(ax):
    rows = [{name: str(value) for name, value in row.items()} for row in lineage()]
    rows[4]["score"] = ""
    plot.search_scores(rows, ax=ax)
    np.testing.assert_array_equal(line(ax, "winner").get_ydata(), [4, 2.5, 1.5])
    assert "failed (1)" in legend(ax)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda rows: rows.clear(), "no rows"),
        (lambda rows: rows.pop(4), "generation 1 has no row of member 1"),
        (lambda rows: rows.__delitem__(slice(3, 6)), "generation 1 has no row of member 0"),
        (lambda rows: rows.append(rows[4]), "generation 1 has two rows of member 1"),
        (lambda rows: rows[4].update(ancestor=7), "generation 1, member 1: its ancestor 7"),
        (lambda rows: rows[4].update(ancestor=0.5), "ancestor = 0.5 is no whole number"),
        (lambda rows: rows[4].update(score="good"), "member 1: score = 'good' is no number"),
        (lambda rows: rows[4].pop("score"), "generation 1, member 1 has no column 'score'"),
        (lambda rows: [row.update(score=np.nan) for row in rows], "no member has a finite score"),
    ],
)
def test_a_broken_lineage_is_refused(change, message):
    rows = lineage()
    change(rows)
    with pytest.raises(ValueError, match=message):
        plot.search_scores(rows)
    with pytest.raises(ValueError, match=message):
        plot.hyperparameter_trajectories(rows, "learning_rate")


# hyperparameter_trajectories


def test_trajectories_follow_the_weights(ax):
    plot.hyperparameter_trajectories(lineage(), "learning_rate", "log", ax=ax)
    winner = line(ax, "from member 0")
    np.testing.assert_array_equal(winner.get_xydata(), [[0, 1e-3], [1, 2e-3], [2, 3e-3]])
    assert ax.get_yscale() == "log"
    strong = segments(ax, "_from member 0, alive")
    assert [[0, 1e-3], [1, 2e-3]] in strong  # member 2 goes on with the weights of member 0
    assert [[0, 1e-4], [1, 2e-3]] not in strong
    assert len(strong) == 5


def test_lineages_that_died_out_are_faint_and_gray(ax):
    plot.hyperparameter_trajectories(lineage(), "learning_rate", ax=ax)
    (faint,) = [some for some in ax.collections if "member 1, died" in some.get_label()]
    (strong,) = [some for some in ax.collections if "member 0, alive" in some.get_label()]
    assert faint.get_segments()[0].tolist() == [[0, 1e-2], [1, 1e-2]]
    assert faint.get_alpha() < strong.get_alpha()
    assert same_color(strong.get_color()[0], (*_rgb(style.INFERRED), strong.get_alpha()))
    assert legend(ax) == ["from member 0: 3 of 3 at the end, winner", "died out"]


def _rgb(color):
    return tuple(int(color[i : i + 2], 16) / 255 for i in (1, 3, 5))


def test_a_branch_that_died_out_is_faint_though_its_lineage_lives(ax):
    ancestors = [[0, 0], [0, 1], [0, 0], [0, 1]]  # member 1: weights of 0, trained twice, lost
    rows = lineage([[1.0, 9.0]] * 4, ancestors, lr=np.tile([1.0, 2.0], (4, 1)))
    plot.hyperparameter_trajectories(rows, "lr", ax=ax)
    assert segments(ax, "_from member 0, died out") == [[[0, 1], [1, 2]], [[1, 2], [2, 2]]]
    assert [[2, 1], [3, 2]] in segments(ax, "_from member 0, alive")


def test_lineages_stand_in_the_legend_by_their_members_at_the_end(ax):
    scores = [[1.0, 2.0, 3.0, 4.0]] * 2
    rows = lineage(scores, [[0, 1, 2, 2], [0, 1, 2, 3]], lr=np.ones((2, 4)))
    plot.hyperparameter_trajectories(rows, "lr", ax=ax)
    assert legend(ax) == [
        "from member 0: 1 of 4 at the end, winner",
        "from member 2: 2 of 4 at the end",
        "from member 1: 1 of 4 at the end",
        "died out",
    ]


def test_every_member_is_drawn_once(ax):
    plot.hyperparameter_trajectories(lineage(), "learning_rate", ax=ax)
    dots = [line.get_xydata() for line in ax.get_lines() if line.get_label().startswith("_from")]
    expected = [[g, RATES[g, m]] for g in range(3) for m in range(3)]
    np.testing.assert_array_equal(sorted(np.concatenate(dots).tolist()), sorted(expected))


def test_the_winners_lineage_is_named_first_though_it_died_out(ax):
    scores = [[5.0, 1.0], [3.0, 9.0], [2.0, 2.5]]
    rows = lineage(scores, [[0, 1], [0, 0], [0, 1]], lr=np.ones((3, 2)))
    plot.hyperparameter_trajectories(rows, "lr", ax=ax)
    assert legend(ax) == [
        "from member 1: 0 of 2 at the end, winner",
        "from member 0: 2 of 2 at the end",
    ]
    np.testing.assert_array_equal(line(ax, "from member 1").get_xdata(), [0])


def test_many_surviving_lineages_have_colors_of_their_own_but_no_legend(ax):
    scores = np.arange(20.0).reshape(2, 10)
    rows = lineage(scores, [range(10)] * 2, lr=np.tile(np.arange(10.0), (2, 1)))
    plot.hyperparameter_trajectories(rows, "lr", ax=ax)
    colors = {tuple(some.get_color()[0]) for some in ax.collections}
    assert len(colors) == 10
    assert legend(ax) == ["from member 0: 1 of 10 at the end, winner"]


def test_a_hyperparameter_that_never_changes_can_be_drawn(ax):
    rows = lineage(dropout=np.zeros((3, 3)))
    plot.hyperparameter_trajectories(rows, "dropout", ax=ax)
    assert ax.get_yscale() == "linear"
    np.testing.assert_array_equal(line(ax, "from member 0").get_ydata(), [0, 0, 0])


@pytest.mark.parametrize(
    ("values", "scale"),
    [
        (np.geomspace(1e-5, 1e-1, 9), "log"),
        (np.linspace(0.01, 0.7, 9), "linear"),  # a factor of 70, but evenly spread
        (np.linspace(0.0, 0.7, 9), "linear"),
        (np.geomspace(0.5, 2, 9), "linear"),
        (-np.geomspace(1e-5, 1e-1, 9), "linear"),
        (np.append(np.geomspace(1e-5, 1e-1, 8), 0), "linear"),
    ],
)
def test_the_scale_fits_the_values(ax, values, scale):
    rows = lineage(lr=values.reshape(3, 3))
    assert plot.hyperparameter_trajectories(rows, "lr", ax=ax).get_yscale() == scale


def test_trajectories_say_what_is_wrong():
    zero = lineage(dropout=np.zeros((3, 3)))
    with pytest.raises(ValueError, match=r"dropout = 0 has no place on a log scale.*'linear'"):
        plot.hyperparameter_trajectories(zero, "dropout", "log")
    with pytest.raises(ValueError, match="scale must be auto, log or linear, got 'ln'"):
        plot.hyperparameter_trajectories(zero, "dropout", "ln")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="has no column 'l2'; it has generation"):
        plot.hyperparameter_trajectories(zero, "l2")
    with pytest.raises(ValueError, match="lr has no finite value"):
        plot.hyperparameter_trajectories(lineage(lr=np.full((3, 3), np.nan)), "lr")


def test_all_trajectories_are_those_that_vary():
    rows = lineage(lr=RATES, dropout=RATES * 10, kl_ic=np.ones((3, 3)))
    panels = plot.all_hyperparameter_trajectories(rows, scales={"dropout": "log"})
    assert [ax.get_ylabel() for ax in panels] == ["lr", "dropout"]
    assert [ax.get_yscale() for ax in panels] == ["linear", "log"]
    for ax, factor in zip(panels, (1, 10), strict=True):
        drawn = line(ax, "from member 0").get_ydata()
        np.testing.assert_allclose(drawn, factor * np.array([1e-3, 2e-3, 3e-3]))
    names = [text.get_text() for text in panels[0].figure.legends[0].get_texts()]
    assert names == ["from member 0: 3 of 3 at the end, winner", "died out"]


def test_a_constant_hyperparameter_is_drawn_when_named():
    rows = lineage(kl_ic=np.ones((3, 3)))
    assert len(plot.all_hyperparameter_trajectories(rows, ["kl_ic"])) == 1
    with pytest.raises(ValueError, match="no hyperparameter varies"):
        plot.all_hyperparameter_trajectories(rows)


def test_seven_panels_stand_in_rows_of_four():
    columns = {f"h{i}": RATES + i for i in range(7)}
    panels = plot.all_hyperparameter_trajectories(lineage(**columns))
    places = {(round(ax.get_position().x0, 2), round(ax.get_position().y0, 2)) for ax in panels}
    assert len(places) == 7 == len(panels[0].figure.axes)
    assert [ax.get_subplotspec().get_geometry()[:2] for ax in panels] == [(2, 4)] * 7


# loss_against_r2


def test_groups_are_clouds_with_their_rank_correlation(ax, rng):
    losses, r2 = rng.normal(size=30), rng.uniform(size=30)
    groups = {"no CD": (losses, r2), "CD": (1 - r2**3, r2)}
    plot.loss_against_r2(groups, true_loss=-0.5, ax=ax)
    rho = f"{spearmanr(losses, r2).statistic:.2f}".replace("-", "−")
    assert legend(ax) == [
        f"no CD: 30 members, ρ = {rho}",
        "CD: 30 members, ρ = −1.00",
        "true rates",
    ]
    np.testing.assert_array_equal(line(ax, "CD").get_xydata(), np.stack([1 - r2**3, r2], axis=1))
    np.testing.assert_array_equal(line(ax, "true rates").get_xdata(), [-0.5, -0.5])
    assert line(ax, "no CD").get_color() != line(ax, "CD").get_color()


def test_members_below_the_floor_stand_on_it(ax):
    r2 = [0.5, -0.1, -3.0, 0.8]
    plot.loss_against_r2({"CD": ([1.0, 2.0, 3.0, 4.0], r2)}, r2_floor=-0.25, ax=ax)
    assert legend(ax) == ["CD: 4 members, ρ = 0.20; 1 below −0.25 (▼)"]
    (edge,) = [line for line in ax.get_lines() if line.get_marker() == "v"]
    np.testing.assert_array_equal(edge.get_xydata(), [[3, -0.25]])
    np.testing.assert_array_equal(line(ax, "CD").get_ydata(), [0.5, -0.1, 0.8])
    assert ax.get_ylim()[0] > -0.5


def test_losses_far_above_the_others_stand_at_the_edge(ax):
    losses = np.append(np.linspace(1, 2, 40), 1e5)
    plot.loss_against_r2({"CD": (losses, np.linspace(0, 0.9, 41))}, ax=ax)
    assert "1 with a higher loss (▶)" in legend(ax)[0]
    (edge,) = [line for line in ax.get_lines() if line.get_marker() == ">"]
    np.testing.assert_array_equal(edge.get_xydata(), [[2, 0.9]])


def test_a_member_off_both_axes_is_marked_once(ax):
    losses, r2 = np.append(np.linspace(1, 2, 40), 1e5), np.append(np.linspace(0, 0.9, 40), -5)
    plot.loss_against_r2({"CD": (losses, r2)}, ax=ax)
    assert "; 1 below −0.2 (▼)" in legend(ax)[0]
    assert "higher loss" not in legend(ax)[0]
    marks = {line.get_marker(): line.get_xydata().tolist() for line in ax.get_lines()}
    assert marks["v"] == [[2, -0.2]]
    assert marks[">"] == []


def test_failed_members_are_counted_not_drawn(ax):
    groups = {"CD": ([1.0, np.nan, 3.0], [0.5, 0.4, np.nan]), "SV": ([np.inf], [0.1])}
    plot.loss_against_r2(groups, ax=ax)
    assert legend(ax) == ["CD: 1 member, ρ = –; 2 failed", "SV: 0 members, ρ = –; 1 failed"]
    np.testing.assert_array_equal(line(ax, "CD").get_xydata(), [[1, 0.5]])


def test_no_rank_correlation_of_equal_losses(ax):
    plot.loss_against_r2({"CD": (np.ones(5), np.arange(5.0))}, ax=ax)
    assert legend(ax) == ["CD: 5 members, ρ = –"]


def test_a_rank_correlation_near_zero_has_no_sign(ax):
    rng = np.random.default_rng(0)
    losses, r2 = rng.normal(size=(2, 400))
    r2 -= r2.min()
    while not -0.005 < spearmanr(losses, r2).statistic < 0:
        losses = rng.permutation(losses)
    plot.loss_against_r2({"CD": (losses, r2)}, ax=ax)
    assert "ρ = 0.00" in legend(ax)[0]


def test_loss_against_r2_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"CD: one loss and one R².*\(2,\) and \(3,\)"):
        plot.loss_against_r2({"CD": ([1.0, 2.0], [0.1, 0.2, 0.3])})
    for groups in ({}, {"CD": ([np.nan], [1.0])}):
        with pytest.raises(ValueError, match="both a finite loss and a finite R²"):
            plot.loss_against_r2(groups)


# hyperparameter_sensitivity


def test_sensitivity_draws_members_and_their_running_median(ax, rng):
    values = rng.permutation(np.linspace(0, 0.7, 40))
    scores = (values - 0.3) ** 2
    plot.hyperparameter_sensitivity(members(scores, dropout=values), "dropout", ax=ax)
    np.testing.assert_array_equal(
        line(ax, "members").get_xydata(), np.stack([values, scores], axis=1)
    )
    median = line(ax, "running median").get_xydata()
    order = np.argsort(values)
    np.testing.assert_array_equal(median[:, 0], values[order])
    # 40 members: four neighbors to either side
    assert median[20, 1] == np.median(scores[order][16:25])
    assert median[0, 1] == np.median(scores[order][:5])
    np.testing.assert_array_equal(
        line(ax, "best").get_xydata()[0], [values[scores.argmin()], scores.min()]
    )
    rho = f"{spearmanr(values, scores).statistic:.2f}".replace("-", "−")
    assert ax.get_title() == f"Spearman ρ = {rho}"


def test_the_running_median_ignores_one_bad_member(ax):
    scores = np.ones(30)
    scores[15] = 1.8
    plot.hyperparameter_sensitivity(members(scores, lr=np.arange(30.0)), "lr", ax=ax)
    np.testing.assert_array_equal(line(ax, "running median").get_ydata(), np.ones(30))


def test_members_with_the_same_value_share_one_median(ax):
    rows = members(np.arange(12.0), dropout=np.repeat([0.1, 0.2, 0.3], 4))
    plot.hyperparameter_sensitivity(rows, "dropout", ax=ax)
    median = line(ax, "running median").get_xydata()
    np.testing.assert_array_equal(median, [[0.1, 2.5], [0.2, 5.5], [0.3, 8.5]])


def test_failed_members_of_a_sensitivity_keep_their_value(ax):
    rows = members([1.0, np.nan, 2.0, np.inf], dropout=[0.0, 0.4, 0.2, 0.6])
    plot.hyperparameter_sensitivity(rows, "dropout", "linear", ax=ax)
    np.testing.assert_array_equal(line(ax, "failed (2)").get_xdata(), [0.4, 0.6])
    np.testing.assert_array_equal(line(ax, "members").get_xdata(), [0, 0.2])


def test_a_score_off_the_axis_keeps_its_value(ax):
    scores = np.append(np.linspace(1, 2, 40), 1e5)
    plot.hyperparameter_sensitivity(members(scores, lr=np.arange(41.0)), "lr", ax=ax)
    np.testing.assert_array_equal(line(ax, "above the axis (1)").get_xdata(), [40])
    assert ax.get_ylim()[1] < 3


@pytest.mark.parametrize("n_members", [1, 2, 20])
def test_a_constant_hyperparameter_has_no_trend(ax, n_members):
    rows = members(np.arange(float(n_members)), kl_ic=np.ones(n_members))
    plot.hyperparameter_sensitivity(rows, "kl_ic", ax=ax)
    assert ax.get_title() == "Spearman ρ = –"
    assert line(ax, "members").get_xdata().size == n_members
    assert "running median" not in legend(ax)


def test_sensitivity_says_what_is_wrong():
    with pytest.raises(ValueError, match="no member has a finite score"):
        plot.hyperparameter_sensitivity(members([np.nan, np.inf], lr=[1.0, 2.0]), "lr")
    with pytest.raises(ValueError, match="no member has a finite score"):
        plot.hyperparameter_sensitivity([], "lr")
    with pytest.raises(ValueError, match="both a finite score and a finite lr"):
        plot.hyperparameter_sensitivity(members([np.nan, 1.0], lr=[1.0, np.nan]), "lr")
    with pytest.raises(ValueError, match="dropout = 0 has no place on a log scale"):
        plot.hyperparameter_sensitivity(members([1.0, 2.0], dropout=[0.0, 0.1]), "dropout", "log")
    with pytest.raises(ValueError, match="member 0 has no column 'l2'"):
        plot.hyperparameter_sensitivity(members([1.0]), "l2")


def test_all_sensitivities_pass_over_what_is_no_hyperparameter():
    rows = members([3.0, 2.0, 1.0], lr=[1e-3, 1e-2, 1e-1], dropout=[0.0, 0.1, 0.2],
                   kl_ic=[1.0, 1.0, 1.0], note=["a", "b", "c"], best_epoch=[1, 2, 3],
                   r2=[0.1, 0.2, 0.3], valid_loss=[3.0, 2.0, 1.0])  # fmt: skip
    panels = plot.all_hyperparameter_sensitivities(rows, scales={"lr": "log"})
    assert [ax.get_xlabel() for ax in panels] == ["lr", "dropout"]
    assert [ax.get_xscale() for ax in panels] == ["log", "linear"]
    assert [ax.get_ylabel() for ax in panels] == ["score (lower is better)", ""]
    np.testing.assert_array_equal(line(panels[1], "members").get_xdata(), [0, 0.1, 0.2])


def test_a_bad_column_leaves_the_given_axes_untouched():
    axes = Figure().subplots(2)
    rows = members([1.0, 2.0], lr=[1.0, 2.0])
    with pytest.raises(ValueError, match="no column 'l2'"):
        plot.all_hyperparameter_sensitivities(rows, ["lr", "l2"], axes=axes)
    assert not axes[0].has_data()
