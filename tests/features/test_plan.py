"""A plan says no to what it cannot mean, in Python and in the engine alike."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engine import Folder
from features import (
    FRAUD,
    Amount,
    CompiledPlan,
    Count,
    Feature,
    Night,
    Number,
    Plan,
    PlanError,
    Risk,
    SinceLast,
    days,
    handbook,
    hours,
    minutes,
)
from features.refused import RESULT_WORDS, SENSITIVE_PARTS, SENSITIVE_WORDS, is_sensitive
from tests.features.streams import KEY, prove


def declared(**changes: Any) -> Plan:
    members: dict[str, Any] = {
        "name": "shop",
        "currency": "EUR",
        "entities": ("card",),
        "numbers": ("distance_km",),
        "texts": ("mcc",),
        "features": [Amount("amount")],
    }
    return Plan(**(members | changes))


def count(**changes: Any) -> list[Feature]:
    members: dict[str, Any] = {"entity": "card", "window": days(1)}
    return [Count("count", **(members | changes))]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"name": "Shop"}, "name 'Shop' must be"),
        ({"currency": "euro"}, "currency 'euro'"),
        ({"entities": "card"}, "entities must be a list"),
        ({"entities": ["card", "card"]}, "'card' is declared twice"),
        ({"entities": [f"e{place}" for place in range(9)]}, "at most 8"),
        ({"numbers": [f"n{place}" for place in range(33)]}, "at most 32"),
        ({"texts": [f"t{place}" for place in range(17)]}, "at most 16"),
        ({"texts": ["distance_km"]}, "as a number and as a text"),
        ({"texts": ["cvv2"]}, "PCI DSS 3.3"),
        ({"fraud": ["fraud"]}, "'fraud' is no class of label"),
        ({"features": []}, "0 features"),
        ({"features": [Amount("a"), Amount("a")]}, "'a' is declared twice"),
        ({"features": [Amount("a b")]}, "a name is"),
        ({"features": [Amount(f"a{place}") for place in range(257)]}, "257 features"),
        ({"features": [Night("night", through_hour=24)]}, "through_hour is 24"),
        ({"features": [Number("n", number="balance_minor")]}, "'balance_minor' is not declared"),
        ({"features": count(entity="shop")}, "entity 'shop' is not declared"),
        ({"features": count(window=days(0))}, "window is 0:00:00"),
        ({"features": count(delay=-days(1))}, "delay is -1 day"),
        ({"features": count(window=days(40_000))}, "window is 40000 days"),
        ({"features": count(delay=days(1), inclusive=True)}, "inclusive cannot hold with a delay"),
        ({"features": count(kinds=[])}, "at least one kind"),
        ({"features": count(kinds="purchase")}, "must be a list"),
        ({"features": count(kinds=["sale"])}, "'sale' is no kind"),
        ({"lateness": -days(1)}, "lateness is -1 day"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(PlanError, match=message):
        declared(**changes).compile()


def compiled() -> dict[str, Any]:
    features = [
        Amount("amount"),
        *count(),
        Risk("risk", entity="card", window=days(1)),
        Night("night", through_hour=6),
        Number("number", number="distance_km"),
        SinceLast("last", entity="card"),
    ]
    plan: dict[str, Any] = json.loads(declared(features=features).compile().json)
    return plan


def feature(place: int, **changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda plan: plan["features"][place].update(changes)


def member(**changes: Any) -> Callable[[dict[str, Any]], None]:
    return lambda plan: plan.update(changes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (member(format=2), "format"),
        (member(owner="x"), "unknown field `owner`"),
        (member(name=""), "name"),
        (member(currency="XXX"), "currency"),
        (member(entities=["card", "card"]), r"entities\[1\]: is declared twice"),
        (member(texts=["distance_km"]), r"texts\[0\]: is declared twice"),
        (member(texts=["card_pin"]), "PCI DSS 3.3"),
        (member(numbers=["n"] * 33), "at most 32"),
        (member(fraud=["unspecified"]), r"fraud\[0\]"),
        (member(fraud=["genuine", "genuine"]), r"fraud\[1\]"),
        (member(lateness_us=-1), "lateness_us"),
        (member(features=[]), "features"),
        (member(features=[{"name": "a", "op": "amount"}] * 257), "holds 257"),
        (feature(0, name=""), r"features\[0\].name"),
        (feature(0, name="count"), r"features\[1\].name: is the name of another"),
        (feature(0, op="median"), "not an operation"),
        (feature(0, entity=0), r"features\[0\].entity: is not a member of amount"),
        (feature(0, colour=1), "unknown field `colour`"),
        (feature(1, entity=1), r"features\[1\].entity: is not a slot"),
        (feature(1, entity=None), r"features\[1\].entity: is required by count"),
        (feature(1, window_us=0), "window_us"),
        (feature(1, window_us=2**62), "window_us"),
        (feature(1, delay_us=-1), "delay_us"),
        (feature(1, delay_us=1, inclusive=True), r"features\[1\].inclusive"),
        (feature(1, where={"kinds": []}), "names no kind"),
        (feature(1, where={"kinds": ["sale"]}), r"where.kinds\[0\]"),
        (feature(1, where={"kinds": ["purchase", "purchase"]}), r"where.kinds\[1\]"),
        (feature(1, where={"kinds": ["purchase"], "mcc": 1}), "unknown field `mcc`"),
        (feature(2, inclusive=True), r"features\[2\].inclusive: is not a member of risk"),
        (feature(3, through_hour=24), "through_hour"),
        (feature(4, number=1), r"features\[4\].number: is not a slot"),
        (feature(5, window_us=1), r"features\[5\].window_us: is not a member of since_last"),
    ],
)
def test_the_engine_refuses_what_a_compiled_plan_cannot_hold(
    change: Callable[[dict[str, Any]], None], message: str
) -> None:
    plan = compiled()
    Folder(json.dumps(plan).encode(), KEY, 0)
    change(plan)
    with pytest.raises(ValueError, match=message):
        Folder(json.dumps(plan).encode(), KEY, 0)


@pytest.mark.parametrize("text", [b"", b"{", b"[]", b"\xff", b"null", b'{"format":1,"format":1}'])
def test_what_is_no_plan_is_refused(text: bytes) -> None:
    with pytest.raises(ValueError, match="plan: "):
        Folder(text, KEY, 0)


WORDS = [
    *sorted(RESULT_WORDS | SENSITIVE_WORDS),
    *SENSITIVE_PARTS,
    "card",
    "shipping",
    "tracking",
    "2",
    "",
    "spin",
    "x",
]


@prove
@given(st.lists(st.sampled_from(WORDS), min_size=1, max_size=3), st.sampled_from(["_", ""]))
def test_engine_and_declaration_agree_on_sensitive_names(words: list[str], between: str) -> None:
    name = "a" + between + between.join(words)
    plan = json.loads(declared().compile().json) | {"texts": [name[:64]]}
    refused = False
    try:
        Folder(json.dumps(plan).encode(), KEY, 0)
    except ValueError as error:
        assert "PCI DSS" in str(error)  # noqa: PT017 - either end is right, as long as both agree
        refused = True
    assert refused == is_sensitive(name[:64])


@pytest.mark.parametrize("name", ["cvv", "cvc2", "card_cvv", "pin", "pin_block", "track_2", "track2_data", "cid"])
def test_sensitive_authentication_data_cannot_be_declared(name: str) -> None:
    for slot in ("entities", "numbers", "texts"):
        with pytest.raises(PlanError, match="PCI DSS"):
            declared(**{slot: [name]}).compile()


def test_the_vocabulary_s_result_codes_can_be_declared() -> None:
    declared(texts=["card_verification_result", "avs", "merchant_name"]).compile()


def test_compiling_is_canonical_and_names_itself_by_its_digest() -> None:
    plan = handbook.PLAN.compile()
    again = json.dumps(json.loads(plan.json), sort_keys=True, separators=(",", ":")).encode()
    assert plan.json == again
    assert plan.digest == hashlib.sha256(plan.json).hexdigest()
    assert CompiledPlan(plan.json, plan.features) == handbook.PLAN.compile()


def test_the_order_in_which_kinds_are_listed_does_not_matter() -> None:
    one = declared(features=count(kinds=["refund", "purchase"]), fraud=FRAUD).compile()
    other = declared(features=count(kinds=["purchase", "refund"]), fraud=FRAUD[::-1]).compile()
    assert one.json == other.json


def test_lateness_is_the_longest_reach_unless_declared() -> None:
    features = [*count(window=days(1)), Risk("risk", entity="card", window=days(2), delay=hours(3))]
    longest = json.loads(declared(features=features).compile().json)["lateness_us"]
    assert timedelta(microseconds=longest) == days(2) + hours(3)
    given_lateness = json.loads(declared(features=features, lateness=minutes(5)).compile().json)["lateness_us"]
    assert timedelta(microseconds=given_lateness) == minutes(5)
