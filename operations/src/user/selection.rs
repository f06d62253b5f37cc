//! Which users of a run are meant: the keys of `--where` for users.
//!
//! A key that is none of ours is the name of a property, such as `hospital`, where users of the run have
//! one: so a mistyped key is an error, and not a filter that nobody fits. `app.NAME` is a property in any
//! case. Rejected: properties besides those of the application, for all others may be personal data.

use ferry_domain::{
    BatchId, ItemState, RunId, SourceKey,
    ports::{BatchIds, Lines, Property, UserFilter},
};

use crate::{
    Access, Error,
    filter::{self, Term, Wrong},
};

/// Keys of the filter.
pub const KEYS: [&str; 6] = ["state", "code", "key", "line", "place", "batch"];

/// Before the name of a property.
const PROPERTY: &str = "app.";
/// Fewer digits than this say too little of a batch.
const LEAST: usize = 4;
/// Digits of a whole id.
const DIGITS: usize = 32;
/// Properties that an error names, and their longest name.
const NAMED: usize = 12;
const LONGEST: usize = 40;

/// A filter that was read. Whether its properties exist only a run can tell: [`Selection::of`].
#[derive(Clone, Debug, Default)]
pub struct Selection {
    filter: UserFilter,
    /// Names of properties that were written like keys.
    like_keys: Vec<String>,
}

impl Selection {
    /// Reads a filter; without one all users are meant.
    ///
    /// # Errors
    /// Says which term is wrong and what there is.
    pub fn read(text: Option<&str>) -> Result<Self, Wrong> {
        let mut selection = Selection::default();
        let terms = text.map(|text| filter::parse_any(text, &KEYS)).transpose()?;
        for term in terms.unwrap_or_default() {
            selection.add(&term)?;
        }
        Ok(selection)
    }

    /// Whether it looks at what the application knows: a record that a rule refused has nothing of it.
    pub fn has_properties(&self) -> bool {
        !self.filter.properties.is_empty()
    }

    /// The filter as it is, with codes that were chosen by an option.
    ///
    /// # Errors
    /// When the text names codes, too.
    pub fn with_codes(mut self, codes: Vec<ferry_domain::Code>) -> Result<Self, Wrong> {
        match (codes.is_empty(), self.filter.codes.is_empty()) {
            (true, _) => {}
            (false, true) => self.filter.codes = codes,
            (false, false) => return Err(Wrong("code is given by an option too; give it once".to_owned())),
        }
        Ok(self)
    }

    /// The filter for the users of a run.
    ///
    /// # Errors
    /// When a key is neither one of ours nor a property of the run's users, or the ledger fails.
    pub async fn of(self, access: &Access, run: RunId) -> Result<UserFilter, Error> {
        if !self.like_keys.is_empty() {
            let there = access.users.properties(run).await?;
            known(&self.like_keys, &there)?;
        }
        Ok(self.filter)
    }

    fn add(&mut self, term: &Term<'_>) -> Result<(), Wrong> {
        let found = &mut self.filter;
        match term.key {
            "state" => {
                found.states = term.values.iter().map(|word| state(word)).collect::<Result<_, _>>()?;
                found.states.sort_unstable();
                found.states.dedup(); // their tallies are summed
            }
            "code" => found.codes = term.values.iter().map(|word| code(word)).collect::<Result<_, _>>()?,
            "key" => found.keys = term.values.iter().map(|key| SourceKey((*key).to_owned())).collect(),
            "place" => found.places = term.all()?,
            "line" => found.lines = lines(term.single()?)?,
            "batch" => found.batches = batches(term.single()?)?,
            other => {
                let name = match other.strip_prefix(PROPERTY) {
                    Some("") => return Err(Wrong(format!("{PROPERTY}=…: a name is missing"))),
                    Some(name) => name,
                    None => {
                        self.like_keys.push(other.to_owned());
                        other
                    }
                };
                let values = term.values.iter().map(|value| (*value).to_owned()).collect();
                found.properties.push(Property { name: name.to_owned(), values });
            }
        }
        Ok(())
    }
}

fn state(word: &str) -> Result<ItemState, Wrong> {
    ItemState::parse(word).ok_or_else(|| {
        let words = ItemState::ALL.map(ItemState::as_str);
        let meant = filter::meant(word, words);
        Wrong(format!("state={}{meant}; there are: {}", filter::shown(word), words.join(", ")))
    })
}

pub(crate) fn code(word: &str) -> Result<ferry_domain::Code, Wrong> {
    word.parse().map_err(|_| {
        let meant = filter::meant(word, ferry_domain::Code::ALL.iter().map(|code| code.as_str()));
        let which = "ferry run report names those of a run, such as EMAIL_INVALID";
        Wrong(format!("code: there is no code {}{meant}; {which}", filter::shown(word)))
    })
}

/// `200`, `200..300`, `200..` or `..300`.
fn lines(text: &str) -> Result<Lines, Wrong> {
    let wrong = || {
        let how = "write a line or two of them: line=200, line=200..300, line=200.., line=..300";
        Wrong(format!("line={}: {how}", filter::shown(text)))
    };
    let number = |text: &str, open: i64| match text {
        "" => Ok(open),
        text => text.parse::<u32>().map(i64::from).map_err(|_| wrong()),
    };
    let all = Lines::default();
    let lines = match text.split_once("..") {
        None => Lines { first: number(text, -1)?, last: number(text, -1)? },
        Some(("", "")) => return Err(wrong()),
        Some((first, last)) => Lines { first: number(first, all.first)?, last: number(last, all.last)? },
    };
    if lines.first > lines.last { Err(wrong()) } else { Ok(lines) }
}

