//! Whether an address is one that Auth0 would take.
//!
//! Stricter than the mail standards, as Auth0 is (FACTS §2.3, §4.1: JSON schema
//! format `email`, whose validator also wants a top-level domain):
//! * ASCII only. The format `email` allows no Unicode (that would be
//!   `idn-email`), neither before the @ nor in the domain, whose `xn--` form is
//!   fine. Lower-casing other scripts could differ between here and Auth0.
//! * The domain has a dot and ends in letters or an `xn--` label.
//! * No display name, no comment, no address literal.

//!
//! What is wrong with an address can't be seen on a screen when a letter of another script looks
//! like a Latin one, and the address itself is not shown. So a refusal has a code for what is wrong.

use email_address::{EmailAddress, Options};
use ferry_domain::Code;

const WHOLE: usize = 254;
const LOCAL: usize = 64;

/// Checks a trimmed, non-empty address.
pub(crate) fn check(address: &str) -> Result<(), Code> {
    let local = address.rsplit_once('@').map_or(address, |(local, _)| local);
    if address.chars().count() > WHOLE || (address.contains('@') && local.chars().count() > LOCAL) {
        return Err(Code::EmailTooLong);
    }
    if is_well_formed(address) { Ok(()) } else { Err(fault(address)) }
}

fn is_well_formed(address: &str) -> bool {
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    address.is_ascii() && EmailAddress::parse_with_options(address, options).is_ok() && is_host(domain)
}

/// What is wrong, from what no eye sees to what is easily found.
fn fault(address: &str) -> Code {
    if address.chars().any(is_invisible) {
        return Code::EmailInvisible;
    }
    let parts = address.split(|c: char| c.is_whitespace() || SEPARATORS.contains(c));
    let addresses =
        parts.filter(|part| part.split_once('@').is_some_and(|(a, b)| !a.is_empty() && !b.is_empty()));
    if addresses.count() > 1 {
        return Code::EmailSeveral;
    }
    if core(address).is_some_and(|core| core != address && is_well_formed(core)) {
        return Code::EmailSurrounded;
    }
    match address.rsplit_once('@') {
        Some((local, domain)) if local.is_ascii() && !domain.is_ascii() => Code::EmailDomainNotAscii,
        _ if !address.is_ascii() => Code::EmailNotAscii,
        _ => Code::EmailInvalid,
    }
}

/// What several addresses are written with in one place.
const SEPARATORS: &str = ",;|/<>";

/// The address in a text that has something before it (which ends in a bracket, a quote or a
/// colon: a blank alone may be a slip within the address) or behind it.
fn core(text: &str) -> Option<&str> {
    let at = text.find('@')?;
    let from =
        text[..at].rfind(['<', '(', '[', '"', '\'', ':', ',', ';', '=']).map_or(0, |before| before + 1);
    let behind = text[at..].find(|c: char| c.is_whitespace() || ">)]\"',;:?".contains(c));
    let to = behind.map_or(text.len(), |behind| at + behind);
    Some(text[from..to].trim().trim_end_matches('.'))
}

/// Characters that take no room on a screen, or look like a blank and are none.
fn is_invisible(c: char) -> bool {
    matches!(c,
        '\u{a0}' | '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}' | '\u{1160}' | '\u{17b4}' | '\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{2000}'..='\u{200f}' | '\u{2028}'..='\u{202f}' | '\u{205f}'..='\u{206f}'
        | '\u{3000}' | '\u{3164}' | '\u{fe00}'..='\u{fe0f}' | '\u{feff}' | '\u{ffa0}' | '\u{fff9}'..='\u{fffb}'
        | '\u{e0000}'..='\u{e0fff}')
        || (c.is_control() && !c.is_whitespace())
}

