//! One test per rule, and one for their order.
#![allow(clippy::unwrap_used)]

use ferry_domain::ItemState;
use serde_json::json;
use time::macros::datetime;

use super::*;

fn mapping() -> Mapping {
    let json = json!({
        "columns": {
            "key": "key", "email": "email", "email_verified": "email_verified", "name": "name",
            "given_name": "given_name", "family_name": "family_name", "nickname": "nickname", "picture": "picture",
            "active": "active", "blocked": "blocked", "deleted_at": "deleted_at", "blocked_at": "blocked_at",
            "banned_until": "banned_until", "provider": "provider", "password_hash": "hash",
            "auth0_user_id": "auth0_user_id",
            "user_metadata": {"lang": "lang"}, "app_metadata": {"role": "role"},
        },
        "database_providers": ["local"],
    });
    serde_json::from_value(json).unwrap()
}

/// A good record with some members changed.
fn record(changes: Value) -> Value {
    let mut record = json!({"key": "7", "email": "Ann@Example.com", "email_verified": true});
    record.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
    record
}

const NOW: OffsetDateTime = datetime!(2026-06-01 12:00 UTC);

fn judge(mapping: &Mapping, record: &Value) -> Candidate {
    judged(mapping, record, false, &mut Notes::default()).unwrap()
}

fn judged(mapping: &Mapping, record: &Value, from_table: bool, notes: &mut Notes) -> Option<Candidate> {
    let value = |column: &str| record.get(column).cloned().unwrap_or(Value::Null);
    let values = mapping.fields().iter().map(|field| value(&field.names[0])).collect();
    let rules = Rules::new(mapping, from_table, NOW);
    rules.judge(Origin { place: "users".into(), line: 1 }, Ok(values), notes)
}

fn refused(changes: Value) -> Settled {
    refused_by(&mapping(), changes)
}

fn refused_by(mapping: &Mapping, changes: Value) -> Settled {
    match judge(mapping, &record(changes.clone())) {
        Candidate::Settled(settled) => settled,
        Candidate::User { .. } => panic!("{changes} passed"),
    }
}

fn passed(changes: Value) -> UserRecord {
    passed_by(&mapping(), changes)
}

fn passed_by(mapping: &Mapping, changes: Value) -> UserRecord {
    match judge(mapping, &record(changes.clone())) {
        Candidate::User { record, .. } => *record,
        Candidate::Settled(settled) => panic!("{changes} came to {:?}", settled.outcome),
    }
}

fn said(settled: &Settled) -> (Code, Option<&str>) {
    (settled.outcome.code.unwrap(), settled.outcome.field.as_deref())
}

#[test]
fn a_good_record_becomes_a_user_with_all_its_fields() {
    let user = passed(json!({
        "key": 7, "email": " Ann@Example.com ", "name": "Ann O'Neil", "given_name": "Ann", "family_name": "O'Neil",
        "nickname": "", "picture": "https://example.com/a.png", "active": 1, "blocked": "no", "provider": "LOCAL",
        "hash": " ", "auth0_user_id": null, "lang": "de", "role": ["nurse"],
    }));
    assert_eq!(
        serde_json::to_value(user).unwrap(),
        json!({
            "key": "7", "email": "ann@example.com", "email_verified": true, "name": "Ann O'Neil", "given_name": "Ann",
            "family_name": "O'Neil", "picture": "https://example.com/a.png", "blocked": false,
            "user_metadata": {"lang": "de"}, "app_metadata": {"role": ["nurse"]},
        })
    );
}

#[test]
fn what_a_reader_could_not_read_keeps_its_code() {
    for code in [Code::RecordInvalid, Code::InvalidUtf8] {
        let rules = Rules::new(&mapping(), false, NOW);
        match rules.judge(Origin { place: "u".into(), line: 3 }, Err(code), &mut Notes::default()) {
            Some(Candidate::Settled(s)) => {
                assert_eq!((s.outcome.code, s.key, s.origin.line), (Some(code), None, 3))
            }
            other => panic!("no user can come of it: {other:?}"),
        }
    }
}

