//! What a person should know of a source as a whole, though no record is refused for it.

use std::collections::BTreeMap;

use ferry_domain::ports::SourceWarning;

use crate::key::KeyLooks;

/// Counts of what was seen, over all records.
#[derive(Clone, Debug, Default)]
pub(crate) struct Notes {
    /// Words carried as values that may mean "no value", by field and word.
    pub(crate) words: BTreeMap<(String, &'static str), u64>,
    /// Times where yes or no is mapped, by field.
    pub(crate) times: BTreeMap<String, u64>,
    /// Words that mean neither yes nor no there, by field.
    pub(crate) other_words: BTreeMap<String, u64>,
    /// Pictures that are no absolute address.
    pub(crate) pictures: u64,
    /// Fields that users go without, since the text on the way to them is no JSON: how many, and
    /// where the first is.
    pub(crate) no_json: BTreeMap<String, (u64, String)>,
    /// Records that `only` leaves out.
    pub(crate) left_out: u64,
    /// Keys that look changed.
    pub(crate) keys: KeyLooks,
}

impl Notes {
    /// In words.
    pub(crate) fn warnings(&self) -> Vec<SourceWarning> {
        let mut warnings = Vec::new();
        let mut warn = |field: Option<&str>, what: String, remedy: &str| {
            warnings.push(SourceWarning { field: field.map(str::to_owned), what, remedy: remedy.to_owned() });
        };
        if self.left_out > 0 {
            let what = format!(
                "{} not as only says and no part of this move",
                counted(self.left_out, "record is", "records are")
            );
            warn(Some("only"), what, "Nothing to do, if that is the number you expect");
        }
        for ((field, word), count) in &self.words {
            let what =
                format!("the word {word:?} is carried as a value ({})", counted(*count, "record", "records"));
            warn(Some(field), what, "If it means that there is no value, name it in null_words");
        }
        for (field, count) in &self.times {
            let what =
                format!("{} a time where yes or no is mapped", counted(*count, "record has", "records have"));
            warn(Some(field), what, "Map such a column as deleted_at, blocked_at or banned_until");
        }
        for (field, count) in &self.other_words {
            let what = format!(
                "{} a word that means neither yes nor no",
                counted(*count, "record has", "records have")
            );
            warn(Some(field), what, &format!("Say by words.{field} what the words of this application mean"));
        }
        for (field, (count, first)) in &self.no_json {
            let what = format!(
                "{} no JSON in the column or property that holds it and will be sent without it, the first at {first}",
                counted(*count, "record has", "records have")
            );
            warn(Some(field), what, "Correct them in the source, or go on without this field");
        }
        if self.pictures > 0 {
            let what = format!(
                "{} left out: no address like https://…",
                counted(self.pictures, "picture is", "pictures are")
            );
            warn(Some("picture"), what, "Nothing to do, or map a column with whole addresses");
        }
        if self.keys.decimal > 0 {
            let what = format!(
                "{} in .0: a program may have made decimals of whole numbers",
                counted(self.keys.decimal, "key ends", "keys end")
            );
            warn(Some("key"), what, "Compare them with the ids in the database before you start");
        }
        if self.keys.long > 1 && self.keys.rounded == self.keys.long {
            let what = format!(
                "all {} keys of more than 15 digits end in zeros: a spreadsheet may have rounded them",
                self.keys.long
            );
            warn(Some("key"), what, "Compare them with the ids in the database before you start");
        }
        warnings
    }
}

/// A count with its word.
fn counted(count: u64, one: &str, more: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { more })
}
