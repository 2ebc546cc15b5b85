from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class RescoreReason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    RESCORE_REASON_UNSPECIFIED: _ClassVar[RescoreReason]
    RESCORE_REASON_CONTROL: _ClassVar[RescoreReason]
    RESCORE_REASON_DEGRADED: _ClassVar[RescoreReason]
    RESCORE_REASON_UNCERTAIN: _ClassVar[RescoreReason]
RESCORE_REASON_UNSPECIFIED: RescoreReason
RESCORE_REASON_CONTROL: RescoreReason
RESCORE_REASON_DEGRADED: RescoreReason
RESCORE_REASON_UNCERTAIN: RescoreReason

class RescoreRequest(_message.Message):
    __slots__ = ("pop", "program", "plan_digest", "policy_digest", "model_digest", "thresholds", "entities", "features", "sequence", "epoch", "transaction", "event_time_us", "kind", "amount_minor", "keys", "rows", "policy_verdict", "tier", "cause", "reason", "fraud_probability", "risk_score", "erasures")
    POP_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    THRESHOLDS_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    FEATURES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    ROWS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERDICT_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    FRAUD_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RISK_SCORE_FIELD_NUMBER: _ClassVar[int]
    ERASURES_FIELD_NUMBER: _ClassVar[int]
    pop: str
    program: str
    plan_digest: bytes
    policy_digest: bytes
    model_digest: bytes
    thresholds: Thresholds
    entities: _containers.RepeatedScalarFieldContainer[str]
    features: int
    sequence: bytes
    epoch: bytes
    transaction: bytes
    event_time_us: bytes
    kind: bytes
    amount_minor: bytes
    keys: bytes
    rows: bytes
    policy_verdict: bytes
    tier: bytes
    cause: bytes
    reason: bytes
    fraud_probability: bytes
    risk_score: bytes
    erasures: _containers.RepeatedCompositeFieldContainer[RescoreErasure]
    def __init__(self, pop: _Optional[str] = ..., program: _Optional[str] = ..., plan_digest: _Optional[bytes] = ..., policy_digest: _Optional[bytes] = ..., model_digest: _Optional[bytes] = ..., thresholds: _Optional[_Union[Thresholds, _Mapping]] = ..., entities: _Optional[_Iterable[str]] = ..., features: _Optional[int] = ..., sequence: _Optional[bytes] = ..., epoch: _Optional[bytes] = ..., transaction: _Optional[bytes] = ..., event_time_us: _Optional[bytes] = ..., kind: _Optional[bytes] = ..., amount_minor: _Optional[bytes] = ..., keys: _Optional[bytes] = ..., rows: _Optional[bytes] = ..., policy_verdict: _Optional[bytes] = ..., tier: _Optional[bytes] = ..., cause: _Optional[bytes] = ..., reason: _Optional[bytes] = ..., fraud_probability: _Optional[bytes] = ..., risk_score: _Optional[bytes] = ..., erasures: _Optional[_Iterable[_Union[RescoreErasure, _Mapping]]] = ...) -> None: ...

class RescoreErasure(_message.Message):
    __slots__ = ("entity", "key", "epoch", "sequence")
    ENTITY_FIELD_NUMBER: _ClassVar[int]
    KEY_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    entity: str
    key: bytes
    epoch: int
    sequence: int
    def __init__(self, entity: _Optional[str] = ..., key: _Optional[bytes] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ...) -> None: ...

class Thresholds(_message.Message):
    __slots__ = ("challenge", "hold", "decline")
    CHALLENGE_FIELD_NUMBER: _ClassVar[int]
    HOLD_FIELD_NUMBER: _ClassVar[int]
    DECLINE_FIELD_NUMBER: _ClassVar[int]
    challenge: float
    hold: float
    decline: float
    def __init__(self, challenge: _Optional[float] = ..., hold: _Optional[float] = ..., decline: _Optional[float] = ...) -> None: ...

class RescoredDecisions(_message.Message):
    __slots__ = ("pop", "program", "model_digest", "policy_digest", "entities", "sequence", "epoch", "transaction", "event_time_us", "kind", "amount_minor", "keys", "policy_verdict", "rescored_verdict", "fraud_probability", "risk_score")
    POP_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    ENTITIES_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    KIND_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERDICT_FIELD_NUMBER: _ClassVar[int]
    RESCORED_VERDICT_FIELD_NUMBER: _ClassVar[int]
    FRAUD_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RISK_SCORE_FIELD_NUMBER: _ClassVar[int]
    pop: str
    program: str
    model_digest: bytes
    policy_digest: bytes
    entities: _containers.RepeatedScalarFieldContainer[str]
    sequence: bytes
    epoch: bytes
    transaction: bytes
    event_time_us: bytes
    kind: bytes
    amount_minor: bytes
    keys: bytes
    policy_verdict: bytes
    rescored_verdict: bytes
    fraud_probability: bytes
    risk_score: bytes
    def __init__(self, pop: _Optional[str] = ..., program: _Optional[str] = ..., model_digest: _Optional[bytes] = ..., policy_digest: _Optional[bytes] = ..., entities: _Optional[_Iterable[str]] = ..., sequence: _Optional[bytes] = ..., epoch: _Optional[bytes] = ..., transaction: _Optional[bytes] = ..., event_time_us: _Optional[bytes] = ..., kind: _Optional[bytes] = ..., amount_minor: _Optional[bytes] = ..., keys: _Optional[bytes] = ..., policy_verdict: _Optional[bytes] = ..., rescored_verdict: _Optional[bytes] = ..., fraud_probability: _Optional[bytes] = ..., risk_score: _Optional[bytes] = ...) -> None: ...

class Reversal(_message.Message):
    __slots__ = ("pop", "program", "transaction", "event_time_us", "amount_minor", "epoch", "sequence", "fraud_probability", "risk_score", "model_digest")
    POP_FIELD_NUMBER: _ClassVar[int]
    PROGRAM_FIELD_NUMBER: _ClassVar[int]
    TRANSACTION_FIELD_NUMBER: _ClassVar[int]
    EVENT_TIME_US_FIELD_NUMBER: _ClassVar[int]
    AMOUNT_MINOR_FIELD_NUMBER: _ClassVar[int]
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    FRAUD_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RISK_SCORE_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    pop: str
    program: str
    transaction: bytes
    event_time_us: int
    amount_minor: int
    epoch: int
    sequence: int
    fraud_probability: float
    risk_score: float
    model_digest: bytes
    def __init__(self, pop: _Optional[str] = ..., program: _Optional[str] = ..., transaction: _Optional[bytes] = ..., event_time_us: _Optional[int] = ..., amount_minor: _Optional[int] = ..., epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., fraud_probability: _Optional[float] = ..., risk_score: _Optional[float] = ..., model_digest: _Optional[bytes] = ...) -> None: ...