#[test]
fn without_a_key_there_is_no_user() {
    for missing in [json!(null), json!(""), json!("  ")] {
        let settled = refused(json!({"key": missing}));
        assert_eq!((said(&settled), &settled.key), ((Code::KeyMissing, None), &None));
    }
    assert_eq!(said(&refused(json!({"key": {"$oid": "7"}}))), (Code::FieldInvalid, Some("key")));
    assert_eq!(said(&refused(json!({"key": "a\nb"}))), (Code::FieldInvalid, Some("key")));
    assert_eq!(said(&refused(json!({"key": "x".repeat(256)}))), (Code::FieldTooLong, Some("key")));
    assert_eq!(passed(json!({"key": "auth0|7"})).key.0, "auth0|7", "a key is taken unchanged");
}

#[test]
fn a_derived_key_is_the_address_in_its_normal_form() {
    let mut mapping = mapping();
    mapping.columns.key = None;
    mapping.key_from = Some(KeyFrom::Email);
    assert_eq!(passed_by(&mapping, json!({})).key.0, "ann@example.com");
    let settled = refused_by(&mapping, json!({"email": null}));
    assert_eq!((said(&settled).0, settled.key), (Code::EmailMissing, None));
    let settled = refused_by(&mapping, json!({"email": "none"}));
    assert_eq!((said(&settled).0, settled.key), (Code::EmailInvalid, None));
    assert_eq!(refused_by(&mapping, json!({"active": false})).key.unwrap().0, "ann@example.com");
}

#[test]
fn a_user_with_an_auth0_id_is_skipped_with_it() {
    let settled = refused(json!({"auth0_user_id": "auth0|9"}));
    assert_eq!(said(&settled).0, Code::AlreadyMigrated);
    assert_eq!(settled.outcome.state, ItemState::Skipped);
    assert_eq!(settled.outcome.auth0_user_id, Some(Auth0UserId("auth0|9".into())));
}

/// The ledger compares it with the record that was moved.
#[test]
fn a_user_with_an_auth0_id_brings_the_record_of_today_or_the_field_that_refuses_it() {
    let moved = |changes: Value| {
        let mut row = json!({"auth0_user_id": "auth0|9"});
        row.as_object_mut().unwrap().extend(changes.as_object().unwrap().clone());
        let settled = refused(row);
        assert_eq!(settled.outcome.code, Some(Code::AlreadyMigrated));
        (settled.record.map(|record| record.email.expose().to_owned()), settled.outcome.field)
    };
    let well = (Some("ann@example.com".to_owned()), None);
    assert_eq!(moved(json!({})), well);
    assert_eq!(moved(json!({"hash": "$2b$10$abc"})), well, "a password is no part of a record");
    let refused_at = |field: &str| (None, Some(field.to_owned()));
    assert_eq!(moved(json!({"active": false})), well);
    assert_eq!(moved(json!({"provider": "google"})), refused_at("provider"));
    assert_eq!(moved(json!({"email": "none"})), refused_at("email"));
    assert_eq!(moved(json!({"name": "x".repeat(301)})), refused_at("name"));
}

/// Left out of a move, but not of what became of it: the account is there, and can sign in.
#[test]
fn a_moved_user_who_is_disabled_since_is_to_be_blocked() {
    let mut mapping = mapping();
    let blocked = |mapping: &Mapping| {
        let settled = refused_by(mapping, json!({"auth0_user_id": "auth0|9", "active": false}));
        settled.record.unwrap().blocked
    };
    for (rule, expected) in [(Inactive::Skip, true), (Inactive::Block, true), (Inactive::Carry, false)] {
        mapping.inactive = rule;
        assert_eq!(blocked(&mapping), expected, "{rule:?}");
    }
}

#[test]
fn the_mapping_decides_about_inactive_users() {
    let mut mapping = mapping();
    let settled = refused_by(&mapping, json!({"active": "f"}));
    assert_eq!((said(&settled).0, settled.outcome.state), (Code::Disabled, ItemState::Skipped));
    mapping.inactive = Inactive::Block;
    assert!(passed_by(&mapping, json!({"active": 0})).blocked);
    assert!(!passed_by(&mapping, json!({"active": 1})).blocked);
    mapping.inactive = Inactive::Carry;
    assert!(!passed_by(&mapping, json!({"active": false})).blocked);
    assert!(passed_by(&mapping, json!({"active": false, "blocked": true})).blocked);
    assert!(!passed(json!({"active": null})).blocked, "null counts as active");
    assert_eq!(said(&refused(json!({"active": "perhaps"}))), (Code::FieldInvalid, Some("active")));
    assert_eq!(said(&refused(json!({"blocked": "perhaps"}))), (Code::FieldInvalid, Some("blocked")));
}

