"""Fail when a wheel holds anything but the package: data, tests, docs, or files of shared/data."""

import os
import sys
import zipfile
from pathlib import Path

TEXT_AND_CODE = {".py", ".typed", ".toml", ".html", ".css", ".js", ".svg"}


def problems(names: list[str], recordings: set[str]) -> list[str]:
    """What is wrong with the wheel's file names."""
    found = []
    for name in names:
        top, path = name.split("/")[0], Path(name)
        if top.endswith(".dist-info"):
            continue
        if top != "latentspike":
            found.append(f"{name}: outside the package")
        elif path.suffix not in TEXT_AND_CODE:
            found.append(f"{name}: neither code nor text")
        if path.name in recordings:
            found.append(f"{name}: named like a file of the test recordings")
    if "latentspike/__init__.py" not in names:
        found.append("latentspike/__init__.py is missing")
    if not any(name.endswith("licenses/LICENSE") for name in names):
        found.append("the licence is missing")
    return found


def main() -> None:
    """Check the wheel named on the command line."""
    wheel = sys.argv[1]
    folder = os.environ.get("LATENTSPIKE_TEST_DATA")
    recordings = {p.name for p in Path(folder).rglob("*") if p.is_file()} if folder else set()
    names = [name for name in zipfile.ZipFile(wheel).namelist() if not name.endswith("/")]
    found = problems(names, recordings)
    if found:
        sys.exit("\n".join(["the wheel is not clean:", *found]))
    print(f"{Path(wheel).name}: {len(names)} files, only the package")


if __name__ == "__main__":
    main()
