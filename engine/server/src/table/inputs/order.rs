//! Transactions, and what is told of any, in the order of inputs.

use super::{super::TableError, Inputs, Told};

/// What comes next of inputs in their order: a row of what is told, or of the transactions.
pub(in super::super) enum Next<'a, 'b> {
    Told(&'a Told<'b>, usize),
    Transaction(usize),
}

/// Goes through transactions, and what is told of any: each of those before the first transaction whose place in the order
/// it has reached, and what is left after the last. All are sorted by their order.
pub(in super::super) fn in_order<'a, 'b>(
    inputs: &Inputs,
    told: &'a [Told<'b>],
    mut take: impl FnMut(Next<'a, 'b>) -> Result<(), TableError>,
) -> Result<(), TableError> {
    let mut next = vec![0; told.len()];
    for row in 0..inputs.len() {
        for (told, next) in told.iter().zip(&mut next) {
            while *next < told.len() && told.order(*next) <= inputs.order(row) {
                take(Next::Told(told, *next))?;
                *next += 1;
            }
        }
        take(Next::Transaction(row))?;
    }
    for (told, next) in told.iter().zip(next) {
        for row in next..told.len() {
            take(Next::Told(told, row))?;
        }
    }
    Ok(())
}
