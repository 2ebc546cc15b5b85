from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Kind(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    KIND_UNSPECIFIED: _ClassVar[Kind]
    KIND_PURCHASE: _ClassVar[Kind]
    KIND_WITHDRAWAL: _ClassVar[Kind]
    KIND_TRANSFER: _ClassVar[Kind]
    KIND_PAYOUT: _ClassVar[Kind]
    KIND_REFUND: _ClassVar[Kind]
    KIND_REVERSAL: _ClassVar[Kind]
    KIND_INCREMENTAL: _ClassVar[Kind]
    KIND_CLEARING: _ClassVar[Kind]
    KIND_VERIFICATION: _ClassVar[Kind]
    KIND_EVENT: _ClassVar[Kind]

class Mode(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    MODE_UNSPECIFIED: _ClassVar[Mode]
    MODE_SCORE: _ClassVar[Mode]
    MODE_FOLD: _ClassVar[Mode]

class Relation(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RELATION_UNSPECIFIED: _ClassVar[Relation]
    RELATION_REVERSES: _ClassVar[Relation]
    RELATION_REFUNDS: _ClassVar[Relation]
    RELATION_INCREMENTS: _ClassVar[Relation]
    RELATION_RETRIES: _ClassVar[Relation]
    RELATION_CLEARS: _ClassVar[Relation]
KIND_UNSPECIFIED: Kind
KIND_PURCHASE: Kind
KIND_WITHDRAWAL: Kind
KIND_TRANSFER: Kind
KIND_PAYOUT: Kind
KIND_REFUND: Kind
KIND_REVERSAL: Kind
KIND_INCREMENTAL: Kind
KIND_CLEARING: Kind
KIND_VERIFICATION: Kind
KIND_EVENT: Kind
MODE_UNSPECIFIED: Mode
MODE_SCORE: Mode
MODE_FOLD: Mode
RELATION_UNSPECIFIED: Relation
RELATION_REVERSES: Relation
RELATION_REFUNDS: Relation
RELATION_INCREMENTS: Relation
RELATION_RETRIES: Relation
RELATION_CLEARS: Relation

class Transaction(_message.Message):
    __slots__ = ("id", "program", "event_time_us", "utc_offset_minutes", "kind", "event_name", "mode", "amount_minor", "currency", "reference_amount_minor", "link", "entities", "attributes", "location", "decide_by_us")
    ID_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    UTC_OFFSET_MINUTES_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    EVENT_NAME_FIELD_NUMBER: _ClassVar[int]
    MODE_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    CURRENCY_FIELD_NUMBER: _ClassVar[int]
    REFERENCE_AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    LINK_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    LOCATION_FIELD_NUMBER: _ClassVar[int]
    DECIDE_BY_US_FIELD_NUMBER: _ClassVar[int]
    id: str
    program: str
    event_time_us: int
    utc_offset_minutes: int
    kind: Kind
    event_name: str
    mode: Mode
    amount_minor: int
    currency: str
    reference_amount_minor: int
    link: Link
    entities: _containers.RepeatedCompositeFieldContainer[EntityKey]
    attributes: _containers.RepeatedCompositeFieldContainer[Attribute]
    location: Location
    decide_by_us: int
    def __init__(self, id: _Optional[str] = ..., program: _Optional[str] = ..., event_time_us: _Optional[int] = ..., utc_offset_minutes: _Optional[int] = ..., kind: _Optional[_Union[Kind, str]] = ..., event_name: _Optional[str] = ..., mode: _Optional[_Union[Mode, str]] = ..., amount_minor: _Optional[int] = ..., currency: _Optional[str] = ..., reference_amount_minor: _Optional[int] = ..., link: _Optional[_Union[Link, _Mapping]] = ..., entities: _Optional[_Iterable[_Union[EntityKey, _Mapping]]] = ..., attributes: _Optional[_Iterable[_Union[Attribute, _Mapping]]] = ..., location: _Optional[_Union[Location, _Mapping]] = ..., decide_by_us: _Optional[int] = ...) -> None: ...

class Link(_message.Message):
    __slots__ = ("relation", "subject")
    RELATION_FIELD_NUMBER: _ClassVar[int]
    SUBJECT_FIELD_NUMBER: _ClassVar[int]
    relation: Relation
    subject: Subject
    def __init__(self, relation: _Optional[_Union[Relation, str]] = ..., subject: _Optional[_Union[Subject, _Mapping]] = ...) -> None: ...

class Subject(_message.Message):
    __slots__ = ("transaction_id", "event_time_us", "kind", "entities")
    TRANSACTION_ID_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    transaction_id: str
    event_time_us: int
    kind: Kind
    entities: _containers.RepeatedCompositeFieldContainer[EntityKey]
    def __init__(self, transaction_id: _Optional[str] = ..., event_time_us: _Optional[int] = ..., kind: _Optional[_Union[Kind, str]] = ..., entities: _Optional[_Iterable[_Union[EntityKey, _Mapping]]] = ...) -> None: ...

class EntityKey(_message.Message):
    __slots__ = ("name", "value")
    NAME_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    name: str
    value: str
    def __init__(self, name: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...

class Attribute(_message.Message):
    __slots__ = ("name", "number", "text")
    NAME_FIELD_NUMBER: _ClassVar[int]
    NUMBER_FIELD_NUMBER: _ClassVar[int]
    TEXT_FIELD_NUMBER: _ClassVar[int]
    name: str
    number: float
    text: str
    def __init__(self, name: _Optional[str] = ..., number: _Optional[float] = ..., text: _Optional[str] = ...) -> None: ...

class Location(_message.Message):
    __slots__ = ("latitude", "longitude")
    LATITUDE_FIELD_NUMBER: _ClassVar[int]
    LONGITUDE_FIELD_NUMBER: _ClassVar[int]
    latitude: float
    longitude: float
    def __init__(self, latitude: _Optional[float] = ..., longitude: _Optional[float] = ...) -> None: ...
