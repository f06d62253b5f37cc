//! Who changed since an earlier run moved them, found at planning.
//!
//! Their rows have an id, so nothing is to be sent; but "nothing to do" would be wrong. The ledger
//! compares digests, so that only records of users that changed are read.

use std::collections::{BTreeMap, HashMap};

use ferry_domain::{Auth0UserId, ItemSeq, RunId, UserRecord, ports::MovedAs};

use crate::{
    Result,
    steps::{ChangedSteps, RecordRow, Step},
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

fn record(run: RunId, row: &RecordRow) -> Result<Option<UserRecord>> {
    let name = || format!("{run}/{}", row.seq);
    row.record.as_deref().map(|record| words::json("items", name(), "record", record)).transpose()
}