#[test]
fn a_user_of_another_provider_is_federated() {
    for federated in [json!("google_oauth2"), json!(["saml"]), json!(7), json!({"id": "x"}), json!(true)] {
        assert_eq!(said(&refused(json!({"provider": federated}))).0, Code::Federated, "{federated}");
    }
    for ours in [json!(null), json!(""), json!("Local"), json!([]), json!(["saml", "local"])] {
        passed(json!({"provider": ours}));
    }
}

#[test]
fn a_missing_a_long_and_a_wrong_address_are_told_apart() {
    for missing in [json!(null), json!(""), json!("   ")] {
        assert_eq!(said(&refused(json!({"email": missing}))), (Code::EmailMissing, Some("email")));
    }
    let long = format!("{}@example.com", "x".repeat(65));
    assert_eq!(said(&refused(json!({"email": long}))), (Code::EmailTooLong, Some("email")));
    for wrong in [json!("none"), json!("a@b"), json!(true), json!(["a@example.com"])] {
        assert_eq!(said(&refused(json!({"email": wrong}))), (Code::EmailInvalid, Some("email")), "{wrong}");
    }
}

#[test]
fn verified_comes_from_the_column_or_from_the_operator() {
    assert!(passed(json!({"email_verified": "2024-01-15T10:30:00.000Z"})).email_verified);
    assert!(!passed(json!({"email_verified": null})).email_verified);
    assert_eq!(
        said(&refused(json!({"email_verified": "perhaps"}))),
        (Code::FieldInvalid, Some("email_verified"))
    );
    for (decided, expected) in [(EmailVerified::Assume, true), (EmailVerified::Never, false)] {
        let mapping = Mapping { email_verified: decided, ..mapping() };
        assert_eq!(passed_by(&mapping, json!({"email_verified": !expected})).email_verified, expected);
    }
}

#[test]
fn limits_count_characters_and_are_named() {
    for (field, most) in [("name", 300), ("nickname", 300), ("given_name", 150), ("family_name", 150)] {
        passed(json!({field: "é".repeat(most)}));
        assert_eq!(said(&refused(json!({field: "é".repeat(most + 1)}))), (Code::FieldTooLong, Some(field)));
        assert_eq!(said(&refused(json!({field: ["x"]}))), (Code::FieldInvalid, Some(field)));
        assert_eq!(said(&refused(json!({field: "a\0"}))), (Code::FieldInvalid, Some(field)));
    }
    assert_eq!(said(&refused(json!({"picture": ["x"]}))), (Code::FieldInvalid, Some("picture")));
}

#[test]
fn metadata_is_kept_in_its_type_and_empty_values_are_absent() {
    let user = passed(json!({"role": {"main": "nurse", "since": 2020}, "lang": " "}));
    assert_eq!(user.app_metadata["role"], json!({"main": "nurse", "since": 2020}));
    assert!(user.user_metadata.is_empty());
    let settled = refused(json!({"role": {"a.b": 1}}));
    assert_eq!(said(&settled), (Code::MetadataKeyForbidden, Some("app_metadata.role")));
    assert_eq!(said(&refused(json!({"lang": ["\0"]}))), (Code::FieldInvalid, Some("user_metadata.lang")));
}

#[test]
fn a_hash_needs_an_import_unless_it_is_given_up() {
    for hash in [json!("$2b$10$abc"), json!({"algorithm": "md4"}), json!(true), json!(["x"])] {
        let settled = refused(json!({"hash": hash}));
        assert_eq!((said(&settled).0, settled.outcome.state), (Code::HashNeedsImport, ItemState::Failed));
    }
    for none in
        [json!(null), json!(""), json!({}), json!(false), json!("!Zq8unusable"), json!("*"), json!("\\N")]
    {
        passed(json!({"hash": none}));
    }
    let mapping = Mapping { discard_hashes: true, ..mapping() };
    passed_by(&mapping, json!({"hash": "$2b$10$abc"}));
}

