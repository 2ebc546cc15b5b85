from dataclasses import replace

import numpy as np
import pytest
from rows import made_up

from models.train import Sets
from models.training_set import PlanMismatch

GOOD = made_up(10, seed=0)


@pytest.mark.parametrize(
    ("column", "wrong", "named"),
    [
        ("rows", GOOD.rows.astype(np.float64), "rows must be float32"),
        ("rows", GOOD.rows[0], "rows must be float32"),
        ("fraud", GOOD.fraud[1:], "fraud"),
        ("fraud", GOOD.fraud.astype(np.int8), "fraud"),
        ("event_time_us", GOOD.event_time_us.astype(np.float64), "event_time_us"),
        ("card", GOOD.card[1:], "card"),
        ("feature_names", ("amount", "amount", "age", "count"), "distinct"),
        ("feature_names", ("amount",), "4 distinct"),
        ("plan_digest", "AB" * 32, "plan_digest"),
    ],
)
def test_a_wrong_column_is_refused_by_name(column: str, wrong: object, named: str) -> None:
    with pytest.raises(ValueError, match=named):
        replace(GOOD, **{column: wrong})


def test_rows_of_two_feature_plans_do_not_meet() -> None:
    with pytest.raises(PlanMismatch, match="export them again"):
        Sets(GOOD, made_up(10, seed=1, plan_digest="cd" * 32), GOOD.rows)


def test_recent_rows_have_the_columns_of_the_training_rows() -> None:
    with pytest.raises(ValueError, match="recent"):
        Sets(GOOD, GOOD, GOOD.rows[:, :3])
