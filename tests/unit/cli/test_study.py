"""``latentspike study``: list, run, page; what goes wrong; a tiny study from end to end."""

import dataclasses
import json
import subprocess
import sys
import types
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from latentspike.cli import study_record
from latentspike.cli.main import main
from latentspike.studies import catalog
from latentspike.studies.claims import FAILED, HELD, UNKNOWN, Claim, Finding, part, verdict_of

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
        from latentspike.studies.common import tabulated

        calls.append(words)
        module.act(words)
        folder = words[words.index("--out") + 1]
        with tabulated(Path(folder)):
            print(f"x | 2.0 of step {len(calls)}")
        write_json(f"{folder}/results.json", {"x": 2.0, "nan": float("nan")})
        image = np.random.default_rng(0).integers(0, 256, (400, 500, 3), np.uint8)
        Image.fromarray(image).save(Path(folder, "figure one.png"))

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
        Claim(
            "Fig. 0", "z exceeds 1.", "5", lambda _: Finding("0", "1 seed", FAILED), why="It is 0."
        ),
    )
    study = catalog.Study(
        NAME,
        "a title",
        (
            catalog.Step("fake", "--a {folder}/b", "--full", has_jobs=True, tiny="--tiny"),
            catalog.Step("other"),
        ),
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
    cost = catalog.find("keshtkaran-2019/fig4").laptop
    assert rows["keshtkaran-2019/fig4"]["cost"]["laptop"]["minutes"] == cost.minutes
    assert all(row["built"] for row in rows.values())
    assert rows["wang-2022/table-s3"]["also"] == ["wang-2022/fig2c"]
    assert main(["study", "list", "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "needs LATENTSPIKE_TEST_DATA" in text and "needs LATENTSPIKE_MC_MAZE" in text


def test_a_study_that_is_missing_is_listed_with_the_reason_and_refused(
    fake, tmp_path, capsys, monkeypatch
):
    missing = catalog.Study(NAME, "a title", missing="nobody has the data")
    monkeypatch.setattr(catalog, "STUDIES", (missing,))
    _, document, _ = called(capsys, "list", "--out", tmp_path)
    assert not document["studies"][0]["built"]
    assert main(["study", "list", "--out", str(tmp_path)]) == 0
    assert "not built yet: nobody has the data" in capsys.readouterr().out
    code, document, _ = called(capsys, "run", NAME, "--out", tmp_path)
    assert code == 2 and document["error"].endswith("not built yet: nobody has the data")


def test_a_run_says_its_cost_calls_its_steps_and_judges(fake, tmp_path, capsys):
    code, document, errors = called(capsys, "run", NAME, "--out", tmp_path, "--jobs=3")
    assert code == 0 and "about 7 min on 2 cores (a guess)" in errors
    folder = tmp_path / NAME / "laptop"
    assert fake.calls == [
        ["--a", f"{folder}/b", "--out", f"{folder / 'fake'}", "--jobs", "3"],
        ["--out", f"{folder / 'other'}"],
    ]
    first, second, third = document["claims"]
    assert (third["verdict"], third["why"]) == (FAILED, "It is 0.")
    assert (first["verdict"], first["ours"], first["paper"]) == (HELD, "x | 2.0", "3")
    assert (second["verdict"], second["reason"]) == (UNKNOWN, "the results have no other, y")
    assert document["figures"] == ["fake/figure one.png", "other/figure one.png"]
    assert document["tables"] == ["fake/table.txt", "other/table.txt"]
    assert (folder / "other" / "table.txt").read_text() == "x | 2.0 of step 2\n"
    assert document["command"].startswith(f"latentspike study run {NAME} --scale laptop --out")
    assert document["version"] and set(document["versions"]) == {"jax", "numpy", "python"}
    assert main(["study", "run", NAME, "--out", str(tmp_path)]) == 0
    text = capsys.readouterr().out
    assert "Fig. 0: x exceeds 1. Held: ours x | 2.0 [1 seed], paper 3." in text
    assert "Cannot be said (the results have no other, y)" in text
    assert "z exceeds 1. Did not hold (why: It is 0.): ours 0 [1 seed], paper 5." in text
    code, document, _ = called(capsys, "list", "--out", tmp_path)
    [row] = document["studies"]
    assert document["n_with_results"] == 1 and row["results"]["full"] is None
    assert "1 held, 1 did not hold, 1 cannot be said" in row["results"]["laptop"]


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
        (["run", "keshtkaran-2019/fig5"], "dandi download DANDI:000128"),
        (["run", "keshtkaran-2019/fig3", "--jobs=0"], "--jobs must be 1 or more"),
        (["run", "keshtkaran-2019/fig4", "--ray-address=auto"], "needs --executor ray"),
        (["run", "keshtkaran-2019/fig5-monkey-m1"], "set LATENTSPIKE_TEST_DATA"),
        (["list", "keshtkaran-2019/fig3"], "`study list` takes no name"),
        (["page", "--page=a.html"], "must end in .md"),
    ],
)
def test_refusals_are_code_2_and_leave_no_folder(words, said, tmp_path, capsys, monkeypatch):
    for variable in ("LATENTSPIKE_TEST_DATA", "LATENTSPIKE_MC_MAZE"):
        monkeypatch.delenv(variable, raising=False)
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
    assert "```text\nx | 2.0 of step 1\n```\n\n```text\nx | 2.0 of step 2\n```\n\n![" in text
    link = "papers/keshtkaran-2019-tiny-laptop-fake-figure-one.png"
    original = tmp_path / "runs" / NAME / "laptop" / "fake" / "figure one.png"
    copied = (page.parent / link).read_bytes()
    assert f"({link})" in text
    stale, own = (page.parent / "papers" / name for name in ("wang-2022-a-full-b.png", "own.png"))
    stale.touch(), own.touch()
    assert original.stat().st_size > 500_000 > 100_000 > len(copied) > 1000
    with Image.open(page.parent / link) as image:
        assert image.size[0] < 500 and image.size[0] / image.size[1] == pytest.approx(
            1.25, rel=0.02
        )
    assert called(capsys, "page", "--out", tmp_path / "runs", "--page", page)[0] == 0
    assert page.read_text() == text and (page.parent / link).read_bytes() == copied
    assert own.exists() and not stale.exists()
    assert "| Fig. 0: x exceeds 1. | 3 | x \\| 2.0 | 1 seed | held |" in text
    assert "**cannot be said**: the results have no other, y" in text
    assert "**did not hold**: why: It is 0. |" in text
    assert "“z exceeds 1.” (Fig. 0). Paper: 5; ours: 0 [1 seed]. It is 0." in text
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


def test_the_scale_for_tests_is_not_listed_nor_shown(fake, tmp_path, capsys):
    code, document, _ = called(capsys, "run", NAME, "--out", tmp_path, "--scale=tiny")
    assert code == 0 and document["run"].endswith("tiny") and "--tiny" in fake.calls[0]
    code, document, _ = called(capsys, "list", "--out", tmp_path)
    assert document["n_with_results"] == 0 and "tiny" not in document["studies"][0]["results"]
    assert called(capsys, "page", "--out", tmp_path)[0] == 3  # nothing to show


def test_all_runs_what_can_be_run_and_has_not_finished(fake, tmp_path, capsys, monkeypatch):
    monkeypatch.delenv("LATENTSPIKE_TEST_DATA", raising=False)
    [study] = catalog.STUDIES
    names = ("first", "second", "third", "fourth")
    studies = {name: dataclasses.replace(study, name=f"keshtkaran-2019/{name}") for name in names}
    studies["third"] = dataclasses.replace(studies["third"], needs=("LATENTSPIKE_TEST_DATA",))
    studies["fourth"] = dataclasses.replace(studies["fourth"], steps=(), missing="not yet")
    monkeypatch.setattr(catalog, "STUDIES", tuple(studies.values()))

    def fail(words):
        if "first" in words[1]:
            raise ValueError("no such bins")

    fake.act = fail
    code, document, errors = called(capsys, "run", "all", "--out", tmp_path)
    assert code == 2 and document["error"] == "no such bins"
    assert "2 to run, laptop: about 14 min on 2 cores; keshtkaran-2019/third left out" in errors
    assert "keshtkaran-2019/first failed: no such bins" in errors
    fake.act = lambda words: None
    code, document, errors = called(capsys, "run", "all", "--out", tmp_path)
    assert code == 0 and list(document["studies"]) == ["keshtkaran-2019/first"]
    assert "1 to run, laptop: about 7 min on 2 cores; 1 have finished before" in errors
    code, document, errors = called(capsys, "run", "all", "--out", tmp_path)
    assert code == 0 and document["studies"] == {}
    code, _, errors = called(capsys, "run", "all", "--out", tmp_path, "--scale=full")
    assert code == 0 and "about 0 min on 2 cores; and 2 whose cost is not measured" in errors
