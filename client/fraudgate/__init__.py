"""Ask a fraudgate scorer about transactions. See Client, and one function for each kind of transaction."""

from fraudgate import aio
from fraudgate.client import Client
from fraudgate.errors import (
    DeadlineExceeded,
    Failed,
    FraudgateError,
    IdReused,
    InvalidField,
    InvalidTransaction,
    NotAllowed,
    Overloaded,
    Unavailable,
)
from fraudgate.money import minor_units
from fraudgate.transactions import (
    clearing,
    event,
    incremental,
    label,
    microseconds,
    outcome,
    payout,
    purchase,
    refund,
    reversal,
    subject,
    transfer,
    verification,
    withdrawal,
)
from fraudgate.v1.decision_pb2 import Assessment, Decision, Lateness, Receipt, Tier, Verdict
from fraudgate.v1.feedback_pb2 import Label, Outcome
from fraudgate.v1.transaction_pb2 import Kind, Subject, Transaction

__all__ = [
    "Assessment",
    "Client",
    "DeadlineExceeded",
    "Decision",
    "Failed",
    "FraudgateError",
    "IdReused",
    "InvalidField",
    "InvalidTransaction",
    "Kind",
    "Label",
    "Lateness",
    "NotAllowed",
    "Outcome",
    "Overloaded",
    "Receipt",
    "Subject",
    "Tier",
    "Transaction",
    "Unavailable",
    "Verdict",
    "aio",
    "clearing",
    "event",
    "incremental",
    "label",
    "microseconds",
    "minor_units",
    "outcome",
    "payout",
    "purchase",
    "refund",
    "reversal",
    "subject",
    "transfer",
    "verification",
    "withdrawal",
]
