"""What is written: parts of Parquet that are there whole or not at all, and a manifest of those that are.

A part holds the answers to so many transactions of the input, in its order. So a job that was killed has some first
parts, and goes on with the next one; what it writes then are the bytes that it would have written undisturbed.
"""

import hashlib
import json
import shutil
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq

import engine
from service.backfill.refused import Refusal
from service.files import sync

MANIFEST: Final = "manifest.json"
REFUSED: Final = "refused.parquet"
WORK: Final = ".work"
_GROUP_ROWS: Final = 131_072
_WORDS: Final = {name: pa.array(words, pa.string()) for name, words in engine.words()}
_SCORES: Final = ("fraud_probability", "risk_score")


class Part(NamedTuple):
    """A part that is there."""

    file: str
    transactions: int
    rows: int
    sha256: str
    refused: list[Refusal]


class Output:
    """The folder of a job."""

    def __init__(self, folder: Path, job: dict[str, str], *, resume: bool) -> None:
        """job: what the output is a function of, by name; a folder is resumed by the same job alone.

        Raises ValueError where the folder holds something else, or is there and not to be resumed.
        """
        self.folder = folder
        self.parts: list[Part] = []
        self.done = False
        self._job = job
        if (folder / MANIFEST).exists():
            self._resume(resume)
        elif folder.exists() and any(folder.iterdir()):
            raise ValueError(f"{folder} is not empty and holds no output: give another folder")
        else:
            folder.mkdir(parents=True, exist_ok=True)
            self._write_manifest()
        for unfinished in folder.glob(".*.unfinished"):
            unfinished.unlink()
        if self.done:
            # A kill may have come between the manifest's last word and the end of what the job kept, its keys among it.
            shutil.rmtree(self.work, ignore_errors=True)
            return
        self.work.mkdir(mode=0o700, exist_ok=True)
        for left in ("transactions", "labels", "outcomes"):
            shutil.rmtree(self.work / left, ignore_errors=True)

    @property
    def work(self) -> Path:
        """Where a job keeps what it needs until it is done."""
        return self.folder / WORK

    def room(self, name: str) -> Path:
        """An empty folder to sort in: transactions, labels or outcomes."""
        room = self.work / name
        room.mkdir()
        return room

    @property
    def transactions(self) -> int:
        """Transactions of the input that stand in finished parts."""
        return sum(part.transactions for part in self.parts)

    def refused_through(self, transactions: int) -> list[Refusal]:
        """What was refused of the first so many transactions, where a part ends."""
        refused: list[Refusal] = []
        for part in self.parts:
            transactions -= part.transactions
            if transactions >= 0:
                refused += part.refused
        return refused

    def open(self, metadata: dict[str, str]) -> "PartWriter":
        """The next part."""
        return PartWriter(self.folder, part_file(len(self.parts)), metadata)

    def add(self, part: Part) -> None:
        """Keep a part that was written."""
        self.parts.append(part)
        self._write_manifest()

    def finish(self, refused: pa.Table) -> None:
        """All is written; refused rows go beside it, where there are any."""
        if refused.num_rows:
            _replace(self.folder / REFUSED, lambda path: pq.write_table(refused, path, compression="zstd"))
        self.done = True
        self._write_manifest()
        shutil.rmtree(self.work)

    def _resume(self, resume: bool) -> None:
        found = json.loads((self.folder / MANIFEST).read_text())
        if not resume:
            raise ValueError(
                f"{self.folder} holds an output already: give --resume to go on with it, or another folder"
            )
        differing = [name for name in {**found["job"], **self._job} if found["job"].get(name) != self._job.get(name)]
        if differing:
            raise ValueError(f"{self.folder} is the output of another job: {', '.join(sorted(differing))} differ")
        self.done = found["done"]
        for stated in found["parts"]:
            part = Part(**stated | {"refused": [Refusal(*each) for each in stated["refused"]]})
            path = self.folder / part.file
            if not path.exists() or _sha256(path) != part.sha256:
                raise ValueError(f"{path} is not what was written: remove {self.folder}, or give another folder")
            self.parts.append(part)

    def _write_manifest(self) -> None:
        document = {
            "format": 1,
            "job": self._job,
            "done": self.done,
            "parts": [part._asdict() for part in self.parts],
        }
        text = json.dumps(document, indent=1, sort_keys=True) + "\n"
        _replace(self.folder / MANIFEST, lambda path: path.write_text(text))


