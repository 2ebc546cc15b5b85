"""The committed messages are those that the protos give."""

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
GENERATED = ROOT / "client/fraudgate/v1"


def test_generated_code_is_what_the_protos_give(tmp_path: Path) -> None:
    protos = [str(path) for path in sorted((ROOT / "protos/fraudgate/v1").glob("*.proto"))]
    outs = [f"--{kind}_out={tmp_path}" for kind in ("python", "pyi", "grpc_python")]
    subprocess.run([sys.executable, "-m", "grpc_tools.protoc", f"-I{ROOT / 'protos'}", *outs, *protos], check=True)
    fresh = {path.name: path.read_text() for path in (tmp_path / "fraudgate/v1").iterdir()}
    # A file without a service has no stubs, and is left out.
    fresh = {name: text for name, text in fresh.items() if not name.endswith("_grpc.py") or "Stub" in text}
    committed = {path.name: path.read_text() for path in GENERATED.iterdir() if path.is_file()}
    assert committed == fresh


def test_the_distribution_asks_for_versions_that_run_the_generated_code() -> None:
    declared = (ROOT / "client/pyproject.toml").read_text()
    messages = (GENERATED / "scoring_pb2.py").read_text()
    stubs = (GENERATED / "scoring_pb2_grpc.py").read_text()
    protobuf = re.search(r"Protobuf Python Version: (\S+)", messages)
    grpcio = re.search(r"GRPC_GENERATED_VERSION = '(\S+)'", stubs)
    assert protobuf
    assert grpcio
    assert f'"protobuf>={protobuf[1]}"' in declared
    assert f'"grpcio>={grpcio[1]}"' in declared
