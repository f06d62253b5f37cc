//! Whether an address is one that Auth0 would take.
//!
//! Stricter than the mail standards, as Auth0 is (FACTS §2.3, §4.1: JSON schema
//! format `email`, whose validator also wants a top-level domain):
//! * ASCII only. The format `email` allows no Unicode (that would be
//!   `idn-email`), neither before the @ nor in the domain, whose `xn--` form is
//!   fine. Lower-casing other scripts could differ between here and Auth0.
//! * The domain has a dot and ends in letters or an `xn--` label.
//! * No display name, no comment, no address literal.

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
    let options = Options::default().with_required_tld().without_domain_literal().without_display_text();
    let well_formed = address.is_ascii() && EmailAddress::parse_with_options(address, options).is_ok();
    let domain = address.rsplit_once('@').map_or("", |(_, domain)| domain);
    if well_formed && is_host(domain) { Ok(()) } else { Err(Code::EmailInvalid) }
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
            "a@example.com,b@example.com",
            "a@-example.com",
            "a@exa_mple.com",
            "a@example.c",
            "a@10.0.0.1",
            "a@[10.0.0.1]",
            "Ann <ann@example.com>",
            "josé@example.com",
            "ann@müller.example",
            "a@example.com\0",
            "a@example.com\nb",
        ] {
            assert_eq!(check(bad), Err(Code::EmailInvalid), "{bad}");
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
