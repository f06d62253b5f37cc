//! What is the same for every file.

use ferry_sources::{Format, Location, Mapping, open};

use crate::support::*;

#[tokio::test]
async fn a_file_that_can_not_be_read_is_named() {
    let folder = tempfile::tempdir().unwrap();
    for format in [Format::Csv, Format::Json, Format::Ndjson] {
        let at = |name: &str| Location::File { path: folder.path().join(name), format };
        let error = candidates(&at("nowhere.txt"), &simple()).await.unwrap_err();
        assert!(error.place.ends_with("nowhere.txt") && error.what.contains("no such file"), "{error}");
        let error = candidates(&at("."), &simple()).await.unwrap_err();
        assert!(error.what.contains("folder"), "{error}");
        std::fs::write(folder.path().join("empty"), "").unwrap();
        let error = candidates(&at("empty"), &simple()).await.unwrap_err();
        assert!(error.what.contains("empty"), "{error}");
        for wide in [b"\xff\xfei\0d\0".as_slice(), b"\xfe\xff\0i\0d", b"i\0d\0,\0", b"\0{\0\"\0i"] {
            std::fs::write(folder.path().join("wide"), wide).unwrap();
            let error = candidates(&at("wide"), &simple()).await.unwrap_err();
            assert!(error.what.contains("UTF-16") && error.remedy.contains("iconv"), "{error}");
        }
        std::fs::write(folder.path().join("packed"), b"\x1f\x8b\x08\0").unwrap();
        let error = candidates(&at("packed"), &simple()).await.unwrap_err();
        assert!(error.what.contains("compressed"), "{error}");
    }
}

#[tokio::test]
async fn the_identity_is_the_canonical_path_and_the_origin_the_name() {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("sub")).unwrap();
    std::fs::write(folder.path().join("users.csv"), "id,email\n1,a@example.com\n").unwrap();
    let path = folder.path().join("sub/../users.csv");
    let mut source = open(&Location::File { path, format: Format::Csv }, &simple(), now()).await.unwrap();
    let canonical = folder.path().canonicalize().unwrap().join("users.csv");
    assert_eq!(source.identity().to_string(), format!("csv {}", canonical.display()));
    let all = read(source.as_mut(), 10).await.unwrap();
    assert_eq!(users(&all).len(), 1);
    assert_eq!(story(&all), ["2:1"]);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_said_before_the_mapping_is_looked_at() {
    for nowhere in ["nowhere.csv", "nowhere.json", "nowhere.db", "sqlite:nowhere"] {
        let nowhere = Location::parse(nowhere, None).unwrap();
        let error = candidates(&nowhere, &Mapping::default()).await.unwrap_err();
        assert!(error.what.contains("no such file"), "{error}");
    }
    let error = read_text("users.csv", "id,email\n", &Mapping::default()).await.unwrap_err();
    assert_eq!((error.place.as_str(), error.field.as_deref()), ("[source]", Some("key")));
}
