//! Words of a command that works when it is pasted.

/// A word as a shell takes it.
pub fn quoted(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:@%+=,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_is_quoted_where_a_shell_would_read_more_than_the_word() {
        for (word, shell) in
            [("users", "users"), ("", "''"), ("staff list", "'staff list'"), ("Ann's", "'Ann'\\''s'")]
        {
            assert_eq!(quoted(word), shell);
        }
    }
}
