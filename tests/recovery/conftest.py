"""Fixtures of the long tests."""

import json
import math

import jax
import pytest

from latentspike.cli.main import main
from latentspike.cli.study_all import lacks
from latentspike.studies.catalog import find
from latentspike.studies.claims import FAILED, HELD, UNKNOWN


def numbers_in(value):
    """All numbers of a nested document but R-hat: a chain of eight draws may never move."""
    if isinstance(value, dict):
        value = [each for name, each in value.items() if name != "r_hat"]
    if isinstance(value, list):
        for each in value:
            yield from numbers_in(each)
    elif isinstance(value, int | float):
        yield value


@pytest.fixture
def plainly(monkeypatch):
    """Compile fast what computes little, here and in the processes of the fits."""
    monkeypatch.setenv("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
    jax.config.update("jax_disable_most_optimizations", True)
    yield
    jax.config.update("jax_disable_most_optimizations", False)


@pytest.fixture
def run_tiny(tmp_path, capsys):
    """Runs a study at the scale for tests by the command that users give; what its steps kept."""

    def run(name):
        study = find(name)
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
        assert all(
            claim["sentence"] in said and claim["ours"] in said for claim in record["claims"]
        )
        assert record["figures"] and record["tables"]
        assert all((folder / figure).stat().st_size > 5000 for figure in record["figures"])
        assert all((folder / table).read_text("utf-8").strip() for table in record["tables"])
        results = {
            step.module: json.loads((study.folder_of(step, folder) / "results.json").read_text())
            for step in study.steps
        }
        assert all(math.isfinite(number) for number in numbers_in(results))
        assert any(True for _ in numbers_in(results))
        return results

    return run


@pytest.fixture
def check_tiny(request, run_tiny):
    """Runs a study, and what its small run shows, where there is something."""

    def check(name, shown):
        if name not in shown:
            request.getfixturevalue("plainly")
        results = run_tiny(name)
        if name in shown:
            shown[name](results)

    return check
