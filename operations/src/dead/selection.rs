//! Which dead letters are meant: choices one by one, and a filter in one text.

use std::time::Duration;

use ferry_domain::{
    Code,
    ports::{DeadFilter, DeadState},
};

use super::Refusal;
use crate::{
    Access, Error, RunName,
    filter::{self, Term, Wrong},
    units,
};

/// Keys of the filter.
pub const KEYS: [&str; 5] = ["run", "code", "state", "older", "id"];

/// Choices; what is given must all hold. Without any: all.
#[derive(Clone, Debug, Default)]
pub struct Selection {
    /// Numbers of letters.
    pub ids: Vec<i64>,
    /// Only of this run.
    pub run: Option<RunName>,
    /// Only with these codes.
    pub codes: Vec<Code>,
    /// Only at least this old.
    pub older_than: Option<Duration>,
    /// The same in one text.
    pub filter: Option<String>,
}

/// A selection that was read.
#[derive(Clone, Debug)]
pub struct Selected {
    /// Which letters, of any run; of any state unless only kept ones are acted on.
    filter: DeadFilter,
    /// The run that they are of.
    run: Option<RunName>,
    /// The state that the text names: none at all, `all`, or one.
    pub state: Option<Option<DeadState>>,
}

impl Selection {
    /// Reads choices and text together.
    ///
    /// # Errors
    /// Says which term of the text is wrong, or given twice.
    pub fn read(self) -> Result<Selected, Wrong> {
        let Selection { ids, run, codes, older_than, filter: text } = self;
        let filter = DeadFilter { ids, run: None, codes, state: None, older_than };
        let mut selected = Selected { filter, run, state: None };
        let terms = text.as_deref().map(|text| filter::parse(text, &KEYS)).transpose()?;
        for term in terms.unwrap_or_default() {
            selected.add(&term)?;
        }
        Ok(selected)
    }

    /// What redrive and discard may act on: letters that wait for a person.
    ///
    /// # Errors
    /// As [`Selection::read`], and when the text names another state.
    pub fn kept(self) -> Result<Selected, Error> {
        let selected = self.read()?;
        match selected.state {
            None | Some(Some(DeadState::Kept)) => Ok(selected.in_state(Some(DeadState::Kept))),
            _ => Err(Refusal::Settled.into()),
        }
    }
}

impl Selected {
    /// The same letters, in this state only; `None` in any.
    pub fn in_state(self, state: Option<DeadState>) -> Self {
        Selected { filter: DeadFilter { state, ..self.filter }, ..self }
    }

    /// The filter, with the run that was named.
    ///
    /// # Errors
    /// When no run, or more than one, is named so, and when the ledger fails.
    pub async fn filter(self, access: &Access) -> Result<DeadFilter, Error> {
        let run = match &self.run {
            Some(name) => Some(access.named(name).await?),
            None => None,
        };
        Ok(DeadFilter { run, ..self.filter })
    }

    fn add(&mut self, term: &Term<'_>) -> Result<(), Wrong> {
        let found = &mut self.filter;
        let once = |given: bool| match given {
            true => Err(Wrong(format!("{} is given by an option too; give it once", term.key))),
            false => Ok(()),
        };
        match term.key {
            "run" => {
                once(self.run.is_some())?;
                self.run = Some(term.parsed(term.single()?)?);
            }
            "code" => {
                once(!found.codes.is_empty())?;
                found.codes = term.all()?;
            }
            "older" => {
                once(found.older_than.is_some())?;
                found.older_than = Some(units::age(term.single()?).map_err(Wrong)?);
            }
            "id" => {
                once(!found.ids.is_empty())?;
                found.ids = term.all()?;
            }
            _ => self.state = Some(state(term.single()?)?),
        }
        Ok(())
    }
}

fn state(text: &str) -> Result<Option<DeadState>, Wrong> {
    if text == "all" {
        return Ok(None);
    }
    let unknown = || Wrong(format!("state={text}: there are kept, redriven, discarded, all"));
    DeadState::parse(text).map(Some).ok_or_else(unknown)
}

/// Whether a filter leaves anything out, apart from the state.
pub(super) fn chooses(filter: &DeadFilter) -> bool {
    !filter.ids.is_empty() || filter.run.is_some() || !filter.codes.is_empty() || filter.older_than.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Selection {
        Selection { filter: Some(text.to_owned()).filter(|text| !text.is_empty()), ..Selection::default() }
    }

    #[test]
    fn every_choice_can_be_made_in_the_text() {
        let run = "01890000-0000-7000-8000-000000000001";
        let text = format!("run={run} code=CRASHED_WORKER,undecodable older=7d id=1,2 state=redriven");
        let Selected { filter, run: named, state } = of(&text).read().unwrap();
        assert_eq!(named, Some(RunName::Id(run.parse().unwrap())));
        assert_eq!(of("run=last").read().unwrap().run, Some(RunName::Last));
        assert_eq!(filter.codes, [Code::CrashedWorker, Code::Undecodable]);
        assert_eq!(filter.older_than, Some(Duration::from_secs(604_800)));
        assert_eq!(filter.ids, [1, 2]);
        assert_eq!(state, Some(Some(DeadState::Redriven)));
        assert_eq!(of("state=all").read().unwrap().state, Some(None));
        assert_eq!(Selection::default().read().unwrap().state, None);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (text, word) in [
            ("run=1", "1"),
            ("code=NO_SUCH", "NO_SUCH"),
            ("older=7", "7d"),
            ("id=x", "x"),
            ("state=gone", "kept, redriven"),
        ] {
            let error = of(text).read().unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let both = Selection { codes: vec![Code::CrashedWorker], ..of("code=UNDECODABLE") };
        assert!(both.read().unwrap_err().to_string().contains("once"));
    }

    #[test]
    fn only_kept_letters_are_acted_on() {
        assert_eq!(of("").kept().unwrap().filter.state, Some(DeadState::Kept));
        assert_eq!(of("state=kept").kept().unwrap().filter.state, Some(DeadState::Kept));
        assert!(of("state=discarded").kept().unwrap_err().to_string().contains("state=kept"));
        assert!(of("state=all").kept().is_err());
    }
}
