"""The same training step written with torch's GRU cell, for comparison; needs torch.

python benchmarks/torch_step.py
"""

from __future__ import annotations

import statistics
import time

import torch
from torch import nn

from flops import training_step_flops

BATCH, BINS, NEURONS = 128, 100, 50
ENCODER, CONTROLLER, GENERATOR, FACTORS, INPUTS, CODE = 64, 64, 100, 20, 4, 64


class Lfads(nn.Module):
    """Input-driven LFADS with coordinated dropout, dropout, KL and L2, eager torch."""

    def __init__(self) -> None:
        super().__init__()
        self.encoders = nn.ModuleList(nn.GRUCell(NEURONS, ENCODER) for _ in range(4))
        self.initial = nn.Parameter(torch.zeros(4, ENCODER))
        self.code = nn.Linear(2 * ENCODER, 2 * CODE)
        self.start = nn.Linear(CODE, GENERATOR)
        self.controller = nn.GRUCell(2 * ENCODER + FACTORS, CONTROLLER)
        self.inputs = nn.Linear(CONTROLLER, 2 * INPUTS)
        self.generator = nn.GRUCell(INPUTS, GENERATOR)
        self.factors = nn.Parameter(torch.randn(FACTORS, GENERATOR) / GENERATOR**0.5)
        self.readout = nn.Linear(FACTORS, NEURONS)
        self.dropout = nn.Dropout(0.1)

    def encode(self, index: int, x: torch.Tensor, reverse: bool) -> list[torch.Tensor]:
        state = self.initial[index].expand(x.shape[1], -1)
        order = reversed(range(BINS)) if reverse else range(BINS)
        states = [state] * BINS
        for t in order:
            state = self.encoders[index](x[t], state).clamp(-5, 5)
            states[t] = state
        return states

    def forward(self, counts: torch.Tensor) -> torch.Tensor:
        kept = torch.rand_like(counts) < 0.7
        read = counts * kept / 0.7
        x = self.dropout(read)
        forward, backward = self.encode(0, x, False), self.encode(1, x, True)
        mean, log_variance = self.code(
            self.dropout(torch.cat([forward[-1], backward[0]], 1))
        ).chunk(2, 1)
        kl = 0.5 * (log_variance.exp() / 0.1 + mean**2 / 0.1 - log_variance).sum(1).mean()
        generator = self.start(mean + (0.5 * log_variance).exp() * torch.randn_like(mean))
        x = self.dropout(read)
        past, future = self.encode(2, x, False), self.encode(3, x, True)
        weight = nn.functional.normalize(self.factors, dim=1)
        factor = self.dropout(generator) @ weight.T
        controller = torch.zeros(counts.shape[1], CONTROLLER)
        zero = torch.zeros(counts.shape[1], ENCODER)
        factors, inputs = [], []
        for t in range(BINS):
            seen = torch.cat(
                [past[t - 1] if t else zero, future[t + 1] if t + 1 < BINS else zero, factor], 1
            )
            controller = self.controller(self.dropout(seen), controller).clamp(-5, 5)
            m, v = self.inputs(controller).chunk(2, 1)
            u = m + (0.5 * v).exp() * torch.randn_like(m)
            generator = self.generator(u, generator).clamp(-5, 5)
            factor = self.dropout(generator) @ weight.T
            factors.append(factor)
            inputs.append((m, v, u))
        m, v, u = (torch.stack(part) for part in zip(*inputs, strict=True))
        kl = (
            kl
            + 0.5
            * ((m[1:] - 0.9 * u[:-1]) ** 2 / 0.1 + v[1:].exp() / 0.1 - v[1:]).sum((0, 2)).mean()
        )
        log_rates = self.readout(torch.stack(factors))
        entries = log_rates.exp() - counts * log_rates
        recon = torch.where(kept, entries.detach(), entries).sum((0, 2)).mean()
        l2 = (self.generator.weight_hh**2).mean() + (self.controller.weight_hh**2).mean()
        return recon + 0.1 * kl + 100 * l2


def main() -> None:
    torch.manual_seed(0)
    model = Lfads()
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    counts = torch.poisson(torch.full((BINS, BATCH, NEURONS), 0.2))
    a = torch.randn(2048, 2048)
    steps, products = [], []
    for _ in range(6):
        start = time.perf_counter()
        optimizer.zero_grad()
        model(counts).backward()
        nn.utils.clip_grad_norm_(model.parameters(), 200)
        optimizer.step()
        middle = time.perf_counter()
        _ = a @ a
        steps.append(middle - start)
        products.append(time.perf_counter() - middle)
    flops = training_step_flops(
        batch=BATCH, bins=BINS, neurons=NEURONS, encoder=ENCODER, controller=CONTROLLER,
        generator=GENERATOR, factors=FACTORS, inferred_inputs=INPUTS,
    )  # fmt: skip
    step, peak = statistics.median(steps[1:]), 2 * 2048**3 / statistics.median(products[1:])
    print(
        f"torch GRU cell, eager  {1e3 * step:7.1f} ms  {flops / step / peak:6.1%} of the peak "
        f"({peak / 1e9:.0f} GFLOP/s, {torch.get_num_threads()} threads)"
    )


if __name__ == "__main__":
    main()
