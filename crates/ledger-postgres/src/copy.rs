//! Items as the text format of `COPY … FROM STDIN`.
//!
//! Text, not binary: as fast here (the server spends its time on JSON and indexes),
//! and a wrong byte is a clear error. Backslash, tab, newline and carriage return are
//! escaped; a NUL exists in no PostgreSQL text, so such an item is refused by name.

use ferry_domain::{ItemState, NewItem, ports::LedgerError};
use uuid::Uuid;

/// The statement that takes what [`Rows`] makes.
pub(crate) const STATEMENT: &str = "COPY ferry.planned_items (run_id, seq, batch_id, key, place, line, email, \
     record, digest, state, code, field, auth0_user_id, made_by_ferry) FROM STDIN";

/// Rows ready to be sent.
pub(crate) struct Rows {
    run: String,
    bytes: Vec<u8>,
}

impl Rows {
    pub(crate) fn of(run: Uuid) -> Self {
        Rows { run: run.to_string(), bytes: Vec::new() }
    }

    /// Adds an item.
    pub(crate) fn push(&mut self, item: &NewItem) -> Result<(), LedgerError> {
        let record =
            item.record.as_ref().map(serde_json::to_string).transpose().map_err(|_| refused(item))?;
        let settled = item.settled.as_ref();
        let state = settled.map_or(ItemState::Pending, |outcome| outcome.state);
        let code = settled.and_then(|outcome| outcome.code).map(|code| code.as_str());
        let field = settled.and_then(|outcome| outcome.field.as_deref());
        let id = settled.and_then(|outcome| outcome.auth0_user_id.as_ref()).map(|id| id.0.as_str());
        let email = item.record.as_ref().map(|record| record.email.expose());
        let texts = [Some(&*item.key.0), Some(&*item.origin.place), email, field, id, Some(&*item.digest)];
        if texts.into_iter().flatten().any(|text| text.contains('\0'))
            || record.as_deref().is_some_and(has_nul)
        {
            return Err(refused(item));
        }
        let (seq, batch, line) =
            (item.seq.0.to_string(), item.batch.to_string(), item.origin.line.to_string());
        let columns: [Option<&str>; 14] = [
            Some(&self.run),
            Some(&seq),
            Some(&batch),
            Some(&item.key.0),
            Some(&item.origin.place),
            Some(&line),
            email,
            record.as_deref(),
            Some(&item.digest),
            Some(state.as_str()),
            code,
            field,
            id,
            Some(if state == ItemState::Created { "t" } else { "f" }),
        ];
        for (at, column) in columns.into_iter().enumerate() {
            if at > 0 {
                self.bytes.push(b'\t');
            }
            match column {
                None => self.bytes.extend_from_slice(b"\\N"),
                Some(text) => escape(text, &mut self.bytes),
            }
        }
        self.bytes.push(b'\n');
        Ok(())
    }

    /// What has gathered; begins anew.
    pub(crate) fn take(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.bytes)
    }

    /// Bytes gathered.
    pub(crate) fn len(&self) -> usize {
        self.bytes.len()
    }
}

fn escape(text: &str, into: &mut Vec<u8>) {
    let mut rest = text.as_bytes();
    // What needs none is copied as a whole: byte by byte cost a tenth of planning.
    while let Some(at) = rest.iter().position(|byte| matches!(byte, b'\\' | b'\t' | b'\n' | b'\r')) {
        into.extend_from_slice(&rest[..at]);
        into.extend_from_slice(match rest[at] {
            b'\t' => b"\\t",
            b'\n' => b"\\n",
            b'\r' => b"\\r",
            _ => b"\\\\",
        });
        rest = &rest[at + 1..];
    }
    into.extend_from_slice(rest);
}

/// Whether JSON text holds the escape of NUL: `\u0000` behind an even number of backslashes.
fn has_nul(json: &str) -> bool {
    json.match_indices("\\u0000").any(|(at, _)| {
        let before = json[..at].bytes().rev().take_while(|&byte| byte == b'\\').count();
        before % 2 == 0
    })
}

fn refused(item: &NewItem) -> LedgerError {
    LedgerError::Refused(format!(
        "{} holds a NUL character, which PostgreSQL can't keep; remove it from the source",
        item.origin
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_copy_takes_for_structure_is_escaped() {
        let mut bytes = Vec::new();
        escape("a\tb\\.\nc\r\u{e9}", &mut bytes);
        assert_eq!(bytes, "a\\tb\\\\.\\nc\\r\u{e9}".as_bytes());
    }

    #[test]
    fn an_escaped_nul_is_found_and_an_escaped_backslash_is_none() {
        assert!(has_nul(r#"{"a":"\u0000"}"#));
        assert!(has_nul(r#"{"a":"\\\u0000"}"#));
        assert!(!has_nul(r#"{"a":"\\u0000"}"#));
    }
}
