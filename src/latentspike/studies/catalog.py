"""The figures and tables of the two papers, and the studies that redo them.

What `latentspike study` lists and runs: for each figure the modules to call, with which arguments
at laptop and at full scale, what it costs, and what the paper claims.
"""

from __future__ import annotations

import difflib

from latentspike.studies import claims_keshtkaran as keshtkaran
from latentspike.studies import claims_wang as wang
from latentspike.studies.claims_reaching import REACHING, REACHING_SIMULATED
from latentspike.studies.claims_wang_switching import SWITCHING
from latentspike.studies.claims_wang_transition import TRANSITION
from latentspike.studies.study import PAPERS, SCALES, Cost, Scale, Step, Study

__all__ = ["PAPERS", "RECORDINGS", "SCALES", "STUDIES", "Cost", "Scale", "Step", "Study", "find"]
RECORDINGS = "LATENTSPIKE_TEST_DATA"  # the variable that names the folder of real recordings
MC_MAZE = "LATENTSPIKE_MC_MAZE"  # the variable that names the file of that recording
_MEASURED = "docs/studies.md"
# fits that only show that they run: nearly all of their time is compilation
_TINY_SAMPLES = "--starts 1 --warmup 2 --draws 8"
_TINY_FIT = "--seeds 1 --draws 8 --particles 20 --passes 2 --fully-observed-starts 1"
_TINY_SWITCHING = (
    f"{_TINY_SAMPLES} --particles 30 --run 4 --length 1 --seconds 4 --network-seconds 0 "
    "--draws-simulated 1"
)
_TINY_REACHING = (
    "--seeds 1 --shares 1 --members 2 --generations 2 --steps 8 --neurons 20 --bin-width 0.05 "
    "--widths 0.06"
)

