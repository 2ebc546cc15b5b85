//! Declared numbers and texts, by the plan's slots. A text that holds a card number is dropped.

use super::text;
use crate::{
    card_number,
    plan::Plan,
    refusal::Refusal,
    transaction::{MAX_NUMBERS, MAX_TEXTS},
    wire::{self, attribute::Value},
};

/// Numbers (NaN: absent), texts, and one bit for each text that was dropped.
pub type BySlot<'a> = ([f64; MAX_NUMBERS], [Option<&'a str>; MAX_TEXTS], u16);

/// The attributes by slot.
pub fn by_slot<'a>(plan: &Plan, sent: &'a [wire::Attribute]) -> Result<BySlot<'a>, Refusal> {
    let mut numbers = [f64::NAN; MAX_NUMBERS];
    let mut texts = [None; MAX_TEXTS];
    let mut dropped = 0;
    for (i, attribute) in sent.iter().enumerate() {
        let refuse =
            |field: &str, what: &str| Err(Refusal::invalid(format!("attributes[{i}]{field}"), what.to_owned()));
        let number = plan.numbers.iter().position(|name| *name == attribute.name);
        let text = plan.texts.iter().position(|name| *name == attribute.name);
        match (number, text, &attribute.value) {
            (None, None, _) => return refuse(".name", "is not an attribute of the plan"),
            (_, _, None) => return refuse("", "has no value"),
            (Some(_), _, Some(Value::Text(_))) => return refuse(".text", "this attribute is declared as a number"),
            (_, Some(_), Some(Value::Number(_))) => return refuse(".number", "this attribute is declared as a text"),
            (Some(slot), _, Some(Value::Number(value))) => {
                if !numbers[slot].is_nan() {
                    return refuse(".name", "is given twice");
                }
                if !value.is_finite() {
                    return refuse(
                        ".number",
                        "must be finite; leave the attribute out where it is not known",
                    );
                }
                numbers[slot] = *value;
            }
            (None, Some(slot), Some(Value::Text(value))) => {
                if texts[slot].is_some() || dropped & (1 << slot) != 0 {
                    return refuse(".name", "is given twice");
                }
                text::ATTRIBUTE
                    .check("text", value)
                    .map_err(|refusal| refusal.within(&format!("attributes[{i}]")))?;
                if card_number::is_within(value) {
                    dropped |= 1 << slot;
                } else {
                    texts[slot] = Some(value.as_str());
                }
            }
        }
    }
    Ok((numbers, texts, dropped))
}
