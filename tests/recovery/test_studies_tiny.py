"""Every study of the catalog at the scale for tests, by the command that users give.

Most numbers mean nothing at this size. Where a small run does show what the study is about, that
is asserted too (`SHOWN`). MC_Maze is not ours to ship: tests/unit/studies/test_recordings.py runs
its study on a file of the same structure.
"""

import json
import math

import jax
import pytest

from latentspike.cli.main import main
from latentspike.cli.study_all import lacks
from latentspike.studies import linear_autoencoder, random_search
from latentspike.studies.catalog import STUDIES
from latentspike.studies.claims import FAILED, HELD, UNKNOWN

BUILT = {study.name: study for study in STUDIES if study.steps}


@pytest.fixture
def plainly(monkeypatch):
    """Compile fast what computes little, here and in the processes of the fits."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


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


def neurons_are_drawn_and_found(results):
    found = results["found_populations"]
    rows = found["by_duration"]["6"]
    assert found["neurons"] == 25
    assert all(row["agreement"] > 0.8 for row in rows) and rows[0] != rows[1]


def the_order_falls(results):
    orders = [row["order"] for row in results["cluster_states"]["spectra"] if row["order"]]
    assert orders[0] > orders[-1] == 1


SHOWN = {
    "keshtkaran-2019/fig3": dropout_halves_the_true_loss,
    "keshtkaran-2019/fig4": only_dropout_orders_models_by_r2,
    "keshtkaran-2019/fig5-simulated": the_best_member_is_no_worse_than_others,
    "wang-2022/populations": neurons_are_drawn_and_found,
    "wang-2022/fig2b": the_order_falls,
}


def numbers_in(value):
    """All numbers of a nested document."""
    if isinstance(value, dict | list):
        for each in value.values() if isinstance(value, dict) else value:
            yield from numbers_in(each)
    elif isinstance(value, int | float):
        yield value


@pytest.mark.parametrize("name", BUILT)
def test_tiny(name, tmp_path, capsys, request):
    if name not in SHOWN:
        request.getfixturevalue("plainly")
    study = BUILT[name]
    if why := lacks(study):
        pytest.skip(why)
    assert main(["study", "run", name, "--scale", "tiny", "--out", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    folder = tmp_path / name / "tiny"
    record = json.loads((folder / "study.json").read_text(encoding="utf-8"))
    assert (record["study"], record["scale"], record["status"]) == (name, "tiny", "finished")
    assert record["seconds"] > 0 and record["configuration"]["steps"]
    verdicts = [claim["verdict"] for claim in record["claims"]]
    assert len(verdicts) == len(study.claims) and set(verdicts) <= {HELD, FAILED, UNKNOWN}
    assert all(claim["sentence"] in said and claim["ours"] in said for claim in record["claims"])
    assert record["figures"] and record["tables"]
    assert all((folder / figure).stat().st_size > 5000 for figure in record["figures"])
    assert all((folder / table).read_text(encoding="utf-8").strip() for table in record["tables"])
    results = {
        step.module: json.loads((study.folder_of(step, folder) / "results.json").read_text())
        for step in study.steps
    }
    assert all(math.isfinite(number) for number in numbers_in(results))
    assert any(True for _ in numbers_in(results))
    if name in SHOWN:
        SHOWN[name](results)
