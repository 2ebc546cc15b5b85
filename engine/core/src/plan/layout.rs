//! What each entity's history must hold for its features, and where each feature reads it.

use super::declared::{Aggregate, AggregateOp};
use crate::transaction::{AmountMinor, Kind, Kinds};

/// A feature of the transaction's own fields.
#[derive(Clone, Copy, Debug)]
pub struct OwnFeature {
    /// Its place in the row.
    pub feature: usize,
    /// What it reads.
    pub op: OwnOp,
}

/// What an own feature reads.
#[derive(Clone, Copy, Debug)]
pub enum OwnOp {
    /// The reference amount in major units.
    Amount,
    /// A declared number.
    Number {
        /// Its slot.
        slot: usize,
    },
    /// Local hour, 0 to 23.
    Hour,
    /// Local day of the week, 0 is Monday.
    Weekday,
    /// 1 on Saturday and Sunday.
    Weekend,
    /// 1 from local midnight through this hour.
    Night {
        /// 0 to 23.
        through_hour: u8,
    },
}

/// A count of events between two rows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Column {
    /// The filter lets every event of this history pass: the distance between the rows is the count.
    Rows,
    /// Every event of this history counts that has an amount: those without one are told apart by themselves.
    Given,
    /// The difference of this column.
    Prefix(usize),
}

/// The columns that tell each event's own amount, as differences of neighbours.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Amounts {
    /// The column of the sum of amounts.
    pub sum: usize,
    /// The column of the count of amounts present.
    pub present: usize,
}

/// A feature over an entity's history.
#[derive(Clone, Copy, Debug)]
pub struct WindowFeature {
    /// Its place in the row.
    pub feature: usize,
    /// What it counts.
    pub kinds: Kinds,
    /// Whether the transaction itself counts.
    pub inclusive: bool,
    /// What it computes.
    pub op: WindowOp,
    /// Beginning of the window: a place in [`EntityLayout::offsets`].
    pub begin: usize,
    /// End of the window: likewise.
    pub end: usize,
}

/// What a feature over a history computes, with the columns that it reads.
#[derive(Clone, Copy, Debug)]
pub enum WindowOp {
    /// Events.
    Count(Column),
    /// Sum of amounts: its column.
    Sum(usize),
    /// Mean amount.
    Mean {
        /// The column of the sum of amounts.
        sum: usize,
        /// How amounts are counted.
        present: Column,
    },
    /// Smallest amount: a place in [`EntityLayout::extremes`].
    Min(usize),
    /// Largest amount: a place in [`EntityLayout::extremes`].
    Max(usize),
    /// Seconds since the newest event: a place in [`EntityLayout::evicted`].
    SinceLast(usize),
    /// Seconds since the oldest event: a place in [`EntityLayout::evicted`].
    SinceFirst(usize),
    /// Share of frauds.
    Risk {
        /// How events are counted.
        count: Column,
        /// A place in [`EntityLayout::frauds`].
        frauds: usize,
    },
}

/// What one column of a history sums over the events that its filter lets pass.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Measure {
    /// Events.
    Count(Kinds),
    /// Amounts in minor units; events without one add nothing.
    Sum(Kinds),
    /// Events with an amount.
    Present(Kinds),
}

impl Measure {
    /// What an event adds.
    #[inline]
    pub fn of(self, kind: Kind, amount: Option<AmountMinor>) -> i64 {
        match self {
            Measure::Count(kinds) => i64::from(kinds.contains(kind)),
            Measure::Sum(kinds) => amount.filter(|_| kinds.contains(kind)).map_or(0, |amount| amount.0),
            Measure::Present(kinds) => i64::from(amount.is_some() && kinds.contains(kind)),
        }
    }
}

/// What one entity's histories hold.
#[derive(Clone, Debug)]
pub struct EntityLayout {
    /// Kinds that any feature counts: no others are folded into this entity.
    pub kinds: Kinds,
    /// How far behind the newest folded event time events are kept: longest reach of any feature, and the lateness.
    pub retention_us: i64,
    /// Distinct distances from the transaction's own event time at which a window begins or ends, in microseconds.
    pub offsets: Vec<i64>,
    /// The columns after the event time.
    pub measures: Vec<Measure>,
    /// Whether events without an amount are told apart beside the rows, so that rows need no column for it.
    pub blanks: bool,
    /// Amounts whose smallest and largest are asked for, which no difference of sums can tell.
    pub extremes: Vec<Amounts>,
    /// Counts for which the newest and the oldest evicted event are remembered.
    pub evicted: Vec<Column>,
    /// Filters for which frauds are counted.
    pub frauds: Vec<Kinds>,
    /// The features.
    pub features: Vec<WindowFeature>,
}

