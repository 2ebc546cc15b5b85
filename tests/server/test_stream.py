"""Streams are answered in order, and read no faster than their answers are."""

from __future__ import annotations

import time
from collections.abc import Callable

from fraudgate.v1 import scoring_pb2, transaction_pb2
from tests.scorer import Scorer

New = Callable[[], transaction_pb2.Transaction]
STREAM = "/fraudgate.v1.Scoring/ScoreStream"


def test_many_more_items_than_may_be_unanswered_are_answered_in_order(scorer: Scorer, new_transaction: New) -> None:
    requests = (
        scoring_pb2.ScoreStreamRequest(ordinal=3 * i, transaction=new_transaction()).SerializeToString()
        for i in range(5_000)
    )
    call = scorer.channel().stream_stream(STREAM, response_deserializer=scoring_pb2.ScoreStreamResponse.FromString)
    responses = list(call(requests, timeout=60))
    assert [response.ordinal for response in responses] == [3 * i for i in range(5_000)]
    sequences = [response.decision.receipt.sequence for response in responses]
    assert sequences == list(range(sequences[0], sequences[0] + 5_000))


def test_a_caller_that_does_not_read_is_not_read(scorer: Scorer, new_transaction: New) -> None:
    before = scorer.server.stats()["transactions"]
    total = 30_000

    def requests():
        for ordinal in range(total):
            transaction = new_transaction()
            transaction.id = transaction.id.ljust(128, "-")
            yield scoring_pb2.ScoreStreamRequest(ordinal=ordinal, transaction=transaction).SerializeToString()

    call = scorer.channel().stream_stream(STREAM, response_deserializer=scoring_pb2.ScoreStreamResponse.FromString)
    responses = call(requests(), timeout=120)
    taken = before
    while (now := scorer.server.stats()["transactions"]) != taken or now == before:
        taken = now
        time.sleep(0.5)
    assert taken - before < total
    # The scorer serves others meanwhile.
    assert scorer.score(new_transaction()).HasField("assessment")
    assert [response.ordinal for response in responses] == list(range(total))


def test_two_payments_of_one_card_in_one_stream_see_each_other(scorer: Scorer, new_transaction: New) -> None:
    first, second = new_transaction(), new_transaction()
    items = [first, second, first]
    requests = (scoring_pb2.ScoreStreamRequest(transaction=item).SerializeToString() for item in items)
    call = scorer.channel().stream_stream(STREAM, response_deserializer=scoring_pb2.ScoreStreamResponse.FromString)
    one, two, again = (response.decision for response in call(requests, timeout=20))
    assert two.receipt.sequence == one.receipt.sequence + 1
    assert again.receipt.replayed
    assert again.receipt.sequence == one.receipt.sequence
    assert again.assessment == one.assessment
