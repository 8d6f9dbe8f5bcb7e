"""Published figures and benchmarks on real recordings, each one command. Imports everything below `cli`."""
