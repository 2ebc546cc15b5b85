//! The plan as it is written, checked member by member.

use std::collections::HashSet;

use serde::Deserialize;

use super::{Feature, MAX_FEATURES, MAX_SPAN_US, OwnFeature, OwnOp, Plan, PlanError, attributes, kinds_of, layout};
use crate::{
    currency::Currency,
    transaction::{Kinds, MAX_ENTITIES, MAX_NUMBERS, MAX_TEXTS},
    wire::LabelClass,
};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredPlan {
    format: u32,
    name: String,
    currency: String,
    entities: Vec<String>,
    numbers: Vec<String>,
    texts: Vec<String>,
    fraud: Vec<String>,
    lateness_us: i64,
    features: Vec<DeclaredFeature>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredFeature {
    name: String,
    op: String,
    number: Option<usize>,
    through_hour: Option<u8>,
    entity: Option<usize>,
    window_us: Option<i64>,
    delay_us: Option<i64>,
    inclusive: Option<bool>,
    #[serde(rename = "where")]
    filter: Option<DeclaredFilter>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct DeclaredFilter {
    kinds: Vec<String>,
}

/// One feature over an entity's history, resolved but not yet laid out.
pub(super) struct Aggregate {
    pub feature: usize,
    pub op: AggregateOp,
    pub entity: usize,
    pub kinds: Kinds,
    pub inclusive: bool,
    /// Beginning and end of the window, in microseconds before the transaction's own event time. `None` is all time.
    pub window: Option<(i64, i64)>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AggregateOp {
    Count,
    Sum,
    Mean,
    Min,
    Max,
    SinceLast,
    SinceFirst,
    Risk,
}

pub(super) fn parse(json: &[u8], digest: [u8; 32]) -> Result<Plan, PlanError> {
    let declared: DeclaredPlan = serde_json::from_slice(json).map_err(|error| PlanError::new("", error.to_string()))?;
    if declared.format != 1 {
        return Err(PlanError::new(
            "format",
            format!("is {}; this engine reads format 1", declared.format),
        ));
    }
    if !attributes::is_name(&declared.name) {
        return Err(PlanError::new("name", NAME_RULE));
    }
    let currency = Currency::parse(&declared.currency)
        .ok_or_else(|| PlanError::new("currency", "must be an ISO 4217 alphabetic code that has a minor unit"))?;
    let mut taken = HashSet::new();
    check_names("entities", &declared.entities, MAX_ENTITIES, &mut taken)?;
    taken.clear();
    check_names("numbers", &declared.numbers, MAX_NUMBERS, &mut taken)?;
    check_names("texts", &declared.texts, MAX_TEXTS, &mut taken)?;
    let fraud = fraud_classes(&declared.fraud)?;
    check_span("lateness_us", declared.lateness_us, 0)?;
    if declared.features.is_empty() || declared.features.len() > MAX_FEATURES {
        let problem = format!("holds {}; a plan declares 1 to {MAX_FEATURES}", declared.features.len());
        return Err(PlanError::new("features", problem));
    }

    let (mut own, mut aggregates, mut names) = (Vec::new(), Vec::new(), HashSet::new());
    for (place, feature) in declared.features.iter().enumerate() {
        let at = Member {
            feature,
            path: format!("features[{place}]"),
        };
        if !is_feature_name(&feature.name) {
            return Err(at.error("name", "must be 1 to 128 ASCII letters, digits, `_`, `-` or `.`"));
        }
        if !names.insert(feature.name.as_str()) {
            return Err(at.error("name", "is the name of another feature too"));
        }
        if let Some(op) = at.own(&declared)? {
            own.push(OwnFeature { feature: place, op });
        } else {
            aggregates.push(at.aggregate(&declared, place)?);
        }
    }
    Ok(Plan {
        digest,
        json: json.into(),
        name: declared.name,
        currency,
        layouts: layout::lay_out(declared.entities.len(), declared.lateness_us, &aggregates),
        entities: declared.entities,
        numbers: declared.numbers,
        texts: declared.texts,
        fraud,
        lateness_us: declared.lateness_us,
        features: declared
            .features
            .into_iter()
            .map(|feature| Feature { name: feature.name })
            .collect(),
        own,
    })
}

const NAME_RULE: &str = "must be a lower-case letter, then lower-case letters, digits or `_`, at most 64 in all";

fn check_names<'a>(
    member: &str,
    names: &'a [String],
    most: usize,
    taken: &mut HashSet<&'a str>,
) -> Result<(), PlanError> {
    if names.len() > most {
        return Err(PlanError::new(
            member,
            format!("holds {}; a plan declares at most {most}", names.len()),
        ));
    }
    for (place, name) in names.iter().enumerate() {
        let error = |problem| Err(PlanError::new(format!("{member}[{place}]"), problem));
        if !attributes::is_name(name) {
            return error(NAME_RULE);
        }
        if attributes::is_sensitive(name) {
            return error("names a card verification value, a PIN or track data; these must not be kept (PCI DSS 3.3)");
        }
        if !taken.insert(name) {
            return error("is declared twice");
        }
    }
    Ok(())
}

fn fraud_classes(names: &[String]) -> Result<Vec<LabelClass>, PlanError> {
    let mut classes = Vec::new();
    for (place, name) in names.iter().enumerate() {
        let error = |problem| Err(PlanError::new(format!("fraud[{place}]"), problem));
        let wire_name = format!("LABEL_CLASS_{}", name.to_ascii_uppercase());
        let class = LabelClass::from_str_name(&wire_name).filter(|class| *class != LabelClass::Unspecified);
        let Some(class) = class.filter(|_| name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_')) else {
            return error("is not a class of label");
        };
        if classes.contains(&class) {
            return error("is named twice");
        }
        classes.push(class);
    }
    Ok(classes)
}

fn check_span(member: &str, span: i64, least: i64) -> Result<(), PlanError> {
    if (least..=MAX_SPAN_US).contains(&span) {
        Ok(())
    } else {
        Err(PlanError::new(
            member,
            format!("is {span}; must be {least} to {MAX_SPAN_US} microseconds"),
        ))
    }
}

fn is_feature_name(name: &str) -> bool {
    (1..=128).contains(&name.len()) && name.bytes().all(|b| b.is_ascii_alphanumeric() || b"_-.".contains(&b))
}

/// One feature and where it stands, for errors that name the member.
struct Member<'a> {
    feature: &'a DeclaredFeature,
    path: String,
}

impl Member<'_> {
    fn error(&self, member: &str, problem: &str) -> PlanError {
        PlanError::new(format!("{}.{member}", self.path), problem)
    }

    fn required<T>(&self, member: &str, value: Option<T>) -> Result<T, PlanError> {
        value.ok_or_else(|| self.error(member, &format!("is required by {}", self.feature.op)))
    }

    /// Refuses the members that this op does not take.
    fn takes(&self, taken: &[&str]) -> Result<(), PlanError> {
        let given = [
            ("number", self.feature.number.is_some()),
            ("through_hour", self.feature.through_hour.is_some()),
            ("entity", self.feature.entity.is_some()),
            ("window_us", self.feature.window_us.is_some()),
            ("delay_us", self.feature.delay_us.is_some()),
            ("inclusive", self.feature.inclusive.is_some()),
            ("where", self.feature.filter.is_some()),
        ];
        for (member, is_given) in given {
            if is_given && !taken.contains(&member) {
                return Err(self.error(member, &format!("is not a member of {}", self.feature.op)));
            }
        }
        Ok(())
    }

    fn own(&self, plan: &DeclaredPlan) -> Result<Option<OwnOp>, PlanError> {
        Ok(Some(match self.feature.op.as_str() {
            "amount" => self.takes(&[]).map(|()| OwnOp::Amount)?,
            "hour" => self.takes(&[]).map(|()| OwnOp::Hour)?,
            "weekday" => self.takes(&[]).map(|()| OwnOp::Weekday)?,
            "weekend" => self.takes(&[]).map(|()| OwnOp::Weekend)?,
            "night" => {
                self.takes(&["through_hour"])?;
                let through_hour = self.required("through_hour", self.feature.through_hour)?;
                if through_hour > 23 {
                    return Err(self.error("through_hour", "must be 0 to 23"));
                }
                OwnOp::Night { through_hour }
            }
            "number" => {
                self.takes(&["number"])?;
                let slot = self.required("number", self.feature.number)?;
                if slot >= plan.numbers.len() {
                    return Err(self.error("number", "is not a slot of a declared number"));
                }
                OwnOp::Number { slot }
            }
            _ => return Ok(None),
        }))
    }

    fn aggregate(&self, plan: &DeclaredPlan, feature: usize) -> Result<Aggregate, PlanError> {
        let op = match self.feature.op.as_str() {
            "count" => AggregateOp::Count,
            "sum" => AggregateOp::Sum,
            "mean" => AggregateOp::Mean,
            "min" => AggregateOp::Min,
            "max" => AggregateOp::Max,
            "since_last" => AggregateOp::SinceLast,
            "since_first" => AggregateOp::SinceFirst,
            "risk" => AggregateOp::Risk,
            _ => return Err(self.error("op", "is not an operation that this engine knows")),
        };
        let (windowed, may_include) = match op {
            AggregateOp::SinceLast | AggregateOp::SinceFirst => (false, false),
            AggregateOp::Risk => (true, false),
            _ => (true, true),
        };
        match (windowed, may_include) {
            (false, _) => self.takes(&["entity", "where"])?,
            (true, false) => self.takes(&["entity", "window_us", "delay_us", "where"])?,
            (true, true) => self.takes(&["entity", "window_us", "delay_us", "inclusive", "where"])?,
        }
        let entity = self.required("entity", self.feature.entity)?;
        if entity >= plan.entities.len() {
            return Err(self.error("entity", "is not a slot of a declared entity"));
        }
        let filter = self.required("where", self.feature.filter.as_ref())?;
        let kinds = kinds_of(&filter.kinds, &format!("{}.where.kinds", self.path))?;
        let inclusive = if may_include {
            self.required("inclusive", self.feature.inclusive)?
        } else {
            false
        };
        let window = if windowed {
            let length = self.required("window_us", self.feature.window_us)?;
            let delay = self.required("delay_us", self.feature.delay_us)?;
            check_span(&format!("{}.window_us", self.path), length, 1)?;
            check_span(&format!("{}.delay_us", self.path), delay, 0)?;
            if inclusive && delay > 0 {
                return Err(self.error(
                    "inclusive",
                    "cannot hold with a delay: the transaction itself is not in the window",
                ));
            }
            Some((delay + length, delay))
        } else {
            None
        };
        Ok(Aggregate {
            feature,
            op,
            entity,
            kinds,
            inclusive,
            window,
        })
    }
}
