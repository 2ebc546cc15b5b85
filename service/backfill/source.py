"""Files to batches: Parquet, CSV or Arrow IPC; a file, a glob, a folder, partitioned or not, or an object store's URI.

Files come in the order of their paths and rows in the order of their files, which gives each row its number, from 1.
A CSV is read as text: what a text means the mapping says, so no block of it is taken for another type than the next.
"""

import glob
import hashlib
from bisect import bisect_right
from collections.abc import Iterator
from itertools import accumulate
from pathlib import Path
from typing import Any, Final, NamedTuple

import pyarrow as pa
import pyarrow.csv
import pyarrow.dataset as ds
import pyarrow.fs

BATCH_ROWS: Final = 65_536
_FORMATS: Final = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
}
_CSV_BLOCK: Final = 1 << 22


class Place(NamedTuple):
    """Where a row stands: its file and its number there, from 1 (a header is no row)."""

    file: str
    row: int


class Source:
    """An input. Raises ValueError, naming the file, for what cannot be read."""

    def __init__(self, location: str, *, delimiter: str = ",", text_format: str | None = None) -> None:
        """location: a path, a glob or a URI. text_format: parquet, csv or ipc where the names do not tell."""
        self._filesystem, paths, folder = _found(location)
        suffix = Path(paths[0]).suffix.lower()
        self.format = text_format or _FORMATS.get(suffix)
        if self.format is None:
            raise ValueError(f"{paths[0]}: cannot tell what it is by its name; give --format parquet, csv or ipc")
        self._delimiter = delimiter
        with _told_as(location):
            self._dataset = ds.dataset(
                paths,
                format=self._dataset_format(paths),
                filesystem=self._filesystem,
                partitioning=None if folder is None else ds.partitioning(flavor="hive"),
                partition_base_dir=folder,
            )
            fragments = sorted(self._dataset.get_fragments(), key=lambda fragment: fragment.path)
            self._names = _names(self._dataset.schema)
        self._fragments = fragments
        self.files = [fragment.path for fragment in fragments]
        self._begins: list[int] = []
        self._files_of: list[int] = []

    def columns(self) -> list[str]:
        """Names of its columns."""
        return self._names

    def digest(self) -> str:
        """What the input is known by when a job is resumed: paths, sizes and times of change; SHA-256."""
        seen = hashlib.sha256()
        for info in self._filesystem.get_file_info(self.files):
            seen.update(f"{info.path}\0{info.size}\0{info.mtime_ns}\0".encode())
        return seen.hexdigest()

    def batches(self, columns: list[str]) -> Iterator[tuple[int, pa.RecordBatch]]:
        """The rows with these columns, in their order: each batch with the number of its first row.

        Raises ValueError for a column that is not there, and for a file that breaks off or is damaged.
        """
        self.require(columns)
        self._begins = []
        row = 1
        for fragment in self._fragments:
            self._begins.append(row)
            for batch in scan(fragment, self._dataset.schema, columns):
                yield row, batch
                row += batch.num_rows

    def require(self, columns: list[str]) -> None:
        """Raises ValueError for a column that is not there."""
        absent = [name for name in columns if name not in self._names]
        if absent:
            raise ValueError(f"{self.files[0]} has no column {absent[0]!r}; it has {', '.join(self.columns())}")

    @property
    def schema(self) -> pa.Schema:
        """Its columns with their types, as batches have them."""
        return _plain(pa.RecordBatch.from_pylist([], schema=self._dataset.schema)).schema

    def pieces(self) -> list[ds.Fragment]:
        """What it may be read in by many, in its order: groups of Parquet's rows, else files."""
        pieces: list[ds.Fragment] = []
        self._files_of = []
        for file, fragment in enumerate(self._fragments):
            with _told_as(fragment.path):
                cut = fragment.split_by_row_group() if isinstance(fragment, ds.ParquetFileFragment) else [fragment]
            pieces += cut
            self._files_of += [file] * len(cut)
        return pieces

    def counted(self, rows: list[int]) -> None:
        """Learn how many rows each of its pieces has, where others read them."""
        per_file = [0] * len(self.files)
        for file, n in zip(self._files_of, rows, strict=True):
            per_file[file] += n
        self._begins = [1 + before for before in accumulate([0, *per_file[:-1]])]

    def place(self, row: int) -> Place:
        """Where a row stands that was read."""
        file = bisect_right(self._begins, row) - 1
        return Place(self.files[file], row - self._begins[file] + 1)

    def _dataset_format(self, paths: list[str]) -> ds.FileFormat:
        match self.format:
            case "parquet":
                # Where pages bear a checksum, rot is told and not read.
                options = ds.ParquetFragmentScanOptions(
                    pre_buffer=False, use_buffered_stream=True, page_checksum_verification=True
                )
                return ds.ParquetFileFormat(default_fragment_scan_options=options)
            case "ipc":
                return ds.IpcFileFormat()
            case "csv":
                return self._csv_format(paths)
            case other:
                raise ValueError(f"{other} is no format that is read: parquet, csv or ipc")

    def _csv_format(self, paths: list[str]) -> ds.FileFormat:
        parse = pyarrow.csv.ParseOptions(delimiter=self._delimiter)
        names: dict[str, pa.DataType] = {}
        for path in paths:
            with (
                _told_as(path),
                self._filesystem.open_input_stream(path) as stream,
                pyarrow.csv.open_csv(stream, parse_options=parse) as reader,
            ):
                names |= dict.fromkeys(reader.schema.names, pa.string())
        convert = pyarrow.csv.ConvertOptions(column_types=names, null_values=[""], strings_can_be_null=True)
        read = pyarrow.csv.ReadOptions(block_size=_CSV_BLOCK)
        return ds.CsvFileFormat(
            parse_options=parse,
            default_fragment_scan_options=ds.CsvFragmentScanOptions(convert_options=convert, read_options=read),
        )


