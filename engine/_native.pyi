from typing import Literal, Protocol, final

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class Rows:
    """A FixedSizeList array, [n][f], without nulls: for pyarrow.array, or whatever else reads Arrow's PyCapsules."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class Folder:
    """A history of its own that tables are folded into, by the code that serves."""

    def __new__(cls, plan: bytes, hash_key: bytes, complete_since_us: int) -> Folder:
        """An empty history.

        plan: a compiled plan. hash_key: 32 secret bytes under which ids are hashed. complete_since_us: microseconds since
        1970; what happened through this moment is unknown, and windows that begin before it are missing.
        Raises ValueError for a plan that cannot be.
        """

    def fold(
        self,
        transactions: _ArrowStream | _ArrowArray,
        labels: _ArrowStream | _ArrowArray | None = None,
        *,
        precision: Literal["float32", "float64"] = "float32",
    ) -> Rows:
        """Fold transactions in, in the order of their rows, and give the features that each saw before it was folded.

        transactions: event_time_us (int64 microseconds, or a timestamp), amount_minor (whole, in the reference currency;
        null when missing), one column of ids for each entity of the plan (strings or whole numbers; null when absent), one
        for each number; optionally kind (a string; purchase) and utc_offset_minutes. Other columns are not read.
        labels: sorted by arrival_us; event_time_us and entities of the subject, transaction_id, fraud (bool; null when
        withdrawn), optionally kind. Each is taken in before the first transaction whose event time, or that of one before
        it, has reached the label's arrival; what is left, after the last transaction.
        The history is kept for the next call. Raises ValueError for tables that do not fit the plan; then nothing changed.
        """
