//! What a refusal shows: names that are plainly names, and never a cell, an address or a secret.

use ferry_domain::Code;

use crate::support::*;

/// The mapping that the files of these tests do not fit.
fn four() -> ferry_sources::Mapping {
    mapping(&[("key", "id"), ("email", "email"), ("email_verified", "verified"), ("name", "name")])
}

const VALUES: &[&str] =
    &["hunter", "Secret", "ann", "Ann", "Bee", "+1555", "u0001", "pass-1", "bob", "example.com"];

async fn says_no_value(name: &str, text: &str, mapping: &ferry_sources::Mapping) -> String {
    let error = fails(name, text, mapping).await.to_string();
    let (_, said) = error.split_once(name).unwrap(); // the folder's name is of this machine
    for value in VALUES {
        assert!(!said.contains(value), "{value} is shown: {said}");
    }
    said.to_owned()
}

#[tokio::test]
async fn a_row_of_values_in_place_of_a_header_is_never_shown() {
    for (name, text) in [
        ("a.csv", "u0001,hunter2-Secret,,Ann,Bee,+15550100\nu0002,other,bob@example.com,Bob,Cee,\n"),
        ("b.csv", "1,ann.at.example,pass-1,Ann\n"),
        ("c.csv", "u0001,hunter2-Secret,none,hunter2-Secret\nu0002,x,bob@example.com,y\n"),
        ("d.tsv", "u0001\thunter2-Secret\tAnn\nu0002\tx\tBee\n"),
        ("e.csv", "ann,Secret,Bee\n"),
        ("f.csv", "sep=;\nu0001;hunter2-Secret;Ann\n"),
    ] {
        let said = says_no_value(name, text, &four()).await;
        assert!(said.contains("first row"), "{said}");
        assert!(said.contains("row with the names of the columns"), "{said}");
    }
}

#[tokio::test]
async fn a_cell_that_equals_a_mapped_name_makes_no_header_of_its_row() {
    let mut mapping = four();
    mapping.columns.active = Some("active".into());
    mapping.columns.provider = Some("email".into());
    let said = says_no_value("a.csv", "ann,Secret,email,active,Bee\n", &mapping).await;
    assert!(said.contains("first row holds values") && !said.contains("active"), "{said}");
}

#[tokio::test]
async fn names_of_a_header_help_with_a_typing_error() {
    let error = fails("users.csv", "id,emial,verified,name,vorname\n1,a@example.com,1,A,B\n", &four()).await;
    assert_eq!(error.field.as_deref(), Some("email"));
    assert!(error.remedy.contains("id, emial, verified, name, vorname"), "{error}");
    let error = fails("users.csv", "uid;mail;fullname;correo\n1;a@example.com;A;B\n", &four()).await;
    assert!(error.remedy.contains("uid, mail, fullname and 1 more"), "{error}");
    let twice = fails("users.csv", "id,email,verified,name,name\n", &four()).await;
    assert!(twice.what.contains("name") && twice.line == Some(1), "{twice}");
}

#[tokio::test]
async fn an_object_of_users_by_address_or_login_shows_none_of_them() {
    for text in [
        r#"{"ann@example.com":{"id":1},"bob@example.com":{"id":2}}"#,
        r#"{"ann":{"id":1},"bob":{"id":2}}"#,
        r#"{"ann":["x"],"bob":["y"]}"#,
        r#"{"ann":"hunter2-Secret"}"#,
    ] {
        let said = says_no_value("users.json", text, &four()).await;
        assert!(said.contains("users_at"), "{said}");
    }
    for text in ["{\"ann@example.com\":{\"id\":1}}\n", "{\"ann\":{\"id\":1}}\n{\"bob\":{\"id\":2}}\n"] {
        let said = says_no_value("users.ndjson", text, &four()).await;
        assert!(said.contains("no record has the property \"id\""), "{said}");
    }
}

