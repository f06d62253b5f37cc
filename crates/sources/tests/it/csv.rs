//! CSV files of our own.

use ferry_domain::Code;
use ferry_sources::{Location, open};

use crate::support::*;

async fn told(text: &str) -> Vec<String> {
    story(&read_text("users.csv", text, &simple()).await.unwrap())
}

#[tokio::test]
async fn separators_line_ends_and_a_byte_order_mark_make_no_difference() {
    for separator in [",", ";", "\t", "|"] {
        for end in ["\n", "\r\n", "\r"] {
            for begin in ["", "\u{feff}"] {
                let text = ["id,email,name", "1,a@example.com,\"A, or B; or C | D\"", "2,b@example.com,B"]
                    .map(|row| row.replacen(',', separator, 2))
                    .join(end);
                let text = format!("{begin}{text}");
                assert_eq!(told(&text).await, ["2:1", "3:2"], "{text:?}");
                assert_eq!(told(&format!("{text}{end}")).await, ["2:1", "3:2"], "{text:?} with an end");
            }
        }
    }
}

#[tokio::test]
async fn comments_stand_before_the_header_only_and_lines_are_physical() {
    let text = "# made by hand\n\n#,,\nid,email,note\n#1,a@example.com,\n\n2,b@example.com,\"two\nlines, \"\"quoted\"\"\"\r\n\r\n3,c@example.com,\n";
    assert_eq!(told(text).await, ["5:#1", "7:2", "10:3"]);
    let mut mapping = simple();
    mapping.comment = Some("//".into());
    let all = read_text("users.csv", "// x\nid,email\n1,a@example.com\n", &mapping).await.unwrap();
    assert_eq!(story(&all), ["3:1"]);
}

#[tokio::test]
async fn a_bad_row_costs_that_row_only() {
    let text: Vec<u8> = [
        b"id,email,name,more\n".as_slice(),
        b"1,a@example.com,A,x\n",
        b"2,b@example.com\n",
        b"3,c@example.com,C,too,many\n",
        b"4,d\xff@example.com,D,x\n",
        b"5,e@example.com,E,not mapped \xff\n",
        b",f@example.com,F,x\n",
        b"7,,only a cell is missing that nobody asked for\n",
    ]
    .concat();
    let with_name = mapping(&[("key", "id"), ("email", "email"), ("name", "name")]);
    let all = read_text("users.csv", text, &with_name).await.unwrap();
    assert_eq!(
        story(&all),
        [
            "2:1",
            "3:RECORD_INVALID",
            "4:RECORD_INVALID",
            "5:INVALID_UTF8",
            "6:5",
            "7:KEY_MISSING",
            "8:EMAIL_MISSING(email)"
        ]
    );
}

#[tokio::test]
async fn a_cell_may_hold_json_and_a_name_may_hold_a_dot() {
    let text = "id,traits.email,meta\n1,a@example.com,\"{\"\"role\"\": {\"\"name\"\": \"\"nurse\"\"}}\"\n2,b@example.com,no json\n";
    let mapping =
        mapping(&[("key", "id"), ("email", "traits.email"), ("app_metadata.role", "meta.role.name")]);
    let all = read_text("users.csv", text, &mapping).await.unwrap();
    assert_eq!(users(&all)[0].app_metadata["role"], "nurse");
    assert!(users(&all)[1].app_metadata.is_empty());
}

#[tokio::test]
async fn an_open_quote_never_swallows_the_rest() {
    for text in [
        "id,email,note\n1,a@example.com,x\n2,b@example.com,\"open\n3,c@example.com,x\n4,d@example.com,x\n",
        "id,email,note\n1,a@example.com,x\n2,b@example.com,\"open",
    ] {
        let error = fails("users.csv", text, &simple()).await;
        assert_eq!(error.line, Some(3), "{error}");
        assert!(error.what.contains("never closed"), "{error}");
    }
    let error = fails("users.csv", "id,email,\"note\n1,a@example.com,x\n", &simple()).await;
    assert_eq!(error.line, Some(1), "{error}");
    let huge = format!("id,email,note\n1,a@example.com,\"open\n{}", "2,b@example.com,x\n".repeat(200_000));
    let error = fails("users.csv", huge, &simple()).await;
    assert_eq!(error.line, Some(2), "{error}");
    assert!(error.what.contains("never closed"), "{error}");
    let long = format!("id,email,note\n1,a@example.com,{}\n2,b@example.com,x\n", "x".repeat(3 << 20));
    let error = fails("users.csv", long, &simple()).await;
    assert_eq!(error.line, Some(2), "{error}");
    assert!(error.what.contains("a cell is too long") && error.remedy.contains("shorten"), "{error}");
}

#[tokio::test]
async fn the_header_is_checked_before_anything_of_it_is_shown() {
    let error = fails("users.csv", "7,ann@example.com\n8,bob@example.com\n", &simple()).await;
    assert!(error.what.contains("header row is missing"), "{error}");
    assert!(!error.to_string().contains("ann"), "{error}");
    let with_name = mapping(&[("key", "id"), ("email", "email"), ("name", "name")]);
    let error = fails("users.csv", "id,email,name,email,name\n", &with_name).await;
    assert!(error.what.contains("email, name"), "{error}");
    let error = fails("users.csv", "id,email,name,email,name\n", &simple()).await;
    assert!(error.what.contains("2 and 4, 3 and 5"), "{error}");
    let error = fails("users.csv", "id;mail;name\n1;a@example.com;A\n", &simple()).await;
    assert_eq!(error.field.as_deref(), Some("email"));
    assert!(error.remedy.contains("id, mail, name"), "{error}");
    let error = fails("users.csv", "# nothing but a comment\n\n", &simple()).await;
    assert!(error.what.contains("no header row"), "{error}");
    let error = fails("users.csv", b"id,\xff,email\n1,x,a@example.com\n", &simple()).await;
    assert!(error.what.contains("UTF-8") && error.line == Some(1), "{error}");
    let error = fails("users.csv", "id,email\n", &simple()).await;
    assert!(error.what.contains("no record"), "{error}");
    let unnamed = read_text("users.csv", "id,email,,\n1,a@example.com,,\n", &simple()).await.unwrap();
    assert_eq!(story(&unnamed), ["2:1"], "columns without a name are nobody's");
}

#[tokio::test]
async fn a_large_file_comes_in_chunks_and_its_digest_at_the_end() {
    let mut text = String::from("id,email\n");
    for n in 1..=50_000 {
        text.push_str(&format!("{n},user{n}@example.com\n"));
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("users.csv");
    std::fs::write(&path, &text).unwrap();
    let location = Location::parse(path.to_str().unwrap(), None).unwrap();
    let mut source = open(&location, &simple(), now()).await.unwrap();
    let first = source.next_chunk(100).await.unwrap();
    assert_eq!((first.len(), source.digest()), (100, None));
    let rest = read(source.as_mut(), 7_000).await.unwrap();
    assert_eq!(rest.len(), 49_900);
    assert_eq!(coded(&rest, Code::RecordInvalid), 0);
    assert_eq!(story(&rest[rest.len() - 1..]), ["50001:50000"]);
    assert_eq!(source.digest(), Some(ferry_domain::hex::hex_digest(text.as_bytes())));
    assert!(source.next_chunk(1).await.unwrap().is_empty(), "the end stays the end");
}
