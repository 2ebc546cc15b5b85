"""An object store's URI is read as the files that it stands for, by Arrow's own client."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from service.tables import Tables
from tests.backfill import object_store
from tests.backfill.conftest import parts, refused, run


@pytest.fixture
def store(world: Tables, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[object_store.Store]:
    """Some days of the world, as a folder of Parquet, as CSV with a row that is refused, and as what is no Parquet."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    bucket = tmp_path / "bucket"
    (bucket / "days").mkdir(parents=True)
    rows = world.transactions.slice(0, 3_000)
    for day, begin in enumerate(range(0, 3_000, 1_000)):
        pq.write_table(rows.slice(begin, 1_000), bucket / f"days/{day}.parquet", row_group_size=400)
    columns = {name: rows[name] for name in rows.column_names}
    columns["amount_minor"] = pa.array([-1, *rows["amount_minor"].to_pylist()[1:]])
    pyarrow.csv.write_csv(pa.table(columns), bucket / "one.csv")
    pq.write_table(world.labels, bucket / "labels.parquet")
    (bucket / "cut.parquet").write_bytes((bucket / "days/0.parquet").read_bytes()[:900])
    with object_store.serving(bucket) as running:
        yield running


def test_a_folder_of_objects_is_read_as_a_folder_of_files(store: object_store.Store, tmp_path: Path) -> None:
    done = run(store.uri("days"), tmp_path / "far", labels=store.uri("labels.parquet"))
    run(tmp_path / "bucket/days", tmp_path / "near", labels=tmp_path / "bucket/labels.parquet")
    assert done.answered == 3_000
    assert parts(tmp_path / "far").equals(parts(tmp_path / "near"))
    assert "GET days/2.parquet" in store.asked


def test_a_row_is_refused_by_its_object_and_row(store: object_store.Store, tmp_path: Path) -> None:
    run(store.uri("one.csv"), tmp_path / "out", labels=store.uri("labels.parquet"))
    (told,) = refused(tmp_path / "out")
    assert (told["file"], told["row_of_file"], told["column"]) == ("history/one.csv", 1, "amount_minor")


@pytest.mark.parametrize(
    ("path", "told"), [("none.parquet", "there is no such file or folder"), ("cut.parquet", "cannot be read")]
)
def test_what_is_not_there_or_damaged_is_told_by_name(
    store: object_store.Store, path: str, told: str, tmp_path: Path
) -> None:
    with pytest.raises(ValueError, match=f"{path}.*{told}"):
        run(store.uri(path), tmp_path / "out")


def test_a_job_over_objects_that_changed_is_not_resumed(store: object_store.Store, tmp_path: Path) -> None:
    labels = store.uri("labels.parquet")
    run(store.uri("days"), tmp_path / "out", labels=labels)
    pq.write_table(pq.read_table(tmp_path / "bucket/days/0.parquet").slice(1), tmp_path / "bucket/days/0.parquet")
    with pytest.raises(ValueError, match="output of another job: input_digest differ"):
        run(store.uri("days"), tmp_path / "out", labels=labels, resume=True)
