"""The published mesoscopic likelihood as a loop over bins, in plain NumPy and float64.

Written from the equations of the paper and from the description of the reference outputs
(tests/golden/README-neulvm.md); one switch in `Quirks` for each thing that the published program
does differently. With all of them it gives the reference outputs, with none the clean scheme.
"""

from dataclasses import dataclass, fields
from pathlib import Path
from typing import NamedTuple

import numpy as np

LARGEST = 40.0  # hazard times bin width above which exp is continued by its tangent


@dataclass(frozen=True)
class Quirks:
    """What the published program does; each False is the clean scheme."""

    initial_voltage_from_spike: bool = False  # exponential recovery, refractory time not subtracted
    initial_survival_on_ms_grid: bool = False  # and with both ends of the age counted
    initial_class_missing: bool = False  # those that spiked in the last bin before the first
    age_from_history: bool = False  # observed neurons' spikes before the first bin are used
    unseen_just_fired: bool = False  # observed neurons without an earlier spike
    tiny_hazard_at_zero: bool = False  # 1e-8/s where the voltage is exactly 0, instead of none
    linear_small_hazard: bool = False  # probability = hazard·Δ below 0.01
    clamped_spike_from_voltage: bool = False  # log(exp(−threshold)·Δ), whatever the hazard is
    unbounded_hazard: bool = False  # exp without its tangent
    huge_rate_without_mass: bool = False  # 1e5 where the clean scheme has 0/0 = 0
    short_pi: bool = False  # 3.14
    delay_cut: bool = False  # to whole bins, instead of rounded
    synapse_waits: bool = False  # until the first bin's spikes arrive

    @classmethod
    def all(cls) -> "Quirks":
        return cls(**{f.name: True for f in fields(cls)})


CLEAN = Quirks()


@dataclass(frozen=True)
class System:
    """K populations; mV, seconds, hazards per second."""

    sizes: np.ndarray  # [K]
    membrane_time: np.ndarray  # [K]
    resting: np.ndarray  # [K]
    threshold: np.ndarray  # [K]
    strength: np.ndarray  # [K target, K source]
    synapse_time: np.ndarray  # [K], of the source
    delay: np.ndarray  # [K], of the source
    refractory: np.ndarray  # [K], in bins
    bin_width: float
    n_ages: int


class Observed(NamedTuple):
    population: np.ndarray  # [neurons]
    spikes: np.ndarray  # [bins, neurons], 0 or 1
    history: np.ndarray  # [earlier bins, neurons]; used by quirk `age_from_history` alone


class Score(NamedTuple):
    mean: np.ndarray  # [bins, K], share of the population, as all that follows
    variance: np.ndarray  # [bins, K]
    negative_log_density: np.ndarray  # [bins, K]
    mass_deficit: np.ndarray  # [bins, K]
    potential: np.ndarray  # [bins, K], of neurons that never spiked
    log_spike: np.ndarray  # [bins, neurons]
    log_silent: np.ndarray  # [bins, neurons]

    def log_did(self, observed):
        """Log-probability of what the neurons did, [bins, neurons]."""
        return np.where(observed.spikes > 0, self.log_spike, self.log_silent)


class Golden(NamedTuple):
    """What went into one file of reference outputs, and everything that it holds."""

    system: System
    activity: np.ndarray  # [bins, K]
    initial_rate: np.ndarray  # [K]
    observed: Observed
    current: np.ndarray  # [bins, K]
    file: dict[str, np.ndarray]

    def score(self, quirks=CLEAN) -> Score:
        return score(*self[:4], current=self.current, quirks=quirks)


