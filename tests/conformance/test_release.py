"""The files a release is made of say the same thing."""

from __future__ import annotations

import re
import tomllib
from importlib import metadata
from pathlib import Path

import yaml

import latentspike

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CITATION = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


def test_one_version_everywhere():
    assert metadata.version("latentspike") == latentspike.__version__
    assert CITATION["version"] == latentspike.__version__


def test_one_licence_everywhere():
    text = (ROOT / "LICENSE").read_text(encoding="utf-8")
    assert "Apache License" in text and "END OF TERMS AND CONDITIONS" in text
    assert PROJECT["project"]["license"] == CITATION["license"] == "Apache-2.0"


def test_the_lock_has_every_dependency_of_the_project():
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    locked = {line.split("==")[0] for line in lines if "==" in line}
    extras = PROJECT["project"]["optional-dependencies"]
    wanted = [*PROJECT["project"]["dependencies"]]
    wanted += [line for extra, lines in extras.items() if extra != "cuda" for line in lines]
    names = {re.split(r"[<>=\[ ;]", line)[0].lower().replace("_", "-") for line in wanted}
    assert names - {"latentspike"} <= locked


def test_the_lock_has_no_torch_and_no_cuda():
    text = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = [line for line in text.splitlines() if not line.startswith("#")]
    assert not [line for line in pinned if re.match(r"torch|nvidia|.*cuda", line)]
