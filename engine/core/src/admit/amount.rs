//! Amounts of money, as they may be sent.

use crate::{
    currency::Currency,
    plan::Plan,
    refusal::Refusal,
    transaction::{AmountMinor, Kind, MAX_AMOUNT_MINOR},
    wire,
};

/// The amount in the program's reference currency, as windows sum it.
pub(super) fn of_transaction(
    plan: &Plan,
    kind: Kind,
    sent: &wire::Transaction,
) -> Result<Option<AmountMinor>, Refusal> {
    let reference = sent
        .reference_amount_minor
        .map(|sent| minor("reference_amount_minor", sent))
        .transpose()?;
    match (kind, sent.amount_minor) {
        (Kind::Event, Some(_)) => Err(Refusal::invalid("amount_minor", "must be absent for KIND_EVENT")),
        (Kind::Event | Kind::Verification, None) => {
            if !sent.currency.is_empty() {
                return Err(Refusal::invalid("currency", "stands without amount_minor"));
            }
            if reference.is_some() {
                return Err(Refusal::invalid(
                    "reference_amount_minor",
                    "stands without amount_minor",
                ));
            }
            Ok((kind == Kind::Verification).then_some(AmountMinor(0)))
        }
        (_, None) => Err(Refusal::invalid("amount_minor", "is required for this kind")),
        (_, Some(sent_minor)) => {
            let own = minor("amount_minor", sent_minor)?;
            if kind == Kind::Verification && own.0 != 0 {
                return Err(Refusal::invalid(
                    "amount_minor",
                    "must be 0 or absent for KIND_VERIFICATION",
                ));
            }
            if currency(&sent.currency)? != plan.currency {
                return Ok(reference);
            }
            match reference {
                Some(other) if other != own => Err(Refusal::invalid(
                    "reference_amount_minor",
                    "differs from amount_minor, though both are in the program's reference currency",
                )),
                _ => Ok(Some(own)),
            }
        }
    }
}

pub(super) fn minor(field: &str, minor: i64) -> Result<AmountMinor, Refusal> {
    match minor {
        0..=MAX_AMOUNT_MINOR => Ok(AmountMinor(minor)),
        ..0 => Err(Refusal::invalid(
            field,
            "must not be negative: the kind says which way money moves",
        )),
        _ => Err(Refusal::invalid(field, "must be at most 10^14 minor units")),
    }
}

pub(super) fn currency(code: &str) -> Result<Currency, Refusal> {
    if code.is_empty() {
        return Err(Refusal::invalid("currency", "is required with an amount"));
    }
    Currency::parse(code)
        .ok_or_else(|| Refusal::invalid("currency", "is not an alphabetic code of ISO 4217, in capitals"))
}
