//! What assessments say, column by column: members of enums by their numbers, scores, and lists of names, most of them empty.

use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int8Array, ListArray, StringArray,
    builder::{ArrayBuilder, StringBuilder},
};
use arrow_buffer::{BooleanBuffer, NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field};
use fraudgate_core::{
    assessment::{Assessment, Numbers, Version},
    features::FeatureSet,
    model::Scores,
    wire,
};

use super::TableError;

/// The columns that hold members of the wire's enums by number, and their words by number, as plans and tables write them:
/// in lower case and without prefix. What is unspecified has none.
pub fn words() -> Vec<(&'static str, Vec<String>)> {
    macro_rules! words {
        ($kind:ty, $prefix:literal) => {
            (0..)
                .map_while(|number| <$kind>::try_from(number).ok())
                .map(|member| match member as i32 {
                    0 => String::new(),
                    _ => member
                        .as_str_name()
                        .trim_start_matches($prefix)
                        .to_ascii_lowercase(),
                })
                .collect()
        };
    }
    vec![
        ("kind", words!(wire::Kind, "KIND_")),
        ("verdict", words!(wire::Verdict, "VERDICT_")),
        ("policy_verdict", words!(wire::Verdict, "VERDICT_")),
        ("override", words!(wire::Override, "OVERRIDE_")),
        ("tier", words!(wire::Tier, "TIER_")),
        ("cause", words!(wire::Cause, "CAUSE_")),
        ("lateness", words!(wire::Lateness, "LATENESS_")),
    ]
}

/// Columns as they grow.
pub(super) struct Said {
    verdicts: Members,
    policy_verdicts: Members,
    overrides: Members,
    tiers: Members,
    causes: Members,
    latenesses: Members,
    fraud_probabilities: Vec<f64>,
    risk_scores: Vec<f64>,
    /// Whether a model spoke.
    scored: Vec<bool>,
    missing: Names,
    incomplete: Names,
    dropped: Names,
}

/// Members of an enum of the wire, by number; unspecified is null.
struct Members(Vec<i8>);

/// Lists of names.
struct Names {
    names: StringBuilder,
    ends: Vec<i32>,
}

impl Said {
    /// Room for so many.
    pub fn new(rows: usize) -> Said {
        let members = || Members(Vec::with_capacity(rows));
        Said {
            verdicts: members(),
            policy_verdicts: members(),
            overrides: members(),
            tiers: members(),
            causes: members(),
            latenesses: members(),
            fraud_probabilities: Vec::with_capacity(rows),
            risk_scores: Vec::with_capacity(rows),
            scored: Vec::with_capacity(rows),
            missing: Names::new(rows),
            incomplete: Names::new(rows),
            dropped: Names::new(rows),
        }
    }

    /// One as it is remembered; `version` is the one it was made with.
    pub fn push(&mut self, assessment: &Assessment, version: &Version) {
        self.numbers(&assessment.numbers());
        self.scores(assessment.tier.scores());
        self.missing.push_set(&assessment.missing, version);
        self.incomplete.push_set(&assessment.incomplete, version);
        self.dropped.push(assessment.dropped_attributes(version));
    }

    /// One as it is sent.
    pub fn push_sent(&mut self, assessment: &wire::Assessment) {
        self.numbers(&Numbers {
            verdict: assessment.verdict,
            policy_verdict: assessment.policy_verdict,
            r#override: assessment.r#override,
            tier: assessment.tier,
            cause: assessment.cause,
            lateness: assessment.lateness,
        });
        let scores = assessment.fraud_probability.zip(assessment.risk_score);
        self.scores(scores.map(|(fraud_probability, risk_score)| Scores {
            fraud_probability,
            risk_score,
        }));
        self.missing.push(assessment.missing_features.iter());
        self.incomplete.push(assessment.incomplete_features.iter());
        self.dropped.push(assessment.dropped_attributes.iter());
    }

    fn numbers(&mut self, numbers: &Numbers) {
        for (members, number) in [
            (&mut self.verdicts, numbers.verdict),
            (&mut self.policy_verdicts, numbers.policy_verdict),
            (&mut self.overrides, numbers.r#override),
            (&mut self.tiers, numbers.tier),
            (&mut self.causes, numbers.cause),
            (&mut self.latenesses, numbers.lateness),
        ] {
            // The wire's enums have a handful of members.
            members.0.push(number as i8);
        }
    }

    fn scores(&mut self, scores: Option<Scores>) {
        self.scored.push(scores.is_some());
        self.fraud_probabilities
            .push(scores.map_or(0.0, |scores| scores.fraud_probability));
        self.risk_scores.push(scores.map_or(0.0, |scores| scores.risk_score));
    }

    /// Gives each column its name.
    pub fn finish(self, put: &mut impl FnMut(&str, ArrayRef)) -> Result<(), TableError> {
        put("verdict", self.verdicts.finish());
        put("policy_verdict", self.policy_verdicts.finish());
        put("override", self.overrides.finish());
        put("tier", self.tiers.finish());
        put("cause", self.causes.finish());
        put("lateness", self.latenesses.finish());
        let scored = nulls(self.scored.len(), |row| self.scored[row]);
        for (name, values) in [
            ("fraud_probability", self.fraud_probabilities),
            ("risk_score", self.risk_scores),
        ] {
            put(name, Arc::new(Float64Array::new(values.into(), scored.clone())));
        }
        put("missing_features", self.missing.finish()?);
        put("incomplete_features", self.incomplete.finish()?);
        put("dropped_attributes", self.dropped.finish()?);
        Ok(())
    }
}

impl Members {
    fn finish(self) -> ArrayRef {
        let specified = nulls(self.0.len(), |row| self.0[row] != 0);
        Arc::new(Int8Array::new(self.0.into(), specified))
    }
}

impl Names {
    fn new(rows: usize) -> Names {
        let mut ends = Vec::with_capacity(rows + 1);
        ends.push(0);
        Names {
            names: StringBuilder::new(),
            ends,
        }
    }

    #[inline]
    fn push<'a>(&mut self, names: impl Iterator<Item = &'a String>) {
        names.for_each(|name| self.names.append_value(name));
        self.ends.push(self.names.len() as i32);
    }

    /// Most sets are empty.
    #[inline]
    fn push_set(&mut self, set: &FeatureSet, version: &Version) {
        match set.is_empty() {
            true => self.push(std::iter::empty()),
            false => self.push(set.iter().map(|feature| &version.features[feature])),
        }
    }

    fn finish(mut self) -> Result<ArrayRef, TableError> {
        let names: StringArray = self.names.finish();
        let element = Arc::new(Field::new("item", DataType::Utf8, true));
        let lists = ListArray::try_new(element, OffsetBuffer::new(self.ends.into()), Arc::new(names), None);
        Ok(Arc::new(lists.map_err(|error| TableError(error.to_string()))?))
    }
}

/// Which rows hold a value; none where all do.
fn nulls(rows: usize, holds: impl FnMut(usize) -> bool) -> Option<NullBuffer> {
    let held = NullBuffer::new(BooleanBuffer::collect_bool(rows, holds));
    (held.null_count() > 0).then_some(held)
}
