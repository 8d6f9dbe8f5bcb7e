"""Weights of members on disk: one atomic file for each member and generation, no pickle."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path

from latentspike.files import load_arrays, save_arrays
from latentspike.models.tree import flatten, unflatten_like
from latentspike.search.member import Weights

FORMAT = 1


@dataclass(frozen=True)
class Store:
    """Folder with one subfolder for each generation that is still needed.

    Parameters
    ----------
    folder : made when something is saved
    """

    folder: Path

    def path(self, generation: int, member: int) -> Path:
        """File of a member after a generation."""
        return self.folder / f"{generation:04d}" / f"member-{member:04d}.npz"

    def save(self, generation: int, member: int, weights: Weights) -> None:
        """Write a member's weights after a generation, atomically."""
        arrays = {f"state/{name}": value for name, value in flatten(weights.state).items()}
        arrays |= {f"best/{name}": value for name, value in flatten(weights.best).items()}
        header = {"format": FORMAT, "kind": "member", "member": member, "generation": generation}
        save_arrays(self.path(generation, member), arrays, header)

    def load(self, generation: int, member: int, like: Weights) -> Weights:
        """Read what `save` wrote.

        Parameters
        ----------
        generation, member : which
        like : with the expected structure and shapes

        Raises
        ------
        FileNotFoundError : if the file is not there.
        ValueError : if it is damaged or of another model.
        """
        path = self.path(generation, member)
        arrays, header = load_arrays(path)
        expected = {"format": FORMAT, "kind": "member", "member": member, "generation": generation}
        if header != expected:
            raise ValueError(f"{path} holds {header}, expected {expected}")
        parts = []
        for prefix, tree in (("state/", like.state), ("best/", like.best)):
            below = {
                name.removeprefix(prefix): value
                for name, value in arrays.items()
                if name.startswith(prefix)
            }
            parts.append(unflatten_like(tree, below, str(path)))
        return Weights(*parts)

    def forget_all_but(self, generation: int) -> None:
        """Delete the weights of other generations, and those that were never committed."""
        if not self.folder.is_dir():
            return
        for folder in self.folder.iterdir():
            if folder.name != f"{generation:04d}":
                shutil.rmtree(folder, ignore_errors=True)
