"""What is trained: sizes, regularisation and seeds of teacher and student, as frozen values.

Two trainings from equal specs and equal rows give equal bytes, so every LightGBM setting that could break that
(threads, histogram layout, seeds) is fixed here and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

MAX_STUDENT_TREES = 100
MAX_STUDENT_LEAVES = 31
# One: sums then have one order on every machine, and a crowded machine is not slowed by threads that wait.
THREADS = 1


@dataclass(frozen=True)
class TeacherSpec:
    """A forest trained on labels. It never serves at the edge, so its size is bound by training time alone.

    The defaults, and the student's, are what `select` chose among its candidates on the Handbook's weeks before
    2018-07-25: larger and slower teachers ranked no better there.
    max_bin is high and a bin may hold one row: a terminal's fraud risk takes few, telling values.
    min_hessian is the least sum of p(1-p) in a leaf; path_smooth pulls a leaf of few rows towards its parent.
    row_share and feature_share are drawn anew for every tree.
    """

    trees: int = 150
    leaves: int = 8
    depth: int = 3
    learning_rate: float = 0.1
    max_bin: int = 4095
    min_hessian: float = 1.0
    l2: float = 1.0
    path_smooth: float = 0.0
    row_share: float = 1.0
    feature_share: float = 1.0
    seed: int = 1

    def lightgbm(self) -> dict[str, Any]:
        """LightGBM parameters. No average to start from: the trees alone make the score."""
        return _reproducible(self.seed) | {
            "objective": "binary",
            "boost_from_average": False,
            "num_leaves": self.leaves,
            "max_depth": self.depth,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bin,
            "min_data_in_bin": 1,
            "min_data_in_leaf": 1,
            "min_sum_hessian_in_leaf": self.min_hessian,
            "lambda_l2": self.l2,
            "path_smooth": self.path_smooth,
            "bagging_fraction": self.row_share,
            "bagging_freq": 1 if self.row_share < 1.0 else 0,
            "feature_fraction": self.feature_share,
        }


@dataclass(frozen=True)
class StudentSpec:
    """A forest small enough for the edge.

    Raises ValueError beyond 100 trees or 31 leaves: the edge's time budget for one transaction rests on that size.
    """

    trees: int = 100
    leaves: int = 16
    depth: int = 12
    learning_rate: float = 0.2
    max_bin: int = 4095
    min_rows_per_leaf: int = 5
    l2: float = 0.0
    seed: int = 1

    def __post_init__(self) -> None:
        if not 1 <= self.trees <= MAX_STUDENT_TREES:
            raise ValueError(f"trees is {self.trees}; a student has 1 to {MAX_STUDENT_TREES}")
        if not 2 <= self.leaves <= MAX_STUDENT_LEAVES:
            raise ValueError(f"leaves is {self.leaves}; a student's tree has 2 to {MAX_STUDENT_LEAVES}")

    def lightgbm(self) -> dict[str, Any]:
        """LightGBM parameters, without an objective: soft targets and labels need different ones."""
        return _reproducible(self.seed) | {
            "num_leaves": self.leaves,
            "max_depth": self.depth,
            "learning_rate": self.learning_rate,
            "max_bin": self.max_bin,
            "min_data_in_bin": 1,
            "min_data_in_leaf": self.min_rows_per_leaf,
            "lambda_l2": self.l2,
        }


@dataclass(frozen=True)
class ModelSpec:
    """One candidate: the teacher, and the students distilled from it.

    reduced answers where the student cannot. Its default costs a sixth of the student's default a row; on the three
    Handbook weeks before 2018-07-25 its average precision is .698 against .712, and its card precision is no lower.
    """

    name: str = "fraudgate"
    teacher: TeacherSpec = field(default_factory=TeacherSpec)
    student: StudentSpec = field(default_factory=StudentSpec)
    reduced: StudentSpec = field(default_factory=lambda: StudentSpec(trees=20, leaves=8, learning_rate=0.5))


def _reproducible(seed: int) -> dict[str, Any]:
    # force_row_wise: LightGBM otherwise times both histogram layouts and takes the faster, a race between runs.
    return {
        "seed": seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": THREADS,
        "verbosity": -1,
    }
