//! A run as people name it: by its id, by how its id begins, or as the last one.

use std::str::FromStr;

use ferry_domain::RunId;

use crate::{Access, Error};

/// Fewer characters than this say too little.
const LEAST: usize = 4;
/// At least this many characters are shown of an id: the moment at which it was made.
const SHOWN: usize = 13;
/// Characters of a whole id.
const LONGEST: usize = 36;
/// Runs that a beginning is looked for in, newest first.
const NEWEST: i64 = 1_000;
/// Runs that are named where several begin alike.
const NAMED: usize = 3;

/// What a person typed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunName {
    /// The newest run.
    Last,
    /// Its whole id.
    Id(RunId),
    /// How its id begins, in lower case.
    Prefix(String),
}

/// Why a name names no run.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It can't.
    #[error("{0:?} names no run: give its id, at least {LEAST} characters of its beginning, or last")]
    NoName(String),
    /// There is no run at all.
    #[error("there is no run yet; ferry run start begins one")]
    None,
    /// No id begins like this.
    #[error("no run begins with {0}; see ferry run list")]
    NoneBegins(String),
    /// Several do.
    #[error("{count} runs begin with {prefix}, the newest are {newest}; type more of it")]
    Several {
        /// What was typed.
        prefix: String,
        /// How many.
        count: usize,
        /// Some of them.
        newest: String,
    },
}

impl FromStr for RunName {
    type Err = Refusal;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        if text == "last" {
            return Ok(RunName::Last);
        }
        if let Ok(id) = text.parse() {
            return Ok(RunName::Id(id));
        }
        let prefix = text.to_ascii_lowercase();
        let may_begin = prefix.bytes().all(|byte| byte.is_ascii_hexdigit() || byte == b'-');
        if !may_begin || !(LEAST..LONGEST).contains(&prefix.len()) {
            return Err(Refusal::NoName(text.to_owned()));
        }
        Ok(RunName::Prefix(prefix))
    }
}

impl Access {
    /// The id of a run that a person named. A whole id is not looked up.
    ///
    /// # Errors
    /// When no run, or more than one, is named so.
    pub async fn named(&self, name: &RunName) -> Result<RunId, Error> {
        let ids = match name {
            RunName::Id(id) => return Ok(*id),
            RunName::Last => self.runs.runs(1).await?,
            RunName::Prefix(_) => self.runs.runs(NEWEST).await?,
        };
        Ok(pick(name, ids.into_iter().map(|run| run.id).collect())?)
    }
}

/// How each of these ids begins, in as many characters as tell it from the others, and in the
/// same number for all.
pub fn shortest(ids: &[RunId]) -> Vec<String> {
    let texts: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let tells = |length: usize| {
        let begins: std::collections::BTreeSet<&str> = texts.iter().map(|text| &text[..length]).collect();
        begins.len() == texts.len()
    };
    let length = (SHOWN..LONGEST).find(|&length| tells(length)).unwrap_or(LONGEST);
    texts.iter().map(|text| text[..length].trim_end_matches('-').to_owned()).collect()
}

/// The run that is meant, among all there are, newest first.
fn pick(name: &RunName, mut ids: Vec<RunId>) -> Result<RunId, Refusal> {
    let prefix = match name {
        RunName::Id(id) => return Ok(*id),
        RunName::Last => return ids.first().copied().ok_or(Refusal::None),
        RunName::Prefix(prefix) => prefix,
    };
    ids.retain(|id| id.to_string().starts_with(prefix));
    match ids.as_slice() {
        [] => Err(Refusal::NoneBegins(prefix.clone())),
        [one] => Ok(*one),
        several => {
            let newest: Vec<String> = several.iter().take(NAMED).map(ToString::to_string).collect();
            let (prefix, count) = (prefix.clone(), several.len());
            Err(Refusal::Several { prefix, count, newest: newest.join(", ") })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEW: &str = "01a2235d-0000-7000-8000-000000000002";
    const OLD: &str = "01a2235d-0000-7000-8000-000000000001";
    const OTHER: &str = "01a20000-0000-7000-8000-000000000000";

    fn of(text: &str) -> Result<String, Refusal> {
        let ids = [NEW, OLD, OTHER].map(|id| id.parse().unwrap()).to_vec();
        pick(&text.parse()?, ids).map(|id| id.to_string())
    }

    #[test]
    fn a_run_is_named_by_its_id_by_its_beginning_or_as_the_last() {
        for (text, run) in [(OLD, OLD), ("last", NEW), ("01A20000", OTHER)] {
            assert_eq!(of(text).as_deref(), Ok(run));
        }
    }

    #[test]
    fn ids_are_shown_as_far_as_they_differ() {
        let shown = |ids: &[&str]| shortest(&ids.iter().map(|id| id.parse().unwrap()).collect::<Vec<_>>());
        assert_eq!(shown(&[NEW, OTHER]), ["01a2235d-0000", "01a20000-0000"]);
        assert_eq!(shown(&[NEW, OLD]), [NEW, OLD], "only the last character differs");
        assert!(shown(&[]).is_empty());
    }

    #[test]
    fn what_names_no_run_or_several_says_so() {
        assert_eq!(of("01b0"), Err(Refusal::NoneBegins("01b0".into())));
        let several = of("01a2235d").unwrap_err().to_string();
        assert!(several.starts_with("2 runs begin with 01a2235d") && several.contains(NEW), "{several}");
        for wrong in ["xyz", "01a", "", "newest", "01a2235d-0000-7000-8000-0000000000020"] {
            assert_eq!(of(wrong), Err(Refusal::NoName(wrong.into())));
        }
        assert_eq!(pick(&RunName::Last, Vec::new()), Err(Refusal::None));
    }
}
