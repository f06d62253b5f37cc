//! JSON files of our own.

use ferry_sources::{Location, open};
use serde_json::json;

use crate::support::*;

const TWO: &str = r#"[{"id": 1, "email": "a@example.com"}, {"id": "2", "email": "b@example.com"}]"#;

#[tokio::test]
async fn the_array_is_the_document_or_stands_at_a_property() {
    let all = read_text("users.json", TWO, &simple()).await.unwrap();
    assert_eq!(story(&all), ["1:1", "2:2"]);
    let usual = format!(r#"{{"page": {{"users": [1]}}, "users": {TWO}, "next": null}}"#);
    assert_eq!(read_text("users.json", usual, &simple()).await.unwrap().len(), 2);
    for (path, text) in [
        ("result", format!(r#"{{"count": 2, "result": {TWO}}}"#)),
        ("data.people", format!(r#"{{"data": {{"x": [], "people": {TWO}, "y": 1}}, "z": [{{}}]}}"#)),
        ("data.people", format!(r#"{{"data": {{}}, "data.people": {TWO}}}"#)),
    ] {
        let mut mapping = simple();
        mapping.users_at = Some(path.into());
        assert_eq!(read_text("users.json", text, &mapping).await.unwrap().len(), 2, "{path}");
    }
}

#[tokio::test]
async fn a_bad_element_costs_that_element_only() {
    let text = r#"[{"id": 1, "email": "a@example.com"}, 7, null, [], {"id": 2, "email": null}, {"email": "c@example.com"},
        {"id": 3, "email": "d@example.com", "x": 1e999}, {"id": 4, "email": "e@example.com", "n": 123456789012345678901234567890}]"#;
    let all = read_text("users.json", text, &simple()).await.unwrap();
    assert_eq!(
        story(&all),
        [
            "1:1",
            "2:RECORD_INVALID",
            "3:RECORD_INVALID",
            "4:RECORD_INVALID",
            "5:EMAIL_MISSING(email)",
            "6:KEY_MISSING",
            "7:RECORD_INVALID",
            "8:4"
        ]
    );
}

#[tokio::test]
async fn a_property_that_is_read_and_occurs_twice_costs_its_record_and_is_named() {
    let text = r#"[{"id": 1, "email": "a@example.com", "email": "b@example.com"}, {"id": 2, "email": "c@example.com"},
        {"id": 3, "email": "d@example.com", "role": 1, "role": 2},
        {"id": 4, "id": 5, "email": "e@example.com"}]"#;
    let expected = ["1:PROPERTY_TWICE(email)", "2:2", "3:3", "4:PROPERTY_TWICE(key)"];
    assert_eq!(story(&read_text("users.json", text, &simple()).await.unwrap()), expected);
    let one_a_line: String = text[1..text.len() - 1].replace("}, {", "}\n{").replace("},\n        {", "}\n{");
    let all = read_text("users.ndjson", one_a_line, &simple()).await.unwrap();
    assert_eq!(story(&all), expected);
    let keys: Vec<_> = settled(&all).iter().map(|s| s.key.as_ref().map(|key| key.0.as_str())).collect();
    assert_eq!(keys, [Some("1"), None], "the key is told where it is known");
}

#[tokio::test]
async fn a_document_with_two_lists_of_users_is_refused() {
    let text = format!("{{\"users\": {TWO},\n\"x\": 1,\n\"users\": {TWO}}}");
    let error = read_text("users.json", text, &simple()).await.unwrap_err();
    let told = error.to_string();
    for word in ["users.json:3: ", "\"users\"", "occurs twice", "Leave one"] {
        assert!(told.contains(word), "{word}: {told}");
    }
}

#[tokio::test]
async fn a_way_to_the_users_that_begins_twice_is_refused_whatever_stands_there_first() {
    let mut deep = simple();
    deep.users_at = Some("data.users".into());
    for (first, mapping) in [
        ("\"users\": null", simple()),
        ("\"users\": {\"a\": 1}", simple()),
        ("\"data\": {\"n\": 1}", deep.clone()),
        ("\"data\": {\"users\": 7}", deep.clone()),
        ("\"data\": 7", deep.clone()),
    ] {
        let text = format!("{{{first},\n\"data\": {{\"users\": {TWO}}},\n\"users\": {TWO}}}");
        let line = if mapping.users_at.is_some() { 2 } else { 3 };
        let told = read_text("users.json", text, &mapping).await.unwrap_err().to_string();
        for word in [&format!("users.json:{line}: "), "users\"", "occurs twice", "Leave one"] {
            assert!(told.contains(word), "{first}, {word}: {told}");
        }
    }
    let within = format!("{{\"data\": {{\"users\": null,\n\"users\": {TWO}}}}}");
    assert!(read_text("users.json", within, &deep).await.unwrap_err().to_string().contains("users.json:2: "));
}

#[tokio::test]
async fn a_name_that_occurs_twice_in_json_inside_of_a_text_hides_its_value() {
    let csv = "id,more\n1,\"{\"\"email\"\": \"\"a@example.com\"\", \"\"x\"\": 1, \"\"x\"\": 2}\"\n\
               2,\"{\"\"email\"\": \"\"b@example.com\"\", \"\"email\"\": \"\"c@example.com\"\"}\"\n\
               3,\"{\"\"email\"\": \"\"d@example.com\"\", \"\"team\"\": {\"\"a\"\": 1, \"\"a\"\": 2}}\"\n";
    let named = mapping(&[("key", "id"), ("email", "more.email"), ("app_metadata.team", "more.team")]);
    let expected = ["2:1", "3:PROPERTY_TWICE(email)", "4:PROPERTY_TWICE(app_metadata.team)"];
    assert_eq!(story(&read_text("users.csv", csv, &named).await.unwrap()), expected);
    let text = r#"{"id": 1, "more": "{\"email\": \"a@example.com\", \"x\": 1, \"x\": 2}"}
{"id": 2, "more": "{\"email\": \"b@example.com\", \"email\": \"c@example.com\"}"}"#;
    let expected = ["1:1", "2:PROPERTY_TWICE(email)"];
    assert_eq!(story(&read_text("users.ndjson", text, &named).await.unwrap()), expected);
}

#[tokio::test]
async fn a_path_leads_into_a_record() {
    let text = json!([{
        "_id": {"$oid": "abc"}, "traits": {"email": "a@example.com"}, "names": [{"given": "Ann"}],
        "meta": {"list": [1, {"b": null}], "text": "ü\u{1F600}"},
    }]);
    let fields = [
        ("key", "_id.$oid"),
        ("email", "traits.email"),
        ("given_name", "names.0.given"),
        ("app_metadata.meta", "meta"),
    ];
    let all = read_text("users.json", text.to_string(), &mapping(&fields)).await.unwrap();
    let user = users(&all)[0];
    assert_eq!((user.key.0.as_str(), user.given_name.as_deref()), ("abc", Some("Ann")));
    assert_eq!(user.app_metadata["meta"], text[0]["meta"], "values come through as they are");
}

#[tokio::test]
async fn half_a_document_is_no_document() {
    let whole = format!("{{\n\"users\": {TWO},\n\"next\": null}}");
    for cut in [1, 12, whole.len() / 2, whole.len() - 6, whole.len() - 1] {
        let error = fails("users.json", &whole[..cut], &simple()).await;
        assert!(
            error.what.contains("ends in the middle") || error.what.contains("not JSON"),
            "cut at {cut}: {error}"
        );
        assert!(!error.to_string().contains("example.com"), "{error}");
    }
    let error = fails("users.json", format!("{TWO}\n{TWO}"), &simple()).await;
    assert!(error.what.contains("after the end") && error.line == Some(2), "{error}");
    let error = fails("users.json", "id,email\n1,a@example.com\n", &simple()).await;
    assert!(error.what.contains("not JSON") && error.line == Some(1), "{error}");
    let error = fails("users.json", b"[{\"id\": 1,\n\"email\": \"\xff\"}]", &simple()).await;
    assert!(error.what.contains("UTF-8"), "{error}");
    let error = fails("users.json", "7", &simple()).await;
    assert!(error.what.contains("neither an array nor an object"), "{error}");
    let error = fails("users.json", "[]", &simple()).await;
    assert!(error.what.contains("no record"), "{error}");
    let open = format!("[{{\"id\": 1, \"email\": \"{}\"}}]", "x".repeat(3 << 20));
    let error = fails("users.json", open, &simple()).await;
    assert!(error.what.contains("1 MiB"), "{error}");
}

#[tokio::test]
async fn a_mapping_that_does_not_fit_is_told_what_there_is() {
    let error = fails("users.json", r#"{"people": [], "count": 0}"#, &simple()).await;
    assert_eq!(error.field.as_deref(), Some("users_at"));
    assert!(error.remedy.contains("people, count") && error.remedy.contains("--format ndjson"), "{error}");
    let mut elsewhere = simple();
    elsewhere.users_at = Some("users".into());
    assert_eq!(fails("users.json", TWO, &elsewhere).await.field.as_deref(), Some("users_at"));
    let error = fails("users.json", TWO, &mapping(&[("key", "uid"), ("email", "email")])).await;
    assert_eq!(error.field.as_deref(), Some("key"));
    assert!(error.remedy.contains("email, id"), "{error}");
}

#[tokio::test]
async fn the_digest_is_that_of_the_whole_file() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.json");
    let text = format!("{{\"users\": {TWO}, \"rest\": [{}]}}\n\n", "1, ".repeat(100_000) + "1");
    std::fs::write(&path, &text).unwrap();
    let mut source =
        open(&Location::parse(path.to_str().unwrap(), None).unwrap(), &simple(), now()).await.unwrap();
    read(source.as_mut(), 10).await.unwrap();
    assert_eq!(source.digest(), Some(ferry_domain::hex::hex_digest(text.as_bytes())));
}