#[tokio::test]
async fn a_property_that_no_record_has_is_refused_where_it_decides() {
    let records = [
        r#"{"id":1,"email":"a@example.com","emailVerified":true,"isBlocked":true,"name":"A"}"#,
        r#"{"id":2,"email":"b@example.com","emailVerified":true,"isActive":false,"name":"B"}"#,
    ];
    for (name, text) in
        [("users.json", format!("[{}]", records.join(","))), ("users.ndjson", records.join("\n"))]
    {
        for (field, property) in [
            ("email_verified", "email_verified"),
            ("active", "is_active"),
            ("blocked", "is_blocked"),
            ("deleted_at", "deletedAt"),
            ("banned_until", "bannedUntil"),
            ("provider", "provider"),
            ("password_hash", "pw_hash"),
        ] {
            let mapping = mapping(&[("key", "id"), ("email", "email"), (field, property)]);
            let error = fails(name, &text, &mapping).await;
            assert_eq!(error.field.as_deref(), Some(field), "{error}");
            assert!(error.what.contains(property), "{error}");
            assert!(error.remedy.contains("email, emailVerified, id, isActive, isBlocked, name"), "{error}");
        }
        let others =
            mapping(&[("key", "id"), ("email", "email"), ("nickname", "nick"), ("app_metadata.x", "x")]);
        let (all, warnings) = read_all(name, &text, &others).await.unwrap();
        assert_eq!(users(&all).len(), 2);
        assert_eq!(warnings.len(), 2, "{warnings:?}");
        assert!(warnings[0].starts_with("nickname: no record has \"nick\""), "{warnings:?}");
        let blocked = mapping(&[("key", "id"), ("email", "email"), ("blocked", "isBlocked")]);
        assert_eq!(users(&read_text(name, &text, &blocked).await.unwrap()).len(), 2, "one record has it");
    }
}

#[tokio::test]
async fn a_path_that_no_cell_holds_is_refused_where_it_decides() {
    let text = "id,email,meta\n1,a@example.com,\"{\"\"verified\"\":true}\"\n2,b@example.com,\n";
    let wrong = mapping(&[("key", "id"), ("email", "email"), ("email_verified", "meta.confirmed")]);
    assert_eq!(fails("users.csv", text, &wrong).await.field.as_deref(), Some("email_verified"));
    let right = mapping(&[("key", "id"), ("email", "email"), ("email_verified", "meta.verified")]);
    let all = read_text("users.csv", text, &right).await.unwrap();
    assert_eq!(users(&all).iter().filter(|user| user.email_verified).count(), 1);
    let empty = "id,email,meta\n1,a@example.com,\n";
    assert_eq!(
        users(&read_text("users.csv", empty, &wrong).await.unwrap()).len(),
        1,
        "nothing speaks against it"
    );
}

#[tokio::test]
async fn a_column_of_ids_that_a_file_lacks_is_said() {
    let fields = mapping(&[("key", "id"), ("email", "email"), ("auth0_user_id", "auth0_id")]);
    for (name, text) in [
        ("users.csv", "id,email\n1,a@example.com\n"),
        ("users.json", r#"[{"id":1,"email":"a@example.com"}]"#),
    ] {
        let (all, warnings) = read_all(name, text, &fields).await.unwrap();
        assert_eq!(users(&all).len(), 1);
        assert!(warnings[0].starts_with("auth0_user_id: no record has \"auth0_id\""), "{warnings:?}");
    }
}

#[tokio::test]
async fn exports_of_mysql_leave_nobody_behind() {
    let fields = mapping(&[
        ("key", "id"),
        ("email", "email"),
        ("name", "name"),
        ("auth0_user_id", "auth0_user_id"),
        ("app_metadata.ward", "ward"),
    ]);
    let csv = "id,email,name,auth0_user_id,ward\n1,a1@example.com,NULL,,NULL\n2,a2@example.com,Bob,NULL,W1\n\
               3,a3@example.com,Cy,\\N,W1\n4,a4@example.com,Di,null,W1\n5,a5@example.com,Ed,,\\N\n6,a6@example.com,Fy,None,W1\n";
    let all = read_text("users.csv", csv, &fields).await.unwrap();
    assert_eq!(story(&all), ["2:1", "3:2", "4:3", "5:4", "6:5", "7:FIELD_INVALID(auth0_user_id)"]);
    assert_eq!((users(&all)[0].name.as_deref(), users(&all)[0].app_metadata.len()), (None, 0));
    assert!(users(&all)[4].app_metadata.is_empty());
    let tsv =
        "id\temail\tname\tauth0_user_id\tward\n\\N\ta6@example.com\tFay\t\\N\tW1\n7\t\\N\tGil\t\\N\tW1\n";
    let all = read_text("mysql.tsv", tsv, &fields).await.unwrap();
    assert_eq!(story(&all), ["2:KEY_MISSING", "3:EMAIL_MISSING(email)"]);
    let json = r#"[{"id":8,"email":"a8@example.com","name":"NULL","auth0_user_id":"NULL","ward":"\\N"}]"#;
    let all = read_text("users.json", json, &fields).await.unwrap();
    assert_eq!((story(&all)[0].as_str(), users(&all)[0].app_metadata.len()), ("1:8", 0));
}

#[tokio::test]
async fn ids_that_a_spreadsheet_destroyed_are_refused_each() {
    let text = "id,email\n1.23457E+18,a1@example.com\n1.23457E+18,a2@example.com\n\"9,87654E+17\",a3@example.com\n\
                =\"0012\",a4@example.com\n\"=\"\"0013\"\"\",a5@example.com\n#N/A,a6@example.com\n1E5,a7@example.com\n";
    let all = read_text("users.csv", text, &simple()).await.unwrap();
    assert_eq!(
        story(&all),
        [
            "2:KEY_DAMAGED(key)",
            "3:KEY_DAMAGED(key)",
            "4:KEY_DAMAGED(key)",
            "5:0012",
            "6:0013",
            "7:KEY_DAMAGED(key)",
            "8:1E5"
        ]
    );
    let json = r#"[{"id":1.23457E+18,"email":"a@example.com"},{"id":"1.23457E+18","email":"b@example.com"},
                   {"id":100000000000000000000000000001,"email":"c@example.com"},{"id":100000000000000000000000000002,"email":"d@example.com"}]"#;
    let all = read_text("users.json", json, &simple()).await.unwrap();
    assert_eq!(
        story(&all),
        [
            "1:KEY_DAMAGED(key)",
            "2:KEY_DAMAGED(key)",
            "3:100000000000000000000000000001",
            "4:100000000000000000000000000002"
        ]
    );
    let rounded =
        "id,email\n1234567890123450000,a@example.com\n9876543210987650000,b@example.com\n7.0,c@example.com\n";
    let (all, warnings) = read_all("users.csv", rounded, &simple()).await.unwrap();
    assert_eq!((users(&all).len(), warnings.len()), (3, 2), "{warnings:?}");
    assert!(warnings.iter().all(|warning| warning.starts_with("key: ")), "{warnings:?}");
}