fn is_host(domain: &str) -> bool {
    let letters = |label: &str| label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    let top = domain.rsplit('.').next().unwrap_or(""); // split yields at least one part
    let top_is_name = top.len() >= 2
        && (top.bytes().all(|b| b.is_ascii_alphabetic()) || top.to_ascii_lowercase().starts_with("xn--"));
    domain.split('.').all(letters) && top_is_name
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_addresses_pass() {
        for good in [
            "ann@example.com",
            "Ann.O'Neil+ward7@mail.example.co.uk",
            "a@b.io",
            "user@xn--mller-kva.example",
            "x@example.xn--p1ai",
            "1@2.museum",
        ] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
    }

    #[test]
    fn what_the_format_email_refuses_is_refused() {
        for bad in [
            "none",
            "akshay144@",
            "@example.com",
            "a@b",
            "user@localhost",
            "a b@example.com",
            "a@example..com",
            "a..b@example.com",
            ".a@example.com",
            "a@b@example.com",
            "a@-example.com",
            "a@exa_mple.com",
            "a@example.c",
            "a@10.0.0.1",
            "a@[10.0.0.1]",
            "mailto:",
            "a@example.com@",
        ] {
            assert_eq!(check(bad), Err(Code::EmailInvalid), "{bad}");
        }
    }

    #[test]
    fn a_refusal_says_what_is_wrong_where_no_eye_sees_it() {
        for (code, addresses) in [
            (
                Code::EmailDomainNotAscii,
                &["ann@bücher.example", "ann@пример.рф", "ann@ex\u{430}mple.com", "ann@例え.jp"][..],
            ),
            (
                Code::EmailNotAscii,
                &["jörg@example.com", "\u{430}nn@example.com", "ann＠example.com", "jörg@bücher.example"],
            ),
            (
                Code::EmailInvisible,
                &[
                    "\u{200b}a@example.com",
                    "a\u{feff}@example.com",
                    "a@exam\u{ad}ple.com",
                    "a\u{a0}b@example.com",
                    "a@example.com\0",
                    "\u{202a}a@example.com\u{202c}",
                ],
            ),
            (
                Code::EmailSeveral,
                &[
                    "a@example.com; b@example.com",
                    "a@example.com,b@example.com",
                    "a@example.com b@example.com",
                    "a@example.com/b@example.com",
                    "a@example.com | b@example.com",
                    "A <a@example.com>, B <b@example.com>",
                    "a@example.com\nb@example.com",
                ],
            ),
            (
                Code::EmailSurrounded,
                &[
                    "mailto:a@example.com",
                    "Ann <ann@example.com>",
                    "<a@example.com>",
                    "a@example.com;",
                    "'a@example.com'",
                    "a@example.com (work)",
                    "E-Mail: a@example.com",
                    "a@example.com.",
                    "a@example.com\nb",
                    "mailto:a@example.com?subject=x",
                    "Jörg <joerg@example.com>",
                ],
            ),
        ] {
            for address in addresses {
                assert_eq!(check(address), Err(code), "{address:?}");
            }
        }
    }

    #[test]
    fn the_limits_are_254_and_64_characters() {
        let of_local = |n: usize| format!("{}@example.com", "x".repeat(n));
        assert_eq!(check(&of_local(64)), Ok(()));
        assert_eq!(check(&of_local(65)), Err(Code::EmailTooLong));
        let of_whole = |n: usize| {
            let labels = "d".repeat(60) + "." + &"e".repeat(60) + "." + &"f".repeat(60) + ".";
            let start = "x@".to_owned() + &labels;
            let rest = n - start.len() - ".com".len();
            start + &"g".repeat(rest.min(63)) + ".com"
        };
        assert_eq!(check(&of_whole(252)), Ok(()));
        let long =
            "x".repeat(60) + "@" + &["d".repeat(60), "e".repeat(60), "f".repeat(60), "com".into()].join(".");
        assert_eq!(long.len(), 247);
        assert_eq!(check(&("1234567".to_owned() + &long)), Err(Code::EmailTooLong), "local part of 67");
        assert_eq!(check(&"x".repeat(255)), Err(Code::EmailTooLong));
        let whole_254 =
            "x".repeat(64) + "@" + &["d".repeat(61), "e".repeat(61), "f".repeat(61), "com".into()].join(".");
        assert_eq!((whole_254.len(), check(&whole_254)), (254, Ok(())));
        let whole_255 =
            "x".repeat(64) + "@" + &["d".repeat(62), "e".repeat(61), "f".repeat(61), "com".into()].join(".");
        assert_eq!((whole_255.len(), check(&whole_255)), (255, Err(Code::EmailTooLong)));
    }
}