def scan(fragment: ds.Fragment, schema: pa.Schema, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """The rows of a piece of a data set of a schema, with these columns. Raises ValueError for what is damaged."""
    with _told_as(fragment.path):
        # With threads a gibibyte is read ahead of who takes it, whatever is said of batches.
        scanner = fragment.scanner(
            schema=schema,
            columns=columns,
            batch_size=BATCH_ROWS,
            batch_readahead=2,
            fragment_readahead=1,
            use_threads=False,
        )
        for batch in scanner.to_batches():
            if batch.num_rows:
                yield _plain(batch)


class _told_as:  # noqa: N801 - a context manager
    """Tells a library's complaint as one about a file."""

    def __init__(self, path: str) -> None:
        self._path = path

    def __enter__(self) -> None:
        return None

    def __exit__(self, kind: object, error: BaseException | None, _: object) -> None:
        if isinstance(error, (pa.ArrowException, OSError, UnicodeDecodeError)) and not isinstance(
            error, KeyboardInterrupt
        ):
            # The first line: what follows may quote the file.
            told = str(error).partition("\n")[0]
            raise ValueError(f"{self._path}: cannot be read: {_without_values(told)}") from None


def _without_values(told: str) -> str:
    """A complaint of the CSV reader quotes the row that it met."""
    return told.partition(": ")[0] if told.startswith("CSV parse error: Row") else told.partition(", got ")[0]


def _names(schema: pa.Schema) -> list[str]:
    """Of its columns. Raises UnicodeDecodeError where one is no text, or a zone is none: that stops the engine."""
    for kind in schema.types:
        if pa.types.is_timestamp(kind):
            _ = kind.tz
    names: list[str] = schema.names
    return names


def _plain(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Dictionaries decoded: the engine reads values."""
    for place, field in enumerate(batch.schema):
        if pa.types.is_dictionary(field.type):
            batch = batch.set_column(place, field.name, batch.column(place).dictionary_decode())
    return batch


def _found(location: str) -> tuple[Any, list[str], str | None]:
    """The file system, the files in order, and the folder where one was given."""
    if "://" in location:
        filesystem, path = pyarrow.fs.FileSystem.from_uri(location)
    else:
        filesystem, path = pyarrow.fs.LocalFileSystem(), str(Path(location).absolute())
        if any(mark in location for mark in "*?["):
            paths = sorted(str(Path(each).absolute()) for each in glob.glob(location, recursive=True))  # noqa: PTH207
            if not paths:
                raise ValueError(f"{location}: no file is named so")
            return filesystem, paths, None
    info = filesystem.get_file_info(path)
    match info.type:
        case pyarrow.fs.FileType.File:
            return filesystem, [path], None
        case pyarrow.fs.FileType.Directory:
            entries = filesystem.get_file_info(pyarrow.fs.FileSelector(path, recursive=True))
            paths = sorted(
                entry.path
                for entry in entries
                if entry.is_file and not entry.base_name.startswith((".", "_")) and entry.extension
            )
            if not paths:
                raise ValueError(f"{location}: the folder holds no file")
            return filesystem, paths, path
        case _:
            raise ValueError(f"{location}: there is no such file or folder")
