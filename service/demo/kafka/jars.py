"""The broker's class path, fetched once with Maven and kept in a cache folder: `make kafka`."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

POM = Path(__file__).with_name("pom.xml")


def folder() -> Path:
    """Where the jars of this pom are, or will be. FRAUDGATE_KAFKA names another cache than the user's."""
    cache = Path(os.environ.get("FRAUDGATE_KAFKA", Path.home() / ".cache/fraudgate/kafka"))
    return cache / hashlib.sha256(POM.read_bytes()).hexdigest()[:16]


def fetch() -> Path:
    """The folder of jars. Raises FileNotFoundError without Java and Maven, CalledProcessError where Maven fails."""
    if missing():
        raise FileNotFoundError(f"a broker needs {' and '.join(missing())} on the path")
    jars = folder()
    if not (jars / "complete").exists():
        jars.mkdir(parents=True, exist_ok=True)
        copy = ["mvn", "-q", "-B", "-f", str(POM), "dependency:copy-dependencies", "-DincludeScope=runtime"]
        subprocess.run([*copy, f"-DoutputDirectory={jars}"], check=True, timeout=600)
        (jars / "complete").touch()
    return jars


def missing() -> list[str]:
    """What a broker needs and is not on the path."""
    return [tool for tool in ("java", "mvn") if shutil.which(tool) is None]


if __name__ == "__main__":
    print(fetch())
