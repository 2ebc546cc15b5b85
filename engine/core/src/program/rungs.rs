//! Answers the rows of a drain, each on the highest rung that it is admitted to and that stands: the full model for all
//! of them at once, the reduced one for those that are left, the declared default for the rest. Which rows run together
//! shows in no answer.

use super::{Program, Waiting, Whose, rounded};
use crate::{
    admit::Admitted,
    assessment::{Assessment, MadeWith, Tier},
    features::Seen,
    journal::draft::Unsaid,
    ladder::{Admission, Cause},
    model::{Model, Ran, Scores, Size},
    policy::Segment,
    rescore::{Rescore, Spool},
    transaction::{Clock, EventTime, KeyHash},
};

/// Rows that one student is asked for.
#[derive(Default)]
pub(super) struct Rows {
    /// Their places among those that wait.
    places: Vec<usize>,
    rows: Vec<f32>,
    log_odds: Vec<f32>,
    /// By place: what a student said.
    scores: Vec<Option<Scores>>,
}

impl Program {
    /// Answers all that wait, and hands each assessment over, in order; with its row where the cloud is to be asked of it.
    /// Gives how many runs of a student failed.
    pub fn score(
        &mut self,
        now: Clock,
        spool: Spool,
        mut hand_over: impl FnMut(Whose, Option<Unsaid>, Assessment, Option<&[f32]>),
    ) -> u64 {
        if self.waiting.is_empty() {
            return 0;
        }
        self.chosen.scores.clear();
        self.chosen.scores.resize(self.waiting.len(), None);
        let (waiting, rows, chosen) = (&mut self.waiting, &self.rows, &mut self.chosen);
        let mut failures = 0;
        for size in [Size::Full, Size::Reduced] {
            failures += ask(self.model.as_mut(), size, now, waiting, rows, chosen);
        }
        let mut waiting = std::mem::take(&mut self.waiting);
        let width = self.plan.features.len();
        for (place, waiting) in waiting.drain(..).enumerate() {
            let scores = self.chosen.scores[place];
            let assessment = self.assess(&waiting, scores, spool);
            let asks = waiting.asks
                && self
                    .policy
                    .again
                    .as_ref()
                    .is_some_and(|again| again.asks(&assessment.tier));
            let row = asks.then(|| &self.rows[place * width..][..width]);
            hand_over(waiting.whose, waiting.unsaid, assessment, row);
        }
        self.waiting = waiting;
        self.rows.clear();
        failures
    }

    /// Has a row wait for `score` that was seen elsewhere, by keys folded apart; it was taken there.
    pub fn wait_seen(&mut self, whose: Whose, admitted: &Admitted, seen: Seen, row: &[f64]) {
        self.rows.extend(rounded(row));
        let available = self.available(&seen);
        self.waiting.push(Waiting::new(whose, admitted, seen, available));
    }

    /// The same of one that only its row, and what was dropped of it, tell from others: for a program whose default
    /// [is the same for all](crate::policy::Declared::is_the_same_for_all).
    pub fn wait_row(&mut self, place: usize, seen: Seen, dropped: u16, row: &[f32]) {
        self.rows.extend_from_slice(row);
        self.waiting.push(Waiting {
            whose: Whose::Read(place),
            id: KeyHash(0),
            unsaid: None,
            admission: self.available(&seen),
            seen,
            dropped,
            mirror_behind: false,
            asks: false,
            segment: Segment::default(),
            event_time: EventTime(0),
            exposed: None,
        });
    }

    /// What a row would be answered by a model, on the rung that its journaled answer stood on. Leaves no trace but with
    /// the model, which rests if it fails.
    pub(crate) fn would_answer(
        &mut self,
        model: Option<&mut Model>,
        admitted: &Admitted,
        seen: Seen,
        row: &[f32],
    ) -> Assessment {
        // As one that is read and not taken: what is approved blind then has a count of its own, which begins empty.
        self.blind.forget_untaken();
        let mut waiting = [Waiting::new(Whose::Read(0), admitted, seen, Admission::Full)];
        let mut chosen = Rows::default();
        chosen.scores.push(None);
        let mut model = model;
        for size in [Size::Full, Size::Reduced] {
            ask(model.as_deref_mut(), size, Clock(0), &mut waiting, row, &mut chosen);
        }
        let assessment = self.assess(&waiting[0], chosen.scores[0], Spool::None);
        self.blind.forget_untaken();
        assessment
    }