STUDIES = (
    Study(
        "keshtkaran-2019/fig4",
        "models with random hyperparameters: what validation sees of their inferred rates, plain, "
        "with sample validation, with coordinated dropout, and three models' rates (Figs. 1b–c, 4)",
        (Step("random_search", "--seeds 2 --members 10", "--full", has_searches=True,
              tiny="--members 6 --epochs 40 --conditions 12"),),
        Cost(11, "20 min of one core, measured: two seeds of three arms of 10 models"),
        Cost(4320, f"{_MEASURED}: about 24 h for each of three arms of 200 models, by throughput"),
        keshtkaran.RANDOM_SEARCH,
        also=("fig1", "fig1c"),
    ),
    Study(
        "keshtkaran-2019/fig3",
        "a linear autoencoder with and without coordinated dropout",
        (Step("linear_autoencoder", full="--seeds 10", tiny="--seeds 1"),),
        Cost(0.33, _MEASURED),
        Cost(1.1, "not measured: 10 seeds instead of the 3 that take 20 s"),
        keshtkaran.LINEAR_AUTOENCODER,
    ),
    Study(
        "keshtkaran-2019/fig5-simulated",
        "few and many trials, PBT against a fixed setting: a simulated chaotic network and the R² "
        "of its rates stand in for the paper's reaching monkey and hand velocity",
        (
            Step(
                "population_based_training",
                "--steps 480 --seeds 2",
                "--steps 3000 --generations 30 --members 20 --seeds 7 --shares 0.05 0.1 0.2 1",
                tiny="--members 4 --generations 3 --steps 60 --conditions 10 --shares 1 --seeds 1",
                has_searches=True,
            ),
        ),
        Cost(18, "the first two seeds of the run in docs/studies.md (480 steps, 27 min for 3)"),
        Cost(1280, "by laptop's: 6 times the steps, 20 members, 7 draws, 4 sizes, not 12, 2, 2"),
        keshtkaran.PBT_SIMULATED,
    ),
    Study(
        "keshtkaran-2019/fig5-monkey-m1",
        "hand velocity from LFADS and from smoothed spikes: 96 reaches of another monkey (M1, "
        "Miller lab) stand in for the paper's 2296, with hand-set hyperparameters and one size",
        (Step("monkey_m1", tiny="--seeds 1 --epochs 2 --widths 3"),),
        Cost(10, _MEASURED),
        Cost(10, f"{_MEASURED}: the recording has no more trials, so the same as laptop"),
        keshtkaran.MONKEY,
        (RECORDINGS,),
    ),
    Study(
        "keshtkaran-2019/fig5",
        "hand velocity decoded after smoothing, a fixed setting and PBT with 5 to 100 % of the "
        "trials: MC_Maze, the paper's monkey and task, 2295 trials instead of 2296 and 150 of 182 "
        "units instead of 202; laptop: bins of 20 ms, 100 units, smaller networks and searches",
        (Step("reaching", "--recording mc_maze", "--recording mc_maze --full", has_searches=True,
              tiny=f"--recording mc_maze {_TINY_REACHING}"),),
        Cost(16, "not measured: the simulated task's 12, with 1.9 times its trials"),
        Cost(3720, "not measured: by the simulated task, which has as many trials"),
        REACHING,
        (MC_MAZE, "pip install 'latentspike[nwb]'"),
    ),
    Study(
        "keshtkaran-2019/fig5-reaching",
        "the same with a simulated reaching task whose rates are known: 8 directions, straight and "
        "curved; laptop: bins of 20 ms, 100 neurons, 1200 trials, smaller networks and searches",
        (Step("reaching", full="--full", tiny=f"{_TINY_REACHING} --trials 3", has_searches=True),),
        Cost(12, "not measured as a whole: 14 minutes of one core by its parts (docs/studies.md)"),
        Cost(3720, "two epochs of each share (--estimate): 124 h on one core, half on two"),
        REACHING_SIMULATED,
    ),
    Study(
        "keshtkaran-2019/fig5-monkey-trials",
        "the same with 20, 50 and 100 % of 96 reaches of another monkey (M1, Miller lab), bins of "
        "50 ms",
        (Step("reaching", "--recording monkey_m1 --seeds 3", "--recording monkey_m1 --seeds 7",
              tiny=f"--recording monkey_m1 {_TINY_REACHING}", has_searches=True),),
        Cost(7, "measured on one core"),
        Cost(16, "by laptop's: seven draws instead of three"),
        REACHING,
        (RECORDINGS,),
    ),
    Study(
        "wang-2022/fig2b",
        "power spectra and order of the cluster state against the strength J",
        (Step("cluster_states", "--only spectra", "--only spectra --trials 10 --duration 120",
              has_jobs=True, tiny="--only spectra --trials 1 --duration 4"),),
        Cost(1, _MEASURED),
        Cost(10, "not measured: ten times the simulated time of laptop"),
        wang.SPECTRA,
    ),
    Study(
        "wang-2022/table-s3",
        "J recovered from six of 600 neurons, J from 59 to 65 mV (Fig. 2C, Table S3)",
        (Step("cluster_states",
              "--only strengths --seeds 2 --fully-observed-starts 20",
              "--only strengths --seeds 10 --fully-observed-starts 200",
              has_jobs=True,
              tiny=f"--only strengths --strengths 61 {_TINY_FIT} --fit-duration 0.2"),),
        Cost(8, "14 fits of 60 s (measured on one core), two at a time"),
        Cost(120, "by laptop's: 70 fits of 40 s and 200 starts of the other method, two at a time"),
        wang.STRENGTHS,
        also=("fig2c",),
    ),
    Study(
        "wang-2022/table-s4",
        "J recovered from 1, 2, 5, 10 and 599 neurons, beside a method that assumes full "
        "observability (Fig. 2F, Table S4)",
        (Step("cluster_states",
              "--only neurons --seeds 5 --fully-observed-starts 20",
              "--only neurons --seeds 10 --fully-observed-starts 200",
              has_jobs=True,
              tiny=f"--only neurons --neurons 2 {_TINY_FIT}"),),
        Cost(15, "20 fits of 55 s, 5 with 599 neurons of 150 s (on a busy core), two at a time"),
        Cost(110, "by laptop's: 50 such fits and 200 starts of the other method, two at a time"),
        wang.NEURONS,
        also=("fig2f",),
    ),
    Study(
        "wang-2022/fig2de",
        "activity inferred from two neurons while four clusters turn into three (Fig. 2D, E)",
        (Step("cluster_transition", "--seeds 6", "--seeds 10 --fully-observed-starts 200",
              has_jobs=True, tiny=f"{_TINY_FIT} --starts 1 --iterations 1"),),
        Cost(5, "12 fits, 9 minutes on one busy core"),
        Cost(20, "by laptop's: 10 draws of neurons, and 200 starts of the other method"),
        TRANSITION,
    ),
    Study(
        "wang-2022/table1-fig4",
        "activity and switches inferred from nine of 1000 neurons by neuLVM, PLDS, SLDS and GLM "
        "(Table 1, Figs. 4, S7)",
        (
            Step("winner_take_all", "--seeds 4 --starts 4", "--seeds 20", has_jobs=True,
                 tiny=f"--seeds 2 {_TINY_SWITCHING}"),
            Step("winner_take_all_rivals",
                 "--seeds 4 --neulvm {folder}/winner_take_all",
                 "--seeds 20 --neulvm {folder}/winner_take_all",
                 has_jobs=True,
                 tiny="--seeds 2 --run 4 --length 1 --seconds 4 --neulvm {folder}/winner_take_all"),
        ),
        Cost(19, "not measured as a whole: 4 fits with four of the six chains, 6 minutes each, and "
             "16 rivals of half a minute, two at a time, and the baselines"),
        Cost(105, "not measured as a whole: 20 fits of 8 minutes, two at a time, and 80 rivals"),
        SWITCHING,
        also=("table1", "fig4"),
    ),
    Study(
        "wang-2022/fig5",
        "a pulse of light to the active or the silent population, network against the fit of the "
        "first trial; the paper does not give the pulse's strength, here 5 and 60 mV",
        (
            Step("winner_take_all", "--only fits --seeds 1", "--only fits --seeds 1",
                 has_jobs=True, tiny=f"--only fits --seeds 1 {_TINY_SWITCHING}"),
            Step("photo_stimulation",
                 "--fitted {folder}/winner_take_all/fits-sampling/0/run",
                 "--seeds 3 --fitted {folder}/winner_take_all/fits-sampling/0/run",
                 tiny="--trials 10 --amplitudes 10 --horizon 0.1 "
                 "--fitted {folder}/winner_take_all/fits-sampling/0/run"),
        ),
        Cost(9, f"{_MEASURED}: a few minutes for a fit, 2 for the pulses, 1 more for its model"),
        Cost(15, "not measured: pulses of three seeds instead of one"),
        wang.PULSES,
    ),
    Study(
        "wang-2022/populations",
        "which neurons belong together: 25 of 1000 by their spike trains (section 5.2.1)",
        (Step("found_populations", full="--durations 5 10 30 100",
              tiny="--seeds 2 --durations 6"),),
        Cost(2, _MEASURED),
        Cost(5, "by laptop's: a fourth recording, of 100 s"),
        wang.POPULATIONS,
        ("pip install 'latentspike[populations]'",),
    ),
)  # fmt: skip


def find(name: str, studies: tuple[Study, ...] | None = None) -> Study:
    """The study of a figure, by its own name or that of another figure of the same run.

    Raises
    ------
    ValueError : if there is none, with the names that are near.

    Examples
    --------
    >>> find("wang-2022/fig2c").name
    'wang-2022/table-s3'
    """
    known = {each: study for study in studies or STUDIES for each in study.names}
    if name in known:
        return known[name]
    figure = {each: each.split("/")[1] for each in known}
    close = difflib.get_close_matches(name, known, 3, 0.8)
    last = name.split("/")[-1]
    n = 1 if last in figure.values() else 2
    near = difflib.get_close_matches(last, set(figure.values()), n)
    close = close or [each for each in known if figure[each] in near]
    hint = f"did you mean {' or '.join(close)}? " if close else ""
    raise ValueError(f"unknown study {name!r}; {hint}`latentspike study list` shows all")
