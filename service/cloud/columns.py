"""The messages of rescore.proto as arrays and back: no work for a single row, and no copy on the way in.

What is read is checked as a whole: a column of another length than the others refuses its message.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import numpy as np
import numpy.typing as npt
from google.protobuf.message import DecodeError

from fraudgate.v1 import decision_pb2, rescore_pb2

Column = npt.NDArray[Any]

APPROVE: Final = decision_pb2.VERDICT_APPROVE
CHALLENGE: Final = decision_pb2.VERDICT_CHALLENGE
HOLD: Final = decision_pb2.VERDICT_HOLD
DECLINE: Final = decision_pb2.VERDICT_DECLINE

# The width of a row in each column of a request; `keys` and `rows` have several values a row.
WIDTHS: Final[Mapping[str, str]] = {
    "sequence": "<u8",
    "epoch": "<u8",
    "transaction": "V16",
    "event_time_us": "<i8",
    "kind": "u1",
    "amount_minor": "<i8",
    "policy_verdict": "u1",
    "tier": "u1",
    "cause": "u1",
    "reason": "u1",
    "fraud_probability": "<f8",
    "risk_score": "<f8",
}
# Those that come back to the PoP as it sent them.
REPEATED: Final = (
    "sequence",
    "epoch",
    "transaction",
    "event_time_us",
    "kind",
    "amount_minor",
    "policy_verdict",
)


class Malformed(ValueError):
    """Bytes that are no request. The message names the field, never what stood in it."""


class Requests(NamedTuple):
    """One message. Every column has as many rows; `keys` is V16 [n, entities], `rows` float32 [n, features]."""

    head: rescore_pb2.RescoreRequest
    """What the rows have in common: its own columns are not to be read."""
    columns: Mapping[str, Column]
    keys: Column
    rows: npt.NDArray[np.float32]

    def __len__(self) -> int:
        return len(self.rows)

    def where(self, chosen: npt.NDArray[np.bool_]) -> "Requests":
        """The rows that are chosen: bool [n]."""
        if chosen.all():
            return self
        columns = {name: column[chosen] for name, column in self.columns.items()}
        return Requests(self.head, columns, self.keys[chosen], self.rows[chosen])


class Erased(NamedTuple):
    """A key that was erased at a PoP: of its entity, in the rows of before `epoch` and `sequence`."""

    pop: str
    program: str
    entity: str
    key: bytes
    epoch: int
    sequence: int


class Answers(NamedTuple):
    """What the teacher says of a message's rows, in their order: float64 [n], float64 [n], uint8 [n]."""

    fraud_probability: npt.NDArray[np.float64]
    risk_score: npt.NDArray[np.float64]
    rescored_verdict: npt.NDArray[np.uint8]


def read(content: bytes) -> Requests:
    """A message as arrays over its own bytes. Raises Malformed."""
    try:
        message = rescore_pb2.RescoreRequest.FromString(content)
    except DecodeError:
        # The decoder's own words may hold what was sent.
        raise Malformed("is no RescoreRequest") from None
    n = len(message.sequence) // 8
    columns = {name: _column(message, name, width, n) for name, width in WIDTHS.items()}
    entities = len(message.entities)
    keys = _column(message, "keys", "V16", n * entities).reshape(n, entities)
    rows = _column(message, "rows", "<f4", n * message.features).reshape(n, message.features)
    if n == 0 and not message.erasures:
        raise Malformed("sequence: there is no row")
    return Requests(message, columns, keys, rows)


def erased(head: rescore_pb2.RescoreRequest) -> list[Erased]:
    """What a message says was erased. Raises Malformed."""
    if any(len(each.key) != 16 or each.entity not in head.entities for each in head.erasures):
        raise Malformed("erasures: name another entity than the message, or no key of 16 bytes")
    return [Erased(head.pop, head.program, each.entity, each.key, each.epoch, each.sequence) for each in head.erasures]


def without(requests: Requests, keys: Sequence[Erased]) -> Requests:
    """The same rows, those of before without the keys that were erased."""
    head, of, left = requests.head, requests.columns, None
    for each in keys:
        if (each.pop, each.program) != (head.pop, head.program) or each.entity not in head.entities:
            continue
        before = (of["epoch"] < each.epoch) | ((of["epoch"] == each.epoch) & (of["sequence"] < each.sequence))
        slot = list(head.entities).index(each.entity)
        halves = np.ascontiguousarray(requests.keys[:, slot]).view("<u8").reshape(-1, 2)
        hit = before & (halves == np.frombuffer(each.key, "<u8")).all(axis=1)
        if hit.any():
            left = requests.keys.copy() if left is None else left
            left[hit, slot] = np.zeros(1, "V16")
    return requests if left is None else Requests(head, of, left, requests.rows)


def write(requests: Requests, answers: Answers, model_digest: bytes) -> bytes:
    """What goes back to the PoP: a RescoredDecisions."""
    head = requests.head
    told: dict[str, Any] = {name: requests.columns[name].tobytes() for name in REPEATED}
    decisions = rescore_pb2.RescoredDecisions(
        pop=head.pop,
        program=head.program,
        model_digest=model_digest,
        policy_digest=head.policy_digest,
        entities=head.entities,
        keys=requests.keys.tobytes(),
        rescored_verdict=answers.rescored_verdict.tobytes(),
        fraud_probability=answers.fraud_probability.astype("<f8", copy=False).tobytes(),
        risk_score=answers.risk_score.astype("<f8", copy=False).tobytes(),
        **told,
    )
    return decisions.SerializeToString()


def verdicts(risk_score: npt.NDArray[np.float64], thresholds: rescore_pb2.Thresholds) -> npt.NDArray[np.uint8]:
    """The policy's verdict on each risk score: the gravest whose threshold it reaches, as the PoP's engine decides."""
    given = [
        (getattr(thresholds, name), verdict)
        for name, verdict in (("challenge", CHALLENGE), ("hold", HOLD), ("decline", DECLINE))
        if thresholds.HasField(name)
    ]
    reached = np.searchsorted([threshold for threshold, _ in given], risk_score, side="right")
    found: npt.NDArray[np.uint8] = np.array([APPROVE, *(verdict for _, verdict in given)], np.uint8)[reached]
    return found


def joined(rows: Sequence[npt.NDArray[np.float32]]) -> npt.NDArray[np.float32]:
    """The rows of several messages after each other; a lone one is not copied."""
    return rows[0] if len(rows) == 1 else np.concatenate(rows)


def _column(message: Any, name: str, width: str, n: int) -> Column:
    content: bytes = getattr(message, name)
    dtype = np.dtype(width)
    if len(content) != n * dtype.itemsize:
        raise Malformed(f"{name}: has not as many rows as sequence")
    return np.frombuffer(content, dtype)
