//! What a user read back from Auth0 is compared by.

use serde_json::Value;

use crate::{item::ItemState, ports::DirectoryUser, record::UserRecord};

/// How a user was found at the target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verification {
    /// As written.
    Matched,
    /// There, but these fields differ.
    Differs(Vec<String>),
    /// Not there.
    Missing,
}

/// Compares a user with what was written. A created user is compared field by
/// field; an adopted one by what adoption promises: address, verified, connection, and who
/// may sign in; one that an earlier run made by whose it is: its person may have changed
/// the rest since.
pub fn compare(
    record: &UserRecord,
    state: ItemState,
    connection: &str,
    found: Option<&DirectoryUser>,
) -> Verification {
    let Some(found) = found else { return Verification::Missing };
    let mut fields = Vec::new();
    let mut expect = |name: &str, same: bool| {
        if !same {
            fields.push(name.to_owned());
        }
    };
    expect("email", found.email.as_deref() == Some(record.email.expose()));
    expect("connection", found.connection == connection);
    if state == ItemState::Adopted {
        expect("email_verified", found.email_verified);
        expect("blocked", found.blocked == record.blocked);
    } else if state != ItemState::Skipped {
        expect("email_verified", found.email_verified == record.email_verified);
        expect("blocked", found.blocked == record.blocked);
        let as_sent = |sent: &Option<String>, held: &Option<String>| sent.is_none() || sent == held;
        expect("name", as_sent(&record.name, &found.name));
        expect("given_name", as_sent(&record.given_name, &found.given_name));
        expect("family_name", as_sent(&record.family_name, &found.family_name));
        expect("nickname", as_sent(&record.nickname, &found.nickname));
        expect("picture", as_sent(&record.picture, &found.picture));
        expect("user_metadata", record.user_metadata == found.user_metadata);
        for (key, value) in &record.app_metadata {
            expect(&format!("app_metadata.{key}"), found.app_metadata.get(key) == Some(value));
        }
        let marked =
            found.app_metadata.get("ferry").and_then(|m| m.get("source_key")).and_then(Value::as_str);
        expect("app_metadata.ferry", marked == Some(&record.key.0));
    }
    if fields.is_empty() { Verification::Matched } else { Verification::Differs(fields) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        adoption::Claimant,
        ids::{RunId, SourceKey},
        record::Email,
        testing::{directory_user, run_now},
    };

    fn pair() -> (UserRecord, DirectoryUser) {
        let mut record = UserRecord::new(SourceKey("1".into()), Email::normalised("a@example.com"), true);
        record.name = Some("Ann".into());
        record.app_metadata.insert("role".into(), "nurse".into());
        let mut found = directory_user("auth0|x");
        found.email = Some("a@example.com".into());
        found.email_verified = true;
        found.name = Some("Ann".into());
        found.app_metadata = record.app_metadata.clone();
        let claimant =
            Claimant { record: &record, id: RunId(uuid::Uuid::nil()), run: &run_now(), account_of: None };
        let mark = claimant.mark();
        found.app_metadata.insert("ferry".into(), Value::Object(mark));
        (record, found)
    }

    #[test]
    fn each_planted_difference_is_named_alone() {
        type Plant = (&'static str, fn(&mut DirectoryUser));
        let plants: [Plant; 8] = [
            ("email", |u| u.email = Some("b@example.com".into())),
            ("connection", |u| u.connection = "other".into()),
            ("email_verified", |u| u.email_verified = false),
            ("blocked", |u| u.blocked = true),
            ("name", |u| u.name = Some("Bea".into())),
            ("app_metadata.role", |u| drop(u.app_metadata.remove("role"))),
            ("app_metadata.ferry", |u| drop(u.app_metadata.remove("ferry"))),
            ("user_metadata", |u| drop(u.user_metadata.insert("x".into(), 1.into()))),
        ];
        let (record, found) = pair();
        let connection = found.connection.clone();
        assert_eq!(compare(&record, ItemState::Created, &connection, Some(&found)), Verification::Matched);
        for (field, plant) in plants {
            let mut changed = found.clone();
            plant(&mut changed);
            let verdict = compare(&record, ItemState::Created, &connection, Some(&changed));
            assert_eq!(verdict, Verification::Differs(vec![field.into()]));
        }
        assert_eq!(compare(&record, ItemState::Created, &connection, None), Verification::Missing);
    }

    #[test]
    fn an_adopted_user_keeps_its_own_name_and_metadata() {
        let (record, mut found) = pair();
        found.name = Some("Somebody".into());
        found.app_metadata.clear();
        let connection = found.connection.clone();
        assert_eq!(compare(&record, ItemState::Adopted, &connection, Some(&found)), Verification::Matched);
        let plants: [fn(&mut DirectoryUser); 3] = [
            |user| user.email_verified = false,
            |user| user.blocked = true,
            |user| user.email = Some("b@example.com".into()),
        ];
        for plant in plants {
            let mut changed = found.clone();
            plant(&mut changed);
            let verdict = compare(&record, ItemState::Adopted, &connection, Some(&changed));
            assert_ne!(verdict, Verification::Matched);
        }
    }

    #[test]
    fn a_user_of_an_earlier_run_may_have_changed_all_but_whose_it_is() {
        let (record, mut found) = pair();
        let connection = found.connection.clone();
        found.name = Some("Somebody".into());
        found.blocked = true;
        assert_eq!(compare(&record, ItemState::Skipped, &connection, Some(&found)), Verification::Matched);
        found.email = Some("b@example.com".into());
        let verdict = compare(&record, ItemState::Skipped, &connection, Some(&found));
        assert_eq!(verdict, Verification::Differs(vec!["email".into()]));
        assert_eq!(compare(&record, ItemState::Skipped, &connection, None), Verification::Missing);
    }
}
