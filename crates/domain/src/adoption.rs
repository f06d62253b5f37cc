//! Who an existing account belongs to, decided without asking anyone.
//!
//! Reached after a 409 or an unknown outcome (design §5.4). Adopting an account
//! whose address nobody confirmed would hand a stranger's account over, so both
//! sides must be verified.

use serde_json::{Map, Value, json};

use crate::{
    code::Code,
    ids::{Auth0UserId, RunId},
    item::Outcome,
    ports::DirectoryUser,
    record::UserRecord,
    run::OnExisting,
};

/// The mark Ferry leaves in `app_metadata.ferry`.
pub fn mark(record: &UserRecord, run: RunId) -> Map<String, Value> {
    let mut mark = Map::new();
    mark.insert("source_key".into(), json!(record.key.0));
    mark.insert("run".into(), json!(run.to_string()));
    mark.insert("digest".into(), json!(record.digest()));
    mark
}

/// What a user found under the chosen id means: ours and of this run is
/// created (the answer was lost, or a holder died); ours and of an earlier run is
/// skipped; anything else has taken the id.
pub fn by_id(record: &UserRecord, run: RunId, found: &DirectoryUser) -> Outcome {
    let mark = found.app_metadata.get("ferry").and_then(Value::as_object);
    let says = |name: &str, value: &str| {
        mark.and_then(|m| m.get(name)).and_then(Value::as_str).is_some_and(|v| v == value)
    };
    if !says("source_key", &record.key.0) {
        Outcome::conflict(Code::IdTaken)
    } else if says("run", &run.to_string()) {
        Outcome::created(found.id.clone())
    } else {
        Outcome::skipped(Code::AlreadyMigrated, Some(found.id.clone()))
    }
}

/// What the accounts found under the address mean. `None`: there is none, so
/// the create is tried once more, and then it is a [`Code::Ghost`].
pub fn by_email(
    record: &UserRecord,
    connection: &str,
    policy: OnExisting,
    found: &[DirectoryUser],
) -> Option<Outcome> {
    let here: Vec<&DirectoryUser> = found.iter().filter(|u| u.connection == connection).collect();
    match here.as_slice() {
        [] if found.is_empty() => None,
        [] => Some(Outcome::conflict(Code::OtherConnection)),
        [one] if record.email_verified && one.email_verified => Some(follow(policy, &one.id)),
        [_] => Some(Outcome::conflict(Code::AdoptUnverified)),
        _ => Some(Outcome::conflict(Code::AdoptAmbiguous)),
    }
}

fn follow(policy: OnExisting, id: &Auth0UserId) -> Outcome {
    match policy {
        OnExisting::Adopt => Outcome::adopted(id.clone()),
        OnExisting::Skip => Outcome::skipped(Code::ExistsByPolicy, None),
        OnExisting::Conflict => Outcome::conflict(Code::ExistsByPolicy),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::SourceKey, item::ItemState, record::Email, testing::directory_user};

    const RUN: RunId = RunId(uuid::Uuid::from_u128(7));

    fn record(verified: bool) -> UserRecord {
        UserRecord::new(SourceKey("1".into()), Email::normalised("a@example.com"), verified)
    }

    fn account(connection: &str, verified: bool) -> DirectoryUser {
        DirectoryUser { connection: connection.into(), email_verified: verified, ..directory_user("auth0|x") }
    }

    #[test]
    fn an_account_is_adopted_only_when_both_sides_are_verified() {
        for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
            let outcome = by_email(&record(ours), "db", OnExisting::Adopt, &[account("db", theirs)]).unwrap();
            if ours && theirs {
                assert_eq!(outcome.state, ItemState::Adopted);
            } else {
                assert_eq!((outcome.state, outcome.code), (ItemState::Conflict, Some(Code::AdoptUnverified)));
                assert_eq!(outcome.auth0_user_id, None, "a stranger's id must not be written back");
            }
        }
    }

    #[test]
    fn several_other_and_no_accounts() {
        let ours = record(true);
        let conflict =
            |found: &[DirectoryUser]| by_email(&ours, "db", OnExisting::Adopt, found).and_then(|o| o.code);
        assert_eq!(conflict(&[account("db", true), account("db", true)]), Some(Code::AdoptAmbiguous));
        assert_eq!(conflict(&[account("google", true)]), Some(Code::OtherConnection));
        assert_eq!(by_email(&ours, "db", OnExisting::Adopt, &[]), None);
        let mixed = [account("google", true), account("db", true)];
        assert_eq!(by_email(&ours, "db", OnExisting::Adopt, &mixed).unwrap().state, ItemState::Adopted);
    }

    #[test]
    fn the_policy_decides_on_accounts_that_could_be_adopted() {
        let found = [account("db", true)];
        let state = |policy| by_email(&record(true), "db", policy, &found).unwrap().state;
        assert_eq!(state(OnExisting::Skip), ItemState::Skipped);
        assert_eq!(state(OnExisting::Conflict), ItemState::Conflict);
    }

    #[test]
    fn the_mark_tells_ours_from_anothers_and_this_run_from_an_earlier_one() {
        let ours = record(true);
        let marked = |run| DirectoryUser {
            app_metadata: [("ferry".to_owned(), Value::Object(mark(&ours, run)))].into_iter().collect(),
            ..directory_user("auth0|chosen")
        };
        assert_eq!(by_id(&ours, RUN, &marked(RUN)).state, ItemState::Created);
        let earlier = by_id(&ours, RUN, &marked(RunId(uuid::Uuid::from_u128(6))));
        assert_eq!((earlier.state, earlier.code), (ItemState::Skipped, Some(Code::AlreadyMigrated)));
        assert!(earlier.auth0_user_id.is_some(), "the application still gets its id");
        assert_eq!(by_id(&ours, RUN, &directory_user("auth0|chosen")).code, Some(Code::IdTaken));
    }
}
