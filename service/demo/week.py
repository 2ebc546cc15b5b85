"""The demo's week through the wire: transactions and labels in the order in which they became known, and answers."""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import islice

import numpy as np
import numpy.typing as npt

import fraudgate
from service import messages
from service.tables import DAY_US, Tables

IN_FLIGHT = 256


@dataclass
class Answers:
    """What came back, a place for each transaction, and how long it took."""

    probability: npt.NDArray[np.float64]
    risk: npt.NDArray[np.float64]
    verdict: npt.NDArray[np.int8]
    labels: int = 0
    streamed: int = 0
    streamed_s: float = 0.0
    lone_s: list[float] = field(default_factory=list)
    """Of each call that was made alone, as the caller saw it."""

    @classmethod
    def to(cls, n: int) -> "Answers":
        """Places for `n`."""
        return cls(np.full(n, np.nan), np.full(n, np.nan), np.zeros(n, np.int8))

    def take(self, place: int, answer: fraudgate.Decision | fraudgate.FraudgateError) -> None:
        """Raises the refusal, if it is one: the demo sends nothing that could be refused."""
        if isinstance(answer, fraudgate.FraudgateError):
            raise answer
        assessment = answer.assessment
        self.probability[place] = assessment.fraud_probability
        self.risk[place] = assessment.risk_score
        self.verdict[place] = assessment.verdict


def score(
    client: fraudgate.Client,
    week: Tables,
    program: str,
    currency: str,
    entities: tuple[str, ...],
    progress: Callable[[int], None],
) -> Answers:
    """Send the week: all days but the last by stream, the last one call by call, to see how long a lone call takes.

    A label is told before the first transaction that happens after it became known, and after all earlier ones were
    answered: so the scorer sees what a fold of the same tables sees. `progress` gets how many were answered.
    """
    times = week.transactions["event_time_us"].to_numpy()
    # Where each label stands among the transactions: as many happened strictly before it arrived.
    stands = np.searchsorted(times, week.labels["arrival_us"].to_numpy(), side="left")
    lone_from = int(np.searchsorted(times, times[-1] // DAY_US * DAY_US, side="left"))
    known = messages.labels(week.labels, program, entities)
    asked = messages.transactions(week.transactions, program, currency, entities)
    answers = Answers.to(len(times))

    stops = [*np.unique(np.append(stands[stands < len(times)], lone_from)).tolist(), len(times)]
    done, told = 0, 0
    for stop in stops:
        if stop > done:
            part = islice(asked, stop - done)
            if done < lone_from:
                _stream(client, part, done, answers)
            else:
                _alone(client, part, done, answers)
            done = stop
            progress(done)
        due = int(np.searchsorted(stands, stop, side="right")) if stop < len(times) else len(known)
        _tell(client, known[told:due])
        told = due
    answers.labels = told
    return answers


def _stream(client: fraudgate.Client, part: Iterator[fraudgate.Transaction], place: int, answers: Answers) -> None:
    began = time.perf_counter()
    for place, answer in enumerate(client.score_stream(part, in_flight=IN_FLIGHT), place):  # noqa: B020
        answers.take(place, answer)
        answers.streamed += 1
    answers.streamed_s += time.perf_counter() - began


def _alone(client: fraudgate.Client, part: Iterator[fraudgate.Transaction], place: int, answers: Answers) -> None:
    for place, transaction in enumerate(part, place):  # noqa: B020
        began = time.perf_counter()
        decision = client.score(transaction)
        answers.lone_s.append(time.perf_counter() - began)
        answers.take(place, decision)


def _tell(client: fraudgate.Client, labels: list[fraudgate.Label]) -> None:
    for first in range(0, len(labels), 1024):
        for receipt in client.label(labels[first : first + 1024]):
            if isinstance(receipt, fraudgate.FraudgateError):
                raise receipt
