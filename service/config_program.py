"""A program: its plan, model and policy, what is answered without a model, and what leaves for the cloud."""

from itertools import pairwise
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from service.config_values import Instant, MerchantCategory, ReadableFile, ReadableFolder, Section, Threshold

Blind = Literal["approve", "challenge", "decline"]
# Those that may be scored; see transaction.proto.
Kind = Literal["purchase", "withdrawal", "transfer", "payout", "refund", "incremental", "verification", "event"]


class Segment(Section):
    """`[[program.<name>.default.segment]]`: who falls into it, and its verdict. What is not stated does not matter."""

    verdict: Blind = Field(examples=['"approve"'])
    kinds: list[Kind] | None = Field(None, min_length=1, examples=['["purchase"]'])
    from_minor: int | None = Field(None, ge=0, examples=["0"], description="the least amount, reference currency")
    below_minor: int | None = Field(None, ge=1, examples=["5000"], description="amounts are below this")
    mcc: list[MerchantCategory] = Field([], examples=['["5411"]'])
    channel: list[Annotated[str, Field(min_length=1)]] = Field([], examples=['["pos"]'])


class Default(Section):
    """`[program.<name>.default]`: what is answered where no model can. The first segment that fits has the word."""

    verdict: Blind = Field("challenge", examples=['"challenge"'], description="where no segment fits")
    segment: list[Segment] = Field([], max_length=250, examples=['[{ verdict = "approve", below_minor = 5000 }]'])
    cap_minor: int | None = Field(
        None,
        ge=0,
        examples=["1000000"],
        description="most that is approved so within window_s, minor units of the reference currency",
    )
    window_s: float = Field(3600.0, gt=0, le=366 * 86_400, examples=["3600"], description="of event time, sliding")
    beyond_cap: Literal["challenge", "decline"] = Field("decline", examples=['"decline"'])

    @model_validator(mode="after")
    def _is_bounded(self) -> Self:
        if self.cap_minor is None and "approve" in (self.verdict, *(segment.verdict for segment in self.segment)):
            raise ValueError("approves without a cap on what is approved blind: state cap_minor")
        for segment in self.segment:
            if segment.below_minor is not None and segment.below_minor <= (segment.from_minor or 0):
                raise ValueError("no amount lies from from_minor to below below_minor of a segment")
        return self


class Rescore(Section):
    """`[program.<name>.rescore]`: what the cloud scores again: what was degraded, what is uncertain, and a share."""

    from_risk: Threshold | None = Field(None, examples=["30.0"], description="the lowest risk score that is uncertain")
    below_risk: Threshold | None = Field(None, examples=["60.0"], description="uncertain risk scores are below this")
    control_share: float = Field(0.01, ge=0, le=1, examples=["0.01"], description="drawn by the id's hash")
    labels: bool = Field(
        False,
        examples=["true"],
        description="what the cloud would decline counts as fraud until a label says otherwise",
    )
    hybrid: bool = Field(
        False,
        examples=["true"],
        description="what is uncertain is also asked of the cloud at once, while its caller waits; needs [hybrid]",
    )

    @model_validator(mode="after")
    def _is_a_band(self) -> Self:
        if (self.from_risk is None) != (self.below_risk is None):
            raise ValueError("from_risk and below_risk stand together")
        if self.from_risk is not None and self.below_risk is not None and self.from_risk >= self.below_risk:
            raise ValueError("no risk score lies from from_risk to below below_risk")
        if self.hybrid and self.from_risk is None:
            raise ValueError("hybrid asks of what is uncertain, and no band is: state from_risk and below_risk")
        return self


class Program(Section):
    """`[program.<name>]`: a plan, a model and a policy."""

    plan: ReadableFile = Field(examples=['"model/plan.json"'])
    model: ReadableFolder | None = Field(None, examples=['"model"'], description="a bundle that fraudgate train made")
    mode: Literal["decide", "observe"] = Field("observe", examples=['"decide"'])
    challenge: Threshold | None = Field(None, examples=["40.0"], description="the lowest risk score that is challenged")
    hold: Threshold | None = Field(None, examples=["50.0"])
    decline: Threshold | None = Field(None, examples=["60.0"])
    card_number_in_key: Literal["hash", "refuse"] = Field("hash", examples=['"hash"'])
    default: Default | None = Field(
        None, examples=['{ verdict = "challenge" }'], description="without a model's answer"
    )
    required_features: list[str] = Field(
        [], examples=['["customer_count_1d"]'], description="without one of these no model is asked"
    )
    rescore: Rescore | None = Field(
        None, examples=["{ control_share = 0.01 }"], description="what leaves for the cloud; needs [forward]"
    )
    complete_since: Instant | None = Field(
        None,
        examples=["2018-04-01T00:00:00Z"],
        description="since when the state is complete; absent: the first event of the history, or the start",
    )
    history: ReadableFile | None = Field(None, examples=['"history.parquet"'], description="warms the state")
    labels: ReadableFile | None = Field(None, examples=['"labels.parquet"'])

    @model_validator(mode="after")
    def _thresholds_rise(self) -> Self:
        given = [(n, v) for n in ("challenge", "hold", "decline") if (v := getattr(self, n)) is not None]
        for (lower, low), (upper, high) in pairwise(given):
            if low > high:
                raise ValueError(f"{lower} is above {upper}: the graver verdict would come first")
        if self.labels is not None and self.history is None:
            raise ValueError("labels are given without the history that they are of")
        return self
