"""Reads a served model's tree-ensemble node back, from nothing but its own attributes.

This is the ONNX side of the certificate, and it knows the smallest and largest score the model can give.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import helper

from models.training_set import Rows

LeafNumbers = npt.NDArray[np.int32]


class EnsembleError(ValueError):
    """The ONNX model is not one tree-ensemble node of `x <= threshold` splits and summed leaves."""


@dataclass(frozen=True)
class Leaf:
    value: float


@dataclass(frozen=True)
class Split:
    """x <= threshold goes left, in float32; NaN goes left where `missing_left`."""

    feature: int
    threshold: np.float32
    missing_left: bool
    left: Split | Leaf
    right: Split | Leaf


Tree = Split | Leaf


@dataclass(frozen=True)
class Ensemble:
    trees: tuple[Tree, ...]

    def lowest(self) -> float:
        """The smallest score that any row can get, in log-odds."""
        return sum(min(leaf.value for leaf in leaves(tree)) for tree in self.trees)

    def highest(self) -> float:
        """The largest score that any row can get, in log-odds."""
        return sum(max(leaf.value for leaf in leaves(tree)) for tree in self.trees)

    def walk(self, rows: Rows) -> LeafNumbers:
        """The leaf of each row in each tree, [n, trees]; a tree's leaves are numbered from the left, from 0."""
        columns = np.ascontiguousarray(rows.T)
        numbers = np.empty((len(self.trees), len(rows)), dtype=np.int32)
        for tree, root in enumerate(self.trees):
            next_number = 0
            stack: list[tuple[Tree, npt.NDArray[np.intp]]] = [(root, np.arange(len(rows)))]
            while stack:
                node, here = stack.pop()
                if isinstance(node, Leaf):
                    numbers[tree, here] = next_number
                    next_number += 1
                else:
                    x = columns[node.feature, here]
                    left = (x <= node.threshold) | (np.isnan(x) & node.missing_left)
                    stack += [(node.right, here[~left]), (node.left, here[left])]
        return numbers.T


def leaves(tree: Tree) -> Iterator[Leaf]:
    """From the left."""
    if isinstance(tree, Leaf):
        yield tree
    else:
        yield from leaves(tree.left)
        yield from leaves(tree.right)


def read_ensemble(model: bytes) -> Ensemble:
    """Raises EnsembleError when `model` (ONNX bytes) holds anything but what `export` writes."""
    nodes = onnx.load_model_from_string(model).graph.node
    if [node.op_type for node in nodes] != ["TreeEnsembleRegressor"]:
        raise EnsembleError(f"expected one TreeEnsembleRegressor node, found {[node.op_type for node in nodes]}")
    node = {each.name: helper.get_attribute_value(each) for each in nodes[0].attribute}
    expected = {"n_targets": 1, "post_transform": b"NONE", "aggregate_function": b"SUM"}
    for name, value in expected.items():
        if node.get(name, value) != value:
            raise EnsembleError(f"{name} is {node[name]!r}, expected {value!r}")
    if "base_values" in node:
        raise EnsembleError("base_values: the leaves alone must make the score")
    if not set(node["nodes_modes"]) <= {b"LEAF", b"BRANCH_LEQ"}:
        raise EnsembleError(f"modes {sorted(set(node['nodes_modes']))}, expected LEAF and BRANCH_LEQ")

    at = {key: i for i, key in enumerate(zip(node["nodes_treeids"], node["nodes_nodeids"], strict=True))}
    keys = zip(node["target_treeids"], node["target_nodeids"], strict=True)
    value_of = dict(zip(keys, node["target_weights"], strict=True))

    def subtree(tree: int, number: int) -> Tree:
        i = at[tree, number]
        if node["nodes_modes"][i] == b"LEAF":
            return Leaf(value_of[tree, number])
        return Split(
            feature=node["nodes_featureids"][i],
            threshold=np.float32(node["nodes_values"][i]),
            missing_left=bool(node["nodes_missing_value_tracks_true"][i]),
            left=subtree(tree, node["nodes_truenodeids"][i]),
            right=subtree(tree, node["nodes_falsenodeids"][i]),
        )

    return Ensemble(tuple(subtree(tree, 0) for tree in sorted(set(node["nodes_treeids"]))))
