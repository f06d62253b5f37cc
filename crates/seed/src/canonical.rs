//! The byte form of a row, for the digest and for PostgreSQL's `COPY`.
//!
//! The form is a tuple of `COPY … (FORMAT binary)`: the number of columns, then
//! each value with its length in front, NULL as length −1. Lengths make it
//! unambiguous, which is all a digest asks; and PostgreSQL takes it as it is, so
//! nothing is escaped or encoded twice. Text formats were rejected: escaping
//! costs a look at every byte, and NULL needs a convention.

use sha2::{Digest as _, Sha256};

use crate::rows::{Hospital, Permission, User, Ward};

/// Seconds from 1970 to 2000, where PostgreSQL starts to count.
const POSTGRES_EPOCH: i64 = 946_684_800;

pub(crate) fn hospital(out: &mut Vec<u8>, row: &Hospital) {
    columns(out, 4);
    integer(out, row.id as i64);
    text(out, &row.code);
    text(out, &row.name);
    boolean(out, row.retired);
}

pub(crate) fn ward(out: &mut Vec<u8>, row: &Ward) {
    columns(out, 4);
    integer(out, row.id as i64);
    integer(out, row.hospital_id as i64);
    text(out, &row.code);
    text(out, row.name);
}

pub(crate) fn user(out: &mut Vec<u8>, row: &User) {
    columns(out, 10);
    integer(out, row.id as i64);
    optional_text(out, row.email.as_deref());
    text(out, &row.name);
    text(out, row.role.as_str());
    integer(out, row.hospital_id as i64);
    optional_integer(out, row.ward_id.map(|id| id as i64));
    boolean(out, row.active);
    boolean(out, row.blocked);
    text(out, &row.api_key);
    timestamp(out, row.created_at);
}

pub(crate) fn permission(out: &mut Vec<u8>, row: &Permission) {
    columns(out, 3);
    integer(out, row.user_id as i64);
    integer(out, row.hospital_id as i64);
    text(out, row.permission);
}

pub(crate) fn columns(out: &mut Vec<u8>, count: i16) {
    out.extend_from_slice(&count.to_be_bytes());
}

pub(crate) fn integer(out: &mut Vec<u8>, value: i64) {
    out.extend_from_slice(&8_i32.to_be_bytes());
    out.extend_from_slice(&value.to_be_bytes());
}

pub(crate) fn optional_integer(out: &mut Vec<u8>, value: Option<i64>) {
    match value {
        Some(value) => integer(out, value),
        None => null(out),
    }
}

pub(crate) fn text(out: &mut Vec<u8>, value: &str) {
    out.extend_from_slice(&(value.len() as i32).to_be_bytes());
    out.extend_from_slice(value.as_bytes());
}

pub(crate) fn optional_text(out: &mut Vec<u8>, value: Option<&str>) {
    match value {
        Some(value) => text(out, value),
        None => null(out),
    }
}

pub(crate) fn boolean(out: &mut Vec<u8>, value: bool) {
    out.extend_from_slice(&1_i32.to_be_bytes());
    out.push(u8::from(value));
}

/// A `timestamptz` from seconds since 1970.
pub(crate) fn timestamp(out: &mut Vec<u8>, seconds: i64) {
    integer(out, (seconds - POSTGRES_EPOCH) * 1_000_000);
}

fn null(out: &mut Vec<u8>) {
    out.extend_from_slice(&(-1_i32).to_be_bytes());
}

/// The digest of a population: one hash per table, so that users and their
/// permissions can be written side by side, and a hash over the four.
#[derive(Default)]
pub(crate) struct Digest {
    pub(crate) hospitals: Sha256,
    pub(crate) wards: Sha256,
    pub(crate) users: Sha256,
    pub(crate) permissions: Sha256,
}

impl Digest {
    /// 64 hexadecimal digits.
    pub(crate) fn finish(self) -> String {
        let mut whole = Sha256::new();
        for table in [self.hospitals, self.wards, self.users, self.permissions] {
            whole.update(table.finalize());
        }
        hex(&whole.finalize())
    }
}

pub(crate) fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(2 * bytes.len());
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
