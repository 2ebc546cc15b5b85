"""The mappings that are ready, on the first rows of what they are for, under the columns' published names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from features import Amount, Count, Hour, Number, Plan, Sum, days
from service.backfill import job, mapping
from service.backfill.program import planned
from tests.backfill.conftest import parts, refused, run

HANDBOOK = """\
TRANSACTION_ID,TX_DATETIME,CUSTOMER_ID,TERMINAL_ID,TX_AMOUNT,TX_TIME_SECONDS,TX_TIME_DAYS,TX_FRAUD,TX_FRAUD_SCENARIO
0,2018-04-01 00:00:31,596,3156,57.16,31,0,0,0
1,2018-04-01 00:02:10,4961,3412,81.51,130,0,1,2
2,2018-04-01 05:07:56,596,1365,146.00,476,0,0,0
"""
SPARKOV = """\
,trans_date_trans_time,cc_num,merchant,category,amt,first,last,gender,street,city,state,zip,lat,long,city_pop,job,dob,\
trans_num,unix_time,merch_lat,merch_long,is_fraud
0,2019-01-01 00:00:18,2703186189652095,"fraud_Rippin, Kub and Mann",misc_net,4.97,Jennifer,Banks,F,561 Perry Cove,\
Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",1988-03-09,0b242abb623afc578575680df30655b9,\
1325376018,36.011293,-82.048315,0
1,2019-01-01 13:00:44,630423337322,"fraud_Heller, Gutmann and Zieme",grocery_pos,107.23,Stephanie,Gill,F,43039 Riley,\
Orient,WA,99160,48.8878,-118.2105,149,Special educational needs teacher,1978-06-21,1f76529f8574734946361c461b024d99,\
1325376044,49.159046999999994,-118.186462,1
2,2019-01-01 13:00:51,2703186189652095,fraud_Lind-Buckridge,entertainment,220.11,Jennifer,Banks,F,561 Perry Cove,\
Moravian Falls,NC,28654,36.0788,-81.1781,3495,"Psychologist, counselling",1988-03-09,a1a22d70485983eac12b5b88dad1cf95,\
1325376051,43.150704,-112.154481,0
"""
PAYSIM = """\
step,type,amount,nameOrig,oldbalanceOrg,newbalanceOrig,nameDest,oldbalanceDest,newbalanceDest,isFraud,isFlaggedFraud
1,PAYMENT,9839.64,C1231006815,170136.0,160296.36,M1979787155,0.0,0.0,0,0
1,TRANSFER,181.0,C1305486145,181.0,0.0,C553264065,0.0,0.0,1,0
26,CASH_OUT,181.0,C1231006815,160296.36,160115.36,C38997010,21182.0,0.0,1,0
27,CASH_IN,181.0,C1,0.0,181.0,C2,0.0,0.0,0,0
28,DEBIT,5337.77,C1,41720.0,36382.23,C195600860,41898.0,40348.79,0,0
"""
IEEE_CIS = """\
TransactionID,isFraud,TransactionDT,TransactionAmt,ProductCD,card1,card2,card3,card4,card5,card6,addr1,addr2,dist1,\
dist2,P_emaildomain,R_emaildomain,C1,D1,M1,V1
2987000,0,86400,68.5,W,13926,,150.0,discover,142.0,credit,315.0,87.0,19.0,,,,1.0,14.0,T,1.0
2987001,1,86401,37.098,C,2755,404.0,150.0,mastercard,102.0,credit,325.0,87.0,,,gmail.com,,1.0,0.0,,
2987002,0,90069,59.0,W,13926,490.0,150.0,visa,166.0,debit,330.0,87.0,287.0,,outlook.com,,1.0,0.0,T,1.0
"""
ULB = (
    ",".join(f'"{name}"' for name in ("Time", *(f"V{n}" for n in range(1, 29)), "Amount", "Class"))
    + "\n"
    + "".join(
        ",".join((time, *(f"{sign}{n}.359807133673{n}" for n in range(1, 29)), amount, fraud)) + "\n"
        for time, sign, amount, fraud in (("0", "-", "149.62", '"0"'), ("1e+05", "", "2.69", '"1"'))
    )
)


def _plan(key: str | None, numbers: tuple[str, ...] = (), texts: tuple[str, ...] = (), currency: str = "USD") -> Any:
    kinds = ("purchase", "withdrawal", "transfer", "payout")
    windows = (
        []
        if key is None
        else [
            Count("before", entity=key, window=days(2), kinds=kinds),
            Sum("spent", entity=key, window=days(2), kinds=kinds),
        ]
    )
    return Plan(
        name="ready",
        currency=currency,
        entities=() if key is None else (key,),
        numbers=numbers,
        texts=texts,
        features=[Amount("amount"), Hour("hour"), *(Number(f"of_{name}", number=name) for name in numbers), *windows],
    ).compile()


@pytest.mark.parametrize(
    ("name", "text", "plan", "features", "frauds"),
    [
        (
            "handbook",
            HANDBOOK,
            _plan("customer", currency="EUR"),
            [(57.16, 0, 0, 0), (81.51, 0, 0, 0), (146.0, 5, 1, 57.16)],
            [1],
        ),
        (
            "sparkov",
            SPARKOV,
            _plan("instrument", ("city_population",), ("category", "merchant_name")),
            [(4.97, 0, 3495, 0, 0), (107.23, 13, 149, 0, 0), (220.11, 13, 3495, 1, 4.97)],
            [1],
        ),
        (
            "paysim",
            PAYSIM,
            _plan("account", ("balance_before", "counterparty_balance_before")),
            [
                (9839.64, 1, 170136, 0, 0, 0),
                (181, 1, 181, 0, 0, 0),
                (181, 2, 160296.36, 21182, 1, 9839.64),
                (181, 3, 0, 0, 0, 0),
                (5337.77, 4, 41720, 41898, 1, 181),
            ],
            [1, 2],
        ),
        (
            "ieee-cis",
            IEEE_CIS,
            _plan("instrument", ("distance_km",), ("product", "card_brand", "card_type")),
            [(68.5, 0, 19, 0, 0), (37.1, 0, None, 0, 0), (59, 1, 287, 1, 68.5)],
            [1],
        ),
        (
            "ulb",
            ULB,
            _plan(None, ("v1", "v28"), currency="EUR"),
            [(149.62, 0, -1.3598071336731, -28.35980713367328), (2.69, 3, 1.3598071336731, 28.35980713367328)],
            [1],
        ),
    ],
)
def test_a_ready_mapping_reads_what_it_is_for(
    name: str, text: str, plan: Any, features: list[tuple[float | None, ...]], frauds: list[int], tmp_path: Path
) -> None:
    (tmp_path / "in.csv").write_text(text)
    wanted = job.Wanted(assessments=False, features="float64")
    run(tmp_path / "in.csv", tmp_path / "out", name, program=planned(plan, 0), wanted=wanted)
    answered = parts(tmp_path / "out")
    assert refused(tmp_path / "out") == []
    assert [tuple(row.values()) for row in answered.select(list(plan.features)).to_pylist()] == features
    # 1 is a fraud of a third party; what is genuine is not told.
    assert answered["label_class"].to_pylist() == [1 if row in frauds else None for row in range(len(features))]


def test_each_ready_mapping_is_tried() -> None:
    tried = {"handbook", "sparkov", "paysim", "ieee-cis", "ulb"}
    assert tried | {"fraudgate"} == set(mapping.ready())
