"""The export's certificate: the ONNX node answers as LightGBM does, leaf by leaf.

Gets the booster, the ONNX bytes and rows; walks the node's own attributes beside LightGBM's `pred_leaf`, and runs
ONNX Runtime beside LightGBM's raw score. LightGBM is the oracle throughout.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import chain

import lightgbm
import numpy as np

from models.ensemble import Ensemble, Leaf, LeafNumbers, Tree, read_ensemble
from models.forest import Dumped, forest, leaves
from models.scorer import Scorer
from models.teacher import log_odds
from models.training_set import Rows

TOLERANCE = 1e-6

# Rows checked at a time: LightGBM answers in float64, 800 bytes a row for 100 trees.
PART = 65_536


class CertificateError(ValueError):
    """ONNX and LightGBM answer differently; the message names the row, the tree and the threshold."""


@dataclass(frozen=True)
class Certificate:
    """What was proven.

    rows: given rows. edge_rows: rows made to stand on thresholds, beside them, or without a value.
    splits_reached: splits that an edge row stood on, of `splits`.
    max_difference: between ONNX Runtime's and LightGBM's score, in log-odds, over all rows.
    """

    rows: int
    edge_rows: int
    trees: int
    splits: int
    splits_reached: int
    max_difference: float


def certify(booster: lightgbm.Booster, model: bytes, rows: Rows) -> Certificate:
    """Prove that `model` (ONNX bytes) puts every row in the leaf that `booster` puts it in, in every tree.

    rows: float32 [n, f], n >= 1, all rows the student was trained on. To them come, for each split that one of
    them reaches, copies of that row which stand on the threshold, on the next float32 below and above, and which
    hold NaN, infinities and what LightGBM takes for zero.
    Scores must agree within 1e-6, however large they are: `on_leaf_grid` makes float32 sums exact.
    Raises CertificateError at the first difference.
    """
    trees = forest(booster)
    ensemble = read_ensemble(model)
    if len(trees) != len(ensemble.trees):
        raise CertificateError(f"LightGBM has {len(trees)} trees, ONNX has {len(ensemble.trees)}")
    for number, (dumped, tree) in enumerate(zip(trees, ensemble.trees, strict=True)):
        _same_shape(dumped, tree, f"tree {number}")

    oracle = _Oracle(booster, trees, ensemble, Scorer(model))
    reached, difference = oracle.agree(rows, "row")
    edges, splits_reached = _edge_rows(trees, rows, reached)
    edge_difference = 0.0
    if len(edges):
        _, edge_difference = oracle.agree(edges, "edge row")
    return Certificate(
        rows=len(rows),
        edge_rows=len(edges),
        trees=len(trees),
        splits=sum(len(list(leaves(dumped))) - 1 for dumped in trees),
        splits_reached=splits_reached,
        max_difference=max(difference, edge_difference),
    )


@dataclass(frozen=True)
class _Oracle:
    booster: lightgbm.Booster
    trees: list[Dumped]
    ensemble: Ensemble
    scorer: Scorer

    def agree(self, rows: Rows, kind: str) -> tuple[LeafNumbers, float]:
        """The rows' leaves, int32 [n, trees], numbered from the left, and the largest difference of scores."""
        parts = [self._agree(rows[first : first + PART], kind, first) for first in range(0, len(rows), PART)]
        return np.concatenate([reached for reached, _ in parts]), max(difference for _, difference in parts)

    def _agree(self, rows: Rows, kind: str, first: int) -> tuple[LeafNumbers, float]:
        expected = np.asarray(self.booster.predict(rows, pred_leaf=True)).reshape(len(rows), -1).astype(np.int32)
        for tree, dumped in enumerate(self.trees):
            expected[:, tree] = _from_left(dumped)[expected[:, tree]]
        walked = self.ensemble.walk(rows)
        if not np.array_equal(walked, expected):
            row, tree = (int(i) for i in np.argwhere(walked != expected)[0])
            parted = _parting(self.trees[tree], int(expected[row, tree]), int(walked[row, tree]))
            raise CertificateError(
                f"{kind} {first + row}, tree {tree}: LightGBM reaches leaf {expected[row, tree]} from the left, "
                f"ONNX leaf {walked[row, tree]}; they part at feature {parted['split_feature']}, threshold "
                f"{parted['threshold']!r}, where the row has {float(rows[row, parted['split_feature']])!r}"
            )
        difference = np.abs(self.scorer.log_odds(rows).astype(np.float64) - log_odds(self.booster, rows))
        worst = int(np.argmax(difference))
        if not difference[worst] <= TOLERANCE:  # so written, a NaN fails too
            raise CertificateError(
                f"{kind} {first + worst}: same leaves in all trees, but scores differ by {difference[worst]:.3g} "
                f"log-odds where {TOLERANCE} is allowed; put the booster on the leaf grid before export"
            )
        return expected, float(difference[worst])


