//! Five ways to break the core on purpose, to show that the simulator finds each. Without the feature `broken` there is
//! nothing of this in a program: [`is`] is false when it is compiled.

/// A way to break it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Broken {
    /// A chunk is believed whatever its CRC says.
    SkipCrc = 1,
    /// A receipt says written before anything is.
    AcknowledgeBeforeAppend = 2,
    /// A transaction that is refused is folded all the same.
    FoldRefused = 3,
    /// A new segment is sealed with the key of the one before.
    ReuseNonce = 4,
    /// What was evicted is not remembered: an absent key passes for one that never had an event.
    ForgetEvictedThrough = 5,
}

impl Broken {
    /// All of them, by name.
    pub const ALL: [(&str, Broken); 5] = [
        ("skip-crc", Broken::SkipCrc),
        ("acknowledge-before-append", Broken::AcknowledgeBeforeAppend),
        ("fold-refused", Broken::FoldRefused),
        ("reuse-nonce", Broken::ReuseNonce),
        ("forget-evicted-through", Broken::ForgetEvictedThrough),
    ];
}

#[cfg(feature = "broken")]
static CHOSEN: std::sync::atomic::AtomicU8 = std::sync::atomic::AtomicU8::new(0);

/// Breaks the core of this process in one way.
#[cfg(feature = "broken")]
pub fn choose(broken: Broken) {
    CHOSEN.store(broken as u8, std::sync::atomic::Ordering::Relaxed);
}

/// Whether it is broken in this way.
#[cfg(feature = "broken")]
pub fn is(broken: Broken) -> bool {
    CHOSEN.load(std::sync::atomic::Ordering::Relaxed) == broken as u8
}

/// Whether it is broken in this way: it is not.
#[cfg(not(feature = "broken"))]
pub const fn is(_: Broken) -> bool {
    false
}
