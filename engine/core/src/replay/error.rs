//! Why a journal cannot be taken in.

/// Why a journal cannot be taken in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReplayError {
    /// Sequences do not follow each other.
    Gap {
        /// The sequence that had to come.
        expected: u64,
        /// The one that came.
        found: u64,
    },
    /// A record names a program that its segment does not state.
    Unstated {
        /// The sequence.
        sequence: u64,
    },
    /// A stated plan or policy cannot be read.
    Program(String),
    /// What is folded differs from what was: the journal is not this engine's.
    Diverged {
        /// The sequence.
        sequence: u64,
    },
}

impl std::fmt::Display for ReplayError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            ReplayError::Gap { expected, found } => write!(f, "input {expected} had to come, and {found} did"),
            ReplayError::Unstated { sequence } => write!(f, "input {sequence} names a program that is not stated"),
            ReplayError::Program(error) => write!(f, "a program's record: {error}"),
            ReplayError::Diverged { sequence } => {
                write!(
                    f,
                    "input {sequence} was taken in another state than what is journaled before it makes"
                )
            }
        }
    }
}

impl std::error::Error for ReplayError {}
