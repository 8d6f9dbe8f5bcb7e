"""One function per figure: (results, ax) -> ax. Imports `spikes` and `evaluate`."""
