//! Which names of a source an error may show.
//!
//! Errors help by listing the columns or properties that are there. But the first row of a file
//! without a header holds values, and a property of an object may be a person's address or
//! login. So a name is shown only if it is plainly a name, and others are counted:
//!
//! * its characters are those of names, and it is no number, no address, no hash; and
//! * either all words in it are usual for columns (`user_id`, `firstName`),
//! * or enough of the mapped names are beside it, so that all of them must be names.

/// Words that names of columns are made of. Rather too few: what is missing is counted.
const USUAL: &[&str] = &[
    "account",
    "active",
    "activated",
    "address",
    "app",
    "at",
    "auth",
    "avatar",
    "banned",
    "birthday",
    "blocked",
    "by",
    "city",
    "comment",
    "company",
    "confirmed",
    "country",
    "created",
    "custom",
    "customer",
    "data",
    "date",
    "deleted",
    "department",
    "digest",
    "disabled",
    "display",
    "e",
    "email",
    "emails",
    "employee",
    "enabled",
    "external",
    "family",
    "first",
    "firstname",
    "full",
    "fullname",
    "given",
    "group",
    "groups",
    "guid",
    "has",
    "hash",
    "hospital",
    "id",
    "identities",
    "identity",
    "ids",
    "image",
    "is",
    "items",
    "key",
    "lang",
    "language",
    "last",
    "lastname",
    "locale",
    "locked",
    "login",
    "mail",
    "member",
    "members",
    "meta",
    "metadata",
    "mobile",
    "name",
    "names",
    "nick",
    "nickname",
    "no",
    "note",
    "notes",
    "number",
    "object",
    "oid",
    "org",
    "organization",
    "page",
    "passwd",
    "password",
    "people",
    "permissions",
    "person",
    "phone",
    "photo",
    "picture",
    "preferred",
    "primary",
    "profile",
    "provider",
    "providers",
    "record",
    "records",
    "ref",
    "result",
    "results",
    "role",
    "roles",
    "salt",
    "signin",
    "source",
    "state",
    "status",
    "street",
    "sub",
    "surname",
    "team",
    "tenant",
    "time",
    "timezone",
    "title",
    "total",
    "traits",
    "type",
    "uid",
    "until",
    "updated",
    "url",
    "user",
    "userid",
    "username",
    "users",
    "uuid",
    "vat",
    "verified",
    "ward",
    "zip",
    "zone",
];

/// Names of columns that are values as well: in a row of values they prove nothing.
const ALSO_VALUES: &[&str] = &[
    "active",
    "admin",
    "banned",
    "blocked",
    "confirmed",
    "customer",
    "deleted",
    "disabled",
    "email",
    "enabled",
    "guest",
    "local",
    "member",
    "password",
    "phone",
    "role",
    "status",
    "user",
    "verified",
];

/// The longest name that is shown.
const LONGEST: usize = 40;
/// Names shown at most.
const MOST: usize = 40;

/// Whether a text can be a name and no value: letters, digits, `_ . - $`, blanks; no address, no
/// number, no run of digits as in phone numbers and ids.
pub(crate) fn is_plain(name: &str) -> bool {
    let allowed = |c: char| c.is_alphanumeric() || "_.-$ ".contains(c);
    let digits_in_a_row = name.split(|c: char| !c.is_ascii_digit()).map(str::len).max().unwrap_or(0);
    name.chars().all(allowed)
        && name.chars().any(char::is_alphabetic)
        && name.chars().count() <= LONGEST
        && digits_in_a_row <= 3
        && !name.starts_with("$2")
}

/// Whether all words of a name are usual for columns.
pub(crate) fn is_usual(name: &str) -> bool {
    let words = words(name);
    let is_word = |word: &String| USUAL.contains(&word.as_str()) || is_counter(word);
    words.iter().all(is_word) && !words.iter().all(|word| is_counter(word))
}

