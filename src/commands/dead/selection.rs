//! Which dead letters a command means: flags and `--where` together.

use std::time::Duration;

use clap::Args;
use ferry_domain::{
    Code, RunId,
    ports::{DeadFilter, DeadState},
};

use crate::{
    exit::usage,
    filter::{self, Term},
    units,
};

/// Which dead letters; what is given must all hold. Without any: all.
#[derive(Clone, Debug, Default, Args)]
pub struct Selection {
    /// Numbers of letters
    pub ids: Vec<i64>,
    /// Only of this run
    #[arg(long, value_name = "RUN")]
    pub run: Option<RunId>,
    /// Only with this code; may be given several times
    #[arg(long = "code", value_name = "CODE")]
    pub codes: Vec<Code>,
    /// Only letters at least so old: a number and s, m, h or d, for example 7d
    #[arg(long, value_name = "AGE", value_parser = units::age)]
    pub older_than: Option<Duration>,
    /// The same in one text: 'run=ID code=A,B state=kept older=7d id=1,2'
    #[arg(long = "where", value_name = "FILTER")]
    pub filter: Option<String>,
}

const KEYS: [&str; 5] = ["run", "code", "state", "older", "id"];

/// The state a filter names: none at all, `all`, or one.
pub type Named = Option<Option<DeadState>>;

/// The filter without its state, and the state that `--where` names.
pub fn filter(which: &Selection) -> anyhow::Result<(DeadFilter, Named)> {
    let mut found = DeadFilter {
        ids: which.ids.clone(),
        run: which.run,
        codes: which.codes.clone(),
        state: None,
        older_than: which.older_than,
    };
    let mut named = None;
    for term in filter::parse(which.filter.as_deref().unwrap_or_default(), &KEYS).map_err(usage)? {
        add(&mut found, &mut named, &term).map_err(usage)?;
    }
    Ok((found, named))
}

fn add(found: &mut DeadFilter, named: &mut Named, term: &Term<'_>) -> Result<(), String> {
    let twice = |set: bool| match set {
        true => Err(format!("--where: {} is given by a flag too; give it once", term.key)),
        false => Ok(()),
    };
    let wrong = |what: &str, why: &dyn std::fmt::Display| format!("--where: {what}: {why}");
    match term.key {
        "run" => {
            twice(found.run.is_some())?;
            let text = term.single()?;
            found.run = Some(text.parse().map_err(|e| wrong(text, &e))?);
        }
        "code" => {
            twice(!found.codes.is_empty())?;
            let codes = term.values.iter().map(|text| text.parse::<Code>());
            found.codes = codes.collect::<Result<_, _>>().map_err(|e| format!("--where: {e}"))?;
        }
        "older" => {
            twice(found.older_than.is_some())?;
            found.older_than = Some(units::age(term.single()?).map_err(|e| format!("--where: {e}"))?);
        }
        "id" => {
            twice(!found.ids.is_empty())?;
            let ids = term.values.iter().map(|text| text.parse().map_err(|e| wrong(text, &e)));
            found.ids = ids.collect::<Result<_, _>>()?;
        }
        _ => *named = Some(state(term.single()?)?),
    }
    Ok(())
}

fn state(text: &str) -> Result<Option<DeadState>, String> {
    if text == "all" {
        return Ok(None);
    }
    let unknown = || format!("--where: state={text}: there are kept, redriven, discarded, all");
    DeadState::parse(text).map(Some).ok_or_else(unknown)
}

/// What redrive and discard may act on: letters that wait for a person.
pub fn kept(which: &Selection) -> anyhow::Result<DeadFilter> {
    match filter(which)? {
        (found, None | Some(Some(DeadState::Kept))) => {
            Ok(DeadFilter { state: Some(DeadState::Kept), ..found })
        }
        _ => Err(usage(
            "--where: only letters with state=kept can be acted on; the others are settled already",
        )),
    }
}

/// `1 letter`, `2 letters`.
pub fn counted(letters: i64) -> String {
    if letters == 1 { "1 letter".to_owned() } else { format!("{letters} letters") }
}

/// A bulk action without any choice says so in its question.
pub fn all(filter: &DeadFilter) -> &'static str {
    let chosen = !filter.ids.is_empty()
        || filter.run.is_some()
        || !filter.codes.is_empty()
        || filter.older_than.is_some();
    if chosen { "" } else { ", all that are kept" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Selection {
        Selection { filter: Some(text.to_owned()), ..Selection::default() }
    }

    #[test]
    fn flags_and_the_filter_language_mean_the_same() {
        let run = "01890000-0000-7000-8000-000000000001";
        let text = format!("run={run} code=CRASHED_WORKER,undecodable older=7d id=1,2 state=redriven");
        let (found, named) = filter(&of(&text)).unwrap();
        assert_eq!(found.run.unwrap().to_string(), run);
        assert_eq!(found.codes, [Code::CrashedWorker, Code::Undecodable]);
        assert_eq!(found.older_than, Some(Duration::from_secs(604_800)));
        assert_eq!(found.ids, [1, 2]);
        assert_eq!(named, Some(Some(DeadState::Redriven)));
        assert_eq!(filter(&of("state=all")).unwrap().1, Some(None));
        assert_eq!(filter(&Selection::default()).unwrap().1, None);
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
            let error = filter(&of(text)).unwrap_err().to_string();
            assert!(error.contains(word), "{text}: {error}");
        }
        let both = Selection { codes: vec![Code::CrashedWorker], ..of("code=UNDECODABLE") };
        assert!(filter(&both).unwrap_err().to_string().contains("once"));
    }

    #[test]
    fn only_kept_letters_are_acted_on() {
        assert_eq!(kept(&of("")).unwrap().state, Some(DeadState::Kept));
        assert_eq!(kept(&of("state=kept")).unwrap().state, Some(DeadState::Kept));
        assert!(kept(&of("state=discarded")).unwrap_err().to_string().contains("state=kept"));
        assert!(kept(&of("state=all")).is_err());
    }
}
