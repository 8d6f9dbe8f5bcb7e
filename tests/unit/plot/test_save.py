import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike import plot

MAGIC = {"png": b"\x89PNG", "svg": b"<?xml", "pdf": b"%PDF"}


def drawn():
    figure = Figure(figsize=(2, 2))
    axes = figure.subplots(1, 2)
    axes[0].plot([0, 1], [1, 0])
    return figure, axes


@pytest.mark.parametrize("kind", MAGIC)
def test_each_format_is_what_its_name_says_and_the_same_twice(tmp_path, kind):
    first = plot.save(drawn()[0], tmp_path / f"first.{kind}")
    second = plot.save(drawn()[0], tmp_path / f"second.{kind}")
    assert first.read_bytes().startswith(MAGIC[kind])
    assert first.read_bytes() == second.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [f"first.{kind}", f"second.{kind}"]


def test_a_figure_one_axes_or_several_save_the_same_picture(tmp_path):
    figure, axes = drawn()
    files = [
        plot.save(what, tmp_path / f"{i}.svg")
        for i, what in enumerate([figure, axes[0], axes, list(axes)])
    ]
    assert len({path.read_bytes() for path in files}) == 1


def test_another_format_is_refused_before_anything_is_written(tmp_path):
    with pytest.raises(ValueError, match=r"picture\.jpg.*\.png, \.svg or \.pdf"):
        plot.save(drawn()[0], tmp_path / "picture.jpg")
    assert not list(tmp_path.iterdir())


def test_something_that_is_no_figure_is_refused(tmp_path):
    with pytest.raises(ValueError, match="expected a figure or axes, got ndarray"):
        plot.save(np.ones(3), tmp_path / "picture.png")
    assert not list(tmp_path.iterdir())


def test_an_error_while_drawing_leaves_the_old_file(tmp_path, monkeypatch):
    path = tmp_path / "picture.png"
    path.write_bytes(b"old")
    figure = drawn()[0]

    def fail(*args, **kwargs):
        raise OSError("no space left on device")

    monkeypatch.setattr(figure, "savefig", fail)
    with pytest.raises(OSError, match="no space"):
        plot.save(figure, path)
    assert path.read_bytes() == b"old"
    assert [p.name for p in tmp_path.iterdir()] == ["picture.png"]


def test_saving_leaves_no_figure_open(tmp_path):
    before = plt.get_fignums()
    plot.save(drawn()[0], tmp_path / "picture.png")
    assert plt.get_fignums() == before
