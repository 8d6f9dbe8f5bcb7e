"""Every study of the 2019 paper at the scale for tests, by the command that users give.

Most numbers mean nothing at this size. Where a small run does show what the study is about, that
is asserted too (`SHOWN`). MC_Maze is not ours to ship: tests/unit/studies/test_recordings.py
runs its study on a file of the same structure.
"""

import pytest

from latentspike.studies import linear_autoencoder, random_search
from latentspike.studies.catalog import STUDIES


def dropout_halves_the_true_loss(results):
    found = results["linear_autoencoder"]
    assert max(found["true_loss_ratio"]) <= 0.5
    without = found["last_epoch"][next(iter(linear_autoencoder.KEEP_RATIOS))]
    assert without[0]["loss_recon"] < 0.01  # the identity: copying, not explaining


def only_dropout_orders_models_by_r2(results):
    arms = results["random_search"]["arms"]
    plain, sample, dropout = (arms[arm][0] for arm in random_search.KEEP_RATIO)
    assert dropout["rank_correlation"] <= -0.8
    assert sample["rank_correlation"] < 0
    assert plain["rank_correlation"] > dropout["rank_correlation"] + 0.3


def the_best_member_is_no_worse_than_others(results):
    scores = {k: v[0] for k, v in results["population_based_training"]["r2"]["1"].items()}
    best = scores["random search: best member, if one knew the truth"]
    assert best >= scores["random search: median member"]
    assert best >= scores["random search: chosen by validation loss"]


SHOWN = {
    "keshtkaran-2019/fig3": dropout_halves_the_true_loss,
    "keshtkaran-2019/fig4": only_dropout_orders_models_by_r2,
    "keshtkaran-2019/fig5-simulated": the_best_member_is_no_worse_than_others,
}


@pytest.mark.parametrize(
    "name", [study.name for study in STUDIES if study.name.startswith("keshtkaran")]
)
def test_tiny(name, check_tiny):
    check_tiny(name, SHOWN)
