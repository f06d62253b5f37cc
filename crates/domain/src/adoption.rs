//! Who an existing account belongs to, decided without asking anyone.
//!
//! Reached after a 409 or an unknown outcome (design §5.4). Two rules keep people apart:
//!
//! - The chosen id is made of the key, and two sources may both count from 1. So an account
//!   under that id is this person's only if address, record or source agree too.
//! - Adopting an account whose address nobody confirmed would hand a stranger's account
//!   over, so both sides must be verified, and an account that Ferry made for another
//!   user of the same move is nobody's to adopt.

use serde_json::{Map, Value, json};

use crate::{
    code::Code,
    hex::hex_digest,
    ids::{Auth0UserId, RunId, SourceKey},
    item::{ItemState, Outcome},
    ports::{DirectoryUser, RunNow},
    record::UserRecord,
    run::{OnExisting, SourceIdentity},
    verification::{Verification, compare},
};

/// A user of a run, who wants an account.
#[derive(Clone, Copy, Debug)]
pub struct Claimant<'a> {
    /// The user.
    pub record: &'a UserRecord,
    /// Id of the run.
    pub id: RunId,
    /// The run.
    pub run: &'a RunNow,
    /// Whom an earlier run gave the account of this address ([`crate::Item::account_of`]).
    pub account_of: Option<&'a str>,
}

/// What Ferry left in `app_metadata.ferry`. Builds before this one named no source.
struct Mark<'a> {
    key: &'a str,
    run: Option<&'a str>,
    digest: Option<&'a str>,
    source: Option<&'a str>,
}

impl<'a> Mark<'a> {
    fn of(user: &'a DirectoryUser) -> Option<Self> {
        let mark = user.app_metadata.get("ferry")?.as_object()?;
        let text = |name: &str| mark.get(name).and_then(Value::as_str);
        Some(Mark {
            key: text("source_key")?,
            run: text("run"),
            digest: text("digest"),
            source: text("source"),
        })
    }
}

