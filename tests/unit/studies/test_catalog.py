"""The catalog: every name can be run, with arguments that the studies themselves know."""

import argparse
import importlib
from pathlib import Path
from typing import get_args

import pytest

from latentspike.studies import catalog
from latentspike.studies.catalog import PAPERS, SCALES, STUDIES, Scale, find

BUILT = [study for study in STUDIES if study.steps]
EVERY = get_args(Scale)  # tiny, too
STEPS = [(study, step, scale) for study in BUILT for step in study.steps for scale in EVERY]


class Parsed(Exception):
    """Carries the options of a study that stops before it begins."""


@pytest.mark.parametrize(
    ("study", "step", "scale"), STEPS, ids=lambda value: getattr(value, "name", None)
)
def test_every_module_takes_its_arguments(study, step, scale, tmp_path, monkeypatch):
    real = argparse.ArgumentParser.parse_args

    def parse(self, *arguments, **more):
        raise Parsed(real(self, *arguments, **more))

    monkeypatch.setattr(argparse.ArgumentParser, "parse_args", parse)
    module = importlib.import_module(f"latentspike.studies.{step.module}")
    out = study.folder_of(step, tmp_path)
    with pytest.raises(Parsed) as caught:
        module.main(step.words(scale, tmp_path, out=out, jobs=3, ray="there:6379"))
    options = caught.value.args[0]
    assert options.out == out
    assert getattr(options, "jobs", None) == (3 if step.has_jobs else None)
    ray = ("ray", "there:6379") if step.has_searches else (None, None)
    assert (getattr(options, "executor", None), getattr(options, "ray_address", None)) == ray


def test_an_argument_that_a_study_does_not_know_would_be_noticed(tmp_path):
    module = importlib.import_module("latentspike.studies.linear_autoencoder")
    with pytest.raises(SystemExit):
        module.main(["--no-such-option", "1", "--out", str(tmp_path)])


def test_names_are_unique_and_belong_to_a_paper():
    names = [name for study in STUDIES for name in study.names]
    assert len(names) == len(set(names))
    assert all(name.split("/")[0] in PAPERS and name.count("/") == 1 for name in names)
    assert all(study.paper.startswith(("Keshtkaran", "Wang")) for study in STUDIES)


def test_a_study_is_built_with_claims_or_says_why_not():
    for study in STUDIES:
        assert bool(study.steps) == bool(study.claims) == (not study.missing), study.name
        if study.steps:
            assert all(study.cost(scale).source for scale in SCALES), study.name
            laptop = study.laptop.minutes
            assert laptop is not None and laptop < 20, study.name
            assert "for tests" in study.cost("tiny").source
            assert all(step.tiny for step in study.steps), study.name


def test_later_steps_find_what_earlier_ones_left(tmp_path):
    for study in BUILT:
        folders = {str(study.folder_of(step, tmp_path)) for step in study.steps}
        assert len(folders) == len(study.steps)
        for step in study.steps:
            words = [step.words(x, tmp_path, out=tmp_path, jobs=None) for x in EVERY]
            for word in (word for each in words for word in each):
                assert "{" not in word
                if word.startswith(str(tmp_path)) and word != str(tmp_path):
                    assert any(word.startswith(folder) for folder in folders), word


def test_a_folder_with_a_blank_stays_one_word():
    step = find("wang-2022/fig5").steps[1]
    folder = Path("a b")
    words = step.words("laptop", folder, out=folder / "c", jobs=4)
    assert words == ["--fitted", "a b/winner_take_all/fits-sampling/0/run", "--out", "a b/c"]


def test_figures_of_the_same_run_have_one_study():
    assert find("keshtkaran-2019/fig1") is find("keshtkaran-2019/fig4")
    assert find("wang-2022/table1") is find("wang-2022/table1-fig4")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("wang-2022/table-s5", r"did you mean .*wang-2022/table-s[34]"),
        ("fig5", r"did you mean keshtkaran-2019/fig5 or wang-2022/fig5\?"),
        ("xyz", r"unknown study 'xyz'; `latentspike study list`"),
    ],
)
def test_unknown_names_get_a_hint(name, hint):
    with pytest.raises(ValueError, match=hint):
        find(name)


def test_costs_of_unmeasured_scales_say_so():
    for study in BUILT:
        for scale in SCALES:
            cost = study.cost(scale)
            assert cost.minutes is not None or cost.source.startswith("not measured"), study.name
    assert catalog.Cost(None, "").text == "not measured"
