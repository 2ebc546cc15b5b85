"""The Handbook's 15 features of a whole table, as each library of tables computes them best: what a backfill is beside.

`python -m benchmarks.peers.tables METHOD FILE TIMES` computes them in this process, of the file's rows so many times
over with customers and terminals of their own each time, and prints what it cost and a sum of each feature, so that
what was computed can be compared. Columns are in memory before the clock begins. A library that has threads gets one
for each core that the process may use. Peers count what happened in the same second as they do by nature, so sums
agree nearly.
"""

from __future__ import annotations

import functools
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.peers.cost import THREADS, cost

DAY_S = 86_400
WINDOWS = (1, 7, 30)
DELAY = 7


def fraudgate(table: pa.Table) -> list[Any]:
    """The engine's own fold, labels told as they arrive."""
    from features import handbook
    from features.fold import fold

    frauds = table.filter(table["fraud"])
    labels = pa.table(
        {
            "arrival_us": pa.array(frauds["event_time_us"].to_numpy() + DELAY * DAY_S * 1_000_000),
            **{name: frauds[name] for name in ("event_time_us", "transaction_id", "customer", "terminal", "fraud")},
        }
    )
    rows = fold(handbook.PLAN.compile(), table, labels, complete_since_us=0)
    return [rows[:, place] for place in range(rows.shape[1])]


def numpy(table: pa.Table) -> list[Any]:
    """One sort of key and time, running sums, and a global binary search for each bound; a thread an entity."""
    times = table["event_time_us"].to_numpy() // 1_000_000
    amounts, frauds = table["amount_minor"].to_numpy(), table["fraud"].to_numpy().astype(np.int64)
    span = int(times[-1] - times[0]) + 40 * DAY_S

    def seen(entity: str, values: Any, delay: int) -> list[Any]:
        places = table[entity].to_numpy().astype(np.int64) * span + (times - times[0])
        order = np.argsort(places, kind="stable")
        keyed = places[order]
        sums = np.concatenate(([0], np.cumsum(values[order])))
        end = np.arange(1, len(keyed) + 1) if not delay else np.searchsorted(keyed, keyed - delay * DAY_S, "right")
        found = []
        for window in WINDOWS:
            begin = np.searchsorted(keyed, keyed - (delay + window) * DAY_S, "right")
            count, total = end - begin, sums[end] - sums[begin]
            share = np.divide(total, count, out=np.zeros(len(count)), where=count > 0)
            for column in (count, share if delay else share / 100):
                back = np.empty(len(keyed), np.float32)
                back[order] = column
                found.append(back)
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        customers, terminals = pool.map(seen, ("customer", "terminal"), (amounts, frauds), (0, DELAY))
    return [*_own(times, amounts), *customers, *terminals]


