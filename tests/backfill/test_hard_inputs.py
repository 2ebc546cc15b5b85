"""Inputs as they come: what is read of them, what is refused of them and in which words, and what is refused whole."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from features import Amount, Count, Hour, Number, Plan, days
from service.backfill import job
from service.backfill.mapping import Mapping
from service.backfill.program import planned
from tests.backfill.conftest import parts, refused, run

_FEATURES = job.Wanted(assessments=False, features="float64")
PLAN = Plan(
    name="hard",
    currency="EUR",
    entities=("card",),
    numbers=("age",),
    features=[
        Amount("amount"),
        Count("count", entity="card", window=days(1)),
        Hour("hour"),
        Number("age", number="age"),
    ],
).compile()


def mapped(**changes: Any) -> Mapping:
    document: dict[str, Any] = {
        "transaction_id": "id",
        "event_time": "time",
        "utc_offset_minutes": "event_time",
        "amount": {"column": "amount", "currency": "EUR"},
        "entities": {"card": "card"},
        "numbers": {"age": "age"},
    }
    return Mapping.model_validate(document | changes)


def taken(source: Path, output: Path, mapping: Mapping) -> tuple[list[tuple[Any, ...]], list[tuple[int, str, str]]]:
    """The features of each row, and rows refused with column and reason."""
    run(source, output, mapping, program=planned(PLAN, 0), wanted=_FEATURES)
    features = []
    if any(output.glob("part-*")):
        features = [tuple(row.values()) for row in parts(output).select(list(PLAN.features)).to_pylist()]
    return features, [(row["row"], row["column"], row["reason"]) for row in refused(output)]


PLAIN = "id,time,card,amount,age\na,2020-01-01T00:00:00Z,x,1.00,3\nb,2020-01-01T01:00:00Z,x,2.50,\n"
PLAIN_GIVES = [(1.0, 0.0, 0.0, 3.0), (2.5, 1.0, 1.0, None)]


@pytest.mark.parametrize(
    ("text", "changes"),
    [
        (PLAIN, {}),
        ("\ufeff" + PLAIN, {}),
        (PLAIN.replace("\n", "\r\n"), {}),
        (PLAIN.replace(",", ";"), {"delimiter": ";"}),
        # Columns in another order, one of them of no meaning.
        (
            "amount,note,card,time,id,age\n1.00,,x,2020-01-01T00:00:00Z,a,3\n"
            '2.50,"a, ""b""\nc",x,2020-01-01T01:00:00Z,b,\n',
            {},
        ),
        # Zones mixed: all are moments.
        (PLAIN.replace("2020-01-01T00:00:00Z", "2019-12-31 19:00:00-05:00"), {"utc_offset_minutes": None}),
        # Without a zone: the mapping's.
        (PLAIN.replace("Z", ""), {"utc_offset_minutes": None}),
        (PLAIN.replace("00Z", "00.000000Z"), {}),
        (PLAIN.replace("1.00", "1").replace("2.50", "2.5000"), {}),
        (
            PLAIN.replace("1.00", "100").replace("2.50", "250"),
            {"amount": {"column": "amount", "unit": "minor", "currency": "EUR"}},
        ),
        (
            PLAIN.replace("2020-01-01T00:00:00Z", "1577836800").replace("2020-01-01T01:00:00Z", "1577840400"),
            {"event_time": {"column": "time", "unit": "s"}},
        ),
        (
            PLAIN.replace("2020-01-01T00:00:00Z", "01/01/2020 02:00").replace(
                "2020-01-01T01:00:00Z", "01/01/2020 03:00"
            ),
            {
                "event_time": {"column": "time", "format": "%d/%m/%Y %H:%M", "zone_minutes": 120},
                "utc_offset_minutes": None,
            },
        ),
    ],
)
def test_a_text_is_read_in_whatever_dress(text: str, changes: dict[str, Any], tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_bytes(text.encode())
    assert taken(tmp_path / "in.csv", tmp_path / "out", mapped(**changes)) == (PLAIN_GIVES, [])


ROWS: dict[str, Any] = {
    "id": ["a", "b"],
    "time": pa.array([1_577_836_800, 1_577_840_400], pa.timestamp("s", "UTC")),
    "card": ["x", "x"],
    "amount": [1.0, 2.5],
    "age": [3.0, None],
}


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"card": [7, 7]},
        {"card": pa.array(["x", "x"]).dictionary_encode()},
        {"card": pa.array(["x", "x"], pa.large_string())},
        {"card": pa.array(["x", "x"], pa.string_view())},
        # Whole numbers that a null made real.
        {"card": [7.0, 7.0]},
        {"amount": pa.array(["1.00", "2.50"])},
        {"amount": pa.array([1, 2.5]).cast(pa.float32())},
        {"amount": pa.array(["1.00", "2.50"]).cast(pa.decimal128(9, 2))},
        {"amount": pa.array(["1.0000", "2.5000"]).cast(pa.decimal128(12, 4))},
        {"time": pa.array([1_577_836_800_000_000_999, 1_577_840_400_000_000_000], pa.timestamp("ns", "America/Lima"))},
        {"time": pa.array([1_577_836_800_000, 1_577_840_400_000], pa.timestamp("ms"))},
        {"time": pa.array([1_577_836_800_000_000, 1_577_840_400_000_000])},
        {"age": pa.array([3.0, float("nan")])},
        {"age": pa.array([3, None], pa.uint8())},
        {"age": ["3", ""]},
        # A sign of nothing: a key that a null made real, and an amount or id would be, is no other key.
        {"card": [0.0, -0.0]},
        {"card": ["0", "0"], "id": [-0.0, 1.0]},
    ],
)
def test_a_column_is_read_of_whatever_type(changes: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS | changes), tmp_path / "in.parquet")
    assert taken(tmp_path / "in.parquet", tmp_path / "out", mapped()) == (PLAIN_GIVES, [])


@pytest.mark.parametrize("order", [sorted(ROWS), sorted(ROWS, reverse=True)])
def test_columns_stand_in_any_order(order: list[str], tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS).select(order), tmp_path / "in.parquet")
    assert taken(tmp_path / "in.parquet", tmp_path / "out", mapped()) == (PLAIN_GIVES, [])


def test_files_of_a_folder_differ_in_the_order_of_columns_and_their_types(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    pq.write_table(pa.table(ROWS).slice(0, 1), tmp_path / "in" / "a.parquet")
    other = pa.table(ROWS | {"card": pa.array(["x", "x"]).dictionary_encode(), "age": pa.array([3, None], pa.uint8())})
    pq.write_table(other.select(sorted(ROWS)).slice(1), tmp_path / "in" / "b.parquet")
    assert taken(tmp_path / "in", tmp_path / "out", mapped()) == (PLAIN_GIVES, [])


def test_texts_of_a_folder_differ_in_the_order_of_columns_the_mark_at_their_head_and_the_ends_of_lines(
    tmp_path: Path,
) -> None:
    header, first, second, _ = (line.split(",") for line in PLAIN.split("\n"))
    (tmp_path / "in").mkdir()
    for name, mark, end, turn, row in (("a", "", "\n", 1, first), ("b", "\ufeff", "\r\n", -1, second)):
        text = mark + end.join(",".join(cells[::turn]) for cells in (header, row)) + end
        (tmp_path / "in" / f"{name}.csv").write_bytes(text.encode())
    assert taken(tmp_path / "in", tmp_path / "out", mapped()) == (PLAIN_GIVES, [])


def test_zones_that_are_mixed_give_moments_and_the_hour_there(tmp_path: Path) -> None:
    # Not in the order of their texts; the first and the third are a day apart, and a day is its window.
    texts = ["2020-01-01T02:30:00+05:30", "2019-12-31 19:00:00-05:00", "2020-01-02T10:59:59.999999+13:59"]
    texts += ["2020-01-02T00:00:00Z", "2020-01-01T23:59:59.5-00:30"]
    moments = [datetime.fromisoformat(text) for text in texts]
    lines = [f"{name},{text},x,1.00,3\n" for name, text in enumerate(texts)]
    (tmp_path / "in.csv").write_text("id,time,card,amount,age\n" + "".join(lines))
    run(tmp_path / "in.csv", tmp_path / "out", mapped(), program=planned(PLAN, 0), wanted=_FEATURES)
    found = {row["transaction_id"]: row for row in parts(tmp_path / "out").to_pylist()}
    assert refused(tmp_path / "out") == []
    for name, moment in enumerate(moments):
        row = found[str(name)]
        assert row["event_time"] == moment
        assert row["hour"] == moment.hour
        assert row["count"] == sum(moment - timedelta(days=1) < other < moment for other in moments)


@pytest.mark.parametrize(
    ("column", "values", "gives"),
    [
        ("card", ["x", None], [(1.0, 0.0, 0.0, 3.0), (2.5, None, 1.0, None)]),
        ("card", pa.nulls(2), [(1.0, None, 0.0, 3.0), (2.5, None, 1.0, None)]),
        ("age", pa.nulls(2), [(1.0, 0.0, 0.0, None), (2.5, 1.0, 1.0, None)]),
    ],
)
def test_what_may_be_absent_is_absent_in_what_needs_it_alone(
    column: str, values: Any, gives: list[tuple[Any, ...]], tmp_path: Path
) -> None:
    pq.write_table(pa.table(ROWS | {column: values}), tmp_path / "in.parquet")
    assert taken(tmp_path / "in.parquet", tmp_path / "out", mapped()) == (gives, [])


@pytest.mark.parametrize("column", ["id", "time", "amount"])
def test_a_column_of_nulls_alone_is_refused_row_by_row_where_it_is_required(column: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS | {column: pa.nulls(2)}), tmp_path / "in.parquet")
    done = run(tmp_path / "in.parquet", tmp_path / "out", mapped(), program=planned(PLAN, 0))
    assert (done.answered, done.refused) == (0, 2)
    told = [(row["row"], row["column"]) for row in refused(tmp_path / "out")]
    assert told == [(1, column), (2, column)]


SECRET = "4111111111111111"


@pytest.mark.parametrize(
    ("column", "values", "changes", "reason"),
    [
        ("time", [None, 1_577_840_400], {}, "is required"),
        ("time", ["yesterday", "2020-01-01T01:00:00Z"], {}, "is not a time such as"),
        ("time", ["2020-02-30T00:00:00Z", "2020-01-01T01:00:00Z"], {}, "is not a time such as"),
        ("time", pa.array([-5, 1_577_840_400_000_000]), {}, "must lie between 1970 and 9999"),
        ("id", [None, "b"], {}, "is required"),
        ("id", ["", "b"], {}, "is required"),
        ("id", ["a\tb", "b"], {}, "holds a control character"),
        ("card", ["x" * 129, "x"], {}, "is longer than 128 bytes"),
        ("card", [1.5, 2.0], {}, "must be a text or a whole number"),
        ("amount", [-1.0, 2.5], {}, "must not be negative"),
        ("amount", [1.001, 2.5], {}, "is not a whole number of minor units"),
        ("amount", [float("inf"), 2.5], {}, "must be at most"),
        ("amount", ["12,50", "2.5"], {}, "is not a decimal number such as 57.16"),
        ("amount", ["1e9", "2.5"], {}, "is not a decimal number such as 57.16"),
        ("amount", [None, 2.5], {}, "is required for this kind"),
        ("age", [float("inf"), 1.0], {}, "must be finite"),
        ("age", [SECRET + "x", "1"], {}, "is not a number"),
    ],
)
def test_a_row_is_refused_by_row_and_column_and_never_by_value(
    column: str, values: Any, changes: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    pq.write_table(pa.table(ROWS | {column: values}), tmp_path / "in.parquet")
    source = tmp_path / "in.parquet"
    time = {"event_time": {"column": "time", "unit": "s" if column == "time" and values[0] is None else "us"}}
    rows, told = taken(source, tmp_path / "out", mapped(**time, **changes))
    assert len(rows) == 1
    ((row, named, why),) = told
    assert (row, named) == (1, column)
    assert reason in why
    assert SECRET not in why


def test_a_repeated_id_counts_once_and_another_payload_is_refused(tmp_path: Path) -> None:
    table = pa.table(
        {
            "id": ["a", "a", "a", "b"],
            "time": pa.array([1_577_836_800] * 3 + [1_577_836_801], pa.timestamp("s", "UTC")),
            "card": ["x"] * 4,
            "amount": [1.0, 1.0, 2.0, 1.0],
            "age": [1.0] * 4,
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    rows, told = taken(tmp_path / "in.parquet", tmp_path / "out", mapped())
    assert [row[1] for row in rows] == [0.0, None, 1.0]
    assert parts(tmp_path / "out")["replayed"].to_pylist() == [False, True, False]
    assert told == [(3, "id", "stood in an earlier row with other values; an id stands for one transaction")]


@pytest.mark.parametrize(
    "zeros",
    [
        {"amount": [-0.0, 2.5], "age": [-0.0, 1.0]},
        {"amount": pa.array([-0.0, 2.5], pa.float32()), "age": pa.array([-0.0, 1.0], pa.float32())},
        {"amount": ["-0.00", "2.5"], "age": ["-0", "1"]},
    ],
)
def test_negative_zero_is_zero_as_an_amount_and_itself_as_a_number(zeros: dict[str, Any], tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS | zeros), tmp_path / "in.parquet")
    ((amount, _, _, age), _), told = taken(tmp_path / "in.parquet", tmp_path / "out", mapped())
    assert (str(amount), str(age), told) == ("0.0", "-0.0", [])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"amount": [True, False]}, None),
        ({"card": [[1], [2]]}, "column `card` is List"),
        ({"time": [{"a": 1}, {"a": 2}]}, "column `time` is Struct"),
        ({"age": pa.array([b"a", b"b"])}, "column `age` is Binary"),
        ({"card": None}, "has no column 'card'; it has id, time, amount, age"),
    ],
)
def test_a_column_that_is_not_there_or_of_no_use_is_told(
    changes: dict[str, Any], told: str | None, tmp_path: Path
) -> None:
    columns = {name: column for name, column in (ROWS | changes).items() if column is not None}
    pq.write_table(pa.table(columns), tmp_path / "in.parquet")
    if told is None:
        done = run(tmp_path / "in.parquet", tmp_path / "out", mapped(), program=planned(PLAN, 0))
        refusals = [(row["row"], row["column"], row["reason"]) for row in refused(tmp_path / "out")]
        assert done.transactions == 0
        assert refusals == [(row, "amount", "must be an amount") for row in (1, 2)]
        return
    with pytest.raises(ValueError, match="column") as raised:
        taken(tmp_path / "in.parquet", tmp_path / "out", mapped())
    assert told in str(raised.value)
