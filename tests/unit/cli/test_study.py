"""``latentspike study``: list, run, page; what goes wrong; a tiny study from end to end."""

import json
import subprocess
import sys
import types

import pytest

from latentspike.cli import study_record
from latentspike.cli.main import main
from latentspike.studies import catalog
from latentspike.studies.claims import HELD, UNKNOWN, Claim, Finding, part, verdict_of
from latentspike.studies.claims_keshtkaran import LINEAR_AUTOENCODER

NAME = "keshtkaran-2019/tiny"


def called(capsys, *words):
    """Exit code, document on standard output, and standard error."""
    capsys.readouterr()
    code = main(["study", *map(str, words), "--json"])
    captured = capsys.readouterr()
    return code, json.loads(captured.out), captured.err


@pytest.fixture
def fake(monkeypatch):
    """A study of two steps that do what the test says; returns a list of their arguments."""
    calls = []
    module = types.ModuleType("latentspike.studies.fake")

    def step(words):
        from latentspike.files import write_json

        calls.append(words)
        module.act(words)
        folder = words[words.index("--out") + 1]
        write_json(f"{folder}/results.json", {"x": 2.0, "nan": float("nan")})
        from pathlib import Path

        Path(folder, "figure one.png").write_bytes(b"png")

    module.main, module.act = step, lambda words: None
    other = types.ModuleType("latentspike.studies.other")
    other.main = step
    for each in (module, other):
        monkeypatch.setitem(sys.modules, each.__name__, each)

    def judge(results):
        x = part(results, "fake", "x")
        return Finding(f"x | {x}", "1 seed", verdict_of(x > 1))

    claims = (
        Claim("Fig. 0", "x exceeds 1.", "3", judge),
        Claim("Fig. 0", "y exceeds 1.", "4", lambda results: part(results, "other", "y")),
    )
    study = catalog.Study(
        NAME,
        "a title",
        (catalog.Step("fake", "--a {folder}/b", "--full", has_jobs=True), catalog.Step("other")),
        catalog.Cost(7, "a guess"),
        catalog.Cost(None, "not measured"),
        claims,
    )
    monkeypatch.setattr(catalog, "STUDIES", (study,))
    module.calls = calls
    return module