pub(super) fn lay_out(entities: usize, lateness_us: i64, aggregates: &[Aggregate]) -> Vec<EntityLayout> {
    (0..entities)
        .map(|entity| {
            let of_entity: Vec<&Aggregate> = aggregates.iter().filter(|a| a.entity == entity).collect();
            lay_out_entity(lateness_us, &of_entity)
        })
        .collect()
}

fn lay_out_entity(lateness_us: i64, aggregates: &[&Aggregate]) -> EntityLayout {
    let kinds = Kinds(aggregates.iter().fold(0, |all, aggregate| all | aggregate.kinds.0));
    let reach = aggregates
        .iter()
        .filter_map(|aggregate| aggregate.window)
        .map(|(begin, _)| begin)
        .max()
        .unwrap_or(0);
    let of_all = |op: AggregateOp| {
        aggregates
            .iter()
            .any(|aggregate| aggregate.op == op && aggregate.kinds == kinds)
    };
    // What looks at each event's own amount reads it from the columns.
    let extremes = of_all(AggregateOp::Min) || of_all(AggregateOp::Max);
    let mut layout = EntityLayout {
        kinds,
        retention_us: reach + lateness_us,
        offsets: Vec::new(),
        measures: Vec::new(),
        blanks: of_all(AggregateOp::Mean) && !extremes,
        extremes: Vec::new(),
        evicted: Vec::new(),
        frauds: Vec::new(),
        features: Vec::new(),
    };
    for aggregate in aggregates {
        let kinds = aggregate.kinds;
        let op = match aggregate.op {
            AggregateOp::Count => WindowOp::Count(layout.count(kinds)),
            AggregateOp::Sum => WindowOp::Sum(layout.column(Measure::Sum(kinds))),
            AggregateOp::Mean => WindowOp::Mean {
                sum: layout.column(Measure::Sum(kinds)),
                present: layout.present(kinds),
            },
            AggregateOp::Min => WindowOp::Min(layout.extremes(kinds)),
            AggregateOp::Max => WindowOp::Max(layout.extremes(kinds)),
            AggregateOp::SinceLast => WindowOp::SinceLast(layout.evicted(kinds)),
            AggregateOp::SinceFirst => WindowOp::SinceFirst(layout.evicted(kinds)),
            AggregateOp::Risk => WindowOp::Risk {
                count: layout.count(kinds),
                frauds: place(&mut layout.frauds, kinds),
            },
        };
        // What reaches over all time reads up to the transaction's own event time and has no beginning of its own.
        let (begin, end) = aggregate.window.unwrap_or((0, 0));
        layout.features.push(WindowFeature {
            feature: aggregate.feature,
            kinds,
            inclusive: aggregate.inclusive,
            op,
            begin: place(&mut layout.offsets, begin),
            end: place(&mut layout.offsets, end),
        });
    }
    layout
}

impl EntityLayout {
    fn count(&mut self, kinds: Kinds) -> Column {
        if kinds == self.kinds {
            Column::Rows
        } else {
            Column::Prefix(self.column(Measure::Count(kinds)))
        }
    }

    fn column(&mut self, measure: Measure) -> usize {
        place(&mut self.measures, measure)
    }

    fn present(&mut self, kinds: Kinds) -> Column {
        match self.blanks && kinds == self.kinds {
            true => Column::Given,
            false => Column::Prefix(self.column(Measure::Present(kinds))),
        }
    }

    fn amounts(&mut self, kinds: Kinds) -> Amounts {
        Amounts {
            sum: self.column(Measure::Sum(kinds)),
            present: self.column(Measure::Present(kinds)),
        }
    }

    fn extremes(&mut self, kinds: Kinds) -> usize {
        let amounts = self.amounts(kinds);
        place(&mut self.extremes, amounts)
    }

    fn evicted(&mut self, kinds: Kinds) -> usize {
        let count = self.count(kinds);
        place(&mut self.evicted, count)
    }
}

/// Where `value` stands in `list`, put at its end when it is new.
fn place<T: PartialEq>(list: &mut Vec<T>, value: T) -> usize {
    list.iter().position(|known| *known == value).unwrap_or_else(|| {
        list.push(value);
        list.len() - 1
    })
}
