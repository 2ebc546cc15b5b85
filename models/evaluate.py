"""How well scores rank frauds: what an assessed period gives for one set of scores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn.metrics import average_precision_score, roc_auc_score

from models.training_set import DAY_US, Scores, TrainingSet

DEFAULT_CARDS_A_DAY = 100


@dataclass(frozen=True)
class Detection:
    """Area under the ROC curve, average precision, and card precision at 100; all in 0..1, higher is better."""

    auc: float
    average_precision: float
    card_precision: float


def detection(assessed: TrainingSet, scores: Scores, cards_a_day: int = DEFAULT_CARDS_A_DAY) -> Detection:
    """The three measures of `scores` ([n], higher is more suspect) over the assessed transactions.

    Raises ValueError when the period holds no fraud, or nothing but fraud: then none of them is defined.
    """
    if assessed.fraud.all() or not assessed.fraud.any():
        raise ValueError("detection needs frauds and genuine transactions in the assessed period")
    return Detection(
        auc=float(roc_auc_score(assessed.fraud, scores)),
        average_precision=float(average_precision_score(assessed.fraud, scores)),
        card_precision=card_precision(assessed, scores, cards_a_day),
    )


def card_precision(assessed: TrainingSet, scores: Scores, cards_a_day: int = DEFAULT_CARDS_A_DAY) -> float:
    """The share of true finds when investigators look at the `cards_a_day` most suspect cards each UTC day.

    A card's score is its highest of the day; it is a find when any of its transactions that day is a fraud, and a
    found card is blocked: it does not come up on later days. The mean over days that saw a transaction. Equal
    scores go by the order of the cards' first transaction of the day, so the figure is reproducible.
    Source: Le Borgne et al., Reproducible Machine Learning for Credit Card Fraud Detection, chapter 4.
    """
    day = assessed.event_time_us // DAY_US
    _, entity = np.unique(assessed.card, return_inverse=True)
    blocked = np.zeros(entity.max() + 1, dtype=np.bool_)
    precisions = []
    for today in np.unique(day):
        rows = np.flatnonzero((day == today) & ~blocked[entity])
        cards, first, position = np.unique(entity[rows], return_index=True, return_inverse=True)
        highest = np.full(len(cards), -np.inf)
        np.maximum.at(highest, position, scores[rows])
        defrauded = np.zeros(len(cards), dtype=np.bool_)
        np.logical_or.at(defrauded, position, assessed.fraud[rows])
        looked_at = np.lexsort((first, -highest))[:cards_a_day]
        found = looked_at[defrauded[looked_at]]
        precisions.append(len(found) / cards_a_day)
        blocked[cards[found]] = True
    return float(np.mean(precisions))
