//! What each answer must be, predicted from the list of what was accepted before.

use fraudgate_core::{
    admit::{Admitted, AdmittedErasure, Mode},
    refusal::Refusal,
    road::{Answer, Asked},
    transaction::{Clock, EventTime},
    wire,
};
use prost::Message;

use super::{Checked, Truth, must};
use crate::{
    brute::{Comes, Value},
    scenario::{Row, Rows, Scenario, calibrated, log_odds},
};

impl Truth {
    /// Compares the answers to a drain with what they must be, and takes note of what was accepted.
    pub fn drained(
        &mut self,
        scenario: &Scenario,
        (clock, epoch): (Clock, u64),
        asked: &[Asked],
        answers: &[Answer],
        rows: &Rows,
    ) -> Checked {
        if asked.len() != answers.len() {
            return Err(format!("{} answers to {} inputs", answers.len(), asked.len()));
        }
        let mut rows = rows.take();
        let began = self.entries.len();
        let mut takes = None;
        for (asked, answer) in asked.iter().zip(answers) {
            let taken = self
                .answered(scenario, (clock, epoch), asked, answer, &mut rows)
                .map_err(|wrong| format!("input {}: {wrong}", self.newest() + 1))?;
            if let Some(taken) = taken
                && takes.replace(taken).is_some_and(|before| before != taken)
            {
                return Err("one drain took a part of its inputs and was full for others".to_owned());
            }
        }
        if !rows.is_empty() {
            return Err("a row was scored for nobody".to_owned());
        }
        if self.entries.len() > began
            && let Some(last) = self.entries.last_mut()
        {
            last.ends_drain = true;
        }
        Ok(())
    }

