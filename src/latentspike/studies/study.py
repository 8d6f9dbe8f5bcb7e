"""What a study is: modules to call at a scale, their cost, and the claims they are held against."""

from __future__ import annotations

import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from latentspike.studies.claims import Claim

Scale = Literal["laptop", "full", "tiny"]
SCALES: tuple[Scale, ...] = ("laptop", "full")  # of results; tiny is for tests
PAPERS = {
    "keshtkaran-2019": "Keshtkaran & Pandarinath (2019), Enabling hyperparameter optimization in "
    "sequential autoencoders for spiking neural data",
    "wang-2022": "Wang, Schmutz, Brea & Gerstner (2022), Mesoscopic modeling of hidden spiking "
    "neurons",
}


@dataclass(frozen=True)
class Cost:
    """What a scale takes on 2 cores.

    Parameters
    ----------
    minutes : about; None if nobody knows
    source : where the number comes from
    """

    minutes: float | None
    source: str

    @property
    def text(self) -> str:
        """The minutes, in hours where they are many.

        Examples
        --------
        >>> Cost(0.33, "").text, Cost(14, "").text, Cost(4320, "").text, Cost(None, "").text
        ('1 min', '14 min', '72 h', 'not measured')
        """
        if self.minutes is None:
            return "not measured"
        if self.minutes > 180:
            return f"{self.minutes / 60:.0f} h"
        return f"{max(1, round(self.minutes))} min"


@dataclass(frozen=True)
class Step:
    """A module of `latentspike.studies` to call.

    Parameters
    ----------
    module : its name there
    laptop, full : arguments, as on a command line; ``{folder}`` stands for that of the study
    has_jobs : whether it takes ``--jobs``
    has_searches : whether it takes ``--executor`` and ``--ray-address``
    tiny : arguments for tests: whether everything runs, not what comes out
    """

    module: str
    laptop: str = ""
    full: str = ""
    has_jobs: bool = False
    tiny: str = ""
    has_searches: bool = False

    def words(
        self, scale: Scale, folder: Path, *, out: Path, jobs: int | None, ray: str | None = None
    ) -> list[str]:
        """Arguments of a run.

        Parameters
        ----------
        scale : whose arguments
        folder : of the study
        out : of this step
        jobs : processes at a time; None for the module's own number
        ray : address of the Ray cluster for searches, empty for one on this machine; None trains
            without Ray
        """
        given = shlex.split(getattr(self, scale))
        words = [word.replace("{folder}", str(folder)) for word in given] + ["--out", str(out)]
        if ray is not None and self.has_searches:
            words += ["--executor", "ray", *(["--ray-address", ray] if ray else [])]
        return [*words, "--jobs", str(jobs)] if jobs is not None and self.has_jobs else words


@dataclass(frozen=True)
class Study:
    """A figure or table of a paper and how it is redone.

    Parameters
    ----------
    name : paper and figure
    title : what it shows, and what stands in for recordings of the paper
    steps : called one after the other; none if there is no study yet
    laptop, full : costs
    claims : sentences of the paper that the results are held against
    needs : environment variables and extras
    also : other figures that the same run redoes
    missing : why there is no study yet
    """

    name: str
    title: str
    steps: tuple[Step, ...] = ()
    laptop: Cost = Cost(None, "")
    full: Cost = Cost(None, "")
    claims: tuple[Claim, ...] = ()
    needs: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    missing: str = ""

    @property
    def paper(self) -> str:
        """The paper's authors, year and title."""
        return PAPERS[self.name.split("/")[0]]

    @property
    def names(self) -> tuple[str, ...]:
        """Its own name and those of the other figures of the same run."""
        return (self.name, *(f"{self.name.split('/')[0]}/{figure}" for figure in self.also))

    def cost(self, scale: Scale) -> Cost:
        """At a scale; tiny is for tests, most of it compilation."""
        tiny = Cost(1, "for tests: at this size no number and no verdict means anything")
        return {"laptop": self.laptop, "full": self.full, "tiny": tiny}[scale]

    def folder_of(self, step: Step, folder: Path) -> Path:
        """Where a step leaves its results: in the study's folder, or in one of its own there."""
        return folder if len(self.steps) == 1 else folder / step.module
