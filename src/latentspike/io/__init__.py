"""Files in and out: HDF5, NWB, npz, pynapple, Neo. Imports `spikes` only."""
