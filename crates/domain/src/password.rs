//! Passwords that are known to no one.
//!
//! Each is 256 random bits in text that meets every default policy of a
//! connection, and exists only inside one request. Plain base64 would not do:
//! 26 % of such strings lack one of the four character classes (design §5.3).

use secrecy::SecretString;

use crate::ports::Random;

const ALPHABET: &[u8; 64] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";
/// 43 symbols of six bits: 258 bits.
const SYMBOLS: usize = 43;

/// A new password: 47 characters of four classes, no three equal in a row.
pub fn generate(random: &dyn Random) -> SecretString {
    let mut bytes = [0u8; SYMBOLS];
    random.fill(&mut bytes);
    // One of each class comes first, so that the random part may be anything.
    let mut text = String::with_capacity(4 + SYMBOLS * 2);
    text.push_str("aA1-");
    let mut last = ['1', '-'];
    for byte in bytes {
        let next = char::from(ALPHABET[usize::from(byte & 63)]);
        if last == [next, next] {
            // Breaks a run of three by a symbol that is outside the alphabet, so no bit is lost.
            text.push('.');
            last[1] = '.';
        }
        text.push(next);
        last = [last[1], next];
    }
    SecretString::from(text)
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;
    use crate::testing::SeededRandom;

    struct Constant(u8);
    impl Random for Constant {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.fill(self.0);
        }
    }

    fn assert_good(password: &str) {
        let has = |test: fn(char) -> bool| password.chars().any(test);
        assert!(
            has(|c| c.is_ascii_lowercase()) && has(|c| c.is_ascii_uppercase()) && has(|c| c.is_ascii_digit())
        );
        assert!(has(|c| !c.is_ascii_alphanumeric()));
        let chars: Vec<char> = password.chars().collect();
        assert!(chars.windows(3).all(|w| !(w[0] == w[1] && w[1] == w[2])), "three in a row in {password}");
        assert!(password.len() <= 72, "bcrypt reads 72 bytes: {}", password.len());
    }

    #[test]
    fn every_password_meets_the_strictest_default_policy() {
        let random = SeededRandom::new(3);
        for _ in 0..10_000 {
            assert_good(generate(&random).expose_secret());
        }
        for worst in 0..=63 {
            assert_good(generate(&Constant(worst)).expose_secret());
        }
    }

    #[test]
    fn two_passwords_differ_and_debug_hides_them() {
        let random = SeededRandom::new(3);
        let (one, two) = (generate(&random), generate(&random));
        assert_ne!(one.expose_secret(), two.expose_secret());
        assert!(!format!("{one:?}").contains(one.expose_secret()));
    }
}
