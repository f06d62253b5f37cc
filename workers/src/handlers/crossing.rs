//! How one user gets across (design §5, steps 1 to 5).
//!
//! `POST` first, since nearly all users are new; whatever leaves doubt is
//! resolved by reading the chosen id and then the address, never by searching
//! (FACTS §1 rows 2 and 3).

use std::time::Duration;

use ferry_domain::{
    Auth0UserId, Code, Item, ItemResult, Outcome, RunId, RunSpec, adoption, crash, password,
    ports::{Directory, DirectoryError, NewUser, Random},
    retry::{self, Class},
};
use tokio::time::{Instant, timeout_at};

/// What became of one try with one user.
#[derive(Debug, PartialEq)]
pub(crate) enum Crossed {
    /// An outcome to write back.
    Settled(ItemResult),
    /// Not known or not done; the item stays pending.
    Unsettled(Trouble, Box<Item>),
}

/// Why an item stays pending.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Trouble {
    /// This try failed; it counts.
    Failed(Code),
    /// Nothing will pass for now, through no fault of the work: limit, token. It does not count.
    Blocked(Code),
    /// Nothing will pass until a person acts: connection, scope.
    Stops(Code),
}

/// What is the same for all users of a batch.
pub(crate) struct Crossing<'a> {
    pub(crate) directory: &'a dyn Directory,
    pub(crate) random: &'a dyn Random,
    pub(crate) run: RunId,
    pub(crate) migration: &'a str,
    pub(crate) spec: &'a RunSpec,
    /// How long a user may take from the first answer on.
    pub(crate) deadline: Duration,
}

impl Crossing<'_> {
    /// Brings one user across. The second figure is the number of requests it took.
    pub(crate) async fn cross(&self, item: Item) -> (Crossed, i64) {
        let mut requests = 0;
        let crossed = match self.outcome(&item, &mut requests).await {
            Ok(outcome) => {
                crash::pass("provision.sent");
                Crossed::Settled(ItemResult { seq: item.seq, key: item.record.key, outcome })
            }
            Err(trouble) => Crossed::Unsettled(trouble, Box::new(item)),
        };
        (crossed, requests)
    }

    async fn outcome(&self, item: &Item, requests: &mut i64) -> Result<Outcome, Trouble> {
        let id =
            Auth0UserId::chosen(&self.spec.tenant, &self.spec.connection, self.migration, &item.record.key);
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
                Ok(user) => return Ok(Outcome::created(user.id)),
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

    /// Who holds the id or the address, if anybody does.
    async fn resolve(
        &self,
        item: &Item,
        id: &Auth0UserId,
        requests: &mut i64,
    ) -> Result<Option<Outcome>, Trouble> {
        *requests += 1;
        if let Some(found) = self.directory.get(id).await.map_err(trouble)? {
            return Ok(Some(adoption::by_id(&item.record, self.run, &found)));
        }
        *requests += 1;
        let found = self.directory.by_email(item.record.email.expose()).await.map_err(trouble)?;
        Ok(adoption::by_email(&item.record, &self.spec.connection, self.spec.on_existing, &found))
    }

    fn new_user(&self, item: &Item, id: &Auth0UserId) -> NewUser {
        NewUser {
            id: id.clone(),
            connection: self.spec.connection.clone(),
            record: item.record.clone(),
            password: password::generate(self.random),
            mark: adoption::mark(&item.record, self.run),
        }
    }
}

/// A refusal is this user's end, unless it would be everybody's.
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

/// What an error means for the batch, by the taxonomy of [`retry::class`].
pub(crate) fn trouble(error: DirectoryError) -> Trouble {
    let code = error.code();
    match retry::class(code) {
        Class::StopsRun => Trouble::Stops(code),
        Class::Snoozes => Trouble::Blocked(code),
        Class::Retries | Class::Fails => Trouble::Failed(code),
    }
}

#[cfg(test)]
mod tests {
    use ferry_contract::{FakeDirectory, SeededRandom, directory_user};
    use ferry_domain::{Email, ItemSeq, ItemState, OnExisting, SourceKey, UserRecord};

    use super::*;

