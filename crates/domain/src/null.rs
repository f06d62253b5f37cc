//! What databases and their tools write for NULL where a file or a column of text has to hold something.
//!
//! As an Auth0 id such a word is none, wherever it is: reading takes it for "not moved yet", so
//! writing an id back has to write over it.

/// The words. `Null` is missing: it is a surname.
pub const WORDS: [&str; 9] =
    ["NULL", "null", "\\N", "(null)", "(NULL)", "<null>", "<NULL>", "[null]", "[NULL]"];

/// The empty text and the words, as a list for SQL's `IN (…)`.
pub fn sql_list() -> String {
    let words: Vec<String> = std::iter::once("").chain(WORDS).map(|word| format!("'{word}'")).collect();
    words.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_word_ends_its_own_quotes() {
        assert!(WORDS.iter().all(|word| !word.contains('\'')));
        assert!(sql_list().starts_with("'', 'NULL', 'null', '\\N', "));
    }
}
