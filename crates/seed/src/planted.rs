//! The special values of planted users.

use crate::person::Person;

/// A name may have 300 characters at Auth0.
const NAME_LIMIT: usize = 300;

/// NULL, but for one empty and one blank address where there are three or more.
pub(crate) fn missing_email(index: u64) -> Option<String> {
    match index {
        1 => Some(String::new()),
        2 => Some("   ".to_owned()),
        _ => None,
    }
}

/// No two are equal, so that none can pass for a duplicate.
pub(crate) fn invalid_email(index: u64, id: u64) -> String {
    match index {
        0 => "none".to_owned(),
        _ => match index % 7 {
            0 => format!("none.{id:06}"),
            1 => format!("a b.{id:06}@example.com"),
            2 => format!("user.{id:06}@"),
            3 => format!("@h-{id:06}.example"),
            4 => format!("user@{id:06}@example.org"),
            5 => format!("user..{id:06}@example.net"),
            _ => format!("user.{id:06}.@example.com"),
        },
    }
}

pub(crate) fn overlong_name(person: &Person) -> String {
    let mut name = person.given.0.to_owned();
    while name.chars().count() <= NAME_LIMIT {
        name.push('-');
        name.push_str(person.family.0);
    }
    name
}
