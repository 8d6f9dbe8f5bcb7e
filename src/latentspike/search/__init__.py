"""Many models at once: space, algorithms, executors. Imports `training` and below."""

from latentspike.search.pbt import PBT
from latentspike.search.random_search import RandomSearch
from latentspike.search.settings import SearchSettings
from latentspike.search.space import Range, Space
from latentspike.search.tune import SearchFailedError, SearchOptions, SearchResult, tune

__all__ = [
    "PBT",
    "RandomSearch",
    "Range",
    "SearchFailedError",
    "SearchOptions",
    "SearchResult",
    "SearchSettings",
    "Space",
    "tune",
]