class PartWriter:
    """A part under way: it has its name when it is whole and synced. A group is written while the next one is made."""

    def __init__(self, folder: Path, file: str, metadata: dict[str, str], attempt: str = "") -> None:
        """attempt: tells apart those who write the same part, where it may be more than one."""
        self._path = folder / file
        self._unfinished = folder / f".{file}{attempt}.unfinished"
        self._metadata = metadata
        self._writer: pq.ParquetWriter | None = None
        self._behind = ThreadPoolExecutor(max_workers=1, thread_name_prefix="written")
        self._written: Future[None] | None = None
        self._held: list[pa.RecordBatch] = []
        self._waiting = 0
        self._rows = 0
        self._refused: list[Refusal] = []
        self._transactions = 0

    def add(self, batch: pa.RecordBatch, transactions: int, refused: list[Refusal]) -> None:
        """Add the answers to so many transactions, and what was refused of them."""
        self._transactions += transactions
        self._refused += refused
        if self._writer is None:
            self._writer = writer(self._unfinished, batch.schema.with_metadata(self._metadata))
        # A group is cut by rows alone, so that it does not depend on how batches came.
        while self._waiting + batch.num_rows >= _GROUP_ROWS:
            room = _GROUP_ROWS - self._waiting
            self._hold(batch.slice(0, room))
            self._flush(self._writer)
            batch = batch.slice(room)
        self._hold(batch)

    def close(self) -> Part:
        """Give it its name."""
        if self._writer is None:
            raise ValueError("a part needs a batch, of no rows at least")
        if self._waiting:
            self._flush(self._writer)
        self._wait()
        self._behind.shutdown()
        self._writer.close()
        sync(self._unfinished)
        self._unfinished.replace(self._path)
        sync(self._path.parent)
        return Part(self._path.name, self._transactions, self._rows, _sha256(self._path), sorted(self._refused))

    def abandon(self) -> None:
        """Leave nothing."""
        self._behind.shutdown()
        if self._writer is not None:
            self._writer.close()
        self._unfinished.unlink(missing_ok=True)

    def _hold(self, batch: pa.RecordBatch) -> None:
        self._held.append(batch)
        self._waiting += batch.num_rows

    def _flush(self, writer: pq.ParquetWriter) -> None:
        # One group is written at a time, and no more wait.
        self._wait()
        self._written = self._behind.submit(_write, writer, self._held)
        self._rows += self._waiting
        self._held, self._waiting = [], 0

    def _wait(self) -> None:
        """Until what was given to be written is. Raises what went wrong there."""
        if self._written is not None:
            self._written.result()


def _write(writer: pq.ParquetWriter, batches: list[pa.RecordBatch]) -> None:
    group = pa.Table.from_batches(batches).combine_chunks()
    writer.write_table(group, row_group_size=group.num_rows)


def part_file(number: int) -> str:
    """The name of a part, by its number from 0."""
    return f"part-{number:05}.parquet"


class _Form(NamedTuple):
    """How the values of a column are written."""

    codec: str
    repeats: bool = False
    encoding: str | None = None


# Dictionaries, whose numbers are packed. Of other columns Parquet would build one and give it up.
_REPEATS: Final = _Form("none", repeats=True)
# Whole numbers and times stand in an order or lie close together: their differences take few bits, which no codec makes
# fewer.
_CLOSE: Final = _Form("none", encoding="DELTA_BINARY_PACKED")
# Scores are as good as random, and Booleans a bit each.
_DENSE: Final = _Form("snappy")
_OTHER: Final = _Form("zstd")


def writer(path: Path, schema: pa.Schema) -> pq.ParquetWriter:
    """Parquet as any reader takes it, each column in the cheapest form that leaves it small.

    The least and the greatest value of a group are told of what does not repeat. A file says itself of which types its
    columns are: with Arrow's schema beside it, words would be read as dictionaries.
    """
    forms = {f"{field.name}.list.element" if _is_list(field) else field.name: _form(field) for field in schema}
    made = pq.ParquetWriter(
        path,
        schema,
        compression={name: form.codec for name, form in forms.items()},
        compression_level={name: 1 for name, form in forms.items() if form.codec == "zstd"},
        use_dictionary=[name for name, form in forms.items() if form.repeats],
        column_encoding={name: form.encoding for name, form in forms.items() if form.encoding},
        write_statistics=[name for name, form in forms.items() if not form.repeats],
        store_schema=False,
    )
    made.add_key_value_metadata(schema.metadata)
    return made


def _form(field: pa.Field) -> _Form:
    name, kind = field.name, field.type
    if name in _WORDS or name == "currency" or name.startswith("key.") or _is_list(field):
        return _REPEATS
    if pa.types.is_integer(kind) or pa.types.is_timestamp(kind):
        return _CLOSE
    return _DENSE if name in _SCORES or pa.types.is_boolean(kind) else _OTHER


def _is_list(field: pa.Field) -> bool:
    return bool(pa.types.is_list(field.type))


def in_words(answers: pa.RecordBatch) -> pa.RecordBatch:
    """Members of the wire's enums, by number, as their names: dictionaries."""
    for name, words in _WORDS.items():
        place = answers.schema.get_field_index(name)
        if place < 0 or not pa.types.is_integer(answers.schema.field(place).type):
            continue
        named = pa.DictionaryArray.from_arrays(answers.column(place).cast(pa.int8()), words)
        answers = answers.set_column(place, name, named)
    return answers


def _replace(path: Path, write: Any) -> None:
    unfinished = path.with_name(f".{path.name}.unfinished")
    write(unfinished)
    sync(unfinished)
    unfinished.replace(path)
    sync(path.parent)


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
