import numpy as np
import pytest
from matplotlib.figure import Figure

from latentspike.evaluate.spectra import Spectrum
from latentspike.plot.spectra import power_spectra


@pytest.fixture
def ax():
    return Figure().add_subplot()


def spectrum(power, frequencies=(10.0, 20.0, 30.0)):
    columns = np.array([power, power], float).T  # of two trains
    return Spectrum(np.array(frequencies), columns, np.ones(2), np.ones(2, int))


def test_the_image_has_the_mean_spectra_in_order_of_the_parameter(ax):
    power_spectra({60.0: spectrum([3, 2, 1]), 58.0: spectrum([30, 20, 10])}, ax=ax)
    (mesh,) = ax.collections
    np.testing.assert_allclose(mesh.get_array(), [[30, 3], [20, 2], [10, 1]])
    np.testing.assert_allclose(mesh.get_coordinates()[0, :, 0], [57, 59, 61])
    np.testing.assert_allclose(mesh.get_coordinates()[:, 0, 1], [5, 15, 25, 35])
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("J (mV)", "frequency (Hz)")


def test_silence_is_the_darkest_color_and_no_warning(ax):
    power_spectra({58.0: spectrum([0, 0, 0]), 60.0: spectrum([1000, 2, 1])}, ax=ax)
    (mesh,) = ax.collections
    np.testing.assert_allclose(mesh.get_array()[:, 0], mesh.norm.vmin)
    assert mesh.norm.vmin == pytest.approx(1.0)
    power_spectra({58.0: spectrum([0, 0, 0])}, ax=Figure().add_subplot())


def test_orders_stand_above_and_no_order_is_a_dash(ax):
    results = {value: spectrum([3, 2, 1]) for value in (59.0, 60.0, 61.0)}
    power_spectra(results, orders={59.0: 3, 60.0: 2, 61.0: 0}, ax=ax)
    assert [text.get_text() for text in ax.texts] == ["3", "2", "–"]


def test_frequencies_may_be_cut(ax):
    power_spectra({59.0: spectrum([3, 2, 1])}, max_frequency=25.0, ax=ax)
    assert ax.collections[0].get_array().shape == (2, 1)
    assert ax.get_ylim() == (0, 25)


@pytest.mark.parametrize(
    ("results", "options", "message"),
    [
        ({}, {}, "no spectrum"),
        (
            {1.0: spectrum([1, 2, 3]), 2.0: spectrum([1, 2, 3], (1.0, 2.0, 3.0))},
            {},
            "spectrum at 2",
        ),
        ({1.0: spectrum([1, 2, 3])}, {"max_frequency": 10.0}, "below 10.0 Hz"),
    ],
)
def test_spectra_that_make_no_image_are_refused(results, options, message):
    with pytest.raises(ValueError, match=message):
        power_spectra(results, **options)