def _same_shape(dumped: Dumped, tree: Tree, where: str) -> None:
    if isinstance(tree, Leaf) != ("leaf_value" in dumped):
        raise CertificateError(f"{where}: a leaf in one of LightGBM and ONNX is a split in the other")
    if not isinstance(tree, Leaf):
        if tree.feature != dumped["split_feature"]:
            raise CertificateError(
                f"{where}: threshold {dumped['threshold']!r} is of feature {dumped['split_feature']} in LightGBM, "
                f"of feature {tree.feature} in ONNX"
            )
        _same_shape(dumped["left_child"], tree.left, where)
        _same_shape(dumped["right_child"], tree.right, where)


def _from_left(dumped: Dumped) -> LeafNumbers:
    """LightGBM's leaf index to the leaf's number from the left."""
    indices = [index for index, _ in leaves(dumped)]
    return np.argsort(indices).astype(np.int32)


def _parting(dumped: Dumped, one: int, other: int) -> Dumped:
    """The split under which two leaves (numbers from the left) lie on different sides."""
    left = len(list(leaves(dumped["left_child"])))
    if (one < left) != (other < left):
        return dumped
    if one < left:
        return _parting(dumped["left_child"], one, other)
    return _parting(dumped["right_child"], one - left, other - left)


def _edge_rows(trees: list[Dumped], rows: Rows, reached: LeafNumbers) -> tuple[Rows, int]:
    """Copies of rows that reach a split, moved onto its edge. A copy still reaches the split: its threshold lies
    between those of the same feature above it."""
    bases: list[int] = []
    features: list[int] = []
    values: list[np.float32] = []
    splits_reached = 0
    for tree, dumped in enumerate(trees):
        occupied, first_row = np.unique(reached[:, tree], return_index=True)
        for split, from_leaf, to_leaf in _splits_over_leaves(dumped, 0):
            i = np.searchsorted(occupied, from_leaf)
            if i == len(occupied) or occupied[i] >= to_leaf:
                continue
            splits_reached += 1
            edge = _edge_values(split["threshold"])
            bases += [int(first_row[i])] * len(edge)
            features += [split["split_feature"]] * len(edge)
            values += edge
    edges = rows[bases]
    edges[np.arange(len(edges)), features] = values
    return edges, splits_reached


def _splits_over_leaves(dumped: Dumped, from_leaf: int) -> Iterator[tuple[Dumped, int, int]]:
    """Each split with the leaves under it, [from, to) numbered from the left."""
    if "leaf_value" in dumped:
        return
    left = from_leaf + len(list(leaves(dumped["left_child"])))
    to_leaf = left + len(list(leaves(dumped["right_child"])))
    yield dumped, from_leaf, to_leaf
    yield from chain(
        _splits_over_leaves(dumped["left_child"], from_leaf), _splits_over_leaves(dumped["right_child"], left)
    )


def _edge_values(threshold: float) -> list[np.float32]:
    up, down = np.float32(np.inf), np.float32(-np.inf)
    with np.errstate(over="ignore"):
        nearest = np.float32(threshold)
    zero, zero_ends_at = np.float32(0.0), np.float32(1e-35)
    return [
        nearest,
        np.nextafter(nearest, down),
        np.nextafter(nearest, up),
        np.float32(np.nan),
        down,
        up,
        zero,
        -zero_ends_at,
        zero_ends_at,
    ]
