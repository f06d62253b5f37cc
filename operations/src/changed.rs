//! Who changed since they were moved, for a plan: it is made in a ledger of its own, which knows
//! nothing of earlier runs.

use ferry_domain::{ItemSeq, RunId};

use crate::{Access, Error};

/// Users compared together. Each group costs a reading of the earlier run; where all changed, their
/// records are in memory together.
const GROUP: i64 = 50_000;

/// Makes conflicts of users in `scratch` who have an id and are not as a run in `ledger` moved
/// them. The first of the `earlier` runs that moved a user counts.
pub(crate) async fn settle(
    scratch: &Access,
    ledger: &Access,
    run: RunId,
    earlier: &[RunId],
) -> Result<(), Error> {
    let mut after = ItemSeq(0);
    loop {
        let mut users = scratch.planning.moved_users(run, after, GROUP).await?;
        let Some(last) = users.last() else { return Ok(()) };
        after = last.seq;
        for earlier in earlier {
            let found = ledger.planning.moved_otherwise(*earlier, &users).await?;
            let mut unknown = Vec::new();
            let mut moved = Vec::new();
            for user in found {
                match user.then {
                    Some(then) => moved.push((user.seq, then)),
                    None => unknown.push(user.seq),
                }
            }
            scratch.planning.settle_changed(run, &moved).await?;
            users.retain(|user| unknown.binary_search(&user.seq).is_ok());
            if users.is_empty() {
                break;
            }
        }
    }
}