fn is_counter(word: &str) -> bool {
    word.len() <= 2 && word.bytes().all(|b| b.is_ascii_digit())
}

/// The words of `snake_case`, `camelCase`, `dotted.names` and `names of words`, lower-case.
pub(crate) fn words(name: &str) -> Vec<String> {
    let mut words = vec![String::new()];
    let mut before = ' ';
    for c in name.chars() {
        let begins = (c.is_uppercase() && before.is_lowercase())
            || (c.is_numeric() != before.is_numeric() && before.is_alphanumeric());
        if !c.is_alphanumeric() || begins {
            words.push(String::new());
        }
        if c.is_alphanumeric() {
            words.last_mut().expect("it begins with one").extend(c.to_lowercase()); // and never loses one
        }
        before = c;
    }
    words.retain(|word| !word.is_empty());
    words
}

/// Whether a row is a header, so that its other cells are names too: it holds at least two thirds
/// of the mapped names, at least two of which are no usual values.
pub(crate) fn are_names(found: &[&str], wanted: usize) -> bool {
    let proof = found.iter().filter(|name| !is_also_value(name)).count();
    found.len() * 3 >= wanted * 2 && proof >= 2
}

/// Whether a text shows that its row is a header: a mapped or a usual name, and no value as well.
pub(crate) fn is_proof(name: &str, found: &[&str]) -> bool {
    (is_usual(name) || found.contains(&name)) && !is_also_value(name)
}

fn is_also_value(name: &str) -> bool {
    ALSO_VALUES.contains(&name.to_lowercase().as_str())
}

/// The names that may be shown, and the number of the others. `trusted`: all that are plain.
pub(crate) fn listed<'a>(names: impl IntoIterator<Item = &'a str>, trusted: bool) -> String {
    let (mut shown, mut others) = (Vec::new(), 0);
    for name in names {
        if shown.len() < MOST && is_plain(name) && (trusted || is_usual(name)) {
            shown.push(name);
        } else {
            others += 1;
        }
    }
    match (shown.is_empty(), others) {
        (true, 0) => "(there are none)".to_owned(),
        (true, 1) => "(there is one, not shown since it may be a value)".to_owned(),
        (true, n) => format!("(there are {n}, not shown since they may be values)"),
        (false, 0) => shown.join(", "),
        (false, n) => format!("{} and {n} more", shown.join(", ")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_be_a_value_is_not_plain() {
        for name in ["id", "emailVerified", "E-Mail", "Straße", "address 2", "_id.$oid", "u001"] {
            assert!(is_plain(name), "{name}");
        }
        let long = "x".repeat(41);
        for value in [
            "ann@example.com",
            "+15550100",
            "15550100",
            "u0001",
            "2024-01-15",
            "a/b",
            "",
            "1",
            "$2b$10$x",
            &long,
        ] {
            assert!(!is_plain(value), "{value}");
        }
    }

    #[test]
    fn usual_names_are_told_from_words_of_people() {
        for name in [
            "id",
            "user_id",
            "firstName",
            "primary_email_address",
            "E-Mail",
            "traits.email",
            "address2",
            "mail",
        ] {
            assert!(is_usual(name), "{name}");
        }
        for value in ["Ann", "hunter2-Secret", "secret", "admin", "12", "ann.lee", "password1x"] {
            assert!(!is_usual(value), "{value}");
        }
    }

    #[test]
    fn all_names_are_shown_only_beside_enough_mapped_ones() {
        assert!(are_names(&["id", "email", "given_name"], 4));
        assert!(!are_names(&["id", "email"], 4), "half is not enough");
        assert!(!are_names(&["email", "active"], 3), "both are values as well");
        assert_eq!(listed(["id", "correo", "x@y.z"], true), "id, correo and 1 more");
        assert_eq!(listed(["id", "hunter", "x@y.z"], false), "id and 2 more");
        assert_eq!(listed(["hunter"], false), "(there is one, not shown since it may be a value)");
    }
}
