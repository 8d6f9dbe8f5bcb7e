"""Rules about imports that the source itself must keep, read from the syntax tree."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pytest

import latentspike

SOURCE = Path(latentspike.__file__).parent
TREES = {
    path.relative_to(SOURCE).as_posix(): ast.parse(path.read_text(encoding="utf-8"))
    for path in sorted(SOURCE.rglob("*.py"))
}

# Libraries that only some users install, or that only one feature needs.
OPTIONAL = {
    "blackjax", "dynamax", "elephant", "hdmf", "neo", "nemos", "nwbinspector", "plotly", "pynapple",
    "pynwb", "quantities", "ray", "tensorboard", "tensorboardX", "torch",
}  # fmt: skip
# Formats whose loading can run code.
PICKLES = {"cloudpickle", "dill", "joblib", "marshal", "pickle", "shelve"}


def imported(tree: ast.AST) -> Iterator[str]:
    """First name of every import, wherever it stands, importlib's included."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield node.module.split(".")[0]
        elif isinstance(node, ast.Call) and _name(node.func) in ("import_module", "__import__"):
            if node.args and isinstance(node.args[0], ast.Constant):
                yield str(node.args[0].value).split(".")[0]


def _name(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")


def _owner(function: ast.expr) -> str:
    value = function.value if isinstance(function, ast.Attribute) else None
    return value.id if isinstance(value, ast.Name) else ""


def _says(call: ast.Call, keyword: str, value: bool) -> bool:
    return any(
        k.arg == keyword and isinstance(k.value, ast.Constant) and k.value.value is value
        for k in call.keywords
    )


def unsafe_loads(tree: ast.AST) -> Iterator[str]:
    """Everything in a module through which reading a file could run code."""
    for name in imported(tree):
        if name in PICKLES:
            yield f"imports {name}"
    for node in ast.walk(tree):
        if not isinstance(node, ast.Call):
            continue
        where = f"line {node.lineno}"
        owner, name = _owner(node.func), _name(node.func)
        if any(k.arg == "allow_pickle" for k in node.keywords) and not _says(
            node, "allow_pickle", False
        ):
            yield f"{where}: allow_pickle must be False"
        if owner in ("np", "numpy") and name == "load" and not _says(node, "allow_pickle", False):
            yield f"{where}: np.load without allow_pickle=False"
        if owner == "torch" and name == "load" and not _says(node, "weights_only", True):
            yield f"{where}: torch.load without weights_only=True"
        if name == "read_pickle":
            yield f"{where}: read_pickle"


def test_each_optional_library_is_imported_in_one_module():
    users = defaultdict(set)
    for path, tree in TREES.items():
        for library in OPTIONAL.intersection(imported(tree)):
            users[library].add(path)
    scattered = {library: sorted(paths) for library, paths in users.items() if len(paths) > 1}
    assert not scattered


def test_optional_libraries_are_imported_inside_functions():
    # At the top of a module a missing library would raise before the error that names the extra.
    extras = OPTIONAL - {"tensorboardX"}  # installed always, imported late only because it is slow
    tops = {path: ast.Module(_outside_functions(tree), []) for path, tree in TREES.items()}
    assert not {path for path, top in tops.items() if extras.intersection(imported(top))}


def _outside_functions(tree: ast.Module) -> list[ast.stmt]:
    return [
        node
        for node in tree.body
        if not isinstance(node, ast.FunctionDef | ast.ClassDef) and not _is_type_checking(node)
    ]


def _is_type_checking(node: ast.stmt) -> bool:
    return isinstance(node, ast.If) and _name(node.test) == "TYPE_CHECKING"


def test_importing_the_package_loads_no_optional_library():
    code = (
        "import json, sys, latentspike; print(json.dumps([m.split('.')[0] for m in sys.modules]))"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    loaded = set(json.loads(run.stdout))
    assert "latentspike" in loaded
    assert not loaded & (OPTIONAL | {"matplotlib"})


@pytest.mark.parametrize("path", TREES)
def test_reading_a_file_never_runs_code(path):
    assert not list(unsafe_loads(TREES[path]))


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "def read():\n    from joblib import load",
        "importlib.import_module('dill')",
        "np.load(path)",
        "numpy.load(path, allow_pickle=True)",
        "np.load(path, allow_pickle=anything)",
        "np.save(path, x, allow_pickle=True)",
        "torch.load(path)",
        "torch.load(path, weights_only=False)",
        "pandas.read_pickle(path)",
    ],
)
def test_the_checker_sees_unsafe_code(code):
    assert list(unsafe_loads(ast.parse(code)))


@pytest.mark.parametrize(
    "code",
    ["np.load(path, allow_pickle=False)", "torch.load(path, weights_only=True)", "json.load(file)"],
)
def test_the_checker_passes_safe_code(code):
    assert not list(unsafe_loads(ast.parse(code)))
