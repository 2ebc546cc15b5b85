"""What one scorer process is configured with: types whose values cannot be wrong. `config_file` reads them.

Every field states its default, and an example that an error can show.
"""

from collections import Counter
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from service.config_program import Program
from service.config_values import (
    Address,
    Ahead,
    IdentityName,
    NewFolder,
    PrivateFile,
    ReadableFile,
    SecretFile,
    Section,
)


class Server(Section):
    """`[server]`: where it listens, whom it trusts, what bounds it, and who it is."""

    listen: Address = Field("127.0.0.1:7443", examples=['"127.0.0.1:7443"'])
    certificate: ReadableFile = Field(examples=['"certificates/server.pem"'])
    key: PrivateFile = Field(examples=['"certificates/server.key"'])
    client_ca: ReadableFile = Field(examples=['"certificates/ca.pem"'])
    connections: int = Field(1024, ge=1, le=65536, examples=["1024"])
    streams: int = Field(256, ge=1, le=65536, examples=["256"], description="calls at a time on one connection")
    message_bytes: int = Field(1 << 20, ge=1024, le=1 << 26, examples=["1048576"])
    batch: int = Field(1024, ge=1, le=65536, examples=["1024"], description="most transactions in one ScoreBatch")
    queue: int = Field(16384, ge=1, le=1 << 24, examples=["16384"], description="most transactions that wait")
    handshake_ms: int = Field(5000, ge=1, le=60_000, examples=["5000"])
    connection_age_s: int = Field(3600, ge=1, examples=["3600"], description="after this a connection is made anew")
    idle_s: int = Field(900, ge=1, examples=["900"])
    ahead_s: Ahead = Field(
        60.0,
        examples=["60"],
        description='how far ahead of the clock an event time may be; None, written "unbounded", is any',
    )
    known_ids: int = Field(262_144, ge=1, le=1 << 28, examples=["262144"], description="ids that are remembered")
    drain_s: float = Field(10.0, ge=0, le=3600, examples=["10"], description="how long a stop waits for calls")
    pop: str | None = Field(
        None,
        pattern="^[a-z0-9-]{1,64}$",
        examples=['"ams1"'],
        description="the PoP's own name, by which topics and the cloud know it",
    )


class Keys(Section):
    """`[keys]`: secrets of the state."""

    hash_key: SecretFile = Field(examples=['"certificates/hash.key"'], description="64 hexadecimal digits")


class Memory(Section):
    """`[memory]`: what bounds it. Other bounds are another state: what was evicted is not there again."""

    history_bytes: int = Field(
        1 << 32,
        ge=1 << 24,
        le=1 << 46,
        examples=["4294967296"],
        description="most of all programs' histories; beyond it the oldest events go: windows over them are incomplete",
    )
    rows_a_key: int = Field(
        16_384,
        ge=1,
        le=65_535,
        examples=["16384"],
        description="most events of one key that are told apart; windows that begin before them are approximate",
    )
    process_bytes: int | None = Field(
        None,
        ge=1,
        examples=["8589934592"],
        description="while the process holds more, answers are the declared defaults",
    )


class Journal(Section):
    """`[journal]`: where inputs are kept, so that a restart goes on where the scorer was."""

    folder: NewFolder = Field(examples=['"journal"'], description="made when absent")
    key: SecretFile = Field(
        examples=['"certificates/journal.key"'], description="64 hexadecimal digits; wraps the keys of the segments"
    )
    promise: Literal["written", "synced"] = Field(
        "written", examples=['"written"'], description="what an answer survives: the process, or the loss of power"
    )
    segment_bytes: int = Field(1 << 26, ge=1 << 16, le=1 << 32, examples=["67108864"])
    buffer_bytes: int = Field(
        1 << 26, ge=1 << 16, le=1 << 34, examples=["67108864"], description="most that waits in memory for the disk"
    )
    sync_ms: int = Field(20, ge=1, le=50, examples=["20"], description="how often is synced")
    retain_bytes: int | None = Field(None, ge=1, examples=["107374182400"], description="oldest segments go beyond it")
    retain_s: int | None = Field(None, ge=1, examples=["7776000"], description="segments older than this go")
    snapshot_bytes: int | None = Field(
        1 << 30, ge=1, examples=["1073741824"], description="a snapshot is taken when so much was journaled since"
    )
    snapshot_inputs: int | None = Field(
        None, ge=1, examples=["5000000"], description="or when so many inputs were taken since the last one"
    )
    snapshots: int = Field(2, ge=1, le=100, examples=["2"], description="how many snapshots are kept")


