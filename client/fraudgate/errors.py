"""What a scorer refused, as exceptions: read from google.rpc's details, never holding a value that was sent."""

from typing import Any, Final, NamedTuple, cast

import grpc
from google.protobuf.message import DecodeError, Message

from fraudgate.v1 import status_pb2

_DETAILS: Final = "grpc-status-details-bin"
_CODES: Final = {code.value[0]: code for code in grpc.StatusCode}


class InvalidField(NamedTuple):
    """One field that is missing or wrong: its path, such as `entities[2].value`, and what would be right."""

    field: str
    description: str


class FraudgateError(Exception):
    """A call, or one item of it, that got no decision. Nothing was changed, unless the answer itself was lost."""

    def __init__(self, message: str, code: grpc.StatusCode, reason: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        """ErrorInfo's constant in capitals, such as `DRAINING`; empty when there is none."""


class InvalidTransaction(FraudgateError):
    """A field is missing, wrong, or too far ahead of the clock: it will be refused again until it is mended."""

    fields: tuple[InvalidField, ...] = ()


class IdReused(FraudgateError):
    """The id is known with another payload: a transaction needs an id of its own."""


class Overloaded(FraudgateError):
    """The scorer has too much to do, or cannot meet the deadline. It passes by itself."""

    retry_after: float | None = None
    """Seconds to wait at least; None when the scorer did not say."""


class NotAllowed(FraudgateError):
    """The identity of the client's certificate may not use this service."""


class Unavailable(FraudgateError):
    """No connection, no model, or draining: another scorer, or the caller's own default, must answer."""


class DeadlineExceeded(FraudgateError):
    """No answer came in time. It may still have been taken: repeating the call with the same id is safe."""


class Failed(FraudgateError):
    """Any other refusal, such as a message over its cap (`MESSAGE_TOO_LARGE`)."""


def from_status(status: status_pb2.Status) -> FraudgateError:
    """The exception for the status of one item, or of a whole call."""
    code = _CODES.get(status.code, grpc.StatusCode.UNKNOWN)
    invalid, retry, info = status_pb2.BadRequest(), status_pb2.RetryInfo(), status_pb2.ErrorInfo()
    for detail in status.details:
        for name, message in (("BadRequest", invalid), ("RetryInfo", retry), ("ErrorInfo", info)):
            if detail.type_url.rpartition("/")[2] == f"google.rpc.{name}":
                _parse(message, detail.value)
    fields = tuple(InvalidField(v.field, v.description) for v in invalid.field_violations)
    kind = _kind(code, retry.HasField("retry_delay"))
    error = kind(_message(code, info.reason, status.message, fields), code, info.reason)
    if isinstance(error, InvalidTransaction):
        error.fields = fields
    if isinstance(error, Overloaded) and retry.HasField("retry_delay"):
        error.retry_after = max(0.0, retry.retry_delay.seconds + retry.retry_delay.nanos / 1e9)
    return error


def from_rpc(error: grpc.RpcError) -> FraudgateError:
    """The exception for a call that failed as a whole.

    Free text of the status is kept only when it comes with the scorer's own details, or tells why no connection could
    be made: what another server writes there may quote the request.
    """
    ended = cast(Any, error)  # Each RpcError that a call raises has these; grpc has no one class that says so.
    code: grpc.StatusCode = ended.code()
    for key, value in ended.trailing_metadata() or ():
        if key == _DETAILS and isinstance(value, bytes):
            status = status_pb2.Status()
            if _parse(status, value) and status.code == code.value[0]:
                return from_status(status)
    text = ended.details() if code is grpc.StatusCode.UNAVAILABLE else ""
    return from_status(status_pb2.Status(code=code.value[0], message=text or ""))


def _kind(code: grpc.StatusCode, passes: bool) -> type[FraudgateError]:
    match code:
        case grpc.StatusCode.INVALID_ARGUMENT | grpc.StatusCode.OUT_OF_RANGE:
            return InvalidTransaction
        case grpc.StatusCode.ALREADY_EXISTS:
            return IdReused
        case grpc.StatusCode.RESOURCE_EXHAUSTED if passes:
            return Overloaded
        case grpc.StatusCode.PERMISSION_DENIED | grpc.StatusCode.UNAUTHENTICATED:
            return NotAllowed
        case grpc.StatusCode.UNAVAILABLE:
            return Unavailable
        case grpc.StatusCode.DEADLINE_EXCEEDED:
            return DeadlineExceeded
        case _:
            return Failed


def _message(code: grpc.StatusCode, reason: str, text: str, fields: tuple[InvalidField, ...]) -> str:
    told = "; ".join(f"{field}: {description}" for field, description in fields) or text
    return " ".join(part for part in (code.name, reason, told) if part)


def _parse(message: Message, data: bytes) -> bool:
    try:
        message.ParseFromString(data)
    except DecodeError:
        return False
    return True