def test_the_list_names_every_study(tmp_path, capsys):
    code, document, _ = called(capsys, "list", "--out", tmp_path)
    assert code == 0 and document["n_with_results"] == 0
    rows = {row["name"]: row for row in document["studies"]}
    assert rows.keys() == {study.name for study in catalog.STUDIES}
    assert rows["keshtkaran-2019/fig4"]["cost"]["laptop"]["minutes"] == 10
    assert not rows["keshtkaran-2019/fig5"]["built"]
    assert rows["wang-2022/table-s3"]["also"] == ["wang-2022/fig2c"]
    assert main(["study", "list", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "not built yet: no study reads a recording" in text
    assert "needs LATENTSPIKE_TEST_DATA" in text


def test_a_tiny_study_from_end_to_end(tmp_path, capsys, monkeypatch):
    step = catalog.Step("linear_autoencoder", "--seeds 1 --epochs 2")
    study = catalog.Study(
        NAME, "tiny", (step,), catalog.Cost(0.1, ""), catalog.Cost(1, ""), LINEAR_AUTOENCODER
    )
    monkeypatch.setattr(catalog, "STUDIES", (study,))
    code, document, errors = called(capsys, "run", NAME, "--out", tmp_path)
    assert code == 0 and "about 1 min on 2 cores" in errors
    folder = tmp_path / NAME / "laptop"
    kept = json.loads((folder / "study.json").read_text())
    assert kept["status"] == "finished" and kept["seconds"] > 0
    assert kept["claims"] == document["claims"] and len(kept["claims"]) == 3
    assert all(claim["sample"] == "1 seed" for claim in kept["claims"])
    assert kept["figures"] == ["fig3.png"] and (folder / "fig3.png").stat().st_size > 1000
    [written] = kept["configuration"]["steps"]
    assert written["arguments"] == ["--seeds", "1", "--epochs", "2", "--out", str(folder)]
    code, document, _ = called(capsys, "page", "--out", tmp_path)
    text = (tmp_path / "page.md").read_text()
    assert code == 0 and document == {"file": str(tmp_path / "page.md"), "n_studies": 1}
    assert "(keshtkaran-2019/tiny/laptop/fig3.png)" in text
    assert all(claim["ours"] in text for claim in kept["claims"])


def test_a_run_says_its_cost_calls_its_steps_and_judges(fake, tmp_path, capsys):
    code, document, errors = called(capsys, "run", NAME, "--out", tmp_path, "--jobs=3")
    assert code == 0 and "about 7 min on 2 cores (a guess)" in errors
    folder = tmp_path / NAME / "laptop"
    assert fake.calls == [
        ["--a", f"{folder}/b", "--out", f"{folder / 'fake'}", "--jobs", "3"],
        ["--out", f"{folder / 'other'}"],
    ]
    first, second = document["claims"]
    assert (first["verdict"], first["ours"], first["paper"]) == (HELD, "x | 2.0", "3")
    assert (second["verdict"], second["reason"]) == (UNKNOWN, "the results have no other, y")
    assert document["figures"] == ["fake/figure one.png", "other/figure one.png"]
    assert document["command"].startswith(f"latentspike study run {NAME} --scale laptop --out")
    assert document["version"] and set(document["versions"]) == {"jax", "numpy", "python"}
    assert main(["study", "run", NAME, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "Fig. 0: x exceeds 1. Held: ours x | 2.0 [1 seed], paper 3." in text
    assert "Cannot be said (the results have no other, y)" in text
    code, document, _ = called(capsys, "list", "--out", tmp_path)
    [row] = document["studies"]
    assert document["n_with_results"] == 1 and row["results"]["full"] is None
    assert "1 held, 0 did not hold, 1 cannot be said" in row["results"]["laptop"]


def test_both_scales_have_folders_of_their_own(fake, tmp_path, capsys):
    for scale in catalog.SCALES:
        code, document, errors = called(capsys, "run", NAME, "--out", tmp_path, "--scale", scale)
        assert code == 0 and document["run"].endswith(scale)
    assert "cost not measured" in errors
    assert "--full" in fake.calls[2]
    assert called(capsys, "page", "--out", tmp_path)[1]["n_studies"] == 2


def test_an_interrupted_study_goes_on_with_the_same_command(fake, tmp_path, capsys):
    def stop(words):
        raise KeyboardInterrupt

    act, fake.act = fake.act, stop
    code, document, _ = called(capsys, "run", NAME, "--out", tmp_path)
    assert code == 130 and "The same command goes on" in document["error"]
    path = tmp_path / NAME / "laptop" / "study.json"
    before = json.loads(path.read_text())
    assert before["status"] == "interrupted" and before["claims"] == []
    assert "interrupted, begun" in called(capsys, "list", "--out", tmp_path)[1]["studies"][0][
        "results"
    ]["laptop"]  # fmt: skip
    called(capsys, "page", "--out", tmp_path)
    assert "Not finished: interrupted." in (tmp_path / "page.md").read_text()
    fake.act = act
    assert called(capsys, "run", NAME, "--out", tmp_path)[0] == 0
    after = json.loads(path.read_text())
    assert after["status"] == "finished" and after["started"] == before["started"]
    assert len(after["resumed"]) == 1 and after["seconds"] > before["seconds"]


def test_a_study_that_fails_is_kept_as_failed(fake, tmp_path, capsys):
    def fail(words):
        raise ValueError("no such bins")

    fake.act = fail
    code, document, _ = called(capsys, "run", NAME, "--out", tmp_path)
    assert code == 2 and document["error"] == "no such bins"
    path = tmp_path / NAME / "laptop" / "study.json"
    assert json.loads(path.read_text())["status"] == "failed"


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["run"], "name a study"),
        (["run", "wang-2022/table-s33"], "did you mean wang-2022/table-s3"),
        (["run", "keshtkaran-2019/fig5"], "not built yet: no study reads a recording"),
        (["run", "keshtkaran-2019/fig3", "--jobs=0"], "--jobs must be 1 or more"),
        (["run", "keshtkaran-2019/fig5-monkey-m1"], "set LATENTSPIKE_TEST_DATA"),
        (["list", "keshtkaran-2019/fig3"], "`study list` takes no name"),
        (["page", "--page=a.html"], "must end in .md"),
    ],
)
def test_refusals_are_code_2_and_leave_no_folder(words, said, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LATENTSPIKE_TEST_DATA", raising=False)
    out = tmp_path / "studies"
    code, document, _ = called(capsys, *words, "--out", out)
    assert code == 2 and said in document["error"]
    assert not out.exists()


def test_a_damaged_record_is_named(fake, tmp_path, capsys):
    path = tmp_path / NAME / "laptop" / "study.json"
    path.parent.mkdir(parents=True)
    for text in ("{", "[]", '{"format": 99, "kind": "study"}'):
        path.write_text(text)
        code, document, _ = called(capsys, "page", "--out", tmp_path)
        assert code == 3 and str(path) in document["error"]


def test_a_page_elsewhere_has_its_figures_beside_it(fake, tmp_path, capsys):
    called(capsys, "run", NAME, "--out", tmp_path / "runs")
    page = tmp_path / "docs" / "papers.md"
    assert called(capsys, "page", "--out", tmp_path / "runs", "--page", page)[0] == 0
    text = page.read_text()
    link = "figures/keshtkaran-2019-tiny-laptop-fake-figure one.png"
    assert f"({link.replace(' ', '%20')})" in text
    assert (page.parent / link).read_bytes() == b"png"
    assert "| Fig. 0: x exceeds 1. | 3 | x \\| 2.0 | 1 seed | held |" in text
    assert "**cannot be said**: the results have no other, y" in text
    assert "[keshtkaran-2019/tiny](#keshtkaran-2019tiny-laptop)" in text


def test_the_commit_is_that_of_the_source_that_runs(tmp_path, monkeypatch):
    source = tmp_path / "package" / "__init__.py"
    source.parent.mkdir()
    source.write_text("")
    monkeypatch.setattr(study_record.latentspike, "__file__", str(source))
    assert study_record.commit() is None
    who = ["-c", "user.name=a", "-c", "user.email=a@b.c"]
    git = lambda *words: subprocess.run(["git", "-C", tmp_path, *who, *words], check=True)  # noqa: E731
    git("init", "-q")
    assert study_record.commit() is None  # in a checkout, but none of its files
    git("add", "package")
    git("commit", "-q", "-m", "first")
    (tmp_path / "notes.txt").write_text("no part of the source")
    found = study_record.commit()
    assert found is not None and len(found) == 40
    source.write_text("1")
    assert study_record.commit() == f"{found}-dirty"