class Broker(Section):
    """Where topics are. TLS is mutual, always."""

    servers: str = Field(min_length=1, examples=['"kafka-1.example:9093,kafka-2.example:9093"'])
    ca: ReadableFile = Field(examples=['"certificates/ca.pem"'])
    certificate: ReadableFile = Field(examples=['"certificates/ams1.example.pem"'])
    key: PrivateFile = Field(examples=['"certificates/ams1.example.key"'])


class Forward(Broker):
    """`[forward]`: how what is scored again leaves for the cloud, and comes back. The journal is its spool."""

    requests: str = Field("fraudgate.rescore", examples=['"fraudgate.rescore"'], description="the topic of what leaves")
    decisions: str = Field("fraudgate.rescored", examples=['"fraudgate.rescored"'], description="what comes back")
    reversals: str = Field(
        "fraudgate.reversals", examples=['"fraudgate.reversals"'], description="what the cloud turned around"
    )
    spool_inputs: int = Field(
        16_000_000,
        ge=1,
        le=1 << 40,
        examples=["16000000"],
        description="most inputs that wait to be shipped; beyond it nothing more is taken to be scored again",
    )
    rows: int = Field(4096, ge=1, le=1 << 16, examples=["4096"], description="most transactions of one message")


class Hybrid(Section):
    """`[hybrid]`: whom the cloud's full model is asked of at once, while the caller of what is uncertain waits."""

    address: Address = Field(
        examples=['"cloud.example:7444"'], description="of `fraudgate cloud`; its certificate bears the host's name"
    )
    ca: ReadableFile = Field(examples=['"certificates/ca.pem"'])
    certificate: ReadableFile = Field(examples=['"certificates/ams1.example.pem"'])
    key: PrivateFile = Field(examples=['"certificates/ams1.example.key"'])
    within_ms: int = Field(50, ge=1, le=10_000, examples=["50"], description="an answer is held no longer than this")
    spare_ms: int = Field(
        5, ge=0, le=10_000, examples=["5"], description="left of the caller's time for the answer's way back"
    )
    in_flight: int = Field(256, ge=1, le=65_536, examples=["256"], description="most questions at a time")
    failures: int = Field(
        5, ge=1, le=1_000, examples=["5"], description="so many one after the other open the circuit breaker"
    )
    pause_ms: int = Field(
        1_000, ge=1, le=60_000, examples=["1000"], description="for so long at first, then ever longer, up to a minute"
    )


Topic = Annotated[str, Field(pattern=r"^[A-Za-z0-9._-]{1,100}$")]


