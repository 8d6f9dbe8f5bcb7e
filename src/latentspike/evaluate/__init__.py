"""How good an inference is. Imports `spikes` only."""
