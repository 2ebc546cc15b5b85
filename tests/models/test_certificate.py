"""LightGBM is the oracle: on every booster it can grow, the exported node reaches the same leaves."""

from __future__ import annotations

import re
from typing import Any

import lightgbm
import numpy as np
import onnx
import pytest
from boosters import QUIET, TELLING, ZERO_ENDS_AT, grown, rows_with_telling_values
from hypothesis import given, settings
from hypothesis import strategies as st

from models.certify import CertificateError, certify
from models.export import UnsupportedBooster, export, float32_threshold
from models.leaf_grid import on_leaf_grid
from models.scorer import Scorer
from models.teacher import log_odds


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(20, 300),
    columns=st.integers(1, 5),
    share=st.sampled_from([0.0, 0.1, 0.5, 0.9]),
    objective=st.sampled_from(["regression", "binary"]),
    boosting=st.sampled_from(["gbdt", "dart"]),
    leaves=st.integers(2, 31),
    use_missing=st.booleans(),
    from_average=st.booleans(),
)
def test_every_row_reaches_the_leaf_that_lightgbm_reaches(
    seed: int,
    n: int,
    columns: int,
    share: float,
    objective: str,
    boosting: str,
    leaves: int,
    use_missing: bool,
    from_average: bool,
) -> None:
    random = np.random.default_rng(seed)
    rows = rows_with_telling_values(random, n, columns, share)
    booster = on_leaf_grid(
        grown(
            rows,
            seed,
            objective=objective,
            boosting=boosting,
            num_leaves=leaves,
            use_missing=use_missing,
            boost_from_average=from_average,
            min_data_in_bin=1,
        )
    )
    others = rows_with_telling_values(random, n, columns, 0.7)
    certificate = certify(booster, export(booster), np.concatenate([rows, others]))
    # The leaf grid makes float32 sums exact, so the certificate's 1e-6 is never used up.
    assert certificate.max_difference == 0.0
    assert certificate.rows == 2 * n
    assert certificate.edge_rows == 9 * certificate.splits_reached


@given(
    threshold=st.one_of(
        st.floats(allow_nan=False, allow_infinity=False, width=64),
        st.floats(allow_nan=False, allow_infinity=False, width=32),
    )
)
def test_a_threshold_in_float32_compares_as_in_float64(threshold: float) -> None:
    served = float32_threshold(threshold)
    with np.errstate(over="ignore"):
        near = np.float32(threshold)
        beside = np.nextafter(near, np.array([-np.inf, np.inf], dtype=np.float32))
    for x in (near, *beside, *TELLING):
        as_lightgbm_reads_it = 0.0 if abs(float(x)) <= float(ZERO_ENDS_AT) else float(x)
        assert bool(x <= served) == (as_lightgbm_reads_it <= threshold)


@pytest.fixture(scope="module")
def rows() -> Any:
    """Off every threshold, so that only edge rows can find a threshold that is one float32 wrong."""
    random = np.random.default_rng(5)
    made = random.normal(size=(400, 3)).astype(np.float32)
    made[random.random(made.shape) < 0.1] = np.nan
    return made


@pytest.fixture(scope="module")
def booster(rows: Any) -> lightgbm.Booster:
    return on_leaf_grid(grown(rows))


def test_all_splits_are_reached_when_the_rows_are_those_it_was_grown_on(booster: lightgbm.Booster, rows: Any) -> None:
    certificate = certify(booster, export(booster), rows)
    assert certificate.splits_reached == certificate.splits > 0


def spoilt(model: bytes, attribute: str, change: Any) -> bytes:
    """The model with one attribute's list changed."""
    loaded = onnx.load_model_from_string(model)
    (node,) = loaded.graph.node
    (found,) = (each for each in node.attribute if each.name == attribute)
    column = found.floats or found.ints
    changed = change(np.array(column))
    del column[:]
    column.extend(changed.tolist())
    return loaded.SerializeToString()


def one_up(values: Any) -> Any:
    return np.nextafter(values.astype(np.float32), np.float32(np.inf))