class Stream(Broker):
    """`[stream]`: the topics that this PoP takes in, and those that it answers on."""

    transactions: Topic | None = Field(None, examples=['"ams1.transactions"'], description="answered here")
    partitions: list[int] | None = Field(
        None, min_length=1, examples=["[0, 1]"], description="those of it that belong to this PoP; absent: all"
    )
    labels: Topic | None = Field(None, examples=['"labels"'])
    outcomes: Topic | None = Field(None, examples=['"outcomes"'])
    control: Topic | None = Field(
        None, examples=['"ams1.control"'], description="erasures; whoever may write it may ask for them"
    )
    mirrors: list[Topic] = Field(
        [], examples=['["fra1.transactions"]'], description="other places' transactions: folded, never answered"
    )
    mirror_lag_s: float = Field(
        30.0, gt=0, le=86_400, examples=["30"], description="behind them by more, an assessment says so"
    )
    decisions: Topic = Field("fraudgate.decisions", examples=['"fraudgate.decisions"'])
    dead_letters: Topic = Field("fraudgate.dead-letters", examples=['"fraudgate.dead-letters"'])
    lease: Topic = Field(
        "fraudgate.lease", examples=['"fraudgate.lease"'], description="of one partition, stays empty: one worker a PoP"
    )
    poll: int = Field(4096, ge=1, le=1 << 16, examples=["4096"], description="most records that are taken at once")

    @model_validator(mode="after")
    def _takes_each_topic_once(self) -> Self:
        taken = [*self.mirrors, self.transactions, self.labels, self.outcomes, self.control]
        twice = [topic for topic, count in Counter(taken).items() if topic is not None and count > 1]
        if twice:
            raise ValueError(f"{twice[0]} is taken twice")
        if self.partitions is not None and any(number < 0 for number in self.partitions):
            raise ValueError("partitions are numbered from 0")
        return self


class Identity(Section):
    """`[[identity]]`: what the owner of a client certificate may use."""

    name: IdentityName = Field(examples=['"dns:payments.example"'])
    allow: list[Literal["scoring", "feedback", "operation"]] = Field(min_length=1, examples=['["scoring", "feedback"]'])


def _once(identities: "list[Identity]") -> "list[Identity]":
    twice = [name for name, count in Counter(identity.name for identity in identities).items() if count > 1]
    if twice:
        raise ValueError(f"{twice[0]} stands twice: name it once, with all that it may use")
    return identities


def _is_named(info: ValidationInfo) -> None:
    """Others have to know the PoP by its name. Of a server that is wrong itself that alone is told."""
    server = info.data.get("server")
    if server is not None and server.pop is None:
        raise ValueError("others know this PoP by its name, and it has none: write pop in [server]")


class Config(Section):
    """The whole file."""

    server: Server
    keys: Keys
    memory: Memory = Field(default_factory=lambda: Memory.model_validate({}))
    journal: Journal | None = None
    forward: Forward | None = None
    hybrid: Hybrid | None = None
    stream: Stream | None = None
    identity: Annotated[list[Identity], Field(min_length=1), AfterValidator(_once)]
    program: dict[str, Program] = Field(min_length=1)

    @field_validator("forward")
    @classmethod
    def _has_a_journal(cls, forward: Forward | None, info: ValidationInfo) -> Forward | None:
        if forward is not None and info.data.get("journal") is None:
            raise ValueError("ships what is journaled, and there is no [journal]")
        if forward is not None:
            _is_named(info)
        return forward

    @field_validator("hybrid")
    @classmethod
    def _has_a_name(cls, hybrid: Hybrid | None, info: ValidationInfo) -> Hybrid | None:
        if hybrid is not None and info.data.get("forward") is None:
            raise ValueError("asks of what is shipped too, and there is no [forward]")
        return hybrid

    @field_validator("stream")
    @classmethod
    def _knows_how_far_it_came(cls, stream: Stream | None, info: ValidationInfo) -> Stream | None:
        if stream is not None and info.data.get("journal") is None:
            raise ValueError("how far it came is journaled, and there is no [journal]")
        if stream is not None:
            _is_named(info)
        return stream

    @field_validator("program")
    @classmethod
    def _are_forwarded(cls, programs: dict[str, Program], info: ValidationInfo) -> dict[str, Program]:
        for name, program in programs.items():
            if program.rescore is not None and info.data.get("forward") is None:
                raise ValueError(f"{name} declares what is scored again, and there is no [forward] that ships it")
            if program.rescore is not None and program.rescore.hybrid and info.data.get("hybrid") is None:
                raise ValueError(f"{name} declares that the cloud is asked at once, and there is no [hybrid]")
        return programs
