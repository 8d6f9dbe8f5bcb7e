"""What is written as TOML must be read back the same by the standard library."""

import math
import tomllib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from latentspike.cli.toml import to_toml

plain = (
    st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False)
    | st.text(st.characters(exclude_categories=["Cs"]))
)
values = plain | st.lists(st.integers()) | st.lists(st.text('ab\\"\n\t', max_size=5))
names = st.text("abcdefghij_", min_size=1, max_size=8)
tables = st.dictionaries(names, values, max_size=4)


@settings(deadline=None, max_examples=60, derandomize=True)
@given(st.dictionaries(names, values | tables | st.dictionaries(names, tables), max_size=4))
def test_round_trip(document):
    assert tomllib.loads(to_toml(document)) == document


def test_none_is_left_out_and_infinity_stays():
    text = to_toml({"data": {"window": None, "max_gap": math.inf, "behavior": ("a", "b")}})
    assert tomllib.loads(text) == {"data": {"max_gap": math.inf, "behavior": ["a", "b"]}}


def test_what_toml_cannot_hold_is_refused():
    with pytest.raises(TypeError, match="no place in TOML"):
        to_toml({"data": {"array": object()}})
