//! String formats, checked by hand so that no pattern is compiled per request.

use url::Url;

use super::Format;

/// The text of a violation, if there is one.
///
/// Formats name the offending value; patterns do not, as Auth0 shows them.
pub(super) fn violation(format: Format, text: &str) -> Option<String> {
    let failed = |name: &str| Some(format!("Object didn't pass validation for format {name}: {text}"));
    match format {
        Format::Email if !is_email(text) => failed("email"),
        Format::StrictUri if !is_strict_uri(text) => failed("strict-uri"),
        Format::NoSpace if text.chars().any(char::is_whitespace) => {
            Some(r"String does not match pattern ^\S*$".to_owned())
        }
        Format::Phone if !is_phone(text) => Some(r"String does not match pattern ^\+[0-9]{1,15}$".to_owned()),
        _ => None,
    }
}

/// An id in a path must name its provider: `auth0|…`.
pub(crate) fn is_user_id(id: &str) -> bool {
    id.split_once('|').is_some_and(|(provider, own)| !provider.is_empty() && !own.is_empty())
}

/// The rules of validator.js, which z-schema uses: an unquoted local part of at most 64 bytes and a
/// domain of at least two labels; the whole at most 254 bytes, as Auth0 documents.
fn is_email(text: &str) -> bool {
    text.len() <= 254
        && text.rsplit_once('@').is_some_and(|(local, domain)| is_local_part(local) && is_domain(domain))
}

fn is_local_part(local: &str) -> bool {
    local.len() <= 64
        && local.split('.').all(|atom| {
            !atom.is_empty()
                && atom
                    .chars()
                    .all(|c| c.is_ascii_alphanumeric() || "!#$%&'*+-/=?^_`{|}~".contains(c) || is_letter(c))
        })
}

fn is_domain(domain: &str) -> bool {
    let Some((front, top)) = domain.rsplit_once('.') else {
        return false;
    };
    let top_is_word =
        top.chars().all(|c| c.is_ascii_alphabetic() || is_letter(c)) && top.chars().count() >= 2;
    (top_is_word || top.to_ascii_lowercase().starts_with("xn--"))
        && front.split('.').chain([top]).all(|label| {
            (1..=63).contains(&label.len())
                && !label.starts_with('-')
                && !label.ends_with('-')
                && label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-' || is_letter(c))
        })
}

/// A letter outside ASCII that validator.js lets pass.
fn is_letter(c: char) -> bool {
    ('\u{00a1}'..='\u{ffff}').contains(&c) && !c.is_whitespace()
}

fn is_strict_uri(text: &str) -> bool {
    Url::parse(text).is_ok_and(|uri| uri.has_host())
}

fn is_phone(text: &str) -> bool {
    text.strip_prefix('+')
        .is_some_and(|digits| (1..=15).contains(&digits.len()) && digits.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn emails_as_validator_js_judges_them() {
        for good in [
            "a@b.co",
            "first.last+tag@sub.example.com",
            "o'brien@example.ie",
            "jürgen@example.de",
            "x@xn--bcher-kva.example",
        ] {
            assert!(is_email(good), "{good} should pass");
        }
        let long_local = format!("{}@example.com", "a".repeat(65));
        for bad in [
            "none",
            "a@b",
            "a@@b.com",
            "a b@c.com",
            "a,b@c.com",
            ".a@b.com",
            "a..b@c.com",
            "a@-b.com",
            "a@b_c.com",
            "a@b.c",
            "a@b.c1",
            "@b.com",
            "",
            &long_local,
        ] {
            assert!(!is_email(bad), "{bad} should be refused");
        }
    }

    #[test]
    fn user_ids_name_their_provider() {
        assert!(is_user_id("auth0|1"));
        assert!(!is_user_id("6560cd0f"));
        assert!(!is_user_id("|1"));
        assert!(!is_user_id("auth0|"));
    }
}
