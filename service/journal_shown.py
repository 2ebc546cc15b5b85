"""What `fraudgate journal show`, `replay` and `repair` print for people."""

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

_NOT_A_VALUE = "-"


def transaction(shown: Any) -> Iterator[str]:
    """What it was, what it saw, what was answered, and what comes out again, line by line."""
    yield f"{shown['what']} {shown['sequence']} of program {shown['program']}"
    if shown.get("taken_before"):
        taken = ", ".join(str(sequence) for sequence in shown["taken_before"])
        yield f"  its id was taken before, as {taken}: shown is the last"
    yield from _named(
        {
            "epoch": shown["epoch"],
            "segment": shown["segment"],
            "event time": _time(shown["event_time_us"]),
            "received": _time(shown["received_at_us"]),
            "kind": shown["kind"],
            "amount, minor units": shown["reference_amount_minor"],
        }
    )
    if "features" not in shown:
        yield "it was only folded: nothing was scored"
        return
    yield "it saw"
    yield from _named(shown["features"])
    yield "it was answered"
    yield from _named(shown["assessment"])
    yield "out of the journal again"
    yield from _named({name: _again(again) for name, again in shown["again"].items()})


def repair(told: Any) -> Iterator[str]:
    """What is damaged, what is lost with it, and what was done about it."""
    if not told["found"]:
        yield "nothing is damaged"
        return
    yield from told["found"]
    for gap in told["lost"]:
        most = "at most " if gap["is_bound"] else ""
        yield f"lost: inputs {gap['first']:,} to {gap['last']:,}, {most}{gap['inputs']:,}"
    if told["done"]:
        yield from (f"set aside: {name}" for name in told["set_aside"])
        yield "the journal can be taken in again; what features see begins anew behind each gap"
    else:
        yield "nothing was changed; to set it aside and go on without it, say --yes"


def replay(replayed: Any) -> Iterator[str]:
    """How much was compared, and the first difference of each kind."""
    yield f"{replayed['inputs']:,} inputs through {replayed['sequence']}, state {replayed['digest']}"
    for kind in ("features", "assessments"):
        tally = replayed[kind]
        yield f"{kind}: {tally['same']:,} the same to the bit, {tally['differing']:,} not"
        if tally["first_difference"] is not None:
            first = tally["first_difference"]
            yield f"  the first: input {first['sequence']}, {_again(first)}"
        for why, count in sorted(tally["unknown"].items()):
            yield f"  {count:,} cannot be computed again: {why}"


def _again(again: Any) -> str:
    match again["result"]:
        case "same":
            return "the same to the bit"
        case "differs":
            return f"{again['name']} was {again['was']} and is {again['is']}"
        case _:
            return f"cannot be computed again: {again['why']}"


def _named(values: dict[str, Any]) -> Iterator[str]:
    width = max(map(len, values), default=0)
    for name, value in values.items():
        if isinstance(value, list):
            value = ", ".join(value)
        yield f"  {name:<{width}}  {_NOT_A_VALUE if value is None or value == '' else value}"


def _time(us: int) -> str:
    return datetime.fromtimestamp(us / 1e6, UTC).isoformat(timespec="milliseconds")
