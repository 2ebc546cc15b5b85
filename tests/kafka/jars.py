"""The broker's class path, fetched once with Maven and kept in a cache folder: `python -m tests.kafka.jars`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

POM = Path(__file__).with_name("pom.xml")


def folder() -> Path:
    """Where the jars of this pom are, or will be. FRAUDGATE_KAFKA names another cache than the user's."""
    cache = Path(os.environ.get("FRAUDGATE_KAFKA", Path.home() / ".cache/fraudgate/kafka"))
    return cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]


def fetch() -> Path:
    """The folder of jars. Raises subprocess.CalledProcessError where Maven cannot bring them."""
    jars = folder()
    if not (jars / "complete").exists():
        jars.mkdir(parents=True, exist_ok=True)
        copy = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        subprocess.run([*copy, f"-DoutputDirectory={jars}"], check=True, timeout=600)
        (jars / "complete").touch()
    return jars


def at_hand() -> Path:
    """The same for a test: skips it, saying why, where Java or Maven is missing; in CI that is a failure."""
    missing = [tool for tool in ("java", "mvn") if shutil.which(tool) is None]
    if not missing:
        return fetch()
    why = f"a broker needs {' and '.join(missing)} on the path"
    if os.environ.get("CI"):
        pytest.fail(why)
    pytest.skip(why)


if __name__ == "__main__":
    print(fetch())
