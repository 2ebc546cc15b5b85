import builtins
from collections.abc import Callable
from pathlib import Path
from typing import Literal, Protocol, TypedDict, final

class _ArrowStream(Protocol):
    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object: ...

class _ArrowArray(Protocol):
    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

Outgoing = tuple[Literal["decision", "dead letter"], str, bytes, list[tuple[str, bytes]]]

@final
class Rows:
    """An array for pyarrow.array or pyarrow.record_batch, or whatever else reads Arrow's PyCapsules."""

    def __arrow_c_array__(self, requested_schema: object | None = None) -> tuple[object, object]: ...

@final
class Folder:
    """A history of its own that tables are folded into, by the code that serves."""

    def __new__(
        cls,
        plan: bytes,
        hash_key: bytes,
        complete_since_us: int,
        *,
        history_bytes: int | None = None,
        rows_a_key: int | None = None,
        tiles_a_key: int | None = None,
    ) -> Folder:
        """An empty history. What is beyond its bounds is evicted or told apart no more; `features/oracle.py` says how.

        plan: a compiled plan. hash_key: 32 secret bytes under which ids are hashed. complete_since_us: microseconds
        since 1970; what happened through this moment is unknown, and windows that begin before it are missing.
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

        Gives a FixedSizeList array, [n][f], without nulls.

        transactions: event_time_us (int64 microseconds, or a timestamp), amount_minor (whole, in the reference
        currency; null when missing), one column of ids for each entity of the plan (strings or whole numbers; null when
        absent), one for each number; optionally kind (a string; purchase) and utc_offset_minutes. Other columns are not
        read.
        labels: sorted by arrival_us; event_time_us and entities of the subject, transaction_id, fraud (bool; null when
        withdrawn), optionally kind. Each is taken in before the first transaction whose event time, or that of one
        before it, has reached the label's arrival; what is left, after the last transaction.
        The history is kept for the next call. Raises ValueError for tables that do not fit the plan; then nothing
        changed.
        """

    def fold_and_say(
        self, transactions: _ArrowStream | _ArrowArray, labels: _ArrowStream | _ArrowArray | None = None
    ) -> tuple[Rows, builtins.bytes]:
        """As `fold` in float64; and for each value a letter: m, i, a where it is missing, incomplete or approximate."""

    def costs(self) -> list[tuple[int, int, int, int, int, int]]:
        """Bytes that things are counted with against `history_bytes`, for each entity in the plan's order.

        A key, an event, more for one without an amount, a fraud, a tile of events, a tile of frauds.
        """

def fold(
    plan: bytes,
    hash_key: bytes,
    transactions: _ArrowStream | _ArrowArray,
    labels: _ArrowStream | _ArrowArray | None = None,
    *,
    complete_since_us: int,
    precision: Literal["float32", "float64"] = "float32",
) -> Rows:
    """What `Folder.fold` gives of an empty history, to the bit, for tables that are at hand as a whole.

    Each key's history is folded by itself and none is left, which takes a fraction of the time and of the memory.
    Raises ValueError for a plan that cannot be, and for tables that do not fit it.
    """

@final
class Mapping:
    """What a file's columns mean."""

    def __new__(cls, compiled: bytes) -> Mapping:
        """compiled: JSON, see `Mapping` in engine/server/src/table/mapping.rs. Raises ValueError, naming the member."""

    def map(
        self,
        holds: Literal["transactions", "labels", "outcomes", "order"],
        batch: _ArrowArray,
        first_row: int,
    ) -> tuple[Rows, Rows]:
        """Map a record batch, whose first row has the number `first_row`.

        Gives the mapped batch, of as many rows, `taken` false where one was refused (the columns stand in
        engine/server/src/table/mapped.rs), and the refused ones: input, row, column, reason; each by the first thing
        that is wrong with it, and never the value.
        Raises ValueError for columns that are not there or of types that no field is read from.
        """

@final
class SmallPages:
    """While it is entered this process gets no large pages, which are dear where memory is filled once."""

    def __new__(cls) -> SmallPages: ...
    def __enter__(self) -> None: ...
    def __exit__(self, *raised: object) -> None: ...

def words() -> list[tuple[str, list[str]]]:
    """The columns of answers and mapped rows that hold members of the wire's enums, and their words by number.

    The word of 0, which is unspecified and null in answers, is empty.
    """

