from fraudgate.v1 import decision_pb2 as _decision_pb2
from fraudgate.v1 import transaction_pb2 as _transaction_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class StatsRequest(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class StatsResponse(_message.Message):
    __slots__ = ("values",)
    class ValuesEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: int
        def __init__(self, key: _Optional[str] = ..., value: _Optional[int] = ...) -> None: ...
    VALUES_FIELD_NUMBER: _ClassVar[int]
    values: _containers.ScalarMap[str, int]
    def __init__(self, values: _Optional[_Mapping[str, int]] = ...) -> None: ...

class EraseRequest(_message.Message):
    __slots__ = ("program", "entity")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    program: str
    entity: _transaction_pb2.EntityKey
    def __init__(self, program: _Optional[str] = ..., entity: _Optional[_Union[_transaction_pb2.EntityKey, _Mapping]] = ...) -> None: ...

class EraseResponse(_message.Message):
    __slots__ = ("receipt", "held")
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    receipt: _decision_pb2.Receipt
    held: bool
    def __init__(self, receipt: _Optional[_Union[_decision_pb2.Receipt, _Mapping]] = ..., held: _Optional[bool] = ...) -> None: ...
