//! What is journaled against what comes out again: the same to the bit, the first difference by name, or why nobody can tell.

use fraudgate_core::{
    admit::Admitted,
    assessment::{Assessment, Tier, Version},
    features::{FeatureSet, Seen},
    journal::record::Scored,
    model::hex,
    replay::Replay,
};
use prost::Message;
use serde_json::{Value, json};

use super::{super::JournalError, models::Shelf, told::Stated};

/// How something stands to what is journaled of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Again {
    /// The same, to the bit.
    Same,
    /// Another; the first difference.
    Differs { name: String, was: Value, is: Value },
    /// It cannot be computed again.
    Unknown { why: String },
}

impl Again {
    pub fn to_json(&self) -> Value {
        match self {
            Again::Same => json!({"result": "same"}),
            Again::Differs { name, was, is } => json!({"result": "differs", "name": name, "was": was, "is": is}),
            Again::Unknown { why } => json!({"result": "unknown", "why": why}),
        }
    }
}

/// How features and answer of one transaction come out again.
pub(super) struct Outcome {
    pub features: Again,
    /// `None` where no models are asked.
    pub assessment: Option<Again>,
}

/// Computes a transaction again, which comes next in a replay under the plan and the policy that it was answered with.
/// `beginning` is the sequence of the first input that is replayed; what was before is known to nobody.
pub(super) fn again(
    replay: &mut Replay,
    shelf: Option<&mut Shelf>,
    stated: &Stated,
    beginning: u64,
    (admitted, scored): (&Admitted, &Scored),
    row: &mut Vec<f32>,
) -> Result<Outcome, JournalError> {
    let Some(seen) = replay.would_see(admitted, row) else {
        let why = || "its program's plan is another than the one that is replayed".to_owned();
        return Ok(Outcome {
            features: Again::Unknown { why: why() },
            assessment: Some(Again::Unknown { why: why() }),
        });
    };
    let features = match features(stated, admitted, scored, row) {
        Again::Differs { name, .. } if beginning > 1 => Again::Unknown {
            why: format!(
                "{name} depends on inputs before {beginning}, whose segments are gone: what they made is not known"
            ),
        },
        features => features,
    };
    let Some(shelf) = shelf else {
        return Ok(Outcome {
            features,
            assessment: None,
        });
    };
    let was = &scored.assessment;
    let seen = match features {
        Again::Same | Again::Differs { .. } => seen,
        Again::Unknown { .. } => Seen {
            missing: was.missing,
            incomplete: was.incomplete,
            approximate: was.approximate,
            lateness: was.lateness,
        },
    };
    row.clear();
    row.extend(scored.row());
    let model = match &was.tier {
        Tier::Default(..) => None,
        Tier::Full(_) => shelf.get(&stated.model_digest, &stated.plan)?,
        Tier::Reduced(..) => {
            let model = shelf.get(&stated.model_digest, &stated.plan)?;
            model.filter(|model| model.has_reduced())
        }
    };
    let assessment = if was.tier.scores().is_some() && model.is_none() {
        let why = format!("model {} is not to be found", hex(&stated.model_digest));
        Again::Unknown { why }
    } else {
        let is = replay.would_answer(model, admitted, seen, row);
        is.map_or(
            Again::Unknown {
                why: "its program is not replayed".to_owned(),
            },
            |is| answer(was, &is, &stated.version),
        )
    };
    Ok(Outcome {
        features,
        assessment: Some(assessment),
    })
}

/// Compares a row. What was read of a key that is in the record no more cannot be read again: it was erased.
fn features(stated: &Stated, admitted: &Admitted, scored: &Scored, row: &[f32]) -> Again {
    let incomplete = &scored.assessment.incomplete;
    let was: Vec<f32> = scored.row().collect();
    let mut erased = None;
    let mut unread = FeatureSet::default();
    let of_slot = stated.plan.layouts.iter().zip(&admitted.transaction.entities);
    for ((layout, key), entity) in of_slot.zip(&stated.plan.entities) {
        for feature in layout.features.iter().map(|feature| feature.feature) {
            let was_read = was.get(feature).is_some_and(|value| !value.is_nan()) || incomplete.contains(feature);
            if key.is_none() && was_read {
                erased = Some(entity);
                unread.insert(feature);
            }
        }
    }
    // A feature without a value is NaN, whichever.
    let same = |(was, is): (f32, &f32)| was.to_bits() == is.to_bits() || was.is_nan() && is.is_nan();
    let pairs = was.iter().copied().zip(row).enumerate();
    let differs = |(place, pair): (usize, (f32, &f32))| (!unread.contains(place) && !same(pair)).then_some(place);
    let first = pairs.filter_map(differs).next();
    match (first, erased) {
        (None, _) if was.len() != row.len() => Again::Differs {
            name: "the number of features".to_owned(),
            was: json!(was.len()),
            is: json!(row.len()),
        },
        (None, None) => Again::Same,
        (None, Some(entity)) => Again::Unknown {
            why: format!("its {entity} was erased; the other features are the same"),
        },
        (Some(place), _) => Again::Differs {
            name: stated.version.features.get(place).cloned().unwrap_or_default(),
            was: json!(was.get(place)),
            is: json!(row.get(place)),
        },
    }
}

/// Compares two assessments as they go on the wire, byte for byte.
fn answer(was: &Assessment, is: &Assessment, version: &Version) -> Again {
    // What a verdict follows from comes before it: the first difference is the cause of the others.
    let told = |of: &Assessment| {
        let wire = of.to_wire(version);
        [
            ("lateness", json!(wire.lateness().as_str_name())),
            ("missing_features", json!(wire.missing_features)),
            ("incomplete_features", json!(wire.incomplete_features)),
            ("approximate_features", json!(wire.approximate_features)),
            ("dropped_attributes", json!(wire.dropped_attributes)),
            ("tier", json!(wire.tier().as_str_name())),
            ("cause", json!(wire.cause().as_str_name())),
            ("fraud_probability", json!(wire.fraud_probability)),
            ("risk_score", json!(wire.risk_score)),
            ("policy_verdict", json!(wire.policy_verdict().as_str_name())),
            ("override", json!(wire.r#override().as_str_name())),
            ("verdict", json!(wire.verdict().as_str_name())),
        ]
    };
    if same_bits(was, is) || was.to_wire(version).encode_to_vec() == is.to_wire(version).encode_to_vec() {
        return Again::Same;
    }
    let mut pairs = told(was).into_iter().zip(told(is));
    match pairs.find(|((_, was), (_, is))| was != is) {
        Some(((name, was), (_, is))) => Again::Differs {
            name: name.to_owned(),
            was,
            is,
        },
        // Its bytes differ, and nothing of it that has a name here.
        None => Again::Differs {
            name: "the assessment's bytes".to_owned(),
            was: json!(hex(&was.to_wire(version).encode_to_vec())),
            is: json!(hex(&is.to_wire(version).encode_to_vec())),
        },
    }
}

/// Whether all is the same that the bytes follow from; what the two were made with is.
fn same_bits(was: &Assessment, is: &Assessment) -> bool {
    let rest = |of: &Assessment| {
        let verdicts = (of.verdict, of.policy_verdict, of.overridden);
        let sets = (of.missing, of.incomplete, of.approximate);
        (verdicts, of.lateness, sets, of.dropped)
    };
    was.tier.write() == is.tier.write() && rest(was) == rest(is)
}
