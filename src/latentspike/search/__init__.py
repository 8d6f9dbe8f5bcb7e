"""Many models at once: space, algorithms, executors. Imports `training` and below."""