    /// One answer. Gives whether the input was taken, where that was the journal's to say.
    fn answered(
        &mut self,
        scenario: &Scenario,
        (clock, epoch): (Clock, u64),
        asked: &Asked,
        answer: &Answer,
        rows: &mut Vec<Row>,
    ) -> Result<Option<bool>, String> {
        let ahead = |time: EventTime| scenario.ahead_us.is_some_and(|ahead| time.0 - clock.0 > ahead);
        let full = matches!(answer, Answer::Refused(Refusal::JournalFull));
        match asked {
            // No client here is a stream whose answers nobody waits for.
            Asked::Refused(_) | Asked::Passed(_) => {
                self.seen.refused += 1;
                must(matches!(answer, Answer::Refused(_)), "a refused input was answered")?;
                Ok(None)
            }
            Asked::Transaction(admitted) => {
                if let Some(place) = self.find(admitted) {
                    self.known_again(place, admitted, answer)?;
                    return Ok(None);
                }
                if ahead(admitted.transaction.event_time) {
                    self.seen.refused += 1;
                    must(
                        matches!(answer, Answer::Refused(Refusal::TooFarAhead(_))),
                        "an event ahead of the clock was taken",
                    )?;
                    return Ok(None);
                }
                if full && admitted.mode == Mode::Fold {
                    return Ok(Some(false));
                }
                let Answer::Decision(decision) = answer else {
                    return Err(format!("refused for no reason: {answer:?}"));
                };
                let receipt = decision.receipt.ok_or("a decision without a receipt")?;
                if admitted.mode == Mode::Score {
                    let place = rows
                        .iter()
                        .position(|(program, _)| *program == usize::from(admitted.program));
                    let (_, row) = place.map(|place| rows.remove(place)).ok_or("it was not scored")?;
                    let assessment = decision.assessment.as_ref().ok_or("no assessment")?;
                    self.assessed(admitted, assessment, &row)?;
                } else {
                    must(decision.assessment.is_none(), "a fold was assessed")?;
                }
                if receipt.sequence == 0 {
                    self.seen.unfolded += 1;
                    must(
                        receipt.durability() == wire::Durability::NotTaken,
                        "no sequence, and a durability",
                    )?;
                    return Ok(Some(false));
                }
                self.receipt(&receipt, clock, epoch)?;
                self.brutes[usize::from(admitted.program)].fold(&admitted.transaction);
                let assessment = decision.assessment.as_ref().map(Message::encode_to_vec);
                self.accept(scenario, asked, assessment, epoch);
                Ok(Some(true))
            }
            Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) | Asked::Erasure(_) if full => Ok(Some(false)),
            Asked::Label(label) if ahead(label.label.event_time) => self.ahead(answer),
            Asked::Outcome(outcome) if ahead(outcome.subject.event_time) => self.ahead(answer),
            Asked::Erasure(erasure) => {
                self.erased(erasure, answer, (clock, epoch))?;
                self.accept(scenario, asked, None, epoch);
                Ok(Some(true))
            }
            Asked::Label(_) | Asked::Outcome(_) | Asked::Rescored(_) => {
                let Answer::Receipt(receipt) = answer else {
                    return Err(format!("refused for no reason: {answer:?}"));
                };
                self.receipt(receipt, clock, epoch)?;
                if let Asked::Label(label) = asked
                    && label.folds
                {
                    self.brutes[usize::from(label.program)].label(&label.label);
                }
                self.accept(scenario, asked, None, epoch);
                Ok(Some(true))
            }
        }
    }

    /// The answer to an erasure.
    fn erased(&mut self, erasure: &AdmittedErasure, answer: &Answer, (clock, epoch): (Clock, u64)) -> Checked {
        let Answer::Erased(erased) = answer else {
            return Err(format!("refused for no reason: {answer:?}"));
        };
        self.receipt(&erased.receipt.ok_or("an erasure without a receipt")?, clock, epoch)?;
        self.seen.erased += u64::from(erased.held);
        self.brutes[usize::from(erasure.program)].erase(usize::from(erasure.entity), erasure.key);
        Ok(())
    }

    fn ahead(&mut self, answer: &Answer) -> Result<Option<bool>, String> {
        self.seen.refused += 1;
        let refused = matches!(answer, Answer::Refused(Refusal::TooFarAhead(_)));
        must(refused, "something ahead of the clock was taken")?;
        Ok(None)
    }

    /// A new input's receipt.
    fn receipt(&self, receipt: &wire::Receipt, clock: Clock, epoch: u64) -> Checked {
        let expected = (self.newest() + 1, epoch, false, clock.0);
        let told = (
            receipt.sequence,
            receipt.epoch,
            receipt.replayed,
            receipt.received_at_us,
        );
        must(
            told == expected,
            &format!("its receipt says {told:?} and must say {expected:?}"),
        )
    }

    /// The answer to an id that is known.
    fn known_again(&mut self, place: usize, admitted: &Admitted, answer: &Answer) -> Checked {
        let entry = &self.entries[place];
        let Asked::Transaction(first) = &entry.input else {
            return Err("an id of what is no transaction".to_owned());
        };
        if first.payload != admitted.payload {
            self.seen.reused += 1;
            let refused = matches!(answer, Answer::Refused(Refusal::IdReused));
            return must(refused, "a known id was taken with another payload");
        }
        self.seen.replayed += 1;
        let Answer::Decision(decision) = answer else {
            return Err(format!("a retransmission was refused: {answer:?}"));
        };
        let receipt = decision.receipt.ok_or("a decision without a receipt")?;
        let sequence = self.before + place as u64 + 1;
        let told = (receipt.replayed, receipt.sequence, receipt.epoch);
        let expected = (true, sequence, entry.epoch);
        must(
            told == expected,
            &format!("the receipt of a retransmission says {told:?} and must say {expected:?}"),
        )?;
        let again = decision.assessment.as_ref().map(Message::encode_to_vec);
        must(
            again == entry.assessment,
            "a retransmission got another answer than the first one",
        )
    }

    /// A transaction's features and all that follows from them.
    fn assessed(&mut self, admitted: &Admitted, told: &wire::Assessment, row: &[f32]) -> Checked {
        let brute = &self.brutes[usize::from(admitted.program)];
        let expected = brute.row(&admitted.transaction);
        must(expected.len() == row.len(), "the row has another length")?;
        for ((name, (expected, approximate)), &value) in brute.names().zip(expected).zip(row) {
            self.seen.features += 1;
            let listed = |names: &[String]| names.iter().any(|listed| listed == name);
            let found = if listed(&told.incomplete_features) {
                Value::Incomplete
            } else if listed(&told.missing_features) {
                Value::Missing
            } else {
                Value::Is(value)
            };
            if found != expected || matches!(found, Value::Is(_)) == value.is_nan() {
                return Err(format!(
                    "feature {name} is {found:?} ({value}) and must be {expected:?}"
                ));
            }
            self.seen.approximate += u64::from(approximate);
            self.seen.incomplete += u64::from(expected == Value::Incomplete);
            must(
                listed(&told.approximate_features) == approximate,
                &format!("feature {name} is told to be approximate, or is and is not told to be"),
            )?;
        }
        let comes = match told.lateness() {
            wire::Lateness::Unspecified => Comes::InOrder,
            wire::Lateness::Late => Comes::Late,
            wire::Lateness::Beyond => Comes::Beyond,
        };
        let expected = brute.comes(&admitted.transaction);
        self.seen.late += u64::from(expected != Comes::InOrder);
        must(
            comes == expected,
            &format!("it is said to come {comes:?} and comes {expected:?}"),
        )?;
        let (probability, risk) = calibrated(log_odds(row));
        let (told_probability, told_risk) = (told.fraud_probability(), told.risk_score());
        let close = (probability - told_probability).abs() < 1e-9 && (risk - told_risk).abs() < 1e-9;
        must(close, "its score is not what the model says of its row")?;
        let verdict = match told_risk {
            80.0.. => wire::Verdict::Decline,
            50.0.. => wire::Verdict::Challenge,
            _ => wire::Verdict::Approve,
        };
        must(
            told.verdict() == verdict,
            "its verdict is not what the policy says of its score",
        )
    }
}