#[tokio::test]
async fn what_spreadsheets_leave_around_the_rows_is_no_record() {
    let text = "sep=;\r\n;;\r\nid;email;name\r\n1;a@example.com;A\r\n;;\r\n ; ;\r\n2;b@example.com;B\r\n;;;;;;\r\n\"\";\"\";\"\"\r\n\u{a0};;\r\n";
    assert_eq!(story(&read_text("users.csv", text, &simple()).await.unwrap()), ["4:1", "7:2"]);
    let error = fails("users.csv", "id,email\n,\n,\n", &simple()).await;
    assert!(error.what.contains("no record"), "{error}");
    let other = "sep=^\nid^email\n1^a@example.com\n";
    assert_eq!(story(&read_text("users.csv", other, &simple()).await.unwrap()), ["3:1"]);
}

#[tokio::test]
async fn an_address_that_looks_right_is_refused_for_what_is_wrong() {
    let text = "id,email\n1,ann@b\u{fc}cher.example\n2,j\u{f6}rg@example.com\n3,\u{200b}a3@example.com\n\
                4,\"\u{feff}a4@example.com\"\n5,a5@example.com; b5@example.com\n6,mailto:a6@example.com\n";
    let all = read_text("users.csv", text, &simple()).await.unwrap();
    let codes: Vec<_> = settled(&all).iter().map(|s| s.outcome.code.unwrap()).collect();
    assert_eq!(
        codes,
        [
            Code::EmailDomainNotAscii,
            Code::EmailNotAscii,
            Code::EmailInvisible,
            Code::EmailInvisible,
            Code::EmailSeveral,
            Code::EmailSurrounded
        ]
    );
    assert!(settled(&all).iter().all(|s| s.outcome.field.as_deref() == Some("email")));
}

#[tokio::test]
async fn only_takes_the_same_records_from_every_format() {
    let mut fields = simple();
    fields.only = serde_json::from_str(r#"{"tenant": "a"}"#).unwrap();
    for (name, text) in [
        ("users.csv", "id,email,tenant\n1,a@example.com,a\n2,b@example.com,b\n3,c@example.com,a\n"),
        (
            "users.json",
            r#"[{"id":1,"email":"a@example.com","tenant":"a"},{"id":2,"email":"b@example.com","tenant":"b"},
                {"id":3,"email":"c@example.com","tenant":"a"}]"#,
        ),
    ] {
        let (all, warnings) = read_all(name, text, &fields).await.unwrap();
        assert_eq!(users(&all).len(), 2, "{name}");
        assert!(warnings[0].starts_with("only: 1 record is not"), "{warnings:?}");
    }
    let error = fails("users.csv", "id,email,name\n1,a@example.com,A\n", &fields).await;
    assert_eq!(error.field.as_deref(), Some("only.tenant"));
    let error = fails("users.json", r#"[{"id":1,"email":"a@example.com"}]"#, &fields).await;
    assert_eq!(error.field.as_deref(), Some("only.tenant"));
}
