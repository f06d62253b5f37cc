//! What became of users that earlier runs moved.

use ferry_domain::{ItemSeq, RunId, SourceKey, ports::SourceWarning};

use crate::{Access, Error};

/// Keys of an earlier run that are read together.
const KEYS: i64 = 50_000;
/// Keys of users who are gone that are named.
const GONE_SHOWN: usize = 10;

/// What earlier runs have to do with a source as it is now.
#[derive(Clone, Debug, Default)]
pub struct Since {
    /// Of users that were moved under another name.
    pub notes: Vec<SourceWarning>,
    /// Users who have an id, where the ledger knows no earlier run to compare them with.
    pub not_compared: i64,
    /// Users that the newest run over this table moved, and that are not in it any more.
    pub gone: u64,
    /// The first of their keys, as [`SourceKey::shown`] shows them.
    pub gone_keys: Vec<String>,
}

impl Since {
    /// Looks for users that a run over the same table moved, and that are not in it any more.
    pub(super) async fn note_gone(
        &mut self,
        ledger: &Access,
        last: RunId,
        is_there: impl Fn(&SourceKey) -> bool,
    ) -> Result<(), Error> {
        let mut after = ItemSeq(0);
        loop {
            let moved = ledger.planning.moved_keys(last, after, KEYS).await?;
            let Some((end, _)) = moved.last() else { return Ok(()) };
            after = *end;
            for (_, key) in moved.iter().filter(|(_, key)| !is_there(key)) {
                self.gone += 1;
                if self.gone_keys.len() < GONE_SHOWN {
                    self.gone_keys.push(key.shown());
                }
            }
        }
    }

    /// What a person should know of it.
    pub fn warnings(&self) -> Vec<SourceWarning> {
        let warning = |what, remedy: &str| SourceWarning { field: None, what, remedy: remedy.to_owned() };
        let not_compared = (self.not_compared > 0).then(|| {
            let what = format!(
                "{} users have an Auth0 id already, and the ledger knows no earlier run of this source or \
                 migration: whether they changed since they were moved was not looked at",
                self.not_compared
            );
            warning(what, "If another ledger has that run, name it (FERRY_LEDGER_URL)")
        });
        let gone = (self.gone > 0).then(|| {
            let shown = self.gone_keys.join(", ");
            let more = if self.gone > self.gone_keys.len() as u64 { ", …" } else { "" };
            let what = format!(
                "{} users that were moved are not in this table any more, and can sign in still (keys {shown}{more})",
                self.gone
            );
            warning(what, "Look who they are: block or delete the accounts at Auth0 of those who left; a row with another key may be somebody's by now")
        });
        self.notes.iter().cloned().chain(not_compared).chain(gone).collect()
    }
}