/// An id, or how it begins: all ids between the least and the greatest that begin so.
pub(crate) fn batches(text: &str) -> Result<BatchIds, Wrong> {
    let digits = text.to_ascii_lowercase().replace('-', "");
    let end = |fill: char| {
        let filled = format!("{digits}{}", fill.to_string().repeat(DIGITS.saturating_sub(digits.len())));
        filled.parse::<BatchId>()
    };
    match (end('0'), end('f')) {
        (Ok(first), Ok(last)) if digits.len() >= LEAST => Ok(BatchIds { first, last }),
        _ => {
            let how = format!("give the batch's id, or at least {LEAST} characters of its beginning");
            Err(Wrong(format!("batch={}: {how}", filter::shown(text))))
        }
    }
}

/// Refuses names that no user of the run has.
fn known(names: &[String], there: &[String]) -> Result<(), Wrong> {
    let Some(name) = names.iter().find(|name| !there.contains(name)) else { return Ok(()) };
    let plain =
        |name: &&str| name.len() <= LONGEST && name.bytes().all(|c| c.is_ascii_alphanumeric() || c == b'_');
    let there: Vec<&str> = there.iter().map(String::as_str).filter(plain).take(NAMED).collect();
    let also = match &there[..] {
        [] => String::new(),
        there => format!(
            "; and what the application knows of this run's users: {}{}",
            there.join(", "),
            filter::meant(name, there.iter().copied())
        ),
    };
    Err(filter::no_key(name, &KEYS, &also))
}

#[cfg(test)]
mod tests {
    use ferry_domain::Code;

    use super::*;

    fn of(text: &str) -> UserFilter {
        Selection::read(Some(text).filter(|text| !text.trim().is_empty())).unwrap().filter
    }

    #[test]
    fn every_key_is_read() {
        let read = of(
            "state=failed,conflict code=email_invalid key=7,8 place=users.csv line=200..300 hospital=H-12,H-13",
        );
        assert_eq!(read.states, [ItemState::Conflict, ItemState::Failed]);
        assert_eq!(read.codes, [Code::EmailInvalid]);
        assert_eq!(read.keys, ["7", "8"].map(|key| SourceKey(key.to_owned())));
        assert_eq!(read.places, ["users.csv"]);
        assert_eq!(read.lines, Lines { first: 200, last: 300 });
        let values = vec!["H-12".to_owned(), "H-13".to_owned()];
        assert_eq!(read.properties, [Property { name: "hospital".to_owned(), values }]);
        assert_eq!(of("app.state=x").properties[0].name, "state");
        assert_eq!(of(" "), UserFilter::default());
    }

    #[test]
    fn lines_may_be_open_at_either_end() {
        let all = Lines::default();
        for (text, first, last) in [("7", 7, 7), ("7..", 7, all.last), ("..7", all.first, 7), ("7..9", 7, 9)]
        {
            assert_eq!(of(&format!("line={text}")).lines, Lines { first, last });
        }
    }

    #[test]
    fn a_batch_is_meant_by_how_its_id_begins() {
        let BatchIds { first, last } = of("batch=019A-bc").batches;
        assert_eq!(first.to_string(), "019abc00-0000-0000-0000-000000000000");
        assert_eq!(last.to_string(), "019abcff-ffff-ffff-ffff-ffffffffffff");
        let whole = of(&format!("batch={first}")).batches;
        assert_eq!((whole.first, whole.last), (first, first));
    }

    #[test]
    fn what_is_wrong_is_named_with_what_there_is() {
        for (text, words) in [
            ("state=faild", ["did you mean failed?", "cancelled"]),
            ("code=EMAIL_INVALD", ["did you mean EMAIL_INVALID?", "ferry run report"]),
            ("line=9..2", ["line=200..300", "9..2"]),
            ("line=..", ["line=200", ".."]),
            ("line=x", ["line=200", "x"]),
            ("batch=xyz1", ["batch=", "4 characters"]),
            ("batch=01a", ["batch=", "4 characters"]),
            ("app.=x", ["app.", "name"]),
            ("state=failed state=created", ["state", "twice"]),
            ("failed", ["key=value", "state=…"]),
        ] {
            let error = Selection::read(Some(text)).unwrap_err().to_string();
            assert!(words.iter().all(|word| error.contains(word)), "{text}: {error}");
        }
    }

    #[test]
    fn a_key_that_is_no_property_is_refused_with_those_there_are() {
        let there = ["hospital", "role", "a name\n"].map(str::to_owned);
        assert!(known(&["role".to_owned()], &there).is_ok());
        let error = known(&["hospitl".to_owned()], &there).unwrap_err().to_string();
        assert!(
            error.contains("batch; and what") && error.contains("hospital, role (did you mean hospital?)"),
            "{error}"
        );
        assert!(!known(&["sate".to_owned()], &[]).unwrap_err().to_string().contains("application"));
    }
}
