//! Small pages while a table is taken: what is filled once, from its beginning to its end, is cheapest in pages that were
//! just cleared, in the caches. A large page is cleared whole, past the caches, and where a host backs a machine's memory only
//! as it is touched, each is a wait for the host.

#[cfg(target_os = "linux")]
use rustix::thread::{disable_transparent_huge_pages, transparent_huge_pages_are_disabled};

/// Until it is dropped, this process gets no large pages.
pub struct SmallPages {
    /// Whether it would.
    gets_large: bool,
}

impl SmallPages {
    /// From now on.
    pub fn begin() -> SmallPages {
        #[cfg(target_os = "linux")]
        let gets_large = !transparent_huge_pages_are_disabled().unwrap_or(true);
        #[cfg(not(target_os = "linux"))]
        let gets_large = false;
        let small = SmallPages { gets_large };
        small.disable(true);
        small
    }

    /// A system that does not let itself be told goes on as it does.
    fn disable(&self, disabled: bool) {
        #[cfg(target_os = "linux")]
        if self.gets_large {
            let _ = disable_transparent_huge_pages(disabled);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (self.gets_large, disabled);
    }
}

impl Drop for SmallPages {
    fn drop(&mut self) {
        self.disable(false);
    }
}
