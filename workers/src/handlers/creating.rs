//! Creating one user at Auth0 (design §5, steps 1 to 5).
//!
//! `POST` first, since nearly all users are new; an answer that leaves doubt is
//! resolved by reading the chosen id and then the address, never by searching
//! (FACTS §1 rows 2 and 3).

use std::time::Duration;

use ferry_domain::{
    Auth0UserId, Code, Item, ItemResult, JobKind, Outcome, RunId,
    adoption::Claimant,
    crash, password,
    ports::{Directory, DirectoryError, NewUser, Random, RunNow},
    retry::{self, Class},
};
use tokio::time::{Instant, timeout_at};

use tracing::Instrument;

use super::answers::{Trouble, trouble};
use crate::traces;

/// How one try with one user ended.
#[derive(Debug, PartialEq)]
pub(crate) enum Tried {
    /// An outcome to write back.
    Settled(ItemResult),
    /// Not known or not done; the item stays pending.
    Unsettled(Trouble, Box<Item>),
}

/// Creates users of one batch: what is the same for all of them.
pub(crate) struct CreateUser<'a> {
    pub(crate) directory: &'a dyn Directory,
    pub(crate) random: &'a dyn Random,
    pub(crate) id: RunId,
    pub(crate) run: &'a RunNow,
    /// How long a user may take from the first answer on.
    pub(crate) deadline: Duration,
    /// Share of the users who have spans of their own.
    pub(crate) spans: f64,
}

impl CreateUser<'_> {
    /// Creates one user, or finds the one that is there. The second figure is the number of
    /// requests it took.
    pub(crate) async fn create(&self, item: Item) -> (Tried, i64) {
        let span = traces::user(JobKind::Provision, self.id, &item, self.spans);
        self.tried(item).instrument(span).await
    }

    async fn tried(&self, item: Item) -> (Tried, i64) {
        let mut requests = 0;
        let tried = match self.outcome(&item, &mut requests).await {
            Ok(outcome) => {
                crash::pass("provision.sent");
                traces::outcome(&outcome);
                Tried::Settled(ItemResult::of(item, outcome))
            }
            Err(trouble) => Tried::Unsettled(trouble, Box::new(item)),
        };
        (tried, requests)
    }

    async fn outcome(&self, item: &Item, requests: &mut i64) -> Result<Outcome, Trouble> {
        if let Some(id) = &item.auth0_user_id {
            // Moved by an earlier run: nobody is made a second account.
            *requests += 1;
            let found = self.directory.get(id).await.map_err(trouble)?;
            return Ok(self.claimant(item).by_known_id(id, found.as_ref()));
        }
        let id = self.run.id_of(&item.record.key);
        let mut doubt = DirectoryError::Exists;
        let mut answered = None;
        for _try in 0..2 {
            crash::pass_user(&item.record.key.0);
            *requests += 1;
            let answer = self.directory.create(&self.new_user(item, &id)).await;
            crash::pass_sent_user(&item.record.key.0);
            // The wait for the first permit is the limit's, not the user's.
            let since = *answered.get_or_insert_with(Instant::now);
            match answer {
                Ok(id) => return Ok(Outcome::created(id)),
                Err(error @ (DirectoryError::Exists | DirectoryError::Unknown(_))) => doubt = error,
                Err(error) => return refused(error),
            }
            let resolved = timeout_at(since + self.deadline, self.resolve(item, &id, requests)).await;
            let Ok(resolved) = resolved else { return Err(Trouble::Failed(Code::TimedOut)) };
            if let Some(outcome) = resolved? {
                return Ok(outcome);
            }
        }
        match doubt {
            DirectoryError::Unknown(code) => Err(Trouble::Failed(code)),
            _ => Ok(Outcome::conflict(Code::Ghost)),
        }
    }

    /// The outcome for the user that has the id or the address, if there is one.
    async fn resolve(
        &self,
        item: &Item,
        id: &Auth0UserId,
        requests: &mut i64,
    ) -> Result<Option<Outcome>, Trouble> {
        *requests += 1;
        if let Some(found) = self.directory.get(id).await.map_err(trouble)? {
            return Ok(Some(self.claimant(item).by_id(&found)));
        }
        *requests += 1;
        let found = self.directory.by_email(item.record.email.expose()).await.map_err(trouble)?;
        Ok(self.claimant(item).by_email(&found))
    }

    fn claimant<'i>(&'i self, item: &'i Item) -> Claimant<'i> {
        let account_of = item.account_of.as_deref();
        Claimant { record: &item.record, id: self.id, run: self.run, account_of }
    }

    fn new_user(&self, item: &Item, id: &Auth0UserId) -> NewUser {
        NewUser {
            id: id.clone(),
            connection: self.run.spec.connection.clone(),
            record: item.record.clone(),
            password: password::generate(self.random),
            mark: self.claimant(item).mark(),
        }
    }
}

/// A refusal fails this user, unless every user would be refused like it.
fn refused(error: DirectoryError) -> Result<Outcome, Trouble> {
    match error {
        DirectoryError::Refused { code, field } if retry::class(code) == Class::Fails => {
            let outcome = Outcome::failed(code);
            Ok(match field {
                Some(field) => outcome.at_field(field),
                None => outcome,
            })
        }
        error => Err(trouble(error)),
    }
}

