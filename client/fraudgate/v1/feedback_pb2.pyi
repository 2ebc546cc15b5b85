from fraudgate.v1 import transaction_pb2 as _transaction_pb2
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Fate(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    FATE_UNSPECIFIED: _ClassVar[Fate]
    FATE_APPROVED: _ClassVar[Fate]
    FATE_PARTIALLY_APPROVED: _ClassVar[Fate]
    FATE_DECLINED: _ClassVar[Fate]
    FATE_TIMED_OUT: _ClassVar[Fate]
    FATE_ABANDONED: _ClassVar[Fate]
    FATE_EXPIRED: _ClassVar[Fate]

class Decider(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DECIDER_UNSPECIFIED: _ClassVar[Decider]
    DECIDER_ENGINE: _ClassVar[Decider]
    DECIDER_ISSUER: _ClassVar[Decider]
    DECIDER_STAND_IN: _ClassVar[Decider]
    DECIDER_MERCHANT: _ClassVar[Decider]
    DECIDER_CALLER_DEFAULT: _ClassVar[Decider]

class LabelClass(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_CLASS_UNSPECIFIED: _ClassVar[LabelClass]
    LABEL_CLASS_THIRD_PARTY_FRAUD: _ClassVar[LabelClass]
    LABEL_CLASS_FIRST_PARTY_FRAUD: _ClassVar[LabelClass]
    LABEL_CLASS_MANIPULATED_PAYER: _ClassVar[LabelClass]
    LABEL_CLASS_DISPUTE_WITHOUT_FRAUD: _ClassVar[LabelClass]
    LABEL_CLASS_GENUINE: _ClassVar[LabelClass]

class LabelStatus(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_STATUS_UNSPECIFIED: _ClassVar[LabelStatus]
    LABEL_STATUS_ASSERTED: _ClassVar[LabelStatus]
    LABEL_STATUS_WITHDRAWN: _ClassVar[LabelStatus]

class LabelSource(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LABEL_SOURCE_UNSPECIFIED: _ClassVar[LabelSource]
    LABEL_SOURCE_ISSUER_REPORT: _ClassVar[LabelSource]
    LABEL_SOURCE_CHARGEBACK: _ClassVar[LabelSource]
    LABEL_SOURCE_CUSTOMER: _ClassVar[LabelSource]
    LABEL_SOURCE_ANALYST: _ClassVar[LabelSource]
    LABEL_SOURCE_RESCORE: _ClassVar[LabelSource]
FATE_UNSPECIFIED: Fate
FATE_APPROVED: Fate
FATE_PARTIALLY_APPROVED: Fate
FATE_DECLINED: Fate
FATE_TIMED_OUT: Fate
FATE_ABANDONED: Fate
FATE_EXPIRED: Fate
DECIDER_UNSPECIFIED: Decider
DECIDER_ENGINE: Decider
DECIDER_ISSUER: Decider
DECIDER_STAND_IN: Decider
DECIDER_MERCHANT: Decider
DECIDER_CALLER_DEFAULT: Decider
LABEL_CLASS_UNSPECIFIED: LabelClass
LABEL_CLASS_THIRD_PARTY_FRAUD: LabelClass
LABEL_CLASS_FIRST_PARTY_FRAUD: LabelClass
LABEL_CLASS_MANIPULATED_PAYER: LabelClass
LABEL_CLASS_DISPUTE_WITHOUT_FRAUD: LabelClass
LABEL_CLASS_GENUINE: LabelClass
LABEL_STATUS_UNSPECIFIED: LabelStatus
LABEL_STATUS_ASSERTED: LabelStatus
LABEL_STATUS_WITHDRAWN: LabelStatus
LABEL_SOURCE_UNSPECIFIED: LabelSource
LABEL_SOURCE_ISSUER_REPORT: LabelSource
LABEL_SOURCE_CHARGEBACK: LabelSource
LABEL_SOURCE_CUSTOMER: LabelSource
LABEL_SOURCE_ANALYST: LabelSource
LABEL_SOURCE_RESCORE: LabelSource

class Outcome(_message.Message):
    __slots__ = ("program", "subject", "fate", "amount_minor", "currency", "decider", "reason")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    FATE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    DECIDER_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    program: str
    subject: _transaction_pb2.Subject
    fate: Fate
    amount_minor: int
    currency: str
    decider: Decider
    reason: str
    def __init__(self, program: _Optional[str] = ..., subject: _Optional[_Union[_transaction_pb2.Subject, _Mapping]] = ..., fate: _Optional[_Union[Fate, str]] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., decider: _Optional[_Union[Decider, str]] = ..., reason: _Optional[str] = ...) -> None: ...

class Label(_message.Message):
    __slots__ = ("program", "subject", "status", "source")
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    CLASS_FIELD_NUMBER: _ClassVar[int]
    STATUS_FIELD_NUMBER: _ClassVar[int]
    SOURCE_FIELD_NUMBER: _ClassVar[int]
    program: str
    subject: _transaction_pb2.Subject
    status: LabelStatus
    source: LabelSource
    def __init__(self, program: _Optional[str] = ..., subject: _Optional[_Union[_transaction_pb2.Subject, _Mapping]] = ..., status: _Optional[_Union[LabelStatus, str]] = ..., source: _Optional[_Union[LabelSource, str]] = ..., **kwargs) -> None: ...
