"""grpcio's threaded server over the Python road, or an echo: `python -m benchmarks.peers.sync_server STAGE [--echo]`.

It prints its port once it answers.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Lock
from typing import Any, Final

import grpc

from benchmarks.peers import door
from benchmarks.peers.road import Road, fixed_decision
from fraudgate.v1.scoring_pb2 import ScoreBatchResponse, ScoreStreamResponse

# Tried from 1 to 16: the interpreter runs one at a time, and more than these cost more.
THREADS: Final = 4


def main() -> None:
    """Serves until it is killed."""
    stage, is_echo = door.arguments()
    server = grpc.server(ThreadPoolExecutor(THREADS), options=door.OPTIONS)
    server.add_generic_rpc_handlers([_echo() if is_echo else _scoring(Road(stage))])
    port = server.add_secure_port(door.ADDRESS, door.credentials(stage))
    server.start()
    print(port, flush=True)
    server.wait_for_termination()


def _echo() -> grpc.GenericRpcHandler:
    answer = fixed_decision()
    return door.echo(lambda _request, _context: answer)


def _scoring(road: Road) -> grpc.GenericRpcHandler:
    one_at_a_time = Lock()

    def score(request: Any, _context: Any) -> bytes:
        with one_at_a_time:
            (decision,) = road.decide([request])
            return decision.SerializeToString()

    def score_batch(request: Any, _context: Any) -> bytes:
        response = ScoreBatchResponse()
        with one_at_a_time:
            for decision in road.decide(request.transactions):
                response.results.add().decision.CopyFrom(decision)
        return response.SerializeToString()

    def score_stream(requests: Iterator[Any], _context: Any) -> Iterator[bytes]:
        for request in requests:
            with one_at_a_time:
                (decision,) = road.decide([request.transaction])
                response = ScoreStreamResponse(ordinal=request.ordinal, decision=decision)
            yield response.SerializeToString()

    return door.scoring(score, score_batch, score_stream)


if __name__ == "__main__":
    main()
