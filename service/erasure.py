"""Erases a key from a scorer, running or not, and says what that did not reach.

Source: Regulation (EU) 2016/679 (GDPR), article 17.
"""

import json
from typing import Any, Final

import grpc

import engine
from fraudgate import channel
from fraudgate.errors import FraudgateError
from fraudgate.v1 import operation_pb2, operation_pb2_grpc, transaction_pb2
from service.config import Config
from service.scoring import Connection

_DEADLINE_S: Final = 30.0

# What no scorer can reach from where it stands.
_ELSEWHERE: Final = (
    "answers and ids that are still known: they hold hashes of transaction ids, which name nobody",
    "files that a repair set aside, *.damaged: remove them",
    "the cloud's lake, yet: it is told with what is shipped to it, and takes the key from its rows then",
    "what left for elsewhere: topics while the broker keeps their records, training sets, copies of journal and lake",
)


def while_serving(connection: Connection, program: str, entity: str, value: str) -> dict[str, Any]:
    """Ask a running scorer, whose configuration must allow the client `operation`.

    Returns what was erased, and what that did not reach. Raises FraudgateError where it is refused.
    """
    credentials = channel.credentials(connection.ca, connection.certificate, connection.key)
    options = channel.options(connection.server_name)
    request = operation_pb2.EraseRequest(program=program, entity=transaction_pb2.EntityKey(name=entity, value=value))
    with grpc.secure_channel(connection.target, credentials, options=options) as opened:
        try:
            erased = operation_pb2_grpc.OperationStub(opened).Erase(request, timeout=_DEADLINE_S)
        except grpc.RpcError as error:
            raise FraudgateError(error.details() or "", error.code()) from None
    return _told(erased.receipt.sequence, erased.held)


def at_rest(config: Config, program: str, entity: str, value: str) -> dict[str, Any]:
    """Take the erasure in as the configuration's scorer would, which does not run now.

    Returns what was erased, and what that did not reach. Raises ValueError where it is refused, or where another
    process has the journal open.
    """
    from service.serving import prepared

    if config.journal is None:
        raise ValueError("the configuration has no [journal]: only a running scorer has a state")
    server = prepared(config)
    try:
        sequence, held = server.erase(program, entity, value)
    finally:
        server.close()
    return _told(sequence, held)


def rewrite(config: Config) -> dict[str, Any]:
    """Rewrite the segments of a journal without what was erased. Raises ValueError where it is open or damaged."""
    if config.journal is None:
        raise ValueError("the configuration has no [journal]")
    key = bytes.fromhex(config.journal.key.read_text().strip())
    rewrote = engine.journal_rewrite(str(config.journal.folder), key)
    left = []
    if rewrote["open"]:
        left.append(f"segments {_numbers(rewrote['open'])}: they are the newest; the next time they are older")
    if rewrote["given_up"]:
        left.append(
            f"segments {_numbers(rewrote['given_up'])}: files that were given up when a disk failed; remove them"
        )
    if rewrote["snapshots"]:
        left.append(
            f"snapshots {_numbers(rewrote['snapshots'])}: they are older than the last erasure, and are removed by age"
        )
    return {
        "erasures": rewrote["erasures"],
        "keys_taken_from_records": rewrote["keys"],
        "segments_rewritten": rewrote["segments"],
        "not_reached": [*left, *_ELSEWHERE],
    }


def _told(sequence: int, held: bool) -> dict[str, Any]:
    return {
        "sequence": sequence,
        "held": held,
        "reached": "the state, now and in every replay",
        "not_reached": [
            f"records before {sequence} in the journal: `fraudgate journal rewrite` takes the key from them",
            f"snapshots from before {sequence}: they are removed by age",
            *_ELSEWHERE,
        ],
    }


def _numbers(numbers: list[int]) -> str:
    return json.dumps(numbers)[1:-1]
