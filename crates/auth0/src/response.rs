//! Reading a response: the whole body within a limit, and `Retry-After`.

use std::time::Duration;

use reqwest::{Response, header::HeaderValue};

use crate::errors::Broken;

/// No answer of the calls made here is larger; a user has 10 KB, seldom more.
const LARGEST: usize = 8 * 1024 * 1024;

/// `Retry-After` in seconds; its other form, a date, is not used by Auth0.
pub(crate) fn seconds(header: Option<&HeaderValue>) -> Option<Duration> {
    header?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
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
