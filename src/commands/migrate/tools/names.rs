//! Names and texts as languages write them.

/// A text in Python or JavaScript.
pub(super) fn text(value: &str) -> String {
    let mut quoted = String::from('"');
    for letter in value.chars() {
        match letter {
            '"' | '\\' => quoted.extend(['\\', letter]),
            '\n' => quoted.push_str("\\n"),
            '\r' => quoted.push_str("\\r"),
            other => quoted.push(other),
        }
    }
    quoted.push('"');
    quoted
}

/// What stands between the back-ticks of a JavaScript template.
pub(super) fn template(value: &str) -> String {
    value.replace('\\', "\\\\").replace('`', "\\`").replace("${", "\\${")
}

/// The words of a name: `auth0_user_id` and `Auth0UserId` have the same.
fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut small_before = false;
    for letter in name.chars() {
        if !letter.is_ascii_alphanumeric() || (letter.is_ascii_uppercase() && small_before) {
            words.push(String::new());
        }
        if letter.is_ascii_alphanumeric() {
            words.last_mut().into_iter().for_each(|word| word.push(letter.to_ascii_lowercase()));
        }
        small_before = letter.is_ascii_lowercase() || letter.is_ascii_digit();
    }
    words.retain(|word| !word.is_empty());
    if words.first().is_none_or(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
        words.insert(0, "auth0".to_owned()); // an attribute begins with a letter
    }
    words
}

/// A column's attribute in Python and Ruby.
pub(super) fn snake(column: &str) -> String {
    words(column).join("_")
}

/// A column's attribute in TypeScript.
pub(super) fn camel(column: &str) -> String {
    let mut words = words(column).into_iter();
    let mut camel = words.next().unwrap_or_default();
    for word in words {
        let (first, rest) = word.split_at(1); // words are ASCII and not empty
        camel.push_str(&first.to_ascii_uppercase());
        camel.push_str(rest);
    }
    camel
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attribute_is_a_plain_word_whatever_the_column_is_called() {
        for (column, python, typescript) in [
            ("auth0_user_id", "auth0_user_id", "auth0UserId"),
            ("Auth0 Id", "auth0_id", "auth0Id"),
            ("auth0UserId", "auth0_user_id", "auth0UserId"),
            ("AUTH0_ID", "auth0_id", "auth0Id"),
            ("__id__", "id", "id"),
            ("0id", "auth0_0id", "auth00id"),
            ("ä\"; --", "auth0", "auth0"),
        ] {
            assert_eq!((snake(column).as_str(), camel(column).as_str()), (python, typescript), "{column}");
        }
    }

    #[test]
    fn nothing_in_a_name_ends_its_text() {
        assert_eq!(text("a\"b\\c\nd"), r#""a\"b\\c\nd""#);
        assert_eq!(template("`${x}\\"), "\\`\\${x}\\\\");
    }
}
