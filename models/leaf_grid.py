"""Rounds a forest's leaves to a grid on which float32 sums are exact.

LightGBM adds doubles, ONNX Runtime adds float32. On the grid no addition rounds, so the two agree to the bit, and
neither the order of the trees nor the size of a batch can show in a score.
"""

from __future__ import annotations

import math

import lightgbm

from models.forest import forest, leaves

FLOAT32_SIGNIFICANT_BITS = 24


def on_leaf_grid(booster: lightgbm.Booster) -> lightgbm.Booster:
    """A copy whose leaves are multiples of one power of two, chosen so that every partial sum fits float32.

    With S the sum over trees of the largest leaf by size, the step is at most S / 2^22 and a leaf moves by at most
    half a step: with S = 16 by 2e-6 log-odds, far below what a tree can learn.
    """
    settled = lightgbm.Booster(model_str=booster.model_to_string())
    trees = [list(leaves(tree)) for tree in forest(settled)]
    largest_sum = sum(max(abs(value) for _, value in tree) for tree in trees)
    if largest_sum == 0.0:
        return settled
    # One bit to spare: rounding may lift the largest sum a little above the power of two that bounds it.
    step = 2.0 ** (math.ceil(math.log2(largest_sum)) - FLOAT32_SIGNIFICANT_BITS + 1)
    for number, tree in enumerate(trees):
        for leaf, value in tree:
            settled.set_leaf_output(number, leaf, round(value / step) * step)
    return settled