impl Claimant<'_> {
    /// The mark Ferry leaves in `app_metadata.ferry`. The source is a digest: a host or a
    /// path is no business of whoever reads the profile.
    pub fn mark(&self) -> Map<String, Value> {
        let mut mark = Map::new();
        mark.insert("source_key".into(), json!(self.record.key.0));
        mark.insert("run".into(), json!(self.id.to_string()));
        mark.insert("digest".into(), json!(self.record.digest()));
        mark.insert("source".into(), json!(self.source()));
        mark
    }

    /// What a user found under the chosen id means: made by this run is created (the answer
    /// was lost, or a holder died); the same person of an earlier run is moved already;
    /// anybody else has taken the id.
    pub fn by_id(&self, found: &DirectoryUser) -> Outcome {
        match Mark::of(found) {
            Some(mark) if mark.key != self.record.key.0 => Outcome::conflict(Code::IdTaken),
            Some(mark) if mark.run == Some(&self.id.to_string()) => Outcome::created(found.id.clone()),
            Some(mark) if self.is_same(&mark, found) => self.moved_before(&mark, found),
            Some(_) => Outcome::conflict(Code::IdTaken).at_field("email"),
            None => Outcome::conflict(Code::IdTaken),
        }
    }

    /// What has become of a user whose row in the source names the account that an earlier run
    /// gave it: whether the fields agree by now. An account without our mark of this user was
    /// adopted, and holds what adoption promises. The ledger keeps the id, whatever differs; it is
    /// written back only where the address agrees.
    pub fn by_known_id(&self, id: &Auth0UserId, found: Option<&DirectoryUser>) -> Outcome {
        let Some(found) = found else {
            // Whoever is to be blocked can't sign in.
            return match self.record.blocked {
                true => Outcome::skipped(Code::AlreadyMigrated, None),
                false => Outcome::conflict(Code::MissingAtTarget),
            };
        };
        let anothers = Mark::of(found).is_some_and(|mark| mark.key != self.record.key.0);
        if let Some(conflict) = self.by_mark(found).filter(|_| anothers) {
            return conflict;
        }
        let known =
            |outcome| Outcome { auth0_user_id: self.has_address(found).then(|| id.clone()), ..outcome };
        let ours = Mark::of(found).is_some_and(|mark| mark.key == self.record.key.0);
        let state = if ours { ItemState::Created } else { ItemState::Adopted };
        known(match compare(self.record, state, &self.run.spec.connection, Some(found)) {
            Verification::Differs(fields) => {
                Outcome::conflict(Code::ChangedSinceMoved).at_field(fields.join(", "))
            }
            _ => Outcome::skipped(Code::AlreadyMigrated, None),
        })
    }

    /// What the accounts found under the address mean. `None`: there is none, so
    /// the create is tried once more, and then it is a [`Code::Ghost`].
    pub fn by_email(&self, found: &[DirectoryUser]) -> Option<Outcome> {
        let spec = &self.run.spec;
        let here: Vec<&DirectoryUser> =
            found.iter().filter(|user| user.connection == spec.connection).collect();
        match here.as_slice() {
            [] if found.is_empty() => None,
            [] => Some(Outcome::conflict(Code::OtherConnection)),
            [one] => Some(self.by_mark(one).unwrap_or_else(|| self.adopt(one))),
            _ => Some(Outcome::conflict(Code::AdoptAmbiguous)),
        }
    }

    /// What our mark says of an account under the address but not under the chosen id. `None`
    /// without a mark, and where another migration moved another source: two applications
    /// may share a person, so the rules of adoption hold.
    fn by_mark(&self, found: &DirectoryUser) -> Option<Outcome> {
        let mark = Mark::of(found)?;
        let from_here = mark.source == Some(&self.source());
        if mark.key == self.record.key.0 {
            // The same migration under an earlier name: it had other ids.
            let same_record = mark.digest == Some(&self.record.digest());
            return (from_here || same_record).then(|| self.moved_before(&mark, found));
        }
        let made_by_this_move = self.run.id_of(&SourceKey(mark.key.to_owned())) == found.id;
        let anothers = from_here || made_by_this_move || mark.source.is_none();
        let conflict = Outcome::conflict(Code::AccountOfAnotherUser).at_field("email");
        anothers.then(|| conflict.because_of(SourceKey(mark.key.to_owned()).shown()))
    }

    fn adopt(&self, found: &DirectoryUser) -> Outcome {
        if let Some(other) = self.account_of {
            let conflict = Outcome::conflict(Code::AccountOfAnotherUser).at_field("email");
            return conflict.because_of(other.to_owned());
        }
        if !(self.record.email_verified && found.email_verified) {
            return Outcome::conflict(Code::AdoptUnverified);
        }
        match self.run.spec.on_existing {
            OnExisting::Skip => Outcome::skipped(Code::ExistsByPolicy, None),
            OnExisting::Conflict => Outcome::conflict(Code::ExistsByPolicy),
            // Who may sign in is not Ferry's to change unasked, in neither direction.
            OnExisting::Adopt if self.record.blocked != found.blocked => {
                Outcome::conflict(Code::AdoptBlockedDiffers).at_field("blocked")
            }
            OnExisting::Adopt => Outcome::adopted(found.id.clone()),
        }
    }

    /// Whether the account under the chosen id is this person's, and not somebody's who has
    /// the same key in another source. An address that nobody confirmed says nothing there:
    /// anybody can enter it in another application.
    fn is_same(&self, mark: &Mark<'_>, found: &DirectoryUser) -> bool {
        let confirmed = self.record.email_verified && found.email_verified;
        (self.has_address(found) && (confirmed || mark.source.is_none()))
            || mark.digest == Some(&self.record.digest())
            || mark.source == Some(&self.source())
    }

    /// A person that an earlier run moved. What changed in the source since is named, and
    /// nobody is told that there is nothing to do. With another address the account may be
    /// somebody else's by now (a table that was filled anew counts from 1 again), so its id
    /// is not written back.
    fn moved_before(&self, mark: &Mark<'_>, found: &DirectoryUser) -> Outcome {
        let moved = Outcome::skipped(Code::AlreadyMigrated, Some(found.id.clone()));
        if mark.digest == Some(&self.record.digest()) {
            return moved;
        }
        if !self.has_address(found) {
            return Outcome::conflict(Code::ChangedSinceMoved).at_field("email");
        }
        match compare(self.record, ItemState::Created, &self.run.spec.connection, Some(found)) {
            Verification::Differs(fields) => Outcome {
                state: ItemState::Conflict,
                code: Some(Code::ChangedSinceMoved),
                field: Some(fields.join(", ")),
                ..moved
            },
            _ => moved,
        }
    }

    fn has_address(&self, found: &DirectoryUser) -> bool {
        found.email.as_deref() == Some(self.record.email.expose())
    }

    fn source(&self) -> String {
        source_digest(&self.run.source)
    }
}

