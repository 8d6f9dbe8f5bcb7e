"""Files in and out: HDF5, NWB, npz, pynapple, Neo. Imports `spikes` and `files` only."""

from latentspike.io.hdf5 import read_hdf5
from latentspike.io.hdf5_write import write_hdf5
from latentspike.io.neo import from_neo
from latentspike.io.npz import read_npz, write_npz
from latentspike.io.nwb import read_nwb
from latentspike.io.nwb_write import write_nwb
from latentspike.io.options import ReadOptions
from latentspike.io.pynapple import from_pynapple
from latentspike.io.read import read, read_split
from latentspike.io.results import read_results_hdf5, write_results_hdf5
from latentspike.io.results_nwb import write_results_nwb

__all__ = [
    "ReadOptions",
    "from_neo",
    "from_pynapple",
    "read",
    "read_hdf5",
    "read_npz",
    "read_nwb",
    "read_results_hdf5",
    "read_split",
    "write_hdf5",
    "write_npz",
    "write_nwb",
    "write_results_hdf5",
    "write_results_nwb",
]
