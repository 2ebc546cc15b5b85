"""What is known of a trained model, and the directory that holds it.

A bundle is the student (model.onnx, student.txt), the reduced student (reduced.onnx, reduced.txt), the teacher, which
scores again in the cloud and which no PoP loads (teacher.onnx, teacher.txt), and manifest.json; the manifest names the
others by SHA-256, and the SHA-256 of the manifest's bytes is the model's digest. So one digest pins every byte, and it
is checked before any byte is parsed.
"""

from __future__ import annotations

import json
import os
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

from models.canonical import canonical_json, sha256
from models.certify import Certificate
from models.scorer import Scorer
from models.table import Table

FORMAT = 1
MANIFEST = "manifest.json"
MODEL = "model.onnx"
STUDENT = "student.txt"
TEACHER = "teacher.txt"
TEACHER_MODEL = "teacher.onnx"
REDUCED_MODEL = "reduced.onnx"
REDUCED_STUDENT = "reduced.txt"


class BundleError(ValueError):
    """A bundle is damaged, is another one than expected, or has a format this version does not read."""


@dataclass(frozen=True)
class TrainingWindow:
    """First and last event time of the labelled rows (Unix microseconds, both inclusive), and what was in them.

    distilled_rows counts the rows, labelled or not, whose teacher scores the student learnt.
    """

    from_us: int
    to_us: int
    rows: int
    frauds: int
    distilled_rows: int


@dataclass(frozen=True)
class Reduced:
    """What is known of the second, tiny student: its tables are its own, so thresholds keep their meaning on it."""

    onnx_sha256: str
    student_sha256: str
    probability: Table
    risk: Table
    certificate: Certificate


@dataclass(frozen=True)
class Teacher:
    """What is known of the teacher: with tables of its own, so that the same thresholds decide on its scores."""

    onnx_sha256: str
    teacher_sha256: str
    probability: Table
    risk: Table
    certificate: Certificate


@dataclass(frozen=True)
class Manifest:
    """Everything that is known of a model, as manifest.json holds it.

    reduced, teacher: take the same rows, and their graphs have the same names. metrics: on the held-out rows, by name.
    parameters: the spec's fields by stage, seeds among them. libraries: version by distribution name.
    """

    format: int
    name: str
    plan_digest: str
    features: tuple[str, ...]
    input: str
    output: str
    onnx_sha256: str
    student_sha256: str
    probability: Table
    risk: Table
    reduced: Reduced
    teacher: Teacher
    training: TrainingWindow
    metrics: dict[str, float]
    certificate: Certificate
    parameters: dict[str, dict[str, float]]
    libraries: dict[str, str]

    def to_json(self) -> bytes:
        return canonical_json(asdict(self))

    @staticmethod
    def from_json(content: bytes) -> Manifest:
        """Raises BundleError for another format, or fields that this format does not have."""
        fields = json.loads(content)
        if fields.get("format") != FORMAT:
            raise BundleError(f"{MANIFEST} has format {fields.get('format')!r}; this version reads {FORMAT}")
        try:
            for forest in (fields, fields["reduced"], fields["teacher"]):
                for table in ("probability", "risk"):
                    columns = forest[table]
                    forest[table] = Table(tuple(columns["log_odds"]), tuple(columns["value"]))
                forest["certificate"] = Certificate(**forest["certificate"])
            fields["reduced"] = Reduced(**fields["reduced"])
            fields["teacher"] = Teacher(**fields["teacher"])
            fields["features"] = tuple(fields["features"])
            fields["training"] = TrainingWindow(**fields["training"])
            return Manifest(**fields)
        except (KeyError, TypeError) as wrong:
            raise BundleError(f"{MANIFEST} lacks or adds a field: {wrong}") from wrong


@dataclass(frozen=True)
class Bundle:
    """A model with its manifest; `digest` is its name in configuration, journal and registry."""

    manifest: Manifest
    model: bytes
    student: bytes
    reduced_model: bytes
    reduced_student: bytes
    teacher: bytes
    teacher_model: bytes

    @property
    def digest(self) -> str:
        """SHA-256 of manifest.json, 64 lower-case hex digits."""
        return sha256(self.manifest.to_json())

    def scorer(self) -> Scorer:
        return Scorer(self.model)

    def reduced_scorer(self) -> Scorer:
        return Scorer(self.reduced_model)

    def teacher_scorer(self) -> Scorer:
        return Scorer(self.teacher_model)

    def write(self, directory: Path) -> str:
        """Put the bundle at `directory`, which must not exist yet: all of it or nothing. Returns the digest.

        Raises FileExistsError when something is there: a bundle never changes.
        """
        if directory.exists():
            raise FileExistsError(f"{directory} exists; a bundle is written once, choose another directory")
        directory.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{directory.name}.", dir=directory.parent) as unfinished:
            whole = Path(unfinished) / "bundle"
            whole.mkdir()
            for name, content in self._files().items():
                _write_durably(whole / name, content)
            _sync_directory(whole)
            whole.rename(directory)
            _sync_directory(directory.parent)
        return self.digest

    @staticmethod
    def read(directory: Path, digest: str) -> Bundle:
        """The bundle at `directory`, if it is the one that `digest` names (see `digest_at`).

        Raises BundleError when the manifest or a file is not what the digests say; nothing was parsed then.
        """
        manifest_json = (directory / MANIFEST).read_bytes()
        if sha256(manifest_json) != digest:
            raise BundleError(f"{directory / MANIFEST} is {sha256(manifest_json)}, expected {digest}")
        manifest = Manifest.from_json(manifest_json)
        expected = {
            MODEL: manifest.onnx_sha256,
            STUDENT: manifest.student_sha256,
            REDUCED_MODEL: manifest.reduced.onnx_sha256,
            REDUCED_STUDENT: manifest.reduced.student_sha256,
            TEACHER: manifest.teacher.teacher_sha256,
            TEACHER_MODEL: manifest.teacher.onnx_sha256,
        }
        contents = {name: (directory / name).read_bytes() for name in expected}
        for name, content in contents.items():
            if sha256(content) != expected[name]:
                raise BundleError(f"{directory / name} is {sha256(content)}, the manifest says {expected[name]}")
        return Bundle(manifest, *contents.values())

    def _files(self) -> dict[str, bytes]:
        return {
            MODEL: self.model,
            STUDENT: self.student,
            REDUCED_MODEL: self.reduced_model,
            REDUCED_STUDENT: self.reduced_student,
            TEACHER: self.teacher,
            TEACHER_MODEL: self.teacher_model,
            MANIFEST: self.manifest.to_json(),
        }


def digest_at(directory: Path) -> str:
    """The digest of whatever bundle lies at `directory`: for those who trust the place, or want to pin it."""
    return sha256((directory / MANIFEST).read_bytes())


def _write_durably(path: Path, content: bytes) -> None:
    with path.open("xb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())


def _sync_directory(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