    const RUN: RunId = RunId(uuid::Uuid::from_u128(1));

    fn item() -> Item {
        let record = UserRecord::new(SourceKey("1".into()), Email::normalised("a@example.com"), true);
        Item { seq: ItemSeq(1), record, auth0_user_id: None, state: ItemState::Pending }
    }

    fn spec() -> RunSpec {
        RunSpec {
            tenant: "t".into(),
            connection: "db".into(),
            on_existing: OnExisting::Adopt,
            batch_size: 100,
            max_attempts: 5,
            limits: "off".into(),
            write_back: None,
            source_digest: String::new(),
            stop_after: Default::default(),
        }
    }

    async fn cross(directory: &FakeDirectory) -> Crossed {
        let (spec, random) = (spec(), SeededRandom::new(1));
        let deadline = Duration::from_secs(120);
        let crossing =
            Crossing { directory, random: &random, run: RUN, migration: "m", spec: &spec, deadline };
        crossing.cross(item()).await.0
    }

    fn trouble_of(crossed: Crossed) -> Trouble {
        match crossed {
            Crossed::Settled(result) => panic!("expected trouble, got {:?}", result.outcome),
            Crossed::Unsettled(trouble, left) => {
                assert_eq!(*left, item(), "the user is still to be done");
                trouble
            }
        }
    }

    fn outcome(crossed: Crossed) -> Outcome {
        match crossed {
            Crossed::Settled(result) => result.outcome,
            Crossed::Unsettled(trouble, _) => panic!("expected an outcome, got {trouble:?}"),
        }
    }

    #[tokio::test]
    async fn a_lost_answer_makes_one_user_not_two() {
        let directory = FakeDirectory::default();
        directory.next_answer_is_lost(DirectoryError::Unknown(Code::TimedOut));
        assert_eq!(outcome(cross(&directory).await).state, ItemState::Created);
        assert_eq!(directory.users().len(), 1);
    }

    #[tokio::test]
    async fn the_same_user_again_is_created_once_whoever_asks() {
        let directory = FakeDirectory::default();
        let first = outcome(cross(&directory).await);
        let second = outcome(cross(&directory).await);
        assert_eq!(first, second, "a second delivery must find the first one's user");
        assert_eq!(directory.users().len(), 1);
    }

    #[tokio::test]
    async fn an_address_that_answers_409_and_is_nowhere_is_a_ghost() {
        let directory = FakeDirectory::default();
        directory.next_create_fails(DirectoryError::Exists);
        directory.next_create_fails(DirectoryError::Exists);
        assert_eq!(outcome(cross(&directory).await).code, Some(Code::Ghost));
    }

    #[tokio::test]
    async fn an_unverified_account_is_not_adopted() {
        let directory = FakeDirectory::default();
        let mut stranger = directory_user("auth0|stranger");
        stranger.email = Some("a@example.com".into());
        directory.plant(stranger);
        let outcome = outcome(cross(&directory).await);
        assert_eq!((outcome.state, outcome.code), (ItemState::Conflict, Some(Code::AdoptUnverified)));
        assert_eq!(outcome.auth0_user_id, None);
    }

    #[tokio::test]
    async fn a_refused_user_fails_alone_and_a_wrong_connection_stops_the_run() {
        let directory = FakeDirectory::default();
        let refuse = |code| DirectoryError::Refused { code, field: Some("email".into()) };
        directory.next_create_fails(refuse(Code::UserRefused));
        let failed = outcome(cross(&directory).await);
        assert_eq!((failed.state, failed.field.as_deref()), (ItemState::Failed, Some("email")));
        directory.next_create_fails(refuse(Code::ConnectionUnknown));
        assert_eq!(trouble_of(cross(&directory).await), Trouble::Stops(Code::ConnectionUnknown));
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
            assert_eq!(trouble_of(cross(&directory).await), expected);
        }
        directory.next_create_fails(DirectoryError::Unknown(Code::ServerError));
        directory.next_create_fails(DirectoryError::Unknown(Code::ServerError));
        assert_eq!(trouble_of(cross(&directory).await), Trouble::Failed(Code::ServerError));
        assert!(directory.users().is_empty());
    }
}
