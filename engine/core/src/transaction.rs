//! What the engine takes in once bytes have passed the door: values whose fields cannot be wrong, with names resolved to
//! the plan's slots and keys hashed. After this no code checks them again.

/// Most entities a plan may declare.
pub const MAX_ENTITIES: usize = 8;
/// Most numeric attributes a plan may declare.
pub const MAX_NUMBERS: usize = 32;
/// Most text attributes a plan may declare.
pub const MAX_TEXTS: usize = 16;
/// Largest amount, in minor units: 10^14. A window of up to 2^16 events sums to less than 2^63.
pub const MAX_AMOUNT_MINOR: i64 = 100_000_000_000_000;

/// A moment of event time: microseconds since 1970-01-01T00:00:00Z, as callers state it. Never a clock's reading.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct EventTime(pub i64);

/// A moment of the door's clock: microseconds since 1970-01-01T00:00:00Z.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Clock(pub i64);

/// An amount in minor units of the program's reference currency, 0 to [`MAX_AMOUNT_MINOR`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AmountMinor(pub i64);

/// A keyed 128-bit hash of an id within its program and entity. The raw value is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyHash(pub u128);

/// What a transaction is; see `Kind` in transaction.proto.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
#[allow(missing_docs)]
pub enum Kind {
    Purchase = 1,
    Withdrawal = 2,
    Transfer = 3,
    Payout = 4,
    Refund = 5,
    Reversal = 6,
    Incremental = 7,
    Clearing = 8,
    Verification = 9,
    Event = 10,
}

impl Kind {
    /// The kind of a name as plans and tables write it: the wire's, in lower case and without its prefix.
    pub fn parse(name: &str) -> Option<Kind> {
        Some(match name {
            "purchase" => Kind::Purchase,
            "withdrawal" => Kind::Withdrawal,
            "transfer" => Kind::Transfer,
            "payout" => Kind::Payout,
            "refund" => Kind::Refund,
            "reversal" => Kind::Reversal,
            "incremental" => Kind::Incremental,
            "clearing" => Kind::Clearing,
            "verification" => Kind::Verification,
            "event" => Kind::Event,
            _ => return None,
        })
    }
}

impl Kind {
    /// The kind of a number, as it is stored and sent.
    pub fn numbered(number: u8) -> Option<Kind> {
        Kind::ALL.into_iter().find(|&kind| kind as u8 == number)
    }

    /// Every kind.
    pub const ALL: [Kind; 10] = [
        Kind::Purchase,
        Kind::Withdrawal,
        Kind::Transfer,
        Kind::Payout,
        Kind::Refund,
        Kind::Reversal,
        Kind::Incremental,
        Kind::Clearing,
        Kind::Verification,
        Kind::Event,
    ];
}

/// A set of kinds, one bit each.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Kinds(pub u16);

impl Kinds {
    /// Whether `kind` is one of them.
    pub fn contains(self, kind: Kind) -> bool {
        self.0 & (1 << kind as u16) != 0
    }
}

/// A transaction as features see it: everything that windows and the row's own features may depend on.
#[derive(Clone, Debug, PartialEq)]
pub struct Transaction {
    /// When it happened.
    pub event_time: EventTime,
    /// Local time minus UTC, in minutes.
    pub utc_offset_minutes: i16,
    /// What it is.
    pub kind: Kind,
    /// The amount in the reference currency; missing when the caller gave none.
    pub amount: Option<AmountMinor>,
    /// By the plan's entity slot.
    pub entities: [Option<KeyHash>; MAX_ENTITIES],
    /// By the plan's number slot; NaN is missing.
    pub numbers: [f64; MAX_NUMBERS],
}

/// A label as features see it.
#[derive(Clone, Debug, PartialEq)]
pub struct Labelled {
    /// The hash of the subject's transaction id.
    pub transaction: KeyHash,
    /// The subject's event time.
    pub event_time: EventTime,
    /// The subject's kind.
    pub kind: Kind,
    /// The subject's entities, by the plan's slot.
    pub entities: [Option<KeyHash>; MAX_ENTITIES],
    /// Whether the program counts it as fraud; `None` when the label is withdrawn.
    pub fraud: Option<bool>,
}