@final
class Backfill:
    """An engine whose one program is fed from files, by the road that serves."""

    def __new__(
        cls,
        program: str,
        plan: bytes,
        policy: bytes,
        mapping: Mapping,
        hash_key: bytes,
        *,
        model: tuple[bytes, bytes] | None = None,
        reduced: bytes | None = None,
        onnxruntime: str,
        complete_since_us: int,
        known_ids: int,
        score_from_us: int,
    ) -> Backfill:
        """An engine with nothing in its state.

        program, plan, policy, model, reduced, complete_since_us: as for `Server.add_program`. known_ids: how many ids
        are remembered. score_from_us: what happened before is folded, and no answer is given.
        Raises ValueError where one of them is malformed or they do not belong together.
        """

    def foresee(
        self,
        pieces: list[tuple[_ArrowArray, _ArrowArray | None, _ArrowArray | None]],
        *,
        features: Literal["float32", "float64"] | None = None,
        leaves_ids: bool = True,
    ) -> bool:
        """Find what the next transactions of a history see, key by key, before any is answered.

        pieces: what each of the next calls of `take` would be given, in their order; then `take` is given the same, one
        after the other, and answers the same. features: as `take` will be asked for. leaves_ids: whether more
        transactions come, which may repeat ids of these, or the state is written.
        Returns False, and does nothing, where only the road itself answers: a policy whose default has segments or a
        cap.
        """

    def take(
        self,
        transactions: _ArrowArray,
        labels: _ArrowArray | None = None,
        outcomes: _ArrowArray | None = None,
        *,
        assessments: bool = True,
        bytes: bool = False,
        features: Literal["float32", "float64"] | None = None,
    ) -> tuple[Rows, Rows]:
        """Take mapped rows in, sorted by order_us: what is told before the first transaction of its place or later.

        labels: row, order_us, transaction_id, event_time_us, kind, entities, class, source, status. outcomes: fate and
        decider in place of the last three.
        Gives the answers in the transactions' order: row, sequence, replayed; with `assessments` what they say, enums
        by number; with `bytes` the encoded Assessment; with `features` the hashed keys and the features that each saw,
        null where one has no value. And the refused rows, as `Mapping.map` does.
        Raises ValueError when a model fails: a backfill answers in full or not at all.
        """

    def admit(self, transactions: _ArrowArray) -> tuple[Rows, Rows]:
        """Check mapped transactions and change nothing: for histories whose keys are folded apart.

        Gives a row for each: admitted; id, payload (hashes), event_time_us, kind (by number), utc_offset_minutes,
        counted_minor (the amount that features see), scored (false where only a fold is asked), segment, dropped,
        key.<entity> (hashes) and number.<name>, null in a row that was refused; and the refused ones, as `take` does.
        """

    def admit_told(self, told: _ArrowArray) -> tuple[Rows, Rows]:
        """Likewise labels, where the batch has classes, or outcomes: of their subjects; folds, and fraud.

        fraud: whether the plan counts it as fraud; null when the label is withdrawn.
        """

    def refuse_reused(self, rows: list[int]) -> Rows:
        """The refusals of rows whose id stood in an earlier row with other values."""

    def answer(
        self,
        seen: _ArrowArray,
        *,
        assessments: bool = True,
        bytes: bool = False,
        features: Literal["float32", "float64"] | None = None,
    ) -> Rows:
        """Answer rows that `Apart` has seen, as `take` would have: its columns, in the order of the rows.

        seen: what `admit` and `Apart.take` gave of each, row, sequence (int64) and replayed; hashes as binary. A
        retransmission has what its first has seen, and gives none of it.
        What is approved by a policy's default within a cap is not counted across calls: such a policy answers
        otherwise here. Raises ValueError when a model fails.
        """

    def write_state(self, folder: str, journal_key: builtins.bytes) -> None:
        """Write the state to a folder that holds none, as a snapshot that a server with this journal starts from.

        journal_key: the 32 secret bytes that wrap its keys. Raises ValueError where the folder holds a journal.
        """

    def read_state(self, folder: str, journal_key: builtins.bytes) -> None:
        """Take in what `write_state` wrote, before anything else. Raises ValueError where it is not whole."""

    def digest(self) -> str:
        """The digest of the whole state, in hex: equal digests are equal states."""

    def counts(self) -> dict[str, int]:
        """What was taken: transactions, replayed, labels, outcomes."""

