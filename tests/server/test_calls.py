"""What a whole call may meet besides its own content."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import grpc
import pytest

from fraudgate.v1 import scoring_pb2, transaction_pb2
from tests.scorer import Scorer, running_scorer

New = Callable[[], transaction_pb2.Transaction]


def test_a_method_that_is_not_there_is_unimplemented(scorer: Scorer) -> None:
    with pytest.raises(grpc.RpcError) as raised:
        scorer.channel().unary_unary("/fraudgate.v1.Scoring/Guess")(b"", timeout=10)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_compressed_message_is_refused(scorer: Scorer, new_transaction: New) -> None:
    call = scorer.channel().unary_unary("/fraudgate.v1.Scoring/Score")
    transaction = new_transaction()
    transaction.id = "z" * 100
    with pytest.raises(grpc.RpcError) as raised:
        call(transaction.SerializeToString(), timeout=10, compression=grpc.Compression.Gzip)
    assert raised.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_a_full_queue_refuses_items_and_keeps_the_others(tmp_path: Path, new_transaction: New) -> None:
    with running_scorer(tmp_path, queue=8) as scorer:
        call = scorer.channel().unary_unary(
            "/fraudgate.v1.Scoring/ScoreBatch", response_deserializer=scoring_pb2.ScoreBatchResponse.FromString
        )
        batch = scoring_pb2.ScoreBatchRequest(transactions=[new_transaction() for _ in range(20)])
        results = call(batch.SerializeToString(), timeout=10).results
        assert [result.WhichOneof("result") for result in results] == ["decision"] * 8 + ["status"] * 12
        for result in results[8:]:
            assert result.status.code == grpc.StatusCode.RESOURCE_EXHAUSTED.value[0]
            (detail,) = result.status.details
            assert detail.type_url == "type.googleapis.com/google.rpc.RetryInfo"
        assert scorer.server.stats()["overloaded"] == 12


def test_programs_and_services_are_named_in_stats(scorer: Scorer, new_transaction: New) -> None:
    before = scorer.server.stats()
    scorer.score(new_transaction())
    after = scorer.server.stats()
    assert after["transactions"] == before["transactions"] + 1
    assert after["drained"] == before["drained"] + 1
    assert after["service_ns"] > 0
