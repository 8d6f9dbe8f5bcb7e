"""Every study of the 2022 paper at the scale for tests, by the command that users give.

Most numbers mean nothing at this size. Where a small run does show what the study is about, that
is asserted too (`SHOWN`).
"""

import pytest

from latentspike.studies.catalog import STUDIES


def neurons_are_drawn_and_found(results):
    found = results["found_populations"]
    rows = found["by_duration"]["6"]
    assert found["neurons"] == 25
    assert all(row["agreement"] > 0.8 for row in rows) and rows[0] != rows[1]


def the_order_falls(results):
    orders = [row["order"] for row in results["cluster_states"]["spectra"] if row["order"]]
    assert orders[0] > orders[-1] == 1


SHOWN = {
    "wang-2022/populations": neurons_are_drawn_and_found,
    "wang-2022/fig2b": the_order_falls,
}


@pytest.mark.parametrize("name", [study.name for study in STUDIES if study.name.startswith("wang")])
def test_tiny(name, check_tiny):
    check_tiny(name, SHOWN)
