//! Sample files of other vendors through `ferry plan`: what is read, taken and
//! rejected is what their published counts say. They are read where they lie.

use std::{collections::BTreeMap, path::Path};

use crate::world::{Ran, new_place, samples};

/// A file, how it is read, and what must come of it.
struct Sample {
    file: &'static str,
    settings: &'static str,
    records: i64,
    accepted: i64,
    by_code: &'static [(&'static str, i64)],
}

const SAMPLES: &[Sample] = &[
    Sample {
        file: "clerk-migration-tool/authjs.json",
        settings: "[source]\npreset = \"authjs\"\n",
        records: 20,
        accepted: 20,
        by_code: &[],
    },
    Sample {
        file: "auth0-import-job/custom-password-hash-example.json",
        settings: "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"email\"\nemail = \"email\"\npassword_hash = \"custom_password_hash\"\n",
        records: 8,
        accepted: 0,
        by_code: &[("HASH_NEEDS_IMPORT", 8)],
    },
    Sample {
        file: "clerk-migration-tool/clerk.csv",
        settings: "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"primary_email_address\"\npassword_hash = \"password_digest\"\n",
        records: 69,
        accepted: 43,
        by_code: &[("EMAIL_MISSING", 11), ("HASH_NEEDS_IMPORT", 15)],
    },
    Sample {
        file: "clerk-migration-tool/firebase.json",
        settings: "[source]\nusers_at = \"users\"\ninactive = \"carry\"\n[source.columns]\nkey = \"localId\"\nemail = \"email\"\nemail_verified = \"emailVerified\"\npassword_hash = \"passwordHash\"\n",
        records: 50,
        accepted: 6,
        by_code: &[("EMAIL_MISSING", 6), ("HASH_NEEDS_IMPORT", 38)],
    },
    Sample {
        file: "clerk-migration-tool/supabase.csv",
        settings: "[source]\nemail_verified = \"never\"\n[source.columns]\nkey = \"id\"\nemail = \"email\"\npassword_hash = \"encrypted_password\"\n",
        records: 26,
        accepted: 6,
        // Ten carry a hash; one of those has two addresses in one cell, which is found first.
        by_code: &[("EMAIL_MISSING", 10), ("EMAIL_SEVERAL", 1), ("HASH_NEEDS_IMPORT", 9)],
    },
];

#[test]
fn counts_equal_those_that_were_published_with_the_files() {
    let Some(folder) = samples("the sample files") else { return };
    for sample in SAMPLES {
        check(&folder, sample);
    }
}

fn check(folder: &Path, sample: &Sample) {
    let place = new_place();
    place.write("ferry.toml", sample.settings);
    let file = folder.join(sample.file);
    let ran = place.run(&["plan", file.to_str().unwrap(), "--output", "json"]);
    assert_eq!(ran.code, 0, "{}: {}", sample.file, ran.all());
    let plan = ran.json();
    let counts = counts(&ran);
    println!("{}: records {}, accepted {}, {counts:?}", sample.file, plan["records"], plan["accepted"]);
    assert_eq!(plan["records"], sample.records, "{}: {}", sample.file, ran.all());
    assert_eq!(plan["accepted"], sample.accepted, "{}: {}", sample.file, ran.all());
    for (code, count) in sample.by_code {
        assert_eq!(counts.get(*code), Some(count), "{}: {code}: {}", sample.file, ran.all());
    }
    let settled: i64 = counts.values().sum();
    assert_eq!(
        plan["accepted"].as_i64().unwrap() + settled,
        sample.records,
        "no record is dropped in silence"
    );
}

fn counts(ran: &Ran) -> BTreeMap<String, i64> {
    let plan = ran.json();
    let codes = plan["by_code"].as_array().unwrap().iter();
    codes.map(|c| (c["code"].as_str().unwrap().to_owned(), c["count"].as_i64().unwrap())).collect()
}
