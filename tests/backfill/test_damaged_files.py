"""Files that rotted, broke off or are something else: told by name, and no value of theirs with it."""

from __future__ import annotations

import os
import random
import struct
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.backfill.test_hard_inputs import PLAIN, PLAIN_GIVES, ROWS, SECRET, mapped, taken

FLIPS = 10_000 if os.environ.get("FRAUDGATE_PROVE") else 100


def test_a_bit_that_rotted_in_a_page_with_a_checksum_is_told(tmp_path: Path) -> None:
    options: dict[str, Any] = {"compression": "none", "use_dictionary": False, "write_page_checksum": True}
    pq.write_table(pa.table(ROWS | {"amount": [1.0, 2.5]}), tmp_path / "in.parquet", **options)
    content = bytearray((tmp_path / "in.parquet").read_bytes())
    # 2.5 as it stands in the page of amounts, a bit of its mantissa.
    content[content.index(struct.pack("<dd", 1.0, 2.5)) + 8] ^= 1
    (tmp_path / "in.parquet").write_bytes(content)
    with pytest.raises(ValueError, match=r"in\.parquet: cannot be read: .*(CRC|checksum)"):
        taken(tmp_path / "in.parquet", tmp_path / "out", mapped())


@pytest.mark.parametrize("rotted", ["pages", "footer"])
def test_a_bit_that_rotted_anywhere_is_told_or_changes_nothing(rotted: str, tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS), tmp_path / "in.parquet", write_page_checksum=True)
    whole = (tmp_path / "in.parquet").read_bytes()
    pages = len(whole) - 8 - int.from_bytes(whole[-8:-4], "little")
    bits = range(8 * pages) if rotted == "pages" else range(8 * pages, 8 * len(whole))
    complaints = []
    for bit in random.Random(11).sample(bits, min(FLIPS, len(bits))):
        content = bytearray(whole)
        content[bit // 8] ^= 1 << bit % 8
        (tmp_path / "in.parquet").write_bytes(content)
        try:
            given = taken(tmp_path / "in.parquet", tmp_path / f"out-{bit}", mapped())
        except ValueError as error:
            complaints.append(str(error))
        else:
            # A footer bears no checksum: it may tell of another unit of time, and nothing is amiss.
            assert rotted == "footer" or given == (PLAIN_GIVES, []), f"bit {bit}"
    assert complaints
    # Of the file, or of a column by a type that has become another.
    assert [told for told in complaints if "in.parquet" not in told and "column `" not in told] == []


def test_a_column_whose_name_is_no_text_is_told_by_the_name_of_its_file(tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS | {"\u00e9note": [1, 2]}), tmp_path / "in.parquet", store_schema=False)
    content = (tmp_path / "in.parquet").read_bytes()
    (tmp_path / "in.parquet").write_bytes(content.replace("\u00e9note".encode(), b"\xc3\x00note"))
    with pytest.raises(ValueError, match=r"in\.parquet: cannot be read"):
        taken(tmp_path / "in.parquet", tmp_path / "out", mapped())


def test_a_zone_that_is_no_text_is_told_by_the_name_of_its_file(tmp_path: Path) -> None:
    times = pa.array([1_577_836_800, 1_577_840_400], pa.timestamp("s", "America/Lima"))
    table = pa.table(ROWS | {"time": times})
    with pa.ipc.new_file(str(tmp_path / "in.arrow"), table.schema) as writer:
        writer.write_table(table)
    content = (tmp_path / "in.arrow").read_bytes()
    (tmp_path / "in.arrow").write_bytes(content.replace(b"America/Lima", b"Am\xc3rica/Lima"))
    with pytest.raises(ValueError, match=r"in\.arrow: cannot be read"):
        taken(tmp_path / "in.arrow", tmp_path / "out", mapped())


def test_files_that_are_damaged_are_told_by_name(tmp_path: Path) -> None:
    pq.write_table(pa.table(ROWS), tmp_path / "whole.parquet")
    whole = (tmp_path / "whole.parquet").read_bytes()
    for name, content in (
        ("empty.parquet", b""),
        ("cut.parquet", whole[: len(whole) // 2]),
        ("other.parquet", b"PAR1" + b"x" * 500 + b"PAR1"),
        ("cut.arrow", b"ARROW1\0\0" + b"x" * 100),
        ("latin.csv", PLAIN.replace("x", "é").encode("latin-1")),
        ("wide.csv", PLAIN.encode("utf-16")),
        ("twice.csv", PLAIN.replace("age", "amount").encode()),
        ("ragged.csv", f"id,time,card,amount,age\na,b\n{SECRET},1,2,3,4,5,6,7\n".encode()),
    ):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(ValueError, match=name) as raised:
            taken(tmp_path / name, tmp_path / f"out-{name}", mapped())
        assert SECRET not in str(raised.value)
    for name, told in (("none.parquet", "no such file"), ("*.pq", "no file is named so"), ("in.txt", "give --format")):
        if name == "in.txt":
            (tmp_path / name).touch()
        with pytest.raises(ValueError, match=told):
            taken(tmp_path / name, tmp_path / "out", mapped())
