//! Reading a response: the whole body within a limit, and `Retry-After`.

use std::time::Duration;

use reqwest::{Response, header::HeaderValue};

use crate::errors::Broken;

/// No answer of the calls made here is larger; a user has 10 KB, seldom more.
const LARGEST: usize = 8 * 1024 * 1024;

/// The longest time that is taken from an answer: a year. A point of time further away can't be
/// told from one that never comes, and adding it to the clock would overflow.
const LONGEST: Duration = Duration::from_secs(365 * 24 * 60 * 60);

/// `Retry-After` in seconds, at most [`LONGEST`]; its other form, a date, is not used by Auth0.
pub(crate) fn seconds(header: Option<&HeaderValue>) -> Option<Duration> {
    header?.to_str().ok()?.trim().parse().ok().map(time)
}

/// A number of seconds from an answer, at most [`LONGEST`].
pub(crate) fn time(seconds: u64) -> Duration {
    Duration::from_secs(seconds).min(LONGEST)
}

/// The whole body, if it is no larger than any answer can be.
pub(crate) async fn body(mut response: Response) -> Result<Vec<u8>, Broken> {
    let announced = response.content_length().unwrap_or(0).min(LARGEST as u64);
    let mut body = Vec::with_capacity(announced as usize);
    while let Some(part) = response.chunk().await.map_err(|error| Broken::reading(&error))? {
        if body.len() + part.len() > LARGEST {
            return Err(Broken::Unreadable);
        }
        body.extend_from_slice(&part);
    }
    Ok(body)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_from_an_answer_has_a_bound() {
        let largest = HeaderValue::from_static("18446744073709551615");
        assert_eq!(seconds(Some(&largest)), Some(LONGEST));
        assert_eq!(seconds(Some(&HeaderValue::from_static(" 7 "))), Some(Duration::from_secs(7)));
        assert_eq!(time(u64::MAX), LONGEST);
    }
}