@final
class Apart:
    """One entity's part of a history, folded apart from the other entities'."""

    def __new__(cls, plan: bytes, entity: int | None, complete_since_us: int) -> Apart:
        """Nothing is folded yet.

        entity: its place in the plan; None for rows' own fields alone. Raises ValueError for a plan that cannot be.
        """

    def take(self, batch: _ArrowArray) -> Rows:
        """Take rows in, in the order of inputs: all those of some of the entity's keys.

        batch: is_label, and what `Backfill.admit` or `admit_told` gave, hashes as binary; of transactions taken (false:
        only passed on), watermark_us (the newest event time of any transaction that was folded before; null before the
        first), and what they carry from other entities: features (a list of float64), incomplete (bits), lateness;
        null before the first entity.
        Gives those three with this entity's part filled in; null for labels and for what was not taken.
        Raises ValueError for columns of other types.
        """

@final
class Scorer:
    """A model and a policy over rows of features that were seen before: no state."""

    def __new__(cls, plan: bytes, policy: bytes, model: tuple[bytes, bytes], *, onnxruntime: str) -> Scorer:
        """As for `Backfill`. Raises ValueError where one is malformed or they do not belong together."""

    def score(self, batch: _ArrowArray) -> Rows:
        """What is answered in full to each row: fraud_probability, risk_score, verdict, policy_verdict (by number).

        batch: a column of float32 or float64 for each feature of the plan; null and NaN are missing.
        Raises ValueError for a column that is not there, and when the model fails.
        """

class Recovered(TypedDict):
    """What a journal held."""

    epoch: int
    inputs: int
    segments: int
    torn_bytes: int
    fresh: list[str]
    snapshot: int | None
    passed_over: list[tuple[int, str]]

