"""Inputs through the doors that are no files: each with the number of its row, in their order."""

from __future__ import annotations

from typing import Literal

import fraudgate
from fraudgate.v1 import decision_pb2, feedback_pb2, stream_pb2, transaction_pb2
from tests.scorer import Scorer
from tests.stream.records import Record

Inputs = list[tuple[int, transaction_pb2.Transaction | feedback_pb2.Label]]


def by_grpc(scorer: Scorer, inputs: Inputs) -> tuple[dict[int, bytes], set[int]]:
    """Assessments by the row, and the rows that were refused."""
    assessments, refused_rows = {}, set()
    leaf = scorer.folder.client("all.example")
    with fraudgate.Client(
        f"localhost:{scorer.port}", ca=scorer.folder.ca.certificate, certificate=leaf.certificate, key=leaf.key
    ) as client:
        for number, asked in inputs:
            if isinstance(asked, feedback_pb2.Label):
                client.label([asked])
                continue
            try:
                assessments[number] = client.score(asked).assessment.SerializeToString()
            except fraudgate.FraudgateError:
                refused_rows.add(number)
    return assessments, refused_rows


def by_records(scorer: Scorer, inputs: Inputs) -> tuple[list[tuple[str, bytes]], set[int]]:
    """As records of streams, without a broker: assessments with the ids that they leave under, and the rows refused.

    They are sorted: what a drain repeats leaves behind what it takes first.
    """
    for number, asked in inputs:
        kind: Literal["transactions", "labels"] = "labels" if isinstance(asked, feedback_pb2.Label) else "transactions"
        # Labels come by their arrival, not by their rows: each stands at the beginning of a topic of its own.
        topic = kind if kind == "transactions" else f"{kind}-{number}"
        assert scorer.server.take(kind, [Record(asked.SerializeToString(), number, on=topic)]) == 1
    _, left = scorer.server.cursor("doors").read(1_000_000, 0.0)
    decisions = [(key, decision_pb2.Decision.FromString(value)) for said, key, value, _ in left if said == "decision"]
    letters = [stream_pb2.DeadLetter.FromString(value) for said, _, value, _ in left if said == "dead letter"]
    return (
        sorted((key, decision.assessment.SerializeToString()) for key, decision in decisions),
        {letter.offset for letter in letters if letter.topic == "transactions"},
    )
