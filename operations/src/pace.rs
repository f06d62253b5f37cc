//! How fast a run goes, and about how long it still takes, in words.

use ferry_domain::RunId;
pub use ferry_domain::pace::{Counted, Pace, Pauses, Speed, average, counted, elapsed, paused};

use crate::{Access, Error, units};

/// When a run was not to go on.
///
/// # Errors
/// When the ledger fails.
pub async fn pauses(access: &Access, run: RunId) -> Result<Pauses, Error> {
    Ok(Pauses::of(&access.reports.audit(Some(run), Pauses::LINES).await?))
}

/// `12.3 users/s, about 4 min left`; the time left alone where nobody is made any more.
pub fn told(speed: Speed) -> Option<String> {
    let users = (speed.users_per_second > 0.0).then(|| format!("{:.1} users/s", speed.users_per_second));
    let left = speed.left.map(|left| format!("about {} left", units::rounded(left)));
    match (users, left) {
        (Some(users), Some(left)) => Some(format!("{users}, {left}")),
        (users, left) => users.or(left),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_speed_is_told_without_what_is_not_known() {
        let told = |users_per_second, left: Option<u64>| {
            told(Speed { users_per_second, left: left.map(Duration::from_secs) })
        };
        assert_eq!(told(2.0, Some(90)).as_deref(), Some("2.0 users/s, about 90 s left"));
        assert_eq!(told(0.0, Some(41)).as_deref(), Some("about 41 s left"));
        assert_eq!(told(2.0, None).as_deref(), Some("2.0 users/s"));
        assert_eq!(told(0.0, None), None);
    }
}
