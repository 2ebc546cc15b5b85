from fraudgate.v1 import operation_pb2 as _operation_pb2
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Control(_message.Message):
    __slots__ = ("erase",)
    ERASE_FIELD_NUMBER: _ClassVar[int]
    erase: _operation_pb2.EraseRequest
    def __init__(self, erase: _Optional[_Union[_operation_pb2.EraseRequest, _Mapping]] = ...) -> None: ...

class DeadLetter(_message.Message):
    __slots__ = ("topic", "partition", "offset", "code", "reason", "sha256", "epoch", "sequence")
    TOPIC_FIELD_NUMBER: _ClassVar[int]
    PARTITION_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    CODE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    SHA256_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    topic: str
    partition: int
    offset: int
    code: int
    reason: str
    sha256: bytes
    epoch: int
    sequence: int
    def __init__(self, topic: _Optional[str] = ..., partition: _Optional[int] = ..., offset: _Optional[int] = ..., code: _Optional[int] = ..., reason: _Optional[str] = ..., sha256: _Optional[bytes] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...
