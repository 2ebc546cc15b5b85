"""Where the stream's demo is played: the configuration of a PoP and of the cloud behind it."""

import shutil
from pathlib import Path
from typing import Final

import pyarrow.parquet as pq

from service.demo_server import CLIENT, PROGRAM, free_port
from service.tables import Tables
from tests.kafka.broker import Broker

POP: Final = "ams1"
REQUIRED: Final = "CUSTOMER_ID_NB_TX_7DAY_WINDOW"
REQUESTS, DECISIONS, REVERSALS = "fraudgate.rescore", "fraudgate.rescored", "fraudgate.reversals"


def begin_anew(folder: Path) -> None:
    """Each demo begins with an empty journal, lake and broker: its transactions bear the same ids every time."""
    for name in ("journal", "lake", "kafka"):
        shutil.rmtree(folder / name, ignore_errors=True)


def configure(folder: Path, history: Tables, model: Path, broker: Broker, spool_inputs: int) -> tuple[Path, Path]:
    """Write what PoP and cloud need into `folder`, where certificates are; returns both configurations."""
    shown = [name for name in history.transactions.column_names if name not in ("fraud", "scenario")]
    pq.write_table(history.transactions.select(shown), folder / "history.parquet", compression="zstd")
    pq.write_table(history.labels, folder / "labels.parquet", compression="zstd")
    certificate, key = broker.client()
    connection = f'servers = "{broker.address}"\nca = "{broker.ca}"\ncertificate = "{certificate}"\nkey = "{key}"\n'
    pop, cloud = folder / "fraudgate.toml", folder / "cloud.toml"
    pop.write_text(f"""\
# Written by the stream's demo. Paths are relative to this file.
[server]
listen = "127.0.0.1:{free_port()}"
certificate = "certificates/server.pem"
key = "certificates/server.key"
client_ca = "certificates/ca.pem"

[keys]
hash_key = "certificates/hash.key"

[journal]
folder = "journal"
key = "certificates/journal.key"

[forward]
pop = "{POP}"
spool_inputs = {spool_inputs}
requests = "{REQUESTS}"
decisions = "{DECISIONS}"
reversals = "{REVERSALS}"
{connection}
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
required_features = ["{REQUIRED}"]

[program.{PROGRAM}.default]
verdict = "challenge"
cap_minor = 2000000
segment = [{{ verdict = "approve", below_minor = 10000 }}]

[program.{PROGRAM}.rescore]
from_risk = 30.0
below_risk = 60.0
control_share = 0.05
""")
    cloud.write_text(f"""\
# Written by the stream's demo. Paths are relative to this file.
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
