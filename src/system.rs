//! The real clock, real chance and the environment: the one place that reads them.

use ferry_domain::ports::{Clock, Random};
use rand::{TryRng, rngs::SysRng};
use time::OffsetDateTime;

/// The system's clock.
pub struct SystemClock;

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock that is passed in")]
    fn now(&self) -> OffsetDateTime {
        OffsetDateTime::now_utc()
    }
}

/// The operating system's generator.
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, bytes: &mut [u8]) {
        // Without chance no id and no password can be made: there is nothing to go on with.
        SysRng.try_fill_bytes(bytes).expect("the operating system gives random bytes");
    }
}

/// A variable of the environment; an empty one counts as absent. See [`crate::servers`].
#[expect(clippy::disallowed_methods, reason = "this is the place that reads the environment")]
pub fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Whether this process may take the terminal: a job in the background (`ferry … &`) is halted by the system when it
/// tries to. Known on Linux, by the groups of processes in `/proc/self/stat`.
pub fn in_foreground() -> bool {
    foreground_of(&std::fs::read_to_string("/proc/self/stat").unwrap_or_default())
}

/// Fields behind the name, which is in brackets: state, parent, group, session, terminal, the terminal's group.
fn foreground_of(stat: &str) -> bool {
    let fields: Vec<&str> =
        stat.rsplit_once(')').map(|(_, rest)| rest.split(' ').collect()).unwrap_or_default();
    match (fields.get(3), fields.get(6)) {
        (Some(own), Some(terminals)) => own == terminals,
        _ => true,
    }
}

/// Name of this machine as its files have it.
pub fn host() -> String {
    std::fs::read_to_string("/etc/hostname")
        .map(|name| name.trim().to_owned())
        .ok()
        .filter(|name| !name.is_empty())
        .unwrap_or_else(|| "localhost".to_owned())
}

/// Name of the user that this process acts as, or `uid 1000` where the machine has no name for
/// it: services, scheduled jobs and containers have no `USER`.
pub fn user() -> Option<String> {
    use std::os::unix::fs::MetadataExt;
    let uid = std::fs::metadata("/proc/self").ok()?.uid();
    let users = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    Some(name_of(uid, &users).unwrap_or_else(|| format!("uid {uid}")))
}

fn name_of(uid: u32, users: &str) -> Option<String> {
    let fields = users.lines().map(|line| line.split(':').collect::<Vec<_>>());
    let mut named = fields.filter(|fields| fields.len() > 2 && fields[2].parse() == Ok(uid));
    named.next().map(|fields| fields[0].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_in_the_background_has_not_the_terminal() {
        assert!(foreground_of("7 (a) b) S 1 70 70 34816 70 0"));
        assert!(!foreground_of("7 (ferry) S 1 70 66 34816 66 0"));
        assert!(foreground_of(""), "where nothing is known it is tried");
    }

    #[test]
    fn a_user_is_named_by_the_list_of_the_machine() {
        let users = "root:x:0:0:root:/root:/bin/sh\n# a comment\nmover:x:1001:1001::/:/bin/false\n";
        assert_eq!(name_of(1001, users).as_deref(), Some("mover"));
        assert_eq!(name_of(7, users), None);
        assert!(user().is_some_and(|name| !name.is_empty()));
    }
}
