"""The real proof: the declared Handbook plan gives the Handbook's published features."""

from __future__ import annotations

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq

from features import handbook
from features.fold import fold
from tests.published import published


def test_the_declared_plan_gives_the_published_features() -> None:
    golden = pq.read_table(published("handbook_features_golden.parquet"))
    ties = pyarrow.csv.read_csv(published("handbook_customer_tie_rows.csv"))["TRANSACTION_ID"].to_numpy()
    tables = handbook.read(published("handbook_raw_dev.parquet"))
    plan = handbook.PLAN.compile()
    rows = fold(
        plan, tables.transactions, tables.labels, complete_since_us=handbook.COMPLETE_SINCE_US, precision="float64"
    )

    ids = golden["TRANSACTION_ID"].to_numpy()
    places = np.searchsorted(tables.transactions["transaction_id"].to_numpy(), ids)
    found = rows[places]
    names = [name for name in golden.column_names if name != "TRANSACTION_ID"]
    assert (len(ids), len(names)) == (737_289, 14)
    assert list(plan.features) == ["TX_AMOUNT", *names]
    untied = ~np.isin(ids, ties)
    for name in names:
        wanted, given = golden[name].to_numpy(), found[:, plan.features.index(name)]
        # Where a customer has two transactions in one second the publisher's windows took them in another order.
        differing = ~(np.abs(given - wanted) <= 1e-9)
        assert not differing[untied].any(), f"{name}: {differing[untied].sum()} rows differ"


def test_windows_that_begin_before_the_data_are_missing_and_no_others() -> None:
    tables = handbook.read(published("handbook_raw_dev.parquet"))
    plan = handbook.PLAN.compile()
    first = tables.transactions.slice(0, 400_000)
    rows = fold(plan, first, complete_since_us=handbook.COMPLETE_SINCE_US)
    since_us = first["event_time_us"].to_numpy() - handbook.COMPLETE_SINCE_US
    for place, name in enumerate(plan.features):
        window = next((days for days in handbook.WINDOWS if f"_{days}DAY" in name), 0)
        reach_us = (window + (7 if name.startswith("TERMINAL") else 0)) * 86_400_000_000
        np.testing.assert_array_equal(np.isnan(rows[:, place]), since_us < reach_us, name)
