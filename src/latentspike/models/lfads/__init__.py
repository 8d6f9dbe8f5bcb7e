"""LFADS: a sequential autoencoder of spike trains. Imports `spikes` and the model protocol."""