def read_golden(name) -> Golden:
    """Reference outputs `neulvm_<name>.npz`, in our units and orders of axes."""
    path = Path(__file__).parents[1] / "golden" / f"neulvm_{name}.npz"
    with np.load(path, allow_pickle=False) as opened:
        file = dict(opened)
    k, n_history = len(file["N"]), int(file["A"])
    system = System(
        sizes=file["N"].astype(float),
        membrane_time=1 / file["amem"],
        resting=file["rp"],
        threshold=file["ft"],
        strength=file["J_src_dst"].T,
        synapse_time=1 / file["alpha_syn"],
        delay=np.full(k, file["syn_delay"]),
        refractory=np.full(k, file["ref_bins"]),
        bin_width=float(file["dt"]),
        n_ages=n_history,
    )
    spikes = np.concatenate(file["spikes"], axis=1)  # neurons of all populations side by side
    population = np.repeat(np.arange(k), spikes.shape[1] // k)
    observed = Observed(population, spikes[n_history:], spikes[:n_history])
    current = (file["I_ext"] / file["amem"][:, None]).T
    return Golden(system, file["frac_in"].T[n_history:], file["init_rate"], observed, current, file)


def score(system, activity, initial_rate, observed, *, current=None, quirks=CLEAN) -> Score:
    """Predict each bin of activity from the bins before it.

    `activity` is n/N [bins, K]; before its first bin it was `initial_rate`·Δ. `current` is R·I in
    mV [bins, K], none before the first bin.
    """
    (n_bins, k), dt = activity.shape, system.bin_width
    current = np.zeros((n_bins, k)) if current is None else current
    drive = Drive(system, activity, initial_rate, quirks)
    everyone, ages = np.arange(k), np.arange(system.n_ages)
    clamped = ages < system.refractory[:, None]

    # stationary before the first bin; `free` is the voltage of neurons that never spiked
    free = system.resting + system.membrane_time * (system.strength @ initial_rate)
    voltage = recovered(system, free[:, None], ages, everyone[:, None], quirks)
    log_survival = initial_log_survival(system, free, quirks)
    spiked = np.repeat(initial_rate[:, None] * dt, system.n_ages, axis=1)  # [K, ages]
    neurons = Neurons(system, observed, free, quirks)
    rows = []
    for t in range(n_bins):
        # 1–2. synapses, then one Euler step of every voltage
        push = (system.resting + current[t]) / system.membrane_time + system.strength @ drive.at(t)
        free = euler(system, free, push, everyone)
        voltage = np.where(clamped, 0.0, euler(system, voltage, push, everyone[:, None]))
        # 3–4. hazards and probabilities to fire
        lam = hazard(voltage, clamped, system.threshold[:, None], dt, quirks)
        p = probability(lam, quirks)
        # 5. expected fraction
        mass = np.exp(log_survival) * spiked
        alive = mass.sum(1)
        expected = (mass * p).sum(1) + missing_rate(log_survival, mass, p, quirks) * (1 - alive)
        mean = np.clip(expected, 0.0, 1.0)
        # 6. density
        variance = mean / system.sizes + 0.1 * dt / system.sizes
        pi = 3.14 if quirks.short_pi else np.pi
        nll = 0.5 * np.log(2 * pi * variance) + (activity[t] - mean) ** 2 / (2 * variance)
        rows.append((mean, variance, nll, 1 - alive, free, *neurons.score(push)))
        # 7. everyone is a bin older
        log_survival = older(log_survival - lam, np.zeros(k))
        voltage = older(voltage, np.zeros(k))
        spiked = older(spiked, activity[t])
        neurons.advance(observed.spikes[t])
    return Score(*map(np.array, zip(*rows, strict=True)))


def euler(system, voltage, push, at):
    """Voltage of neurons of populations `at` one bin later."""
    return voltage + system.bin_width * (push[at] - voltage / system.membrane_time[at])


def older(values, newest):
    """Values of each age class one bin later; the oldest class is dropped."""
    return np.concatenate([newest[:, None], values[:, :-1]], axis=1)


def hazard(voltage, clamped, threshold, dt, quirks):
    """Expected spikes per bin, exp(V − ϑ)·Δ; none in the refractory period."""
    lam = np.exp(log_escape(voltage, threshold, dt, quirks))
    if quirks.tiny_hazard_at_zero:
        return np.where(voltage == 0, 1e-8 * dt, lam)
    return np.where(clamped, 0.0, lam)


def log_escape(voltage, threshold, dt, quirks):
    """Log of exp(V − ϑ)·Δ, which is continued by its tangent where it is large."""
    log_lam = voltage - threshold + np.log(dt)
    if quirks.unbounded_hazard:
        return log_lam
    above = np.maximum(log_lam - np.log(LARGEST), 0.0)
    return np.minimum(log_lam, np.log(LARGEST)) + np.log1p(above)


def probability(lam, quirks):
    exact = -np.expm1(-lam)
    return np.where(lam < 0.01, lam, exact) if quirks.linear_small_hazard else exact


def log_probability(log_lam):
    """Log of 1 − exp(−λΔ), also where λΔ underflows."""
    lam = np.exp(log_lam)
    small = log_lam < np.log(1e-8)
    return np.where(small, log_lam - lam / 2, np.log(-np.expm1(-np.where(small, 1.0, lam))))


def missing_rate(log_survival, mass, p, quirks):
    """Λ: probability to fire of the neurons that the age classes do not account for."""
    weight = -np.expm1(log_survival) * mass
    total = weight.sum(1)
    none = 1e5 if quirks.huge_rate_without_mass else 0.0
    return np.where(total == 0, none, (weight * p).sum(1) / np.where(total == 0, 1.0, total))


class Drive:
    """Activity in 1/s, delayed and filtered by the synapse of its source."""

    def __init__(self, system, activity, initial_rate, quirks):
        in_bins = system.delay / system.bin_width
        # a quotient such as 0.0006/0.0002 is just below its whole number
        self.delay = (in_bins if quirks.delay_cut else np.rint(in_bins)).astype(int)
        self.weight = -np.expm1(-system.bin_width / system.synapse_time)
        self.rate = activity / system.bin_width
        self.initial_rate = self.filtered = initial_rate
        self.waits = quirks.synapse_waits

    def at(self, t):
        """Of bin t; bins in order."""
        newest = self.initial_rate.copy()
        for source, delay in enumerate(self.delay):
            if t > delay:
                newest[source] = self.rate[t - 1 - delay, source]
        change = self.weight * (newest - self.filtered)
        self.filtered = self.filtered + change * ~(self.waits & (t <= self.delay))
        return self.filtered


def recovered(system, free, age, at, quirks):
    """Stationary voltage `age` bins after a spike, before the step into the next bin."""
    refractory = system.refractory[at]
    a = system.bin_width / system.membrane_time[at]
    if quirks.initial_voltage_from_spike:
        return np.where(age < refractory, 0.0, free * -np.expm1(-age * a))
    return free * (1 - (1 - a) ** np.maximum(age - refractory, 0))


def initial_log_survival(system, free, quirks):
    """Stationary log-probability of having stayed silent, [K, ages]."""
    found = np.zeros((len(free), system.n_ages))
    dt = system.bin_width
    for at in range(len(free)):
        for age in range(system.n_ages):
            if quirks.initial_survival_on_ms_grid:
                width = 0.001
                grid = np.arange(np.rint(age * dt / width) + 1) * width / dt
                voltage = recovered(system, free[at], grid, at, quirks)
                silent = voltage == 0
            else:  # the bins between the spike and now
                width = dt
                voltage = recovered(system, free[at], np.arange(1, age + 1), at, quirks)
                silent = np.arange(age) < system.refractory[at]
            lam = np.exp(log_escape(voltage, system.threshold[at], width, quirks))
            found[at, age] = -lam[~silent].sum()
    if quirks.initial_class_missing:
        found[:, 0] = -np.inf
    return found


class Neurons:
    """Observed neurons, each with its own age and voltage."""

    def __init__(self, system, observed, free, quirks):
        self.system, self.quirks, self.at = system, quirks, observed.population
        self.age = np.full(len(self.at), 0 if quirks.unseen_just_fired else system.n_ages)
        seen = np.full(len(self.at), quirks.unseen_just_fired)
        if quirks.age_from_history:
            for neuron in np.flatnonzero(observed.history.any(0)):
                self.age[neuron] = np.flatnonzero(observed.history[::-1, neuron])[0]
                seen[neuron] = True
        # whose last spike is not known has recovered from it
        after_spike = recovered(system, free[self.at], self.age, self.at, quirks)
        self.voltage = np.where(seen, after_spike, free[self.at])

    def score(self, push):
        """Log-probabilities of a spike and of none in the next bin."""
        system, quirks, dt = self.system, self.quirks, self.system.bin_width
        clamped = self.age < system.refractory[self.at]
        threshold = system.threshold[self.at]
        self.voltage = np.where(clamped, 0.0, euler(system, self.voltage, push, self.at))
        lam = hazard(self.voltage, clamped, threshold, dt, quirks)
        # a spike where there can be none counts as one at reset
        log_lam = log_escape(self.voltage, threshold, dt, quirks)
        if quirks.tiny_hazard_at_zero and not quirks.clamped_spike_from_voltage:
            log_lam = np.where(self.voltage == 0, np.log(1e-8 * dt), log_lam)
        log_spike = log_probability(log_lam)
        if quirks.linear_small_hazard:
            log_spike = np.where(lam < 0.01, log_lam, log_spike)
        if quirks.clamped_spike_from_voltage:
            log_spike = np.where(self.voltage == 0, log_lam, log_spike)
        return log_spike, -lam

    def advance(self, spikes):
        self.age = np.where(spikes > 0, 0, self.age + 1)
        self.voltage = np.where(spikes > 0, 0.0, self.voltage)