def polars(table: pa.Table) -> list[Any]:
    """rolling_sum_by over each key; what is delayed is the difference of two windows."""
    import polars as pl

    frame = pl.from_arrow(table).with_columns(
        t=pl.from_epoch(pl.col("event_time_us") // 1_000_000, time_unit="s"), one=pl.lit(1), f=pl.col("fraud").cast(int)
    )

    def rolled(column: str, days: int, key: str) -> Any:
        return pl.col(column).rolling_sum_by("t", window_size=f"{days}d", closed="right").over(key)

    wanted = []
    for window in WINDOWS:
        count = rolled("one", window, "customer")
        wanted += [count, rolled("amount_minor", window, "customer") / count / 100]
    known, recent = rolled("one", DELAY, "terminal"), rolled("f", DELAY, "terminal")
    for window in WINDOWS:
        count = rolled("one", DELAY + window, "terminal") - known
        frauds = rolled("f", DELAY + window, "terminal") - recent
        wanted += [count, pl.when(count > 0).then(frauds / count).otherwise(0.0)]
    made = frame.select([each.alias(str(place)).cast(pl.Float32) for place, each in enumerate(wanted)])
    own = _own(table["event_time_us"].to_numpy() // 1_000_000, table["amount_minor"].to_numpy())
    return own + [made[name].to_numpy() for name in made.columns]


def duckdb(table: pa.Table) -> list[Any]:
    """RANGE windows, closed on both sides: a second less."""
    import duckdb as engine

    def over(key: str, fro: int, to: int) -> str:
        bound = "CURRENT ROW" if to == 0 else f"{to} PRECEDING"
        return f"(PARTITION BY {key} ORDER BY t RANGE BETWEEN {fro} PRECEDING AND {bound})"

    columns = []
    for window in WINDOWS:
        w = over("customer", window * DAY_S - 1, 0)
        columns += [f"count(*) OVER {w}", f"avg(amount_minor) OVER {w} / 100"]
    for window in WINDOWS:
        w = over("terminal", (DELAY + window) * DAY_S - 1, DELAY * DAY_S)
        columns += [f"count(*) OVER {w}", f"coalesce(avg(fraud::INT) OVER {w}, 0)"]
    listed = ", ".join(f"({column})::FLOAT AS c{place}" for place, column in enumerate(columns))
    connection = engine.connect(config={"threads": THREADS})
    connection.register("given", table)
    query = f"SELECT {listed} FROM (SELECT *, event_time_us // 1000000 AS t FROM given)"
    made = connection.sql(query).to_arrow_table()
    own = _own(table["event_time_us"].to_numpy() // 1_000_000, table["amount_minor"].to_numpy())
    return own + [column.to_numpy() for column in made.columns]


def pandas(table: pa.Table) -> list[Any]:
    """groupby.rolling over a time index, key by key."""
    import pandas as pd

    frame = table.select(["event_time_us", "customer", "terminal", "amount_minor", "fraud"]).to_pandas()
    frame["t"] = pd.to_datetime(frame["event_time_us"], unit="us")
    frame["f"] = frame["fraud"].astype(int)
    found = _own(frame["event_time_us"].to_numpy() // 1_000_000, frame["amount_minor"].to_numpy())

    def rolled(column: str, days: int, key: str) -> tuple[Any, Any]:
        windows = indexed.groupby(key, sort=True)[column].rolling(f"{days}D")
        return windows.count().to_numpy(), windows.sum().to_numpy()

    indexed = frame.set_index("t")
    for window in WINDOWS:
        count, total = rolled("amount_minor", window, "customer")
        found += [count, total / count / 100]
    known, recent = rolled("f", DELAY, "terminal")
    for window in WINDOWS:
        count, frauds = rolled("f", DELAY + window, "terminal")
        count, frauds = count - known, frauds - recent
        found += [count, np.divide(frauds, count, out=np.zeros(len(count)), where=count > 0)]
    return found


def spark(table: pa.Table) -> list[Any]:
    """Spark SQL: RANGE windows, closed on both sides. Rows come back in another order."""
    from pyspark.sql import Window, functions

    session = _spark_session()
    seconds, place = table["event_time_us"].to_numpy() // 1_000_000, np.arange(len(table), dtype=np.int64)
    given = pa.table({name: table[name] for name in ("customer", "terminal", "amount_minor", "fraud")})
    given = given.append_column("t", pa.array(seconds)).append_column("place", pa.array(place))

    def over(key: str, fro: int, to: int) -> Any:
        return Window.partitionBy(key).orderBy("t").rangeBetween(-fro, -to)

    columns = []
    for window in WINDOWS:
        w = over("customer", window * DAY_S - 1, 0)
        columns += [functions.count("*").over(w), functions.avg("amount_minor").over(w) / 100]
    for window in WINDOWS:
        w = over("terminal", (DELAY + window) * DAY_S - 1, DELAY * DAY_S)
        share = functions.avg(functions.col("fraud").cast("int")).over(w)
        columns += [functions.count("*").over(w), functions.coalesce(share, functions.lit(0.0))]
    wanted = [column.cast("float").alias(f"c{at}") for at, column in enumerate(columns)]
    made = session.createDataFrame(given).select("place", *wanted).toArrow()
    order = np.argsort(made["place"].to_numpy())
    own = _own(seconds, table["amount_minor"].to_numpy())
    return own + [column.to_numpy()[order] for column in made.columns[1:]]


@functools.cache
def _spark_session() -> Any:
    from pyspark.sql import SparkSession

    settings = {
        "spark.driver.memory": "8g",
        "spark.driver.maxResultSize": "0",
        "spark.sql.execution.arrow.pyspark.enabled": "true",
        "spark.sql.shuffle.partitions": "8",
        "spark.ui.enabled": "false",
    }
    return SparkSession.builder.master(f"local[{THREADS}]").config(map=settings).getOrCreate()


def _own(times: Any, amounts: Any) -> list[Any]:
    days = times // DAY_S
    weekend, night = (days + 3) % 7 >= 5, (times % DAY_S) // 3_600 <= 6
    return [(amounts / 100).astype(np.float32), weekend.astype(np.float32), night.astype(np.float32)]


METHODS: dict[str, Callable[[pa.Table], list[Any]]] = {
    "fraudgate": fraudgate,
    "numpy": numpy,
    "polars": polars,
    "duckdb": duckdb,
    "pandas": pandas,
    "spark": spark,
}


PIECE_ROWS: Final = 1 << 20
"""Rows of a row group, as pyarrow writes them of a whole table too."""


def repeated(table: pa.Table, times: int, some: slice = slice(None)) -> pa.Table:
    """Some of the rows so many times over, each time with customers and terminals of their own, in order of event time.

    Copies of a row have one event time, so they stand beside each other.
    """
    copies, made = np.arange(times), {}
    for name in table.column_names:
        column = table[name].to_numpy()
        if name in ("customer", "terminal"):
            made[name] = column[some, None] + copies * (int(column.max()) + 1)
        elif name == "transaction_id":
            made[name] = column[some, None] * np.int64(times) + copies
        else:
            made[name] = np.repeat(column[some], times)
    return pa.table({name: column.ravel() for name, column in made.items()})


def write_repeated(path: Path, out: Path, times: int) -> int:
    """A file's rows so many times over as another file, of which a piece is in memory at a time; returns how many."""
    table = pq.read_table(path).combine_chunks()
    step = max(1, PIECE_ROWS // times)
    with pq.ParquetWriter(out, repeated(table, times, slice(0)).schema) as writer:
        for begin in range(0, len(table), step):
            writer.write_table(repeated(table, times, slice(begin, begin + step)))
    return len(table) * times


def main(method: str, path: str, times: int) -> None:
    """Compute, and print what it cost."""
    table = pq.read_table(path).combine_chunks()
    table = table if times == 1 else repeated(table, times)
    METHODS[method](table.slice(0, 1_000))  # what is imported and compiled once
    columns, told = cost(lambda: METHODS[method](table))
    sums = [float(np.nansum(column, dtype=np.float64)) for column in columns]
    print(json.dumps({**told, "sums": sums}))


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], int(sys.argv[3]))
