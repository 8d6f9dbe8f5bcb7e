"""Published figures and real recordings, one command each. Imports all below `cli`."""
