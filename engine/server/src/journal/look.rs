//! Looking into a journal from outside, also while it is written to: as JSON, for the command line.
//!
//! [`whole`] tells what there is; [`tail`] and [`show`] tell inputs; [`show`] computes one answer again from the journal alone,
//! [`replay`] all of them.

mod again;
mod models;
mod replay;
mod show;
mod tail;
mod told;
mod whole;

use std::{path::Path, sync::Arc};

pub use models::{Files, Models, OfFiles};
pub use replay::replay;
pub use show::show;
pub use tail::tail;
pub use whole::{info, verify};

use super::{
    JournalError, Recovered,
    disk::{Disk, Folder},
    keyring::Keyring,
    recovery::{Visit, read},
};

fn walk(
    folder: &Path,
    secret: &[u8; 32],
    visit: &mut dyn Visit,
    progress: &mut dyn FnMut(u64, u64),
) -> Result<Recovered, JournalError> {
    let disk: Arc<dyn Disk> = Arc::new(Folder::look(folder));
    let keyring = Keyring::open(disk.clone(), secret)?;
    read(&*disk, &keyring, 0, visit, progress)
}
