"""A LightGBM booster's trees, as it compares and not quite as it dumps them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import lightgbm

Dumped = dict[str, Any]


def forest(booster: lightgbm.Booster) -> list[Dumped]:
    """The root of each tree in the form of `dump_model`, with the thresholds of the model's text.

    The dump writes a threshold of infinity as 1e300. Such a split parts missing values from all others, +inf
    among them, and 1e300 would send +inf the other way.
    """
    texts = re.findall(r"^threshold=(.*)$", booster.model_to_string(), re.MULTILINE)
    trees = [tree["tree_structure"] for tree in booster.dump_model()["tree_info"]]
    split_trees = [tree for tree in trees if "leaf_value" not in tree]
    for tree, text in zip(split_trees, (text for text in texts if text), strict=True):
        thresholds = [float(number) for number in text.split()]
        for split in splits(tree):
            split["threshold"] = thresholds[split["split_index"]]
    return trees


def splits(tree: Dumped) -> Iterator[Dumped]:
    """From the root, left before right."""
    if "leaf_value" not in tree:
        yield tree
        yield from splits(tree["left_child"])
        yield from splits(tree["right_child"])


def leaves(tree: Dumped) -> Iterator[tuple[int, float]]:
    """(leaf index, leaf value), from the left."""
    if "leaf_value" in tree:
        yield tree.get("leaf_index", 0), tree["leaf_value"]
    else:
        yield from leaves(tree["left_child"])
        yield from leaves(tree["right_child"])