/// The source as marks name it: 32 hex digits.
fn source_digest(source: &SourceIdentity) -> String {
    hex_digest(format!("{}\n{}", source.kind, source.location).as_bytes())[..32].to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        ids::Auth0UserId,
        record::Email,
        run::RunSpec,
        testing::{directory_user, run_now},
    };

    const RUN: RunId = RunId(uuid::Uuid::from_u128(7));
    const EARLIER: RunId = RunId(uuid::Uuid::from_u128(6));

    fn record(verified: bool) -> UserRecord {
        UserRecord::new(SourceKey("1".into()), Email::normalised("a@example.com"), verified)
    }

    fn run(on_existing: OnExisting) -> RunNow {
        let now = run_now();
        RunNow { spec: RunSpec { connection: "db".into(), on_existing, ..now.spec }, ..now }
    }

    fn account(connection: &str, verified: bool) -> DirectoryUser {
        DirectoryUser {
            connection: connection.into(),
            email: Some("a@example.com".into()),
            email_verified: verified,
            ..directory_user("auth0|x")
        }
    }

    fn marked(mark: Map<String, Value>, user: DirectoryUser) -> DirectoryUser {
        let app_metadata = [("ferry".to_owned(), Value::Object(mark))].into_iter().collect();
        DirectoryUser { app_metadata, ..user }
    }

    /// What Ferry made for a user of a run.
    fn made(record: &UserRecord, id: RunId, run: &RunNow) -> DirectoryUser {
        let user = DirectoryUser {
            id: run.id_of(&record.key),
            email: Some(record.email.expose().to_owned()),
            ..account("db", record.email_verified)
        };
        marked(Claimant { record, id, run, account_of: None }.mark(), user)
    }

    fn by_id(record: &UserRecord, run: &RunNow, found: &DirectoryUser) -> Outcome {
        Claimant { record, id: RUN, run, account_of: None }.by_id(found)
    }

    fn by_email(record: &UserRecord, run: &RunNow, found: &[DirectoryUser]) -> Option<Outcome> {
        Claimant { record, id: RUN, run, account_of: None }.by_email(found)
    }

    fn from_elsewhere(run: &RunNow) -> RunNow {
        let mut other = run.clone();
        other.source.location.push_str("-elsewhere");
        other
    }

    #[test]
    fn an_account_is_adopted_only_when_both_sides_are_verified() {
        for (ours, theirs) in [(true, true), (true, false), (false, true), (false, false)] {
            let outcome = by_email(&record(ours), &run(OnExisting::Adopt), &[account("db", theirs)]).unwrap();
            if ours && theirs {
                assert_eq!(outcome.state, ItemState::Adopted);
            } else {
                assert_eq!((outcome.state, outcome.code), (ItemState::Conflict, Some(Code::AdoptUnverified)));
                assert_eq!(outcome.auth0_user_id, None, "a stranger's id must not be written back");
            }
        }
    }

    #[test]
    fn nobody_may_sign_in_or_is_locked_out_by_an_adoption() {
        for (here, there) in [(true, false), (false, true)] {
            let ours = UserRecord { blocked: here, ..record(true) };
            let theirs = DirectoryUser { blocked: there, ..account("db", true) };
            let outcome = by_email(&ours, &run(OnExisting::Adopt), &[theirs]).unwrap();
            assert_eq!(outcome, Outcome::conflict(Code::AdoptBlockedDiffers).at_field("blocked"));
        }
        let (ours, theirs) = (
            UserRecord { blocked: true, ..record(true) },
            DirectoryUser { blocked: true, ..account("db", true) },
        );
        assert_eq!(by_email(&ours, &run(OnExisting::Adopt), &[theirs]).unwrap().state, ItemState::Adopted);
    }

    #[test]
    fn several_other_and_no_accounts() {
        let (ours, run) = (record(true), run(OnExisting::Adopt));
        let conflict = |found: &[DirectoryUser]| by_email(&ours, &run, found).and_then(|o| o.code);
        assert_eq!(conflict(&[account("db", true), account("db", true)]), Some(Code::AdoptAmbiguous));
        assert_eq!(conflict(&[account("google", true)]), Some(Code::OtherConnection));
        assert_eq!(by_email(&ours, &run, &[]), None);
        let mixed = [account("google", true), account("db", true)];
        assert_eq!(by_email(&ours, &run, &mixed).unwrap().state, ItemState::Adopted);
    }

    #[test]
    fn the_policy_decides_on_accounts_that_could_be_adopted() {
        let found = [account("db", true)];
        let state = |policy| by_email(&record(true), &run(policy), &found).unwrap().state;
        assert_eq!(state(OnExisting::Skip), ItemState::Skipped);
        assert_eq!(state(OnExisting::Conflict), ItemState::Conflict);
    }

    #[test]
    fn the_mark_tells_ours_from_anothers_and_this_run_from_an_earlier_one() {
        let (ours, run) = (record(true), run(OnExisting::Adopt));
        assert_eq!(by_id(&ours, &run, &made(&ours, RUN, &run)).state, ItemState::Created);
        let earlier = by_id(&ours, &run, &made(&ours, EARLIER, &run));
        assert_eq!((earlier.state, earlier.code), (ItemState::Skipped, Some(Code::AlreadyMigrated)));
        assert!(earlier.auth0_user_id.is_some(), "the application still gets its id");
        assert_eq!(by_id(&ours, &run, &account("db", true)).code, Some(Code::IdTaken));
    }

    #[test]
    fn the_same_key_in_another_source_is_another_person() {
        let (ann, here) = (record(true), run(OnExisting::Adopt));
        let zoe = UserRecord { email: Email::normalised("zoe@example.org"), ..record(true) };
        let anns = made(&ann, EARLIER, &here);
        let taken = Outcome::conflict(Code::IdTaken).at_field("email");
        assert_eq!(by_id(&zoe, &from_elsewhere(&here), &anns), taken, "no id is written back");
        let mut of_an_old_build = anns.clone();
        of_an_old_build.app_metadata["ferry"].as_object_mut().unwrap().remove("source");
        assert_eq!(by_id(&zoe, &here, &of_an_old_build), taken);
        // Somebody who entered her address in another application.
        let mallory = UserRecord { name: Some("M".into()), ..record(false) };
        let unconfirmed = made(&record(false), EARLIER, &here);
        assert_eq!(by_id(&mallory, &from_elsewhere(&here), &unconfirmed), taken);
        // Ann herself, exported again to another place, or in a mark of an old build.
        for (run, found) in [(from_elsewhere(&here), &anns), (here.clone(), &of_an_old_build)] {
            assert_eq!(by_id(&ann, &run, found).code, Some(Code::AlreadyMigrated));
        }
    }

    #[test]
    fn a_person_whose_record_agrees_is_known_also_by_another_address_at_the_target() {
        let (ours, here) = (record(true), run(OnExisting::Adopt));
        let moved = DirectoryUser { email: Some("new@example.com".into()), ..made(&ours, EARLIER, &here) };
        assert_eq!(by_id(&ours, &from_elsewhere(&here), &moved).code, Some(Code::AlreadyMigrated));
    }

    #[test]
    fn who_changed_since_the_move_is_told_by_field() {
        let (ours, here) = (record(true), run(OnExisting::Adopt));
        let there = made(&ours, EARLIER, &here);
        let mut renamed = ours.clone();
        renamed.name = Some("Ann".into());
        renamed.blocked = true;
        let told = by_id(&renamed, &here, &there);
        assert_eq!((told.state, told.code), (ItemState::Conflict, Some(Code::ChangedSinceMoved)));
        assert_eq!(told.field.as_deref(), Some("blocked, name"));
        assert_eq!(told.auth0_user_id, Some(there.id.clone()), "it is this person's account");

        let readdressed = UserRecord { email: Email::normalised("b@example.com"), ..ours.clone() };
        let told = by_id(&readdressed, &here, &there);
        assert_eq!(told, Outcome::conflict(Code::ChangedSinceMoved).at_field("email"));

        // Changed here, and the account has it already.
        let caught_up = DirectoryUser { name: Some("Ann".into()), blocked: true, ..there };
        assert_eq!(by_id(&renamed, &here, &caught_up).code, Some(Code::AlreadyMigrated));
    }

    #[test]
    fn a_row_with_an_id_is_compared_with_that_account() {
        let (ours, here) = (record(true), run(OnExisting::Adopt));
        let there = made(&ours, EARLIER, &here);
        let renamed = UserRecord { name: Some("Ann".into()), ..ours.clone() };
        let ask = |record: &UserRecord, found: Option<&DirectoryUser>| {
            let told =
                Claimant { record, id: RUN, run: &here, account_of: None }.by_known_id(&there.id, found);
            let agrees = found.is_some_and(|found| found.email.as_deref() == Some(record.email.expose()))
                && record.key == ours.key;
            assert_eq!(
                told.auth0_user_id.is_some(),
                agrees,
                "an id goes to a row with the account's address"
            );
            (told.state, told.code, told.field)
        };
        let changed =
            |fields: &str| (ItemState::Conflict, Some(Code::ChangedSinceMoved), Some(fields.to_owned()));
        let settled = (ItemState::Skipped, Some(Code::AlreadyMigrated), None);
        assert_eq!(ask(&renamed, Some(&there)), changed("name"));
        assert_eq!(ask(&ours, Some(&there)), settled);
        // An adopted account belongs to its person; who may sign in is looked at all the same.
        let adopted = DirectoryUser { app_metadata: Map::new(), ..there.clone() };
        assert_eq!(ask(&renamed, Some(&adopted)), settled);
        assert_eq!(ask(&UserRecord { blocked: true, ..ours.clone() }, Some(&adopted)), changed("blocked"));
        let readdressed = UserRecord { email: Email::normalised("b@example.com"), ..ours.clone() };
        assert_eq!(ask(&readdressed, Some(&there)), changed("email"));
        assert_eq!(ask(&readdressed, Some(&adopted)), changed("email"));
        assert_eq!(ask(&ours, None), (ItemState::Conflict, Some(Code::MissingAtTarget), None));
        let blocked = UserRecord { blocked: true, ..ours.clone() };
        assert_eq!(ask(&blocked, None), settled, "nobody can sign in");
        let pasted = UserRecord { key: SourceKey("9".into()), ..ours.clone() };
        assert_eq!(ask(&pasted, Some(&there)).1, Some(Code::AccountOfAnotherUser));
    }

    #[test]
    fn an_account_that_an_earlier_run_gave_another_user_is_not_adopted() {
        let (ours, here) = (record(true), run(OnExisting::Adopt));
        let there = account("db", true);
        let by = |account_of| {
            let claimant = Claimant { record: &ours, id: RUN, run: &here, account_of };
            claimant.by_email(std::slice::from_ref(&there)).unwrap()
        };
        assert_eq!(by(None).state, ItemState::Adopted);
        let conflict = Outcome::conflict(Code::AccountOfAnotherUser).at_field("email").because_of("2");
        assert_eq!(by(Some("2")), conflict);
    }

    #[test]
    fn an_account_made_for_another_user_is_nobodys_to_adopt() {
        let here = run(OnExisting::Adopt);
        let (ours, other) = (record(true), UserRecord { key: SourceKey("104".into()), ..record(true) });
        let conflict =
            Some(Outcome::conflict(Code::AccountOfAnotherUser).at_field("email").because_of("104"));
        let theirs = made(&other, EARLIER, &here);
        assert_eq!(by_email(&ours, &here, std::slice::from_ref(&theirs)), conflict);
        assert_eq!(by_email(&ours, &from_elsewhere(&here), &[theirs]), conflict, "a newer export");
        // Another application's account, which the same person confirmed there.
        let apart = RunNow { migration: "patients".into(), ..from_elsewhere(&here) };
        let there = made(&other, EARLIER, &apart);
        assert_eq!(by_email(&ours, &here, &[there]).unwrap().state, ItemState::Adopted);
    }

    #[test]
    fn a_migration_that_was_renamed_finds_its_users() {
        let (ours, here) = (record(false), run(OnExisting::Adopt));
        let renamed = RunNow { migration: "staff".into(), ..here.clone() };
        let found = by_email(&ours, &renamed, &[made(&ours, EARLIER, &here)]).unwrap();
        assert_eq!((found.state, found.code), (ItemState::Skipped, Some(Code::AlreadyMigrated)));
        assert_eq!(found.auth0_user_id, Some(Auth0UserId(here.id_of(&ours.key).0)));
    }
}
