//! Files that others ship as examples, read from `../shared/samples` (or
//! `FERRY_SAMPLES`); every published number is checked on its own. A file that
//! is absent is skipped with a visible line.

use ferry_domain::{Code, ItemState, ports::Candidate};
use ferry_sources::{EmailVerified, Inactive, KeyFrom, Location, Mapping};

use crate::support::*;

async fn read_sample(name: &str, mapping: &Mapping) -> Option<Vec<Candidate>> {
    let location = Location::parse(sample(name)?.to_str().unwrap(), None).unwrap();
    Some(candidates(&location, mapping).await.unwrap())
}

/// The same file without its hashes being in the way.
async fn read_without_hashes(name: &str, mapping: &Mapping) -> Vec<Candidate> {
    let mapping = Mapping { discard_hashes: true, ..mapping.clone() };
    read_sample(name, &mapping).await.unwrap()
}

#[tokio::test]
async fn authjs_by_preset() {
    let mapping = Mapping::preset("authjs").unwrap();
    let Some(all) = read_sample("clerk-migration-tool/authjs.json", &mapping).await else { return };
    assert_eq!((all.len(), users(&all).len()), (20, 20));
    assert_eq!(users(&all).iter().filter(|user| !user.email_verified).count(), 2);
}

#[tokio::test]
async fn auth0_import_jobs() {
    let mut fields = mapping(&[
        ("email", "email"),
        ("email_verified", "email_verified"),
        ("password_hash", "custom_password_hash"),
    ]);
    fields.key_from = Some(KeyFrom::Email);
    let name = "auth0-import-job/custom-password-hash-example.json";
    let Some(all) = read_sample(name, &fields).await else { return };
    assert_eq!((all.len(), coded(&all, Code::HashNeedsImport)), (8, 8));
    assert_eq!(users(&read_without_hashes(name, &fields).await).len(), 8);
    fields.columns.password_hash = None; // no user of the basic example has one
    let basic = read_sample("auth0-import-job/basic-example.json", &fields).await.unwrap();
    assert_eq!(users(&basic).len(), 1);
}

#[tokio::test]
async fn clerk() {
    let fields = mapping(&[
        ("key", "id"),
        ("email", "primary_email_address"),
        ("email_verified", "verified_email_addresses"),
        ("given_name", "first_name"),
        ("family_name", "last_name"),
        ("password_hash", "password_digest"),
    ]);
    let name = "clerk-migration-tool/clerk.csv";
    let Some(all) = read_sample(name, &fields).await else { return };
    assert_eq!(all.len(), 69);
    let without = read_without_hashes(name, &fields).await;
    assert_eq!(coded(&without, Code::EmailMissing), 11);
    assert_eq!(users(&without).len(), 58);
    assert_eq!(
        users(&without).iter().filter(|user| !user.email_verified).count(),
        1,
        "one primary is not among the verified"
    );
    let by_hash =
        mapping(&[("key", "id"), ("email", "primary_email_address"), ("auth0_user_id", "password_digest")]);
    let hashes = read_sample(name, &by_hash).await.unwrap();
    assert_eq!(no_ids(&hashes), 15, "cells with a hash, whatever else the record lacks");
    assert_eq!(coded(&all, Code::HashNeedsImport), hashes_with_email(&hashes, &without));
    assert!(
        matches!(&all[0], Candidate::Settled(s) if s.origin.line == 3),
        "a comment and the header come first"
    );
}

/// Records with something that is no Auth0 id in the column that was mapped for it.
fn no_ids(all: &[Candidate]) -> usize {
    settled(all).iter().filter(|s| s.outcome.field.as_deref() == Some("auth0_user_id")).count()
}

/// Of the records with a hash (told by `hashes`), those that are users otherwise.
fn hashes_with_email(hashes: &[Candidate], without: &[Candidate]) -> usize {
    let has_hash = |c: &Candidate| matches!(c, Candidate::Settled(s) if s.outcome.field.as_deref() == Some("auth0_user_id"));
    hashes.iter().zip(without).filter(|(h, w)| has_hash(h) && matches!(w, Candidate::User { .. })).count()
}

