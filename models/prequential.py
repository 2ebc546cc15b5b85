"""Train on one period, wait for its labels, assess on the next: the protocol of fraud detection in production.

Gets a `TrainingSet` over many weeks, gives the part to train on and the part to assess on. Nothing that was not
known when a transaction was scored may decide whether it is assessed.
Source: Le Borgne et al., Reproducible Machine Learning for Credit Card Fraud Detection, chapters 3 and 5.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from models.training_set import DAY_US, Mask, TrainingSet


@dataclass(frozen=True)
class Fold:
    """Training starts at `training_from_us` (Unix microseconds, a midnight); lengths are whole days."""

    training_from_us: int
    training_days: int = 7
    delay_days: int = 7
    assessed_days: int = 7

    @property
    def training_to_us(self) -> int:
        """The end of training, exclusive: labels of what follows are not known at `assessed_from_us`."""
        return self.training_from_us + self.training_days * DAY_US

    @property
    def assessed_from_us(self) -> int:
        return self.training_to_us + self.delay_days * DAY_US

    @property
    def assessed_to_us(self) -> int:
        return self.assessed_from_us + self.assessed_days * DAY_US

    def earlier(self, weeks: int) -> Fold:
        """The same fold, so many weeks earlier."""
        start = self.training_from_us - weeks * 7 * DAY_US
        return Fold(start, self.training_days, self.delay_days, self.assessed_days)

    def training(self, history: TrainingSet) -> TrainingSet:
        return history.between(self.training_from_us, self.training_to_us)

    def delay(self, history: TrainingSet) -> TrainingSet:
        """Seen before the first assessed transaction, but its labels are not known yet."""
        return history.between(self.training_to_us, self.assessed_from_us)

    def assessed(self, history: TrainingSet) -> TrainingSet:
        """The assessed transactions; see `is_assessed`."""
        return history.where(self.is_assessed(history))

    def is_assessed(self, history: TrainingSet) -> Mask:
        """Which transactions are assessed, bool [n]: those of the period, without cards known to be defrauded by then.

        Known on an assessed day are the frauds of the training period, and those of the days from the first
        assessed day up to this one, each seen one day more than the delay ago.
        """
        known = np.unique(self.training(history).card[self.training(history).fraud])
        chosen = np.zeros(len(history), dtype=np.bool_)
        for day in range(self.assessed_days):
            midnight_us = self.assessed_from_us + day * DAY_US
            labelled_us = midnight_us - (self.delay_days + 1) * DAY_US
            labelled = history.between(labelled_us, labelled_us + DAY_US)
            known = np.union1d(known, labelled.card[labelled.fraud])
            today = (history.event_time_us >= midnight_us) & (history.event_time_us < midnight_us + DAY_US)
            chosen |= today & ~np.isin(history.card, known)
        return chosen
