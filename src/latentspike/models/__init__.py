"""Explanations of a recording: one folder or file per model. Imports `spikes` only; families never import each other."""