#[tokio::test]
async fn firebase() {
    let fields = mapping(&[
        ("key", "localId"),
        ("email", "email"),
        ("email_verified", "emailVerified"),
        ("name", "displayName"),
        ("blocked", "disabled"),
        ("password_hash", "passwordHash"),
    ]);
    let name = "clerk-migration-tool/firebase.json";
    let Some(all) = read_sample(name, &fields).await else { return };
    assert_eq!(all.len(), 50);
    let without = read_without_hashes(name, &fields).await;
    assert_eq!((coded(&without, Code::EmailMissing), users(&without).len()), (6, 44));
    assert_eq!(users(&without).iter().filter(|user| user.blocked).count(), 2);
    let by_hash = mapping(&[("key", "localId"), ("email", "email"), ("auth0_user_id", "passwordHash")]);
    let hashes = read_sample(name, &by_hash).await.unwrap();
    assert_eq!(no_ids(&hashes), 38);
    assert_eq!(coded(&all, Code::HashNeedsImport), hashes_with_email(&hashes, &without));
}

#[tokio::test]
async fn supabase() {
    let mut fields = mapping(&[
        ("key", "id"),
        ("email", "email"),
        ("email_verified", "email_confirmed_at"),
        ("password_hash", "encrypted_password"),
        ("app_metadata.provider", "raw_app_meta_data.provider"),
    ]);
    let name = "clerk-migration-tool/supabase.csv";
    let Some(all) = read_sample(name, &fields).await else { return };
    assert_eq!((all.len(), coded(&all, Code::EmailMissing)), (26, 10), "16 have something as address");
    let without = read_without_hashes(name, &fields).await;
    assert_eq!(coded(&without, Code::EmailSeveral), 1, "one cell holds two addresses, which is none");
    assert_eq!(users(&without).len(), 15);
    let by_hash = mapping(&[("key", "id"), ("email", "email"), ("auth0_user_id", "encrypted_password")]);
    let hashes = read_sample(name, &by_hash).await.unwrap();
    assert_eq!(no_ids(&hashes), 10);
    assert_eq!(coded(&all, Code::HashNeedsImport), 9, "the record with two addresses has a hash, too");
    assert!(
        users(&without).iter().all(|user| user.app_metadata.is_empty()),
        "cells escaped twice are no JSON"
    );
    fields.columns.family_name = Some("last_name".into());
    let all = read_sample(name, &fields).await.unwrap();
    assert_eq!(
        coded(&all, Code::RecordInvalid),
        26,
        "all rows have 33 cells under a header of 36: none has a last name"
    );
}

#[tokio::test]
async fn passportjs() {
    let mut fields = mapping(&[
        ("key", "id"),
        ("email", "email"),
        ("email_verified", "verified"),
        ("name", "name"),
        ("picture", "avatar"),
        ("active", "active"),
        ("provider", "provider"),
        ("password_hash", "password"),
    ]);
    fields.database_providers = vec!["local".into()];
    let name = "fusionauth/passportjs-users.json";
    let Some(all) = read_sample(name, &fields).await else { return };
    assert_eq!((all.len(), coded(&all, Code::Disabled), coded(&all, Code::Federated)), (9, 1, 2));
    assert_eq!(coded(&all, Code::HashNeedsImport), 6);
    fields.inactive = Inactive::Block;
    let without = read_without_hashes(name, &fields).await;
    assert_eq!(users(&without).len(), 7);
    assert_eq!(users(&without).iter().filter(|user| user.blocked).count(), 1);
}

