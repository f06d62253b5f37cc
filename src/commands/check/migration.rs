//! Whether the migration's name fits what was moved before, for the source that the settings name.

use ferry_operations::start;

use super::{Line, warning};
use crate::{
    place::Place,
    reading::{self, Reading},
    setup::Setup,
    tenant, wiring,
};

/// Says nothing where no table is named, or the source or the ledger can't be read: other checks
/// say that.
pub async fn check(ledger: &Place, setup: &Setup, lines: &mut Vec<Line>) {
    let Ok(Some(source)) = setup.servers.database() else { return };
    if setup.settings.source.is_empty() {
        return;
    }
    let Ok(before) = wiring::migrated(ledger, setup).await else { return };
    if before.is_empty() {
        return;
    }
    let tenant = tenant::named(&setup.servers).ok().flatten().unwrap_or_default();
    let Ok(opened) = reading::open(setup, source.text(), &Reading::default(), tenant).await else { return };
    if let Err(clash) = start::check_name(&opened.subject, &before, &[]) {
        lines.push(warning("migration", clash, "Until then plan and run start refuse this source."));
    }
}