@final
class Server:
    """The data plane: gRPC over mutual TLS 1.3, on a thread of its own that never takes the interpreter's lock.

    Add programs, start, drain. A server cannot be started twice.
    """

    def __new__(
        cls, config: bytes, hash_key: bytes, certificate_pem: bytes, key_pem: bytes, client_ca_pem: bytes
    ) -> Server:
        """Makes a server.

        config: JSON, see `Config` in engine/server/src/config.rs; every member is required.
        hash_key: 32 secret bytes; ids and keys are hashed under them.
        Raises ValueError, naming the member, where something cannot be used.
        """

    def renew(self, certificate_pem: bytes, key_pem: bytes, client_ca_pem: bytes) -> None:
        """Does handshakes with these from now on: after start. A connection that stands stays to its age, unless other
        authorities may sign clients now: then it is told to go away, and its client to prove itself anew.

        Raises ValueError where they cannot be used: then nothing changed.
        """

    def add_program(
        self,
        name: str,
        plan: bytes,
        policy: bytes,
        model: tuple[bytes, bytes] | None,
        complete_since_us: int,
        reduced: bytes | None = None,
    ) -> dict[Literal["full", "reduced"], str]:
        """Serves a program: before start. Says what runs each student: `walker`, or `ONNX Runtime: ` and why.

        plan, policy: their canonical JSON. model: its manifest and its ONNX bytes, or None. reduced: the ONNX bytes of
        the model's second student, where its manifest names one.
        complete_since_us: the state is complete for events after this time, microseconds since 1970-01-01T00:00:00Z.
        Raises ValueError where one of them is malformed or they do not belong together.
        """

    def ask_cloud(self, settings: bytes, certificate: Path, key: Path, ca: Path) -> None:
        """Has the cloud asked of what is uncertain, where a program's policy says so: before stand_in and start.

        settings: JSON, see `Settings` in engine/server/src/cloud.rs; every member is required. The certificate is this
        PoP's own, `ca` holds those that may sign the cloud's; all are files of PEM, and read again while it serves, so
        that they may be renewed. It connects when there is something to ask.
        Raises ValueError, naming the member, where something cannot be used.
        """

    def warm(
        self,
        program: str,
        transactions: _ArrowStream | _ArrowArray,
        labels: _ArrowStream | _ArrowArray | None = None,
    ) -> int:
        """Folds history into a program, after it was added and before start; returns how many transactions there were.

        The tables are those that `Folder.fold` takes. Ids are not remembered: what is sent again counts again.
        Raises ValueError for tables that do not fit the plan; then nothing changed.
        """

    def recover(self, journal_key: bytes, progress: Callable[[int, int], object] | None = None) -> Recovered:
        """Takes in what the configured journal holds, and journals from now on: after programs were added, before warm.

        journal_key: the 32 secret bytes of the key-encryption key. progress: called with the bytes read and all bytes.
        Returns epoch, inputs, segments, torn_bytes, and fresh: the programs of which nothing is journaled, and which
        may be warmed; snapshot: the sequence of the one that was taken in, inputs being those that came after it; and
        passed_over: numbers of snapshots that are not good, newest first, and why.
        Raises ValueError, saying what is lost, where the journal is damaged, and where the key is another.
        """

    def close(self) -> None:
        """Ends a server that is not started, and its journal well. Raises RuntimeError when it was started already."""

    def erase(self, program: str, entity: str, value: str) -> tuple[int, bool]:
        """Erases one key of an entity: after recover and before start. A running server is asked: operation.proto.

        Returns the erasure's sequence, and whether anything was held of the key.
        Raises ValueError where program or entity is not known, or the value cannot be one.
        """

    def digest(self) -> str:
        """The digest of the whole state, in hex: equal digests are equal states. Takes time in proportion to it."""

    def snapshot(self, seconds: float = 60.0) -> int:
        """Takes a snapshot of the state, beside the journal; returns the sequence of the newest input that is in it.

        After recover, and also while the server serves: nothing waits for it. seconds: how long it may take.
        Raises RuntimeError where there is no journal, and when it cannot be written in time.
        """

    def stand_in(self) -> int:
        """Listens from now on, and answers by declared defaults until `start`; returns the port.

        After programs were added, before recover and warm. Nothing is taken meanwhile, and health says NOT_SERVING.
        Raises RuntimeError when the address is not to be had.
        """

    def start(self) -> int:
        """Listens and serves from now on; returns the port.

        Raises RuntimeError when the address is not to be had, or when the server was started already.
        """

    def take(
        self,
        kind: Literal["transactions", "mirrored", "labels", "outcomes", "rescored", "control"],
        messages: list[Message],
    ) -> int:
        """Hands records of streams to the engine, in their order; returns how many were taken, from the first on.

        What the state contains already counts as taken and changes nothing. What is refused is taken too: a dead
        letter leaves for it. Where not all are taken, the engine takes nothing for now (its journal is full, its state
        is being recovered, or it leaves): hand the others over again later, before any that follow them.
        kind: "mirrored" are transactions that another place answers; they are only folded.
        Raises RuntimeError where a message is an error, and when the server does not run: then none was taken.
        """

    def offsets(self) -> list[tuple[str, int, int]]:
        """How far streams were taken in: topic, partition, and the highest offset that the state contains."""

    def forward(self, pop: str) -> Forward:
        """What leaves for the cloud, in the name of this PoP; after `recover`, before `start` where the bound matters.

        Raises RuntimeError when no journal was taken in, ValueError when it is open already.
        """

    def mirror_behind(self, behind: bool) -> None:
        """From now on assessments say, or not, that what is "mirrored" comes too far behind where it is answered."""

    def tell(self, stats: dict[str, int]) -> None:
        """Adds what another thread of the process counts to `stats`: the newest value of each name, at least 0.

        Raises RuntimeError when the server does not run.
        """

    def cursor(self, name: str) -> Cursor:
        """Opens a cursor over the journal where it was left: what leaves for topics. One at a time has a name.

        name: 1 to 64 small letters, digits and hyphens. What the cursor of a name has not passed is kept for it.
        Raises RuntimeError without a journal that was taken in, ValueError where journal or cursor cannot be read.
        """

    def drain(self, seconds: float) -> None:
        """Takes no more, finishes what is under way, and stops; what is left after `seconds` is cut.

        Health answers NOT_SERVING, no connection is taken, those that stand are told to go away (GOAWAY).
        Raises RuntimeError when the server's thread failed.
        """

    def wait(self, seconds: float | None = None) -> bool:
        """Waits until the server has stopped, at most `seconds`; says whether it has.

        Raises RuntimeError when the server's thread failed.
        """

    def stats(self) -> dict[str, int]:
        """Counters since the start, by name.

        Raises RuntimeError when the server does not run.
        """

