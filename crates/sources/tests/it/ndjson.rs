//! NDJSON files of our own.

use crate::support::*;

#[tokio::test]
async fn a_broken_line_costs_that_record_only() {
    let text: Vec<u8> = [
        b"\xef\xbb\xbf{\"id\": 1, \"email\": \"a@example.com\"}\r\n".as_slice(),
        b"\n",
        b"{\"id\": 2, \"email\": \n",
        b"[1]\n",
        b"{\"id\": 3, \"email\": \"\xff\"}\n",
        b"{\"id\": 4}\n",
        b"{\"id\": 5, \"email\": \"e@example.com\"} {}\n",
        b"{\"id\": 6, \"email\": \"f@example.com\"}",
    ]
    .concat();
    let all = read_text("users.ndjson", text, &simple()).await.unwrap();
    assert_eq!(
        story(&all),
        [
            "1:1",
            "3:RECORD_INVALID",
            "4:RECORD_INVALID",
            "5:INVALID_UTF8",
            "6:EMAIL_MISSING(email)",
            "7:RECORD_INVALID",
            "8:6"
        ]
    );
}

#[tokio::test]
async fn a_line_without_an_end_is_not_held() {
    let long = format!(
        "{{\"id\": 1, \"x\": \"{}\"}}\n{{\"id\": 2, \"email\": \"b@example.com\"}}\n",
        "x".repeat(5 << 20)
    );
    let all = read_text("users.jsonl", long, &simple()).await.unwrap();
    assert_eq!(story(&all), ["1:RECORD_INVALID", "2:2"]);
}

#[tokio::test]
async fn an_array_is_told_from_lines() {
    let error = fails("users.ndjson", "\n [\n{}\n]", &simple()).await;
    assert!(error.remedy.contains("--format json"), "{error}");
    let error = fails("users.ndjson", "\n\n", &simple()).await;
    assert!(error.what.contains("no record"), "{error}");
    let error = fails("users.ndjson", "{\"uid\": 1, \"email\": \"a@example.com\"}\n", &simple()).await;
    assert_eq!(error.field.as_deref(), Some("key"));
    assert!(error.remedy.contains("email, uid"), "{error}");
}
