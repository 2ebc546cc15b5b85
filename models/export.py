"""LightGBM student to ONNX: one tree-ensemble node that takes float32 rows and gives raw log-odds.

onnxmltools writes the node; what it loses is put back here from LightGBM's own dump: thresholds that round towards
minus infinity, the way a missing value goes, and the band around zero. certify.py proves the result.
"""

from __future__ import annotations

import re
from typing import Any

import lightgbm
import numpy as np
import onnx
from onnx import TensorProto, helper
from onnxmltools import convert_lightgbm
from onnxmltools.convert.common.data_types import FloatTensorType

from models.forest import Dumped, forest

INPUT = "features"
OUTPUT = "log_odds"
ML_OPSET = 3
OPSET = 15
IR_VERSION = 8

# LightGBM reads |x| <= kZeroThreshold (meta.h) as zero before it compares.
ZERO_BAND = float(np.float32(1e-35))


class UnsupportedBooster(ValueError):
    """The booster uses something that one tree-ensemble node of summed leaves cannot say."""


def export(booster: lightgbm.Booster) -> bytes:
    """Deterministic ONNX bytes: input `features` float32 [n, f], output `log_odds` float32 [n, 1].

    Raises UnsupportedBooster for random forests (averaged trees), linear trees, more than one class, objectives
    whose raw score is no log-odds, categorical splits and zero_as_missing.
    """
    text = booster.model_to_string()
    _refuse_unsupported(text)
    # A binary booster's trees sum to log-odds, but the converter would wrap them in a classifier.
    plain = lightgbm.Booster(model_str=re.sub(r"^objective=.*$", "objective=regression", text, flags=re.MULTILINE))
    columns = plain.num_feature()
    converted = convert_lightgbm(
        plain, name=OUTPUT, initial_types=[(INPUT, FloatTensorType([None, columns]))], target_opset=OPSET
    )
    attributes = _attributes(converted)
    _repair_splits(attributes, forest(plain))

    node = helper.make_node(
        "TreeEnsembleRegressor", [INPUT], [OUTPUT], name=OUTPUT, domain="ai.onnx.ml", **dict(sorted(attributes.items()))
    )
    graph = helper.make_graph(
        [node],
        OUTPUT,
        [helper.make_tensor_value_info(INPUT, TensorProto.FLOAT, ["n", columns])],
        [helper.make_tensor_value_info(OUTPUT, TensorProto.FLOAT, ["n", 1])],
    )
    model = helper.make_model(
        graph,
        ir_version=IR_VERSION,
        opset_imports=[helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)],
        producer_name="fraudgate",
    )
    onnx.checker.check_model(model)
    return model.SerializeToString(deterministic=True)


def float32_threshold(threshold: float) -> np.float32:
    """The float32 s for which `x <= s` equals LightGBM's `x <= threshold` for every float32 x.

    That is the largest float32 not above the threshold, except in the band around zero, where LightGBM takes x for
    0: a threshold inside the band has the whole band on one side.
    """
    if 0.0 <= threshold < ZERO_BAND:
        return np.float32(ZERO_BAND)
    if -ZERO_BAND <= threshold < 0.0:
        return np.float32(np.nextafter(np.float32(-ZERO_BAND), np.float32(-np.inf)))
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    if float(nearest) > threshold:
        nearest = np.nextafter(nearest, np.float32(-np.inf))
    return np.float32(nearest)


def missing_goes_left(split: Dumped) -> bool:
    """Where LightGBM sends NaN: by the split's default where it learnt one, else as the value 0."""
    return bool(split["default_left"]) if split["missing_type"] == "NaN" else split["threshold"] >= 0.0


def _refuse_unsupported(text: str) -> None:
    header, _, trees = text.partition("\nTree=0")
    settings = dict(line.partition("=")[::2] for line in header.splitlines())
    if "average_output" in settings:
        raise UnsupportedBooster("a random forest averages its trees; boosting=gbdt sums them")
    if settings["num_tree_per_iteration"] != "1":
        raise UnsupportedBooster(f"{settings['num_tree_per_iteration']} classes; the node gives one log-odds")
    objective = settings.get("objective", "none")
    if objective not in ("regression", "binary sigmoid:1"):
        raise UnsupportedBooster(f"objective {objective!r}; only plain regression or binary with sigmoid 1 is log-odds")
    if re.search(r"^is_linear=1$", trees, re.MULTILINE):
        raise UnsupportedBooster("linear_tree: a leaf must be a constant")
    if re.search(r"^num_cat=[1-9]", trees, re.MULTILINE):
        raise UnsupportedBooster("categorical splits: give the category as numeric features")
    # Bits 2 and 3 of decision_type hold the missing type; 1 is zero_as_missing (tree.h).
    decisions = re.findall(r"^decision_type=(.*)$", trees, re.MULTILINE)
    if any((int(decision) >> 2) & 3 == 1 for line in decisions for decision in line.split()):
        raise UnsupportedBooster("zero_as_missing: the node cannot tell a missing value from zero")


def _attributes(converted: onnx.ModelProto) -> dict[str, Any]:
    nodes = [node for node in converted.graph.node if node.op_type == "TreeEnsembleRegressor"]
    if len(nodes) != 1:
        raise UnsupportedBooster(f"the converter wrote {len(nodes)} tree-ensemble nodes, expected one")
    return {each.name: helper.get_attribute_value(each) for each in nodes[0].attribute}


def _repair_splits(attributes: dict[str, Any], trees: list[Dumped]) -> None:
    """Walk the converter's trees beside LightGBM's dump, and set each split's threshold and way of NaN."""
    at = {key: i for i, key in enumerate(zip(attributes["nodes_treeids"], attributes["nodes_nodeids"], strict=True))}
    values = [0.0] * len(at)
    tracks_true = [0] * len(at)
    for tree, dumped in enumerate(trees):
        stack = [(0, dumped)]
        while stack:
            node, split = stack.pop()
            if "leaf_value" in split:
                continue
            i = at[tree, node]
            values[i] = float(float32_threshold(split["threshold"]))
            tracks_true[i] = int(missing_goes_left(split))
            stack.append((attributes["nodes_truenodeids"][i], split["left_child"]))
            stack.append((attributes["nodes_falsenodeids"][i], split["right_child"]))
    attributes["nodes_values"] = values
    attributes["nodes_missing_value_tracks_true"] = tracks_true
