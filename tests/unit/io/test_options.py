import pytest

from latentspike.io import ReadOptions


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"bin_width": 0.0}, "bin_width must be a positive"),
        ({"bin_width": float("nan")}, "bin_width must be a positive"),
        ({"behavior": "hand"}, r"behavior must be a tuple of names: \('hand',\)"),
        ({"align_to": "go"}, "align_to='go' needs a window"),
        ({"window": (0.5, 0.5)}, "start < end"),
        ({"memory_limit_bytes": -1}, "memory_limit_bytes"),
        ({"truth_unit": "kHz"}, "truth_unit must be"),
    ],
)
def test_values_out_of_range_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        ReadOptions(**fields)
