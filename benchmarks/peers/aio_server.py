"""grpc.aio over the Python road, or as an echo: `python -m benchmarks.peers.aio_server STAGE [--echo]`.

What arrived in one turn of the event loop is scored in one run of the model. It prints its port once it answers.
"""

from __future__ import annotations

import asyncio
from typing import Any

import grpc

from benchmarks.peers import door
from benchmarks.peers.road import Road, fixed_decision
from fraudgate.v1.scoring_pb2 import ScoreBatchResponse, ScoreStreamResponse


async def main() -> None:
    """Serves until it is killed."""
    stage, is_echo = door.arguments()
    server = grpc.aio.server(options=door.OPTIONS)
    server.add_generic_rpc_handlers([_echo() if is_echo else _scoring(Road(stage))])
    port = server.add_secure_port(door.ADDRESS, door.credentials(stage))
    await server.start()
    print(port, flush=True)
    await server.wait_for_termination()


def _echo() -> grpc.GenericRpcHandler:
    answer = fixed_decision()

    async def score(_request: Any, _context: Any) -> bytes:
        return answer

    return door.echo(score)


def _scoring(road: Road) -> grpc.GenericRpcHandler:
    loop = asyncio.get_running_loop()
    arrived: list[tuple[Any, asyncio.Future[bytes]]] = []

    def drain() -> None:
        decisions = road.decide([request for request, _ in arrived])
        for (_, answer), decision in zip(arrived, decisions, strict=True):
            if not answer.cancelled():
                answer.set_result(decision.SerializeToString())
        arrived.clear()

    async def score(request: Any, _context: Any) -> bytes:
        answer: asyncio.Future[bytes] = loop.create_future()
        if not arrived:
            loop.call_soon(drain)
        arrived.append((request, answer))
        return await answer

    async def score_batch(request: Any, _context: Any) -> bytes:
        response = ScoreBatchResponse()
        for decision in road.decide(request.transactions):
            response.results.add().decision.CopyFrom(decision)
        return response.SerializeToString()

    async def score_stream(_requests: Any, context: Any) -> None:
        while (request := await context.read()) is not grpc.aio.EOF:
            (decision,) = road.decide([request.transaction])
            response = ScoreStreamResponse(ordinal=request.ordinal, decision=decision)
            await context.write(response.SerializeToString())

    return door.scoring(score, score_batch, score_stream)


if __name__ == "__main__":
    asyncio.run(main())