class Message(Protocol):
    """A record as a client of a broker gives it."""

    def error(self) -> object | None: ...
    def topic(self) -> str: ...
    def partition(self) -> int: ...
    def offset(self) -> int: ...
    def value(self) -> bytes | None: ...
    def headers(self) -> list[tuple[str, bytes]] | None: ...

@final
class Cursor:
    """What leaves of the journal for topics: decisions on what streams brought, and dead letters."""

    def read(self, most: int, wait_s: float) -> tuple[int, list[Outgoing]]:
        """Reads what is promised and was not read, about `most` inputs of it; waits up to `wait_s` for what leaves.

        Returns the sequence through which all was read, and what leaves of it, in order: "decision" or "dead letter",
        key, value, and headers (type, version, epoch, sequence).
        Raises ValueError where the journal cannot be read.
        """

    def keep(self, through: int) -> None:
        """Keeps, so that it survives the loss of power, that all through a sequence that `read` returned has left."""

    def behind(self) -> int:
        """How many inputs are promised that were not read."""

@final
class Forward:
    """What leaves of the journal for the cloud. Its place bounds what may wait to be scored again."""

    def read(
        self, rows: int, wait_s: float
    ) -> tuple[int, int, list[tuple[Literal["request", "reversal"], str, bytes]]]:
        """Reads on until there are about `rows` rows to be scored again, or for `wait_s` seconds.

        Returns the sequence through which all was read, how many rows there are, and the messages: what it is
        (RescoreRequest or Reversal), its key, its value.
        Raises ValueError where the journal cannot be read.
        """

    def keep(self, through: int) -> None:
        """Keeps, so that it survives the loss of power, that all through a sequence that `read` returned has left."""

    def behind(self) -> int:
        """How many inputs are promised that were not read."""

def journal_info(folder: str) -> str:
    """The segments of a journal, as their headers say: JSON. Raises ValueError where one is damaged."""

def journal_verify(folder: str, journal_key: bytes) -> str:
    """Reads all of a journal: JSON with what there is and the digest of its head. Raises ValueError for damage."""

def journal_repair(folder: str, journal_key: bytes, through_us: int, really: bool) -> str:
    """What is damaged in a journal that nobody has open, and what is lost with it: JSON.

    through_us: no event of what is lost is later, microseconds since 1970. really: sets what is damaged aside, so that
    the journal can be taken in again. Raises ValueError for what cannot be set aside.
    """

def journal_tail(folder: str, journal_key: bytes, inputs: int) -> str:
    """The last inputs of a journal, oldest first: JSON."""

_Found = tuple[bytes, bytes, bytes | None] | None

def journal_show(
    folder: str,
    journal_key: bytes,
    hash_key: bytes,
    program: str,
    id: str,
    runtime: str,
    find_model: Callable[[str], _Found],
) -> str:
    """What a transaction saw and was answered, and how that comes out of the journal again: JSON; null when unknown.

    runtime: the ONNX Runtime library. find_model: gives manifest, ONNX bytes and those of the second student of the
    model whose manifest has a SHA-256, in hex; None when there is none.
    """

def journal_replay(
    folder: str,
    journal_key: bytes,
    known_ids: int,
    runtime: str | None = None,
    find_model: Callable[[str], _Found] | None = None,
    progress: Callable[[int, int], object] | None = None,
) -> str:
    """Replays all of a journal and compares each row, and with find_model each assessment: JSON.

    known_ids: how many ids the scorer remembers; the digest of the state covers them. progress: called with the bytes
    read and all bytes.
    """

class Rewrote(TypedDict):
    """What rewriting segments came to."""

    erasures: int
    keys: int
    segments: list[int]
    open: list[int]
    given_up: list[int]
    snapshots: list[int]

def journal_rewrite(folder: str, journal_key: bytes, progress: Callable[[int, int], object] | None = None) -> Rewrote:
    """Rewrites segments without the keys that were erased after what stands in them; their old keys are forgotten.

    Only while no server has the journal open. progress: called with the segments done and all segments.
    Returns how many erasures there are, how many keys went, and the numbers of the segments that were rewritten, of
    those that cannot be yet, of files that were given up, and of snapshots from before the last erasure.
    Raises ValueError where another process has the journal open, or it is damaged.
    """

def journal_rotate(folder: str, journal_key: bytes, new_key: bytes) -> int:
    """Wraps the keys of all segments under another key; returns how many. Only while no server has the journal open."""
