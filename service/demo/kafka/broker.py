"""A real Apache Kafka on loopback: one node (KRaft), mutual TLS required on every listener, ended with its owner."""

from __future__ import annotations

import base64
import signal
import socket
import ssl
import struct
import subprocess
import time
import uuid
from concurrent.futures import Future
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import AdminClient, NewTopic  # type: ignore[attr-defined]

from service.demo.kafka import jars
from service.demo.kafka.pki import Authority

SMALL = ["-Xms96m", "-Xmx256m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-XX:MaxDirectMemorySize=96m"]
SMALL += ["-XX:-UsePerfData", "-Xss512k", "-Djava.awt.headless=true", "-Dfile.encoding=UTF-8"]

# What a broker says that will take a topic later.
_LATER = {
    KafkaError.INVALID_REPLICATION_FACTOR,
    KafkaError.REQUEST_TIMED_OUT,
    KafkaError._TIMED_OUT,
    KafkaError._TRANSPORT,
}


def _free_ports(count: int) -> list[int]:
    sockets = [socket.socket() for _ in range(count)]
    for one in sockets:
        one.bind(("127.0.0.1", 0))
    ports: list[int] = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


def _is_made(future: Future[None], again: bool) -> bool:
    """Whether a topic is. On a busy machine the broker is not heard of for a while, and makes none until it is; or it
    makes one when nobody waits for that any more."""
    try:
        future.result()
    except KafkaException as error:
        code = error.args[0].code()
        if code in _LATER:
            time.sleep(0.2)
            return False
        if not (again and code == KafkaError.TOPIC_ALREADY_EXISTS):
            raise
    return True


class Broker:
    """A broker whose files are in a folder: it can be killed, paused and started again at the same address."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.resolve()
        self._jars = jars.fetch()
        self.authority = Authority(self.folder / "pki")
        self._leaves = {name: self.authority.leaf(name) for name in ("broker", "client")}
        (self.folder / "pki/broker.keystore.pem").write_bytes(
            self._leaves["broker"][1].read_bytes() + self._leaves["broker"][0].read_bytes()
        )
        self._port, self._control = _free_ports(2)
        self.address = f"127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        self.kill()

    def start(self, within_s: float = 60.0) -> None:
        """Starts and waits until it answers over TLS."""
        self._configuration().write_text("".join(f"{name}={value}\n" for name, value in self._properties().items()))
        if not (self.folder / "data/meta.properties").exists():
            cluster = base64.urlsafe_b64encode(b"fg" + uuid.uuid4().bytes[2:]).decode().rstrip("=")
            self._java("kafka.tools.StorageTool", "format", "-t", cluster, "-c", str(self._configuration())).wait(60)
        self._process = self._java("kafka.Kafka", str(self._configuration()))
        until = time.monotonic() + within_s
        while not self._answers():
            if self._process.poll() is not None or time.monotonic() > until:
                raise RuntimeError("the broker did not start: " + self.log()[-2_000:])
            time.sleep(0.05)

    def kill(self) -> None:
        """As with kill -9; what it stored stays."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def pause(self) -> None:
        """It hangs: its sockets stay open."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """It goes on."""
        self._signal(signal.SIGCONT)

    def _signal(self, number: signal.Signals) -> None:
        if self._process is None:
            raise RuntimeError("the broker was not started")
        self._process.send_signal(number)

    def log(self) -> str:
        """What it said."""
        return (self.folder / "broker.log").read_text(errors="replace")

    @property
    def ca(self) -> Path:
        """The certificate of the authority."""
        return self.authority.certificate

    def client(self) -> tuple[Path, Path]:
        """A client's certificate and key."""
        return self._leaves["client"]

    def plain(self, **settings: Any) -> dict[str, Any]:
        """The settings of a plain client."""
        certificate, key = self.client()
        return {
            "bootstrap.servers": self.address,
            "security.protocol": "ssl",
            "ssl.ca.location": str(self.ca),
            "ssl.certificate.location": str(certificate),
            "ssl.key.location": str(key),
            **settings,
        }

    def create(self, *topics: str, partitions: int = 1, within_s: float = 60.0) -> None:
        """Makes topics."""
        admin, until = AdminClient(self.plain()), time.monotonic() + within_s
        missing, again = list(topics), False
        while missing:
            made = admin.create_topics([NewTopic(topic, partitions, 1) for topic in missing], request_timeout=10)
            missing = [topic for topic, future in made.items() if not _is_made(future, again)]
            if missing and time.monotonic() > until:
                raise RuntimeError(f"the broker makes no topics: {self.log()[-2_000:]}")
            again = True

    def _answers(self) -> bool:
        context = ssl.create_default_context(cafile=str(self.ca))
        context.load_cert_chain(*map(str, self.client()))
        asked = struct.pack(">hhih", 18, 0, 7, 4) + b"test"  # ApiVersions
        try:
            with (
                socket.create_connection(("127.0.0.1", self._port), 1) as plain,
                context.wrap_socket(plain, server_hostname="127.0.0.1") as wire,
            ):
                wire.settimeout(2)
                wire.sendall(struct.pack(">i", len(asked)) + asked)
                answer = wire.recv(8)
                return len(answer) == 8 and struct.unpack(">ii", answer)[1] == 7
        except OSError:
            return False

    def _java(self, *command: str) -> subprocess.Popen[bytes]:
        with (self.folder / "broker.log").open("ab") as log:
            return subprocess.Popen(
                ["java", *SMALL, "-cp", f"{self._jars}/*", *command],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def _configuration(self) -> Path:
        return self.folder / "server.properties"

    def _properties(self) -> dict[str, object]:
        pki = self.folder / "pki"
        one = ["offsets.topic", "transaction.state.log", "share.coordinator.state.topic"]
        return {
            "process.roles": "broker,controller",
            "node.id": 1,
            "controller.quorum.voters": f"1@127.0.0.1:{self._control}",
            "listeners": f"SSL://{self.address},CONTROLLER://127.0.0.1:{self._control}",
            "advertised.listeners": f"SSL://{self.address}",
            "listener.security.protocol.map": "SSL:SSL,CONTROLLER:SSL",
            "inter.broker.listener.name": "SSL",
            "controller.listener.names": "CONTROLLER",
            "ssl.keystore.type": "PEM",
            "ssl.keystore.location": pki / "broker.keystore.pem",
            "ssl.truststore.type": "PEM",
            "ssl.truststore.location": pki / "ca.pem",
            "ssl.client.auth": "required",
            "ssl.enabled.protocols": "TLSv1.3",
            "log.dirs": self.folder / "data",
            "auto.create.topics.enable": "false",
            **{f"{topic}.replication.factor": 1 for topic in one},
            **{f"{topic}.num.partitions": 1 for topic in one},
            **{f"{topic}.min.isr": 1 for topic in one[1:]},
            "group.initial.rebalance.delay.ms": 0,
            # One that was killed must not wait for its own old registration to expire.
            "broker.session.timeout.ms": 3_000,
            "broker.heartbeat.interval.ms": 500,
            "controller.quorum.election.timeout.ms": 300,
            "controller.quorum.election.backoff.max.ms": 200,
            # Small.
            "num.network.threads": 2,
            "num.io.threads": 2,
            "background.threads": 2,
            "log.cleaner.dedupe.buffer.size": 4_194_304,
            "log.cleaner.io.buffer.size": 65_536,
            "log.index.size.max.bytes": 1_048_576,
        }
