//! The records that a rule settled: counted by reason and field, and listed one by one.

use std::collections::BTreeMap;

use ferry_domain::{
    Code, ItemState, RunId,
    ports::{ItemFilter, ItemPages, ItemView, Planned, SettledGroup},
};
use ferry_report::BY_FIELD;
use schemars::JsonSchema;
use serde::Serialize;

use crate::{Access, Error};

/// Records read from the ledger in one statement.
const PAGE: i64 = 1_000;

/// Records that a rule settled, with the same end.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Settled {
    /// Conflict, failed or skipped.
    pub state: ItemState,
    /// Code of the reason.
    pub code: Code,
    /// The field it speaks of, where the code does not say it.
    pub field: Option<String>,
    /// Number of records.
    pub count: i64,
    /// What to do about it.
    pub remedy: &'static str,
}

impl Settled {
    pub(super) fn new(state: ItemState, code: Code, field: Option<String>, count: i64) -> Self {
        Settled { state, code, field, count, remedy: code.remedy() }
    }
}

/// What a rule settled in a run that was planned, by reason and field.
///
/// # Errors
/// When the ledger fails.
pub async fn settled_of(access: &Access, run: RunId, planned: &Planned) -> Result<Vec<Settled>, Error> {
    let (by_field, rest): (Vec<SettledGroup>, Vec<SettledGroup>) =
        planned.settled.iter().partition(|group| BY_FIELD.contains(&group.code));
    let mut settled: Vec<_> =
        rest.into_iter().map(|group| Settled::new(group.state, group.code, None, group.count)).collect();
    if !by_field.is_empty() {
        let codes = by_field.iter().map(|group| group.code).collect();
        let mut counts: BTreeMap<(ItemState, Code, Option<String>), i64> = BTreeMap::new();
        let mut count = |item: &ItemView| {
            if let Some(code) = item.code {
                *counts.entry((item.state, code, item.field.clone())).or_insert(0) += 1;
            }
        };
        each(access, run, ItemFilter { states: SETTLED.to_vec(), codes }, &mut count).await?;
        let counted = counts.into_iter();
        settled.extend(counted.map(|((state, code, field), count)| Settled::new(state, code, field, count)));
    }
    // Who needs a person comes before who is left out without a fault.
    let order =
        |settled: &Settled| (settled.state == ItemState::Skipped, settled.code, settled.field.clone());
    settled.sort_by_key(order);
    Ok(settled)
}

const SETTLED: [ItemState; 3] = [ItemState::Conflict, ItemState::Failed, ItemState::Skipped];

/// Every user who changed since an earlier run moved them, then every record that a rule refused,
/// then every one that it left out, each in source order, page by
/// page: the memory does not grow with the source.
///
/// # Errors
/// When the ledger fails.
pub async fn each_settled(
    access: &Access,
    run: RunId,
    see: &mut (dyn FnMut(&ItemView) + Send),
) -> Result<(), Error> {
    for state in SETTLED {
        each(access, run, ItemFilter { states: vec![state], codes: Vec::new() }, see).await?;
    }
    Ok(())
}

async fn each(
    access: &Access,
    run: RunId,
    filter: ItemFilter,
    see: &mut (dyn FnMut(&ItemView) + Send),
) -> Result<(), Error> {
    let mut pages = ItemPages::of(&*access.items, run, filter, PAGE);
    while let Some(page) = pages.next().await? {
        page.iter().for_each(&mut *see);
    }
    Ok(())
}

/// A record that would not be sent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Record {
    /// File or table, and line or row.
    pub place: String,
    /// Its key; an address as a short digest.
    pub key: String,
    /// Conflict, failed or skipped.
    pub state: ItemState,
    /// Code of the reason.
    pub code: Option<Code>,
    /// The field it speaks of.
    pub field: Option<String>,
    /// Which other record or user the code speaks of.
    pub other: Option<String>,
    /// What to do about it.
    pub remedy: Option<&'static str>,
}

impl From<&ItemView> for Record {
    fn from(item: &ItemView) -> Self {
        Record {
            place: item.origin.to_string(),
            key: item.key.shown(),
            state: item.state,
            code: item.code,
            field: item.field.clone(),
            other: item.other.clone(),
            remedy: item.code.map(Code::remedy),
        }
    }
}
