"""Certificates that are renewed while clients of a real broker run: they go on with those of now, in order, and nothing
is lost.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import pytest

from service.cloud.kafka import Deliveries, Partitions
from service.config import Broker as Section
from service.demo.kafka.pki import Authority
from tests.broker import Broker
from tests.stream.conftest import Pop
from tests.stream.records import purchase


class Shown:
    """The files that a client is configured with: copies, to be replaced."""

    def __init__(self, folder: Path) -> None:
        self.certificate, self.key = folder / "shown.pem", folder / "shown.key"
        self.key.touch(mode=0o600)

    def write(self, leaf: tuple[Path, Path]) -> None:
        for file, content in zip((self.certificate, self.key), leaf, strict=True):
            file.write_bytes(content.read_bytes())


@pytest.fixture
def shown(tmp_path: Path) -> Shown:
    """Of an authority that the broker does not know."""
    made = Shown(tmp_path)
    made.write(Authority(tmp_path / "strangers", "strangers").leaf("client"))
    return made


def until(holds: Callable[[], bool], within_s: float = 90.0) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_a_worker_begins_with_the_certificate_that_the_broker_knows_and_goes_on_with_the_next(
    pops: Callable[..., Pop], broker: Broker, shown: Shown
) -> None:
    pop = pops()
    pop.topics |= {"certificate": shown.certificate, "key": shown.key}
    pop.start()
    pop.produce([purchase(number).SerializeToString() for number in range(100)])
    until(lambda: "waiting for" in pop.said() or "broker" in pop.said())
    assert pop.count("decisions") == 0
    shown.write(broker.client())
    pop.read("decisions", 100, within_s=90)
    renewed = pop.said().count("were renewed")
    shown.write(broker.authority.leaf("renewed"))
    # The lease, the application with what takes in bulk, and what produces.
    until(lambda: pop.said().count("were renewed") == renewed + 3)
    pop.produce([purchase(number).SerializeToString() for number in range(100, 200)])
    read = pop.read("decisions", 200, within_s=90)
    assert pop.stop()["transactions"] == 200
    assert [key for key, _, _ in read] == [f"t-{number}" for number in range(200)]


def test_what_waits_for_a_client_with_other_certificates_is_delivered_by_it_in_order_and_read_on_where_it_was(
    broker: Broker, shown: Shown, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("service.pems.LOOK_S", 0.2)
    monkeypatch.setattr("service.cloud.kafka._METADATA_S", 1.0)
    broker.create("renewal")
    section = Section.model_construct(
        servers=broker.address, ca=broker.ca, certificate=shown.certificate, key=shown.key
    )
    out, into = Deliveries(section), Partitions(section, "renewal")
    read: list[bytes] = []

    def delivered() -> bool:
        try:
            out.flush(1.0)
        except OSError:
            return False
        return True

    def distinct() -> list[bytes]:
        # What the client of before may have delivered comes again.
        return list(dict.fromkeys(read))

    def arrived(values: list[bytes]) -> bool:
        read.extend(value for message in into.poll(0.2) if (value := message.value()) is not None)
        return distinct() == values

    for value in (b"1", b"2"):
        out.send("renewal", "pop", value, "type")
    assert not delivered()
    assert not into.begin(lambda *_: 0)
    shown.write(broker.client())
    until(delivered)
    until(lambda: into.begin(lambda *_: 0))
    until(lambda: arrived([b"1", b"2"]))
    shown.write(broker.authority.leaf("renewed"))
    time.sleep(0.3)
    out.send("renewal", "pop", b"3", "type")
    until(delivered)
    until(lambda: arrived([b"1", b"2", b"3"]))
    into.close()
    assert read == sorted(read)
