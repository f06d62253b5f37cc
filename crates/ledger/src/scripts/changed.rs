//! Who changed since an earlier run moved them, found at planning.
//!
//! Their rows have an id, so nothing is to be sent; but "nothing to do" would be wrong. The ledger
//! compares digests, so that only records of users that changed are read.

use std::collections::{BTreeMap, HashMap, HashSet};

use ferry_domain::{
    Auth0UserId, ItemSeq, RunId, SourceKey, UserRecord,
    ports::{MovedAs, RunNow},
};

use crate::{
    Result,
    steps::{ChangedSteps, Met, RecordRow, Step},
    words,
};

/// Records read together.
const GROUP: usize = 500;

/// Makes conflicts of users that are moved already and are not as they were then. The first of the
/// `earlier` runs that moved a user counts; a run in which such a conflict stayed one moved nobody.
pub async fn settle_changed<X: ChangedSteps>(x: &mut X, run: RunId, earlier: &[RunId]) -> Step<(), X> {
    let mut left: Option<Vec<i64>> = None;
    for &earlier in earlier {
        let found = x.differing(run, earlier, left.as_deref()).await?;
        let pairs: Vec<(i64, i64)> = found.iter().filter_map(|user| Some((user.seq, user.then?))).collect();
        for group in pairs.chunks(GROUP) {
            let places: HashMap<i64, i64> = group.iter().map(|(seq, then)| (*then, *seq)).collect();
            let thens: Vec<i64> = places.keys().copied().collect();
            let mut moved = Vec::new();
            for row in x.records(earlier, &thens).await? {
                let Some(seq) = places.get(&row.seq) else { continue };
                if let (Some(record), Some(account)) = (record(earlier, &row)?, row.account) {
                    moved.push((ItemSeq(*seq), MovedAs { record, auth0_user_id: Auth0UserId(account) }));
                }
            }
            settle_given(x, run, &moved).await?;
        }
        let unknown: Vec<i64> =
            found.iter().filter(|user| user.then.is_none()).map(|user| user.seq).collect();
        if unknown.is_empty() {
            break;
        }
        left = Some(unknown);
    }
    Ok(())
}

/// Makes conflicts of these users, given how they were moved, where a field changed.
pub async fn settle_given<X: ChangedSteps>(
    x: &mut X,
    run: RunId,
    then: &[(ItemSeq, MovedAs)],
) -> Step<(), X> {
    for group in then.chunks(GROUP) {
        let moved: HashMap<i64, &MovedAs> = group.iter().map(|(seq, then)| (seq.0, then)).collect();
        let seqs: Vec<i64> = moved.keys().copied().collect();
        let mut changed: BTreeMap<String, Vec<i64>> = BTreeMap::new();
        for row in x.records(run, &seqs).await? {
            let Some(then) = moved.get(&row.seq) else { continue };
            if row.account.is_none() {
                if !then.record.blocked {
                    keep_blocked(x, run, row.seq, then).await?;
                    changed.entry("blocked".to_owned()).or_default().push(row.seq);
                }
                continue;
            }
            let now = record(run, &row)?;
            let mut fields = match now {
                Some(now) => now.changed_since(&then.record),
                None => row.field.into_iter().collect(),
            };
            if row.account.as_deref() != Some(&then.auth0_user_id.0) {
                fields.push("auth0_user_id".to_owned());
            }
            // None where only the way of keeping records changed.
            if !fields.is_empty() {
                changed.entry(fields.join(", ")).or_default().push(row.seq);
            }
        }
        for (fields, seqs) in changed {
            x.make_conflicts(run, &seqs, &fields).await?;
        }
    }
    Ok(())
}

/// A user who is left out as disabled, and has an account that can sign in: the record of then,
/// blocked, is what a retry compares it with.
async fn keep_blocked<X: ChangedSteps>(x: &mut X, run: RunId, seq: i64, then: &MovedAs) -> Step<(), X> {
    let record = UserRecord { blocked: true, ..then.record.clone() };
    let json = serde_json::to_string(&record).unwrap_or_default(); // can't fail: string keys and plain values
    x.keep_moved(run, seq, &then.auth0_user_id.0, &json).await
}

/// Gives users to be sent the accounts that earlier runs gave them, so that nobody is made a second
/// one; and says whose account an address belongs to, so that nobody is offered another's. The
/// chosen id needs no such word: the account has our mark.
pub async fn settle_known<X: ChangedSteps>(
    x: &mut X,
    run: RunId,
    of: &RunNow,
    earlier: &[RunId],
) -> Step<(), X> {
    let mut seen = HashSet::new();
    for &earlier in earlier {
        let (known, others): (Vec<Met>, Vec<Met>) =
            x.met(run, earlier).await?.into_iter().partition(|met| met.same_key);
        // Of a user that was seen a newer run says more: another account, the chosen one, or that it is gone.
        let is_new = known.into_iter().filter(|met| seen.insert(met.seq));
        let accounts: Vec<_> = is_new
            .filter_map(|met| Some((met.seq, met.key, met.account?)))
            .filter(|(_, key, account)| of.id_of(&SourceKey(key.clone())).0 != *account)
            .map(|(seq, _, account)| (seq, account))
            .collect();
        for group in accounts.chunks(GROUP) {
            x.keep_accounts(run, group).await?;
        }
        let others = others.into_iter().filter(|met| met.account.is_some() && !seen.contains(&met.seq));
        let others: Vec<_> = others.map(|met| (met.seq, SourceKey(met.key).shown())).collect();
        for group in others.chunks(GROUP) {
            x.keep_others(run, group).await?;
        }
    }
    Ok(())
}

fn record(run: RunId, row: &RecordRow) -> Result<Option<UserRecord>> {
    let name = || format!("{run}/{}", row.seq);
    row.record.as_deref().map(|record| words::json("items", name(), "record", record)).transpose()
}
