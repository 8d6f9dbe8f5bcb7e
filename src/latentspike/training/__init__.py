"""Learning by gradient: coordinated dropout, sample validation, steps, loop, checkpoints. Imports `models` and below."""