#[cfg(test)]
mod tests {
    use ferry_contract::{FakeDirectory, SeededRandom, directory_user, run_now};
    use ferry_domain::{Email, ItemSeq, ItemState, SourceKey, UserRecord};

    use super::*;

    const RUN: RunId = RunId(uuid::Uuid::from_u128(1));

    fn item() -> Item {
        let record = UserRecord::new(SourceKey("1".into()), Email::normalised("a@example.com"), true);
        Item { seq: ItemSeq(1), record, auth0_user_id: None, account_of: None, state: ItemState::Pending }
    }

    async fn create(directory: &FakeDirectory) -> Tried {
        create_item(directory, item()).await
    }

    async fn create_item(directory: &FakeDirectory, item: Item) -> Tried {
        let run = run_now();
        let (random, deadline) = (SeededRandom::new(1), Duration::from_secs(120));
        let creating = CreateUser { directory, random: &random, id: RUN, run: &run, deadline, spans: 0.0 };
        creating.create(item).await.0
    }

    fn trouble_of(tried: Tried) -> Trouble {
        match tried {
            Tried::Settled(result) => panic!("expected trouble, got {:?}", result.outcome),
            Tried::Unsettled(trouble, left) => {
                assert_eq!(*left, item(), "the user is still to be done");
                trouble
            }
        }
    }

    fn outcome(tried: Tried) -> Outcome {
        match tried {
            Tried::Settled(result) => result.outcome,
            Tried::Unsettled(trouble, _) => panic!("expected an outcome, got {trouble:?}"),
        }
    }

    #[tokio::test]
    async fn a_lost_answer_makes_one_user_not_two() {
        let directory = FakeDirectory::default();
        directory.next_answer_is_lost(DirectoryError::Unknown(Code::TimedOut));
        assert_eq!(outcome(create(&directory).await).state, ItemState::Created);
        assert_eq!(directory.users().len(), 1);
    }

    #[tokio::test]
    async fn the_same_user_again_is_created_once() {
        let directory = FakeDirectory::default();
        let first = outcome(create(&directory).await);
        let second = outcome(create(&directory).await);
        assert_eq!(first, second, "a second delivery must find the first one's user");
        assert_eq!(directory.users().len(), 1);
    }

    #[tokio::test]
    async fn a_user_whose_account_is_known_gets_no_second_one_by_another_address() {
        let directory = FakeDirectory::default();
        let mut account = directory_user("auth0|adopted");
        account.email = Some("old@example.com".into());
        directory.plant(account.clone());
        let known = Item { auth0_user_id: Some(account.id), ..item() };
        let outcome = outcome(create_item(&directory, known).await);
        assert_eq!((outcome.state, outcome.code), (ItemState::Conflict, Some(Code::ChangedSinceMoved)));
        assert_eq!(directory.users().len(), 1);
    }

    #[tokio::test]
    async fn an_address_that_answers_409_and_is_nowhere_is_a_ghost() {
        let directory = FakeDirectory::default();
        directory.next_create_fails(DirectoryError::Exists);
        directory.next_create_fails(DirectoryError::Exists);
        assert_eq!(outcome(create(&directory).await).code, Some(Code::Ghost));
    }

    #[tokio::test]
    async fn an_unverified_account_is_not_adopted() {
        let directory = FakeDirectory::default();
        let mut stranger = directory_user("auth0|stranger");
        stranger.email = Some("a@example.com".into());
        directory.plant(stranger);
        let outcome = outcome(create(&directory).await);
        assert_eq!((outcome.state, outcome.code), (ItemState::Conflict, Some(Code::AdoptUnverified)));
        assert_eq!(outcome.auth0_user_id, None);
    }

    #[tokio::test]
    async fn a_refused_user_fails_alone_and_a_wrong_connection_stops_the_run() {
        let directory = FakeDirectory::default();
        let refuse = |code| DirectoryError::Refused { code, field: Some("email".into()) };
        directory.next_create_fails(refuse(Code::UserRefused));
        let failed = outcome(create(&directory).await);
        assert_eq!((failed.state, failed.field.as_deref()), (ItemState::Failed, Some("email")));
        directory.next_create_fails(refuse(Code::ConnectionUnknown));
        assert_eq!(trouble_of(create(&directory).await), Trouble::Stops(Code::ConnectionUnknown));
    }

    #[tokio::test]
    async fn limit_and_token_block_without_counting_and_an_outage_counts() {
        let directory = FakeDirectory::default();
        for (error, expected) in [
            (DirectoryError::Throttled { retry_after: None }, Trouble::Blocked(Code::RateLimited)),
            (DirectoryError::TokenRefused, Trouble::Blocked(Code::TokenRefused)),
            (DirectoryError::NotSent(Code::ConnectionLost), Trouble::Failed(Code::ConnectionLost)),
        ] {
            directory.next_create_fails(error);
            assert_eq!(trouble_of(create(&directory).await), expected);
        }
        directory.next_create_fails(DirectoryError::Unknown(Code::ServerError));
        directory.next_create_fails(DirectoryError::Unknown(Code::ServerError));
        assert_eq!(trouble_of(create(&directory).await), Trouble::Failed(Code::ServerError));
        assert!(directory.users().is_empty());
    }
}
