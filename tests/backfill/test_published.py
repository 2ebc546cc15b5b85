"""The Handbook's published features, by the command's road: the raw file as it was published, and its ready mapping."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from features import handbook
from service.backfill import job
from service.backfill.program import planned
from tests.backfill.conftest import PLAN, parts, run
from tests.published import published


@pytest.mark.slow
def test_a_backfill_gives_the_published_features(tmp_path: Path) -> None:
    raw = published("handbook_raw_dev.parquet")
    golden = pq.read_table(published("handbook_features_golden.parquet"))
    ties = pyarrow.csv.read_csv(published("handbook_customer_tie_rows.csv"))["TRANSACTION_ID"].to_numpy()
    # The golden features begin on 2018-06-20.
    done = run(
        raw,
        tmp_path / "out",
        "handbook",
        program=planned(PLAN, handbook.COMPLETE_SINCE_US),
        wanted=job.Wanted(assessments=False, features="float64"),
        score_from_us=1_529_452_800_000_000,
    )
    assert (done.refused, done.transactions) == (0, 1_504_628)
    answered = parts(tmp_path / "out")
    ids = golden["TRANSACTION_ID"].to_numpy()
    order = np.argsort(answered["transaction_id"].to_numpy())
    places = order[np.searchsorted(answered["transaction_id"].to_numpy()[order], ids)]
    np.testing.assert_array_equal(answered["transaction_id"].to_numpy()[places], ids)
    untied = ~np.isin(ids, ties)
    names = [name for name in golden.column_names if name != "TRANSACTION_ID"]
    assert len(names) == 14
    for name in names:
        differing = ~(np.abs(answered[name].to_numpy()[places] - golden[name].to_numpy()) <= 1e-9)
        assert not differing[untied].any(), f"{name}: {differing[untied].sum()} rows differ"