#[test]
fn the_first_rule_that_fails_decides() {
    let mut changes = json!({
        "key": null, "auth0_user_id": "auth0|1", "active": false, "provider": "google", "email": null,
        "email_verified": "perhaps", "name": "x".repeat(301), "hash": "$2b$10$abc",
    });
    let steps = [
        (Code::KeyMissing, "key", json!("7")),
        (Code::AlreadyMigrated, "auth0_user_id", json!(null)),
        (Code::Disabled, "active", json!(true)),
        (Code::Federated, "provider", json!(null)),
        (Code::EmailMissing, "email", json!("none")),
        (Code::EmailInvalid, "email", json!("a@example.com")),
        (Code::FieldInvalid, "email_verified", json!(true)),
        (Code::FieldTooLong, "name", json!("x")),
        (Code::HashNeedsImport, "hash", json!(null)),
    ];
    for (code, field, repair) in steps {
        assert_eq!(said(&refused(changes.clone())).0, code, "before {field} is repaired");
        changes[field] = repair;
    }
    passed(changes);
}

#[test]
fn a_word_for_no_value_is_empty_in_every_field_of_a_file() {
    for word in ["NULL", "null", "\\N", " NULL ", "(null)", "<null>", "[NULL]"] {
        let user = passed(json!({
            "auth0_user_id": word, "name": word, "nickname": word, "picture": word, "active": word,
            "blocked": word, "deleted_at": word, "provider": word, "hash": word, "lang": word, "role": word,
            "email_verified": word,
        }));
        let empty =
            json!({"key": "7", "email": "ann@example.com", "email_verified": false, "blocked": false});
        assert_eq!(serde_json::to_value(user).unwrap(), empty, "{word}");
        assert_eq!(said(&refused(json!({"key": word}))).0, Code::KeyMissing, "{word}");
        assert_eq!(said(&refused(json!({"email": word}))), (Code::EmailMissing, Some("email")), "{word}");
    }
    assert_eq!(passed(json!({"name": "Null"})).name.as_deref(), Some("Null"), "a surname");
}

#[test]
fn in_a_table_such_a_word_is_a_value_where_it_can_be_one() {
    let of_table = |changes: Value, notes: &mut Notes| match judged(&mapping(), &record(changes), true, notes)
    {
        Some(Candidate::User { record, .. }) => *record,
        other => panic!("{other:?}"),
    };
    let mut notes = Notes::default();
    let user = of_table(json!({"name": "NULL", "auth0_user_id": "NULL", "hash": "\\N"}), &mut notes);
    assert_eq!(user.name.as_deref(), Some("NULL"));
    assert!(
        notes.warnings()[0]
            .to_string()
            .starts_with("name: the word \"NULL\" is carried as a value (1 record)"),
        "{notes:?}"
    );
    let own = Mapping { null_words: Some(vec!["none".into(), "NULL".into()]), ..mapping() };
    let all = record(json!({"name": "none", "nickname": "NULL", "given_name": "\\N"}));
    let Some(Candidate::User { record, .. }) = judged(&own, &all, true, &mut notes) else {
        panic!("refused")
    };
    assert_eq!((record.name, record.nickname, record.given_name.as_deref()), (None, None, Some("\\N")));
}

#[test]
fn what_is_no_auth0_id_leaves_nobody_behind() {
    for no_id in ["none", "None", "-", "N/A", "7", "auth0", "auth0|", "|7", "a b|7", "true"] {
        let settled = refused(json!({"auth0_user_id": no_id}));
        assert_eq!(said(&settled), (Code::FieldInvalid, Some("auth0_user_id")), "{no_id}");
        assert_eq!(settled.outcome.state, ItemState::Failed);
    }
    for id in ["auth0|9", "google-oauth2|117", "samlp|acme|ann@example.com", "my_idp.x|A b"] {
        assert_eq!(said(&refused(json!({"auth0_user_id": id}))).0, Code::AlreadyMigrated, "{id}");
    }
}

#[test]
fn doubtful_words_are_carried_and_counted() {
    let mut notes = Notes::default();
    for name in ["None", "N/A", "None", "Nona"] {
        judged(&mapping(), &record(json!({"name": name, "role": "-"})), false, &mut notes);
    }
    let said: Vec<_> = notes.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[2].starts_with("name: the word \"None\" is carried as a value (2 records)"), "{said:?}");
}