@pytest.mark.parametrize(
    ("attribute", "change", "message"),
    [
        ("nodes_values", one_up, r"edge row \d+, tree \d+: .* threshold "),
        ("nodes_missing_value_tracks_true", lambda flags: 1 - flags, r"row \d+, tree \d+: .* threshold .* nan"),
        ("target_weights", lambda weights: weights + np.float32(1e-4), r"row \d+: same leaves .* scores differ"),
        ("nodes_featureids", lambda features: 2 - features, r"tree 0: threshold .* of feature"),
    ],
)
def test_a_spoilt_export_gets_no_certificate(
    booster: lightgbm.Booster, rows: Any, attribute: str, change: Any, message: str
) -> None:
    with pytest.raises(CertificateError, match=message):
        certify(booster, spoilt(export(booster), attribute, change), rows)


def test_a_booster_off_the_leaf_grid_is_told_to_get_on_it(rows: Any) -> None:
    far = grown(rows, trees=40, boost_from_average=False, learning_rate=0.5)
    far.set_leaf_output(0, 0, far.get_leaf_output(0, 0) + 1000.1)
    with pytest.raises(CertificateError, match="leaf grid before export"):
        certify(far, export(far), rows)


def test_the_leaf_grid_moves_no_score_by_more_than_half_a_step_a_tree(rows: Any) -> None:
    before = grown(rows, trees=100)
    after = on_leaf_grid(before)
    values = [abs(before.get_leaf_output(t, leaf)) for t, leaf in leaves_of(before)]
    step_at_most = 100 * max(values) / 2**22
    assert np.abs(log_odds(before, rows) - log_odds(after, rows)).max() <= 100 * step_at_most / 2


def leaves_of(booster: lightgbm.Booster) -> list[tuple[int, int]]:
    return [(t, leaf) for t, tree in enumerate(booster.dump_model()["tree_info"]) for leaf in range(tree["num_leaves"])]


def test_the_order_and_the_number_of_rows_in_a_call_do_not_show_in_a_score(
    booster: lightgbm.Booster, rows: Any
) -> None:
    scorer = Scorer(export(booster))
    together = scorer.log_odds(rows)
    one_by_one = np.concatenate([scorer.log_odds(rows[i : i + 1]) for i in range(len(rows))])
    assert together.tobytes() == one_by_one.tobytes()
    assert together.tobytes() == scorer.log_odds(rows[::-1])[::-1].tobytes()


def test_the_model_is_one_node_with_a_named_float_input_and_output(booster: lightgbm.Booster) -> None:
    graph = onnx.load_model_from_string(export(booster)).graph
    assert [node.op_type for node in graph.node] == ["TreeEnsembleRegressor"]
    (given_,), (answered,) = graph.input, graph.output
    assert (given_.name, answered.name) == ("features", "log_odds")
    assert [each.type.tensor_type.shape.dim[1].dim_value for each in (given_, answered)] == [3, 1]
    assert {each.type.tensor_type.elem_type for each in (given_, answered)} == {onnx.TensorProto.FLOAT}


def test_exports_of_one_booster_are_equal_bytes(booster: lightgbm.Booster) -> None:
    assert export(booster) == export(lightgbm.Booster(model_str=booster.model_to_string()))


@pytest.mark.parametrize(
    ("parameters", "said"),
    [
        ({"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.5}, "averages"),
        ({"linear_tree": True}, "linear_tree"),
        ({"objective": "poisson"}, "poisson"),
        ({"reg_sqrt": True}, "regression sqrt"),
        ({"objective": "binary", "sigmoid": 2.0}, "sigmoid:2"),
        ({"zero_as_missing": True}, "zero_as_missing"),
        ({"categorical_feature": [0]}, "categorical"),
        ({"objective": "multiclass", "num_class": 3}, "3 classes"),
    ],
)
def test_what_one_node_cannot_say_is_refused(parameters: dict[str, Any], said: str) -> None:
    random = np.random.default_rng(0)
    rows = random.integers(0, 3, size=(300, 2)).astype(np.float32)
    target = (rows[:, 0] == 1) * 1.0 + (rows[:, 1] > 1)
    if parameters.get("objective") == "binary":
        target = target > 0
    chosen = QUIET | {"objective": "regression", "min_data_per_group": 1, "cat_smooth": 0.0} | parameters
    categories = chosen.pop("categorical_feature", "auto")
    dataset = lightgbm.Dataset(rows, target, categorical_feature=categories, params=chosen)
    booster = lightgbm.train(chosen, dataset, 3)
    with pytest.raises(UnsupportedBooster, match=re.escape(said)):
        export(booster)
