"""What the demos configure: a scorer, alone or as a PoP that ships to a cloud behind a broker."""

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Final

import pyarrow.parquet as pq

from service.demo.scorer import free_port
from service.tables import Tables

if TYPE_CHECKING:
    from service.demo.kafka.broker import Broker

CLIENT: Final = "payments.example"
PROGRAM: Final = "demo"
CURRENCY: Final = "EUR"
POP: Final = "ams1"
REQUIRED: Final = "CUSTOMER_ID_NB_TX_7DAY_WINDOW"
REQUESTS, DECISIONS, REVERSALS = "fraudgate.rescore", "fraudgate.rescored", "fraudgate.reversals"


def scorer(folder: Path, history: Tables, model: Path) -> tuple[Path, str]:
    """Write what the scorer needs into `folder`; returns the configuration and where it will listen.

    history: what warms it. model: a folder within `folder` that `training.write` made.
    """
    _begin_anew(folder, "journal")
    _write_history(folder, history)
    config, port = folder / "fraudgate.toml", free_port()
    config.write_text(_scorer(port, model))
    return config, f"localhost:{port}"


def pop_and_cloud(folder: Path, history: Tables, model: Path, broker: "Broker", spool_inputs: int) -> tuple[Path, Path]:
    """Write what a PoP and its cloud need into `folder`, where certificates are; returns both configurations."""
    _begin_anew(folder, "journal", "lake")
    _write_history(folder, history)
    certificate, key = broker.client()
    connection = f'servers = "{broker.address}"\nca = "{broker.ca}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    pop, cloud = folder / "fraudgate.toml", folder / "cloud.toml"
    forward = f"""
[forward]
spool_inputs = {spool_inputs}
requests = "{REQUESTS}"
decisions = "{DECISIONS}"
reversals = "{REVERSALS}"
{connection}
[program.{PROGRAM}.default]
verdict = "challenge"
cap_minor = 2000000
segment = [{{ verdict = "approve", below_minor = 10000 }}]

[program.{PROGRAM}.rescore]
from_risk = 30.0
below_risk = 60.0
control_share = 0.05
"""
    pop.write_text(_scorer(free_port(), model, [REQUIRED]) + forward)
    cloud.write_text(f"""\
# Written by the demo. Paths are relative to this file.
[broker]
{connection}
[topics]
requests = "{REQUESTS}"
decisions = "{DECISIONS}"

[lake]
folder = "lake"
rows = 20000
seconds = 1.0

[program.{PROGRAM}]
bundle = "{model.name}/model"
""")
    return pop, cloud


def _scorer(port: int, model: Path, required: list[str] | None = None) -> str:
    return f"""\
# Written by the demo. Paths are relative to this file.
[server]
pop = "{POP}"
listen = "127.0.0.1:{port}"
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "certificates/hash.key"

[journal]
folder = "journal"
key = "certificates/journal.key"

[[identity]]
name = "dns:{CLIENT}"
allow = ["scoring", "feedback"]

[program.{PROGRAM}]
plan = "{model.name}/plan.json"
model = "{model.name}/model"
mode = "decide"
challenge = 40.0
decline = 60.0
history = "history.parquet"
labels = "labels.parquet"
required_features = {required or []}
"""


def _write_history(folder: Path, history: Tables) -> None:
    # What became of a transaction is told by labels alone.
    shown = [name for name in history.transactions.column_names if name not in ("fraud", "scenario")]
    pq.write_table(history.transactions.select(shown), folder / "history.parquet", compression="zstd")
    pq.write_table(history.labels, folder / "labels.parquet", compression="zstd")


def _begin_anew(folder: Path, *kept: str) -> None:
    """Transactions bear the same ids in every play, and would only get their first answers."""
    for name in kept:
        shutil.rmtree(folder / name, ignore_errors=True)
