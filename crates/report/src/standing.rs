//! What a report is of a run: kept when the run ended, or its state now.

use ferry_domain::RunState;

/// Where a report stands beside its run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    /// The state of the run now.
    pub state: RunState,
    /// Revision of the report, where it was kept; `None` where it was made now.
    pub revision: Option<i32>,
    /// Revision of the newest report; 0 where none was kept.
    pub newest: i32,
}

impl Standing {
    /// Whether it is the last word on a run that ended.
    pub fn is_final(&self) -> bool {
        self.revision == Some(self.newest) && !self.state.is_active()
    }

    /// The sentence that says so.
    pub fn told(&self, run: &str) -> String {
        let state = self.state;
        match self.revision {
            None => format!("Run {run} is {state}: this is its state now, not its report."),
            Some(revision) if self.is_final() => {
                format!("Run {run} is {state}: this is revision {revision} of its report.")
            }
            Some(revision) if revision < self.newest => format!(
                "Run {run} is {state}: this is revision {revision} of its report; the newest is {}.",
                self.newest
            ),
            Some(revision) => {
                format!("Run {run} is {state} again: this is revision {revision} of its report, made before.")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_said_plainly_whether_a_report_is_the_last_word() {
        let standing = |state, revision, newest| Standing { state, revision, newest };
        let told = |standing: Standing| (standing.is_final(), standing.told("R"));
        for (found, is_final, words) in [
            (
                standing(RunState::Running, None, 0),
                false,
                "R is running: this is its state now, not its report.",
            ),
            (standing(RunState::Sealed, Some(2), 2), true, "R is sealed: this is revision 2 of its report."),
            (standing(RunState::Cancelled, Some(1), 1), true, "R is cancelled: this is revision 1 of its"),
            (standing(RunState::Sealed, Some(1), 2), false, "revision 1 of its report; the newest is 2."),
            (standing(RunState::Running, Some(1), 1), false, "R is running again: this is revision 1 of its"),
        ] {
            let (last, text) = told(found);
            assert_eq!(last, is_final, "{text}");
            assert!(text.contains(words), "{text}");
        }
    }
}
