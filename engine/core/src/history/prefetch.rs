//! Memory that will be read soon is asked for early: cache misses, not arithmetic, are what a window costs.

/// Asks for the cache line of a place in a list, or of one past its end. Changes nothing.
#[inline]
pub fn prefetch<T>(list: &[T], place: usize) {
    let value = list.as_ptr().wrapping_add(place);
    #[cfg(target_arch = "x86_64")]
    // SAFETY: a prefetch reads nothing that can be seen and never faults, whatever the address.
    unsafe {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        _mm_prefetch::<_MM_HINT_T0>(value.cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = value;
}
