"""An idiomatic Faust agent over the Python road: `python -m benchmarks.peers.faust_agent STAGE POP STREAM`.

An agent a record, a Table for counters (in memory, with its changelog), ONNX Runtime in Python, a decision out.
STREAM is JSON, as in a configuration. It prints a line when it begins.
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import Any

import faust
from faust.auth import SSLCredentials

from benchmarks.peers.road import Road
from benchmarks.stage import Stage
from fraudgate.v1.transaction_pb2 import Transaction
from service import clients
from service.config import Stream


def main() -> None:
    """Serves until it is killed."""
    stage, pop, stream = sys.argv[1:]
    app = application(Road(Stage(Path(stage))), pop, Stream.model_validate(json.loads(stream)))
    print(0, flush=True)
    faust.Worker(app, loglevel="ERROR", redirect_stdouts=False).execute_from_commandline()


def application(road: Road, pop: str, stream: Stream) -> Any:
    """The agent's application."""
    app = faust.App(
        f"{pop}.faust",
        broker=f"kafka://{stream.servers}",
        broker_credentials=SSLCredentials(context=clients.context(stream)),
        key_serializer="raw",
        value_serializer="raw",
        store="memory://",
        datadir=tempfile.mkdtemp(prefix="fraudgate-bench-"),
        topic_disable_leader=True,
        topic_partitions=1,
        topic_replication_factor=1,
        consumer_auto_offset_reset="earliest",
        web_enabled=False,
        autodiscover=False,
    )
    decisions = app.topic(stream.decisions, key_type=bytes, value_type=bytes)
    counted = app.Table("counted", default=int, partitions=1)

    async def decide(records: Any) -> None:
        async for value in records:
            transaction = Transaction.FromString(value)
            for entity in transaction.entities:
                counted[entity.value] += 1
            (decision,) = road.decide([transaction])
            await decisions.send(key=transaction.id.encode(), value=decision.SerializeToString())

    app.agent(app.topic(str(stream.transactions), key_type=bytes, value_type=bytes), name="decide")(decide)
    return app


if __name__ == "__main__":
    main()
