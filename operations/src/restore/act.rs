//! Asks Auth0, and writes.

use std::{future::ready, time::Duration};

use ferry_domain::{
    Email, ItemResult, Outcome as ItemOutcome, WriteBackTarget,
    application::RowId,
    ports::{AppRows, Application, Directory, Ended, Restored},
};
use futures_util::{StreamExt, TryStreamExt, stream};

use super::{NotRestored, Question, User, Why, looked_at, pages};
use crate::{Access, Error};

/// Users that Auth0 is asked for at the same time.
const AT_ONCE: usize = 8;
/// How often rows that the application holds locked are tried, and the pause between.
const TRIES: (u32, Duration) = (5, Duration::from_millis(300));

/// Where rows and accounts are.
#[derive(Clone, Copy)]
pub struct Servers<'a> {
    /// The database of the run's table.
    pub application: &'a dyn Application,
    /// Auth0.
    pub directory: &'a dyn Directory,
}

/// Whether a person ended it.
pub type Stopped<'a> = &'a (dyn Fn() -> bool + Sync);

/// What was done.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In numbers.
    pub restored: Restored,
    /// Each user whose row has not the id of its account.
    pub not_restored: Vec<NotRestored>,
    /// What ended it before all was done, where something failed.
    pub failed: Option<Error>,
}

/// Asks Auth0 for each user whose row lacks the id, and writes the ids of those that are there.
/// `stopped` is asked before each user: what Auth0 was asked for is written still. `at` is told how many rows without an
/// id were looked at. Where none lacks its id, rows are only looked at.
///
/// # Errors
/// When the audit can't be written. What fails later is in the outcome: what was written until then
/// stays, and the same command goes on with the rest.
pub async fn act(
    access: &Access,
    servers: Servers<'_>,
    question: &Question,
    reason: Option<&str>,
    stopped: Stopped<'_>,
    at: &mut (dyn FnMut(i64) + Send),
) -> Result<Outcome, Error> {
    let (run, command) = (question.run.id, access.command(reason));
    let writes = question.rows.lacking > 0;
    if writes {
        access.controls.note_restoring(run, &question.rows, &command).await?;
    }
    let mut done = Outcome::default();
    match done.all(access, servers, question, stopped, at).await {
        Ok(()) if stopped() => done.restored.ended = Ended::Interrupted,
        Ok(()) => {}
        Err(error) => {
            done.restored.ended = Ended::Failed;
            done.failed = Some(error);
        }
    }
    if writes {
        access.controls.note_restored(run, &done.restored, &command).await?;
    }
    Ok(done)
}

impl Outcome {
    /// Users of the question that were not come to: neither asked for, nor written.
    pub fn left(&self, question: &Question) -> i64 {
        let Restored { restored, gone, refused, .. } = self.restored;
        (question.rows.lacking - restored - gone - refused).max(0)
    }

    async fn all(
        &mut self,
        access: &Access,
        servers: Servers<'_>,
        question: &Question,
        stopped: Stopped<'_>,
        at: &mut (dyn FnMut(i64) + Send),
    ) -> Result<(), Error> {
        let mut pages = pages(access, question.run.id);
        while !stopped()
            && let Some(page) = pages.next().await?
        {
            let users = page.into_iter().filter_map(User::of).collect();
            let mut lacking = Vec::new();
            for (user, found) in looked_at(servers.application, &question.target, users).await? {
                self.restored.rows.add(found);
                match Why::of_row(found) {
                    Some(why) => self.not_restored.push(NotRestored { key: user.key, why }),
                    None if found == RowId::Lacking => lacking.push(user),
                    None => {}
                }
            }
            self.group(servers, &question.target, lacking, stopped).await?;
            at(self.restored.rows.lacking);
        }
        Ok(())
    }

    /// Users of one group whose rows lack their id.
    async fn group(
        &mut self,
        Servers { application, directory }: Servers<'_>,
        target: &WriteBackTarget,
        lacking: Vec<User>,
        stopped: Stopped<'_>,
    ) -> Result<(), Error> {
        let asked = stream::iter(lacking)
            .take_while(|_| ready(!stopped()))
            .map(async |user| Ok::<_, Error>((at_auth0(directory, &user).await?, user)))
            .buffered(AT_ONCE)
            .try_collect::<Vec<_>>()
            .await?;
        let mut results = Vec::new();
        for (email, user) in asked {
            match email {
                Some(email) => results.push(result(user, email)),
                None => {
                    self.restored.gone += 1;
                    self.not_restored.push(NotRestored { key: user.key, why: Why::gone() });
                }
            }
        }
        let rows = write(application, target, &results).await?;
        let refused = rows.refused.iter().map(|row| (row.seq, Why::refused(row)));
        let locked = rows.locked.iter().map(|seq| (*seq, Why::locked()));
        let mut left = 0;
        for (seq, why) in refused.chain(locked) {
            left += 1;
            if let Some(result) = results.iter().find(|result| result.seq == seq) {
                self.not_restored.push(NotRestored { key: result.key.clone(), why });
            }
        }
        self.restored.refused += left;
        self.restored.restored += i64::try_from(results.len()).unwrap_or(i64::MAX) - left;
        Ok(())
    }
}

/// The address of a user's account; `None` where there is no account any more.
async fn at_auth0(directory: &dyn Directory, user: &User) -> Result<Option<Email>, Error> {
    let found = directory.get(&user.id).await?;
    // An account without an address agrees with no row.
    Ok(found.map(|found| Email::normalised(found.email.as_deref().unwrap_or_default())))
}

fn result(user: User, email: Email) -> ItemResult {
    let User { seq, key, id } = user;
    ItemResult { seq, key, email, outcome: ItemOutcome::adopted(id) }
}

/// Writes; rows that the application holds locked are tried a few times.
async fn write(
    application: &dyn Application,
    target: &WriteBackTarget,
    results: &[ItemResult],
) -> Result<AppRows, Error> {
    let mut left: Vec<&ItemResult> = results.iter().collect();
    let mut rows = AppRows::default();
    for _try in 0..TRIES.0 {
        if left.is_empty() {
            break;
        }
        let AppRows { refused, locked } = application.write_ids(target, &left).await?;
        rows.refused.extend(refused);
        left.retain(|result| locked.contains(&result.seq));
        rows.locked = locked;
        if !left.is_empty() {
            tokio::time::sleep(TRIES.1).await;
        }
    }
    Ok(rows)
}