    /// The assessment of a row whose admission says on which rung it stands now.
    fn assess(&mut self, waiting: &Waiting, scores: Option<Scores>, spool: Spool) -> Assessment {
        let tier = match (waiting.admission, scores) {
            (Admission::Full, Some(scores)) => Tier::Full(scores),
            (Admission::Reduced(cause), Some(scores)) => Tier::Reduced(scores, cause),
            (Admission::Default(cause), _) => Tier::Default(waiting.segment, cause),
            (Admission::Full | Admission::Reduced(_), None) => Tier::Default(waiting.segment, Cause::Model),
        };
        let own = match tier {
            Tier::Full(scores) | Tier::Reduced(scores, _) => self.policy.verdict(scores.risk_score),
            Tier::Default(segment, _) => {
                self.blind
                    .verdict(waiting.whose, segment, waiting.event_time, waiting.exposed)
            }
        };
        let (verdict, overridden) = self.policy.overrule(own);
        let rescore = match (&self.policy.again, waiting.whose) {
            (Some(again), Whose::Taken(_)) => Rescore::of(again.why(waiting.id, &tier), spool),
            // What is not journaled is in no spool.
            (None, _) | (_, Whose::Read(_)) => Rescore::Not,
        };
        Assessment {
            verdict,
            policy_verdict: own,
            overridden,
            tier,
            lateness: waiting.seen.lateness,
            missing: waiting.seen.missing,
            incomplete: waiting.seen.incomplete,
            approximate: waiting.seen.approximate,
            dropped: waiting.dropped,
            // Without a model, no feature had a say.
            mirror_behind: waiting.mirror_behind && tier.scores().is_some(),
            rescore,
            made_with: MadeWith {
                program: self.place,
                version: 0,
            },
        }
    }
}

/// Asks a student for those that are admitted to it; who gets no score is admitted one rung lower. Gives how many runs
/// failed.
fn ask(
    model: Option<&mut Model>,
    size: Size,
    now: Clock,
    waiting: &mut [Waiting],
    rows: &[f32],
    chosen: &mut Rows,
) -> u64 {
    let is_for = |admission: Admission| match (size, admission) {
        (Size::Full, Admission::Full) | (Size::Reduced, Admission::Reduced(_)) => true,
        (Size::Full, Admission::Reduced(_)) | (Size::Reduced, Admission::Full) | (_, Admission::Default(_)) => false,
    };
    let Rows {
        places,
        rows: gathered,
        log_odds,
        scores,
    } = chosen;
    places.clear();
    places.extend((0..waiting.len()).filter(|&place| is_for(waiting[place].admission)));
    if places.is_empty() {
        return 0;
    }
    let rows = if places.len() == waiting.len() {
        rows
    } else {
        let width = rows.len() / waiting.len();
        gathered.clear();
        for place in &*places {
            gathered.extend_from_slice(&rows[place * width..][..width]);
        }
        gathered
    };
    let is_there = model
        .as_ref()
        .is_some_and(|model| size == Size::Full || model.has_reduced());
    let (ran, failures) = match model {
        None => (None, 0),
        Some(model) => match model.score(size, now, rows, places.len(), log_odds) {
            Ok(Ran::All) => (Some(&*model), 0),
            Ok(Ran::Not) => (None, 0),
            Err(_) => (None, 1),
        },
    };
    for (i, &place) in places.iter().enumerate() {
        scores[place] = ran.and_then(|model| model.calibrate(size, *log_odds.get(i)?));
        if scores[place].is_none() {
            waiting[place].admission = below(size, waiting[place].admission, is_there);
        }
    }
    failures
}

/// The admission of a row that a student gave no score.
fn below(size: Size, admission: Admission, is_there: bool) -> Admission {
    match (size, admission) {
        (Size::Full, _) => Admission::Reduced(Cause::Model),
        // Where there is no reduced student, what kept it from the full one still holds.
        (Size::Reduced, Admission::Reduced(cause)) if !is_there => Admission::Default(cause),
        (Size::Reduced, _) => Admission::Default(Cause::Model),
    }
}