#[tokio::test]
async fn authgear() {
    let mut fields = mapping(&[
        ("key", "preferred_username"),
        ("email", "email"),
        ("password_hash", "password.password_hash"),
    ]);
    fields.users_at = Some("records".into());
    let Some(all) = read_sample("authgear/admin-api-users.json", &fields).await else { return };
    assert_eq!((coded(&all, Code::HashNeedsImport), coded(&all, Code::EmailMissing)), (1, 1));
    let mut by_email = mapping(&[("email", "email")]);
    (by_email.key_from, by_email.users_at) = (Some(KeyFrom::Email), Some("records".into()));
    let upper = read_sample("authgear/uppercase-email-user.json", &by_email).await.unwrap();
    assert_eq!(users(&upper)[0].email.expose(), "lowerupper@ca.se");
    assert_eq!(users(&upper)[0].key.0, "lowerupper@ca.se");
}

#[tokio::test]
async fn zitadel_exports_of_auth0() {
    let fields = mapping(&[
        ("key", "user_id"),
        ("email", "email"),
        ("email_verified", "email_verified"),
        ("name", "name"),
    ]);
    let Some(all) = read_sample("zitadel-auth0-export/users.ndjson", &fields).await else { return };
    let users = users(&all);
    assert_eq!(users.len(), 5);
    assert!(
        users.iter().all(|user| user.key.0.starts_with("auth0|") && !user.key.0.starts_with("auth0|auth0|"))
    );
    assert_eq!(users.iter().filter(|user| user.email_verified).count(), 3);
    let hashes = mapping(&[("key", "_ID.$oid"), ("email", "email"), ("password_hash", "passwordHash")]);
    let all = read_sample("zitadel-auth0-export/passwords.ndjson", &hashes).await.unwrap();
    assert_eq!(coded(&all, Code::HashNeedsImport), 5);
    assert_eq!(settled(&all)[0].key.as_ref().unwrap().0, "60425dc43519d90068f82973");
}

#[tokio::test]
async fn the_other_exports_with_mappings_of_their_own() {
    let workos = mapping(&[
        ("email", "email"),
        ("email_verified", "email_verified"),
        ("app_metadata.roles", "role_slugs"),
    ]);
    let workos = Mapping { key_from: Some(KeyFrom::Email), ..workos };
    let Some(all) = read_sample("workos/multi-org.csv", &workos).await else { return };
    assert_eq!(users(&all).len(), 4);
    assert_eq!(users(&all)[3].app_metadata["roles"], "admin,member");

    let wordpress = mapping(&[
        ("key", "ID"),
        ("email", "user_email"),
        ("name", "display_name"),
        ("password_hash", "user_pass"),
    ]);
    let all = read_sample("fusionauth/wordpress-users.json", &wordpress).await.unwrap();
    assert_eq!((all.len(), coded(&all, Code::HashNeedsImport)), (2, 2));

    let mut forgerock =
        mapping(&[("key", "_id"), ("email", "mail"), ("family_name", "sn"), ("password_hash", "password")]);
    forgerock.users_at = Some("result".into());
    let all = read_sample("fusionauth/forgerock-user-export.json", &forgerock).await.unwrap();
    assert_eq!((all.len(), of_state(&all, ItemState::Failed)), (2, 2));

    let stytch = mapping(&[
        ("key", "user_id"),
        ("email", "emails.0.email"),
        ("email_verified", "emails.0.verified"),
        ("given_name", "name.first_name"),
    ]);
    let all = read_sample("fusionauth/stytch-users.json", &stytch).await.unwrap();
    assert_eq!(users(&all).len(), 3);
    assert_eq!(users(&all)[1].given_name.as_deref(), Some("C"));

    let mut keycloak = mapping(&[("key", "id"), ("email", "email")]);
    (keycloak.users_at, keycloak.email_verified) = (Some("users".into()), EmailVerified::Assume);
    if let Some(path) = sample("zitadel-keycloak/realm.json") {
        let all = candidates(&Location::parse(path.to_str().unwrap(), None).unwrap(), &keycloak).await;
        assert_eq!(all.map(|all| all.len()), Ok(1));
    }
}