#[test]
fn a_time_says_who_is_deleted_blocked_and_banned() {
    let deleted = refused(json!({"deleted_at": "2024-01-15 10:30:00"}));
    assert_eq!((said(&deleted).0, deleted.outcome.state), (Code::Disabled, ItemState::Skipped));
    let block = Mapping { inactive: Inactive::Block, ..mapping() };
    assert!(passed_by(&block, json!({"deleted_at": true})).blocked);
    for alive in [json!(null), json!(""), json!(0), json!(false), json!("0000-00-00 00:00:00")] {
        assert!(
            !passed(json!({"deleted_at": alive, "blocked_at": alive, "banned_until": alive})).blocked,
            "{alive}"
        );
    }
    assert!(passed(json!({"blocked_at": "2026-01-01"})).blocked);
    for (until, blocked) in [
        (json!("2026-06-01T11:59:00Z"), false),
        (json!("2026-06-01T12:01:00Z"), true),
        (json!("2026-06-01T13:30:00+02:00"), false),
        (json!("infinity"), true),
        (json!("-infinity"), false),
        (json!(true), true),
        (json!(1_900_000_000), true),
    ] {
        assert_eq!(passed(json!({"banned_until": until})).blocked, blocked, "{until}");
    }
    for field in ["deleted_at", "blocked_at", "banned_until"] {
        assert_eq!(said(&refused(json!({field: "soon"}))), (Code::FieldInvalid, Some(field)));
    }
}

#[test]
fn the_application_s_own_words_say_who_is_active() {
    let mut mapping = mapping();
    mapping.columns.active = Some("status".into());
    mapping.columns.blocked = Some("status".into());
    mapping.words = serde_json::from_value(json!({
        "active": {"yes": ["Active", "banned", "10"], "no": ["closed"]},
        "blocked": {"yes": ["banned"], "no": ["active", "closed", "10"]},
    }))
    .unwrap();
    assert!(!passed_by(&mapping, json!({"status": "active"})).blocked);
    assert!(!passed_by(&mapping, json!({"status": 10})).blocked);
    assert!(passed_by(&mapping, json!({"status": "BANNED"})).blocked);
    assert_eq!(said(&refused_by(&mapping, json!({"status": "closed"}))).0, Code::Disabled);
    let unknown = refused_by(&mapping, json!({"status": "perhaps"}));
    assert_eq!(said(&unknown), (Code::FieldInvalid, Some("active")));
}

#[test]
fn a_picture_within_the_application_is_left_out_and_refuses_nobody() {
    let mut notes = Notes::default();
    let all = record(json!({"picture": "/avatars/7.png"}));
    let Some(Candidate::User { record, .. }) = judged(&mapping(), &all, false, &mut notes) else {
        panic!("refused")
    };
    assert_eq!((record.picture, notes.pictures), (None, 1));
}

#[test]
fn a_record_that_is_none_of_this_move_is_counted_apart() {
    let mut mapping = mapping();
    mapping.only = serde_json::from_value(json!({"tenant": "a"})).unwrap();
    let mut notes = Notes::default();
    assert!(judged(&mapping, &record(json!({"tenant": "a"})), false, &mut notes).is_some());
    assert!(judged(&mapping, &record(json!({"tenant": "b", "key": null})), false, &mut notes).is_none());
    assert_eq!(notes.left_out, 1);
}

#[test]
fn a_time_or_an_own_word_as_flag_is_refused_and_the_note_says_how_to_map_it() {
    let mut notes = Notes::default();
    for (active, blocked) in [("2024-01-15", "no"), ("archived", "no"), ("yes", "2024-01-15 10:30:00")] {
        judged(&mapping(), &record(json!({"active": active, "blocked": blocked})), false, &mut notes);
    }
    let said: Vec<_> = notes.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(said.len(), 3, "{said:?}");
    assert!(said[0].starts_with("active: 1 record has a time") && said[0].contains("deleted_at"), "{said:?}");
    assert!(said[1].starts_with("blocked: 1 record has a time"), "{said:?}");
    assert!(said[2].contains("words.active"), "{said:?}");
}
