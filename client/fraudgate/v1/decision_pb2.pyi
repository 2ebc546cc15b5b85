from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class Verdict(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    VERDICT_UNSPECIFIED: _ClassVar[Verdict]
    VERDICT_APPROVE: _ClassVar[Verdict]
    VERDICT_CHALLENGE: _ClassVar[Verdict]
    VERDICT_HOLD: _ClassVar[Verdict]
    VERDICT_DECLINE: _ClassVar[Verdict]

class Override(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    OVERRIDE_UNSPECIFIED: _ClassVar[Override]
    OVERRIDE_OBSERVE: _ClassVar[Override]
    OVERRIDE_EXPERIMENT: _ClassVar[Override]
    OVERRIDE_GUARD: _ClassVar[Override]

class Tier(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    TIER_UNSPECIFIED: _ClassVar[Tier]
    TIER_FULL: _ClassVar[Tier]
    TIER_REDUCED: _ClassVar[Tier]
    TIER_RULES_ONLY: _ClassVar[Tier]
    TIER_DEFAULT: _ClassVar[Tier]

class Cause(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    CAUSE_UNSPECIFIED: _ClassVar[Cause]
    CAUSE_DEADLINE: _ClassVar[Cause]
    CAUSE_MODEL: _ClassVar[Cause]
    CAUSE_RECOVERING: _ClassVar[Cause]
    CAUSE_FEATURE: _ClassVar[Cause]
    CAUSE_MEMORY: _ClassVar[Cause]

class Lateness(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    LATENESS_UNSPECIFIED: _ClassVar[Lateness]
    LATENESS_LATE: _ClassVar[Lateness]
    LATENESS_BEYOND: _ClassVar[Lateness]

class Durability(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    DURABILITY_UNSPECIFIED: _ClassVar[Durability]
    DURABILITY_MEMORY: _ClassVar[Durability]
    DURABILITY_WRITTEN: _ClassVar[Durability]
    DURABILITY_SYNCED: _ClassVar[Durability]
    DURABILITY_NOT_TAKEN: _ClassVar[Durability]
VERDICT_UNSPECIFIED: Verdict
VERDICT_APPROVE: Verdict
VERDICT_CHALLENGE: Verdict
VERDICT_HOLD: Verdict
VERDICT_DECLINE: Verdict
OVERRIDE_UNSPECIFIED: Override
OVERRIDE_OBSERVE: Override
OVERRIDE_EXPERIMENT: Override
OVERRIDE_GUARD: Override
TIER_UNSPECIFIED: Tier
TIER_FULL: Tier
TIER_REDUCED: Tier
TIER_RULES_ONLY: Tier
TIER_DEFAULT: Tier
CAUSE_UNSPECIFIED: Cause
CAUSE_DEADLINE: Cause
CAUSE_MODEL: Cause
CAUSE_RECOVERING: Cause
CAUSE_FEATURE: Cause
CAUSE_MEMORY: Cause
LATENESS_UNSPECIFIED: Lateness
LATENESS_LATE: Lateness
LATENESS_BEYOND: Lateness
DURABILITY_UNSPECIFIED: Durability
DURABILITY_MEMORY: Durability
DURABILITY_WRITTEN: Durability
DURABILITY_SYNCED: Durability
DURABILITY_NOT_TAKEN: Durability

class Decision(_message.Message):
    __slots__ = ("assessment", "receipt", "rescored")
    ASSESSMENT_FIELD_NUMBER: _ClassVar[int]
    RECEIPT_FIELD_NUMBER: _ClassVar[int]
    RESCORED_FIELD_NUMBER: _ClassVar[int]
    assessment: Assessment
    receipt: Receipt
    rescored: Rescored
    def __init__(self, assessment: _Optional[_Union[Assessment, _Mapping]] = ..., receipt: _Optional[_Union[Receipt, _Mapping]] = ..., rescored: _Optional[_Union[Rescored, _Mapping]] = ...) -> None: ...

class Rescored(_message.Message):
    __slots__ = ("verdict", "policy_verdict", "fraud_probability", "risk_score", "model_digest", "sequence")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERDICT_FIELD_NUMBER: _ClassVar[int]
    FRAUD_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RISK_SCORE_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    policy_verdict: Verdict
    fraud_probability: float
    risk_score: float
    model_digest: bytes
    sequence: int
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., policy_verdict: _Optional[_Union[Verdict, str]] = ..., fraud_probability: _Optional[float] = ..., risk_score: _Optional[float] = ..., model_digest: _Optional[bytes] = ..., sequence: _Optional[int] = ...) -> None: ...

class Assessment(_message.Message):
    __slots__ = ("verdict", "policy_verdict", "override", "propensity", "review", "tier", "cause", "fraud_probability", "risk_score", "anomaly_score", "reasons", "lateness", "missing_features", "incomplete_features", "approximate_features", "dropped_attributes", "model_digest", "plan_digest", "policy_digest", "mirror_behind")
    VERDICT_FIELD_NUMBER: _ClassVar[int]
    POLICY_VERDICT_FIELD_NUMBER: _ClassVar[int]
    OVERRIDE_FIELD_NUMBER: _ClassVar[int]
    PROPENSITY_FIELD_NUMBER: _ClassVar[int]
    REVIEW_FIELD_NUMBER: _ClassVar[int]
    TIER_FIELD_NUMBER: _ClassVar[int]
    CAUSE_FIELD_NUMBER: _ClassVar[int]
    FRAUD_PROBABILITY_FIELD_NUMBER: _ClassVar[int]
    RISK_SCORE_FIELD_NUMBER: _ClassVar[int]
    ANOMALY_SCORE_FIELD_NUMBER: _ClassVar[int]
    REASONS_FIELD_NUMBER: _ClassVar[int]
    LATENESS_FIELD_NUMBER: _ClassVar[int]
    MISSING_FEATURES_FIELD_NUMBER: _ClassVar[int]
    INCOMPLETE_FEATURES_FIELD_NUMBER: _ClassVar[int]
    APPROXIMATE_FEATURES_FIELD_NUMBER: _ClassVar[int]
    DROPPED_ATTRIBUTES_FIELD_NUMBER: _ClassVar[int]
    MODEL_DIGEST_FIELD_NUMBER: _ClassVar[int]
    PLAN_DIGEST_FIELD_NUMBER: _ClassVar[int]
    POLICY_DIGEST_FIELD_NUMBER: _ClassVar[int]
    MIRROR_BEHIND_FIELD_NUMBER: _ClassVar[int]
    verdict: Verdict
    policy_verdict: Verdict
    override: Override
    propensity: float
    review: bool
    tier: Tier
    cause: Cause
    fraud_probability: float
    risk_score: float
    anomaly_score: float
    reasons: _containers.RepeatedCompositeFieldContainer[Reason]
    lateness: Lateness
    missing_features: _containers.RepeatedScalarFieldContainer[str]
    incomplete_features: _containers.RepeatedScalarFieldContainer[str]
    approximate_features: _containers.RepeatedScalarFieldContainer[str]
    dropped_attributes: _containers.RepeatedScalarFieldContainer[str]
    model_digest: bytes
    plan_digest: bytes
    policy_digest: bytes
    mirror_behind: bool
    def __init__(self, verdict: _Optional[_Union[Verdict, str]] = ..., policy_verdict: _Optional[_Union[Verdict, str]] = ..., override: _Optional[_Union[Override, str]] = ..., propensity: _Optional[float] = ..., review: _Optional[bool] = ..., tier: _Optional[_Union[Tier, str]] = ..., cause: _Optional[_Union[Cause, str]] = ..., fraud_probability: _Optional[float] = ..., risk_score: _Optional[float] = ..., anomaly_score: _Optional[float] = ..., reasons: _Optional[_Iterable[_Union[Reason, _Mapping]]] = ..., lateness: _Optional[_Union[Lateness, str]] = ..., missing_features: _Optional[_Iterable[str]] = ..., incomplete_features: _Optional[_Iterable[str]] = ..., approximate_features: _Optional[_Iterable[str]] = ..., dropped_attributes: _Optional[_Iterable[str]] = ..., model_digest: _Optional[bytes] = ..., plan_digest: _Optional[bytes] = ..., policy_digest: _Optional[bytes] = ..., mirror_behind: _Optional[bool] = ...) -> None: ...

class Reason(_message.Message):
    __slots__ = ("code", "feature", "value", "contribution", "rule")
    CODE_FIELD_NUMBER: _ClassVar[int]
    FEATURE_FIELD_NUMBER: _ClassVar[int]
    VALUE_FIELD_NUMBER: _ClassVar[int]
    CONTRIBUTION_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    code: str
    feature: str
    value: float
    contribution: float
    rule: str
    def __init__(self, code: _Optional[str] = ..., feature: _Optional[str] = ..., value: _Optional[float] = ..., contribution: _Optional[float] = ..., rule: _Optional[str] = ...) -> None: ...

class Receipt(_message.Message):
    __slots__ = ("epoch", "sequence", "durability", "replayed", "rescore_queued", "received_at_us", "rescore_spool_full")
    EPOCH_FIELD_NUMBER: _ClassVar[int]
    SEQUENCE_FIELD_NUMBER: _ClassVar[int]
    DURABILITY_FIELD_NUMBER: _ClassVar[int]
    REPLAYED_FIELD_NUMBER: _ClassVar[int]
    RESCORE_QUEUED_FIELD_NUMBER: _ClassVar[int]
    RECEIVED_AT_US_FIELD_NUMBER: _ClassVar[int]
    RESCORE_SPOOL_FULL_FIELD_NUMBER: _ClassVar[int]
    epoch: int
    sequence: int
    durability: Durability
    replayed: bool
    rescore_queued: bool
    received_at_us: int
    rescore_spool_full: bool
    def __init__(self, epoch: _Optional[int] = ..., sequence: _Optional[int] = ..., durability: _Optional[_Union[Durability, str]] = ..., replayed: _Optional[bool] = ..., rescore_queued: _Optional[bool] = ..., received_at_us: _Optional[int] = ..., rescore_spool_full: _Optional[bool] = ...) -> None: ...
