use ferry_domain::{
    Code, ItemState, Outcome,
    ports::{ItemFilter, Items, LedgerError, Planning, Runs},
};

use crate::world::{LEASE, in_database, item, lease_all, new_run, worker};

#[tokio::test]
async fn what_copy_takes_for_structure_comes_back_as_it_was() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let run = new_run(1, None);
        ledger.open_run(&run).await.unwrap();
        let odd = ["a\tb", "c\\d", "\\N", "\\.", "e\nf", "g\r\nh", "ü😀\u{2028}", "\"q\"", "", "\\u0000"];
        let mut items = Vec::new();
        for (number, text) in odd.iter().enumerate() {
            let mut item = item(number as i64 + 1, 1001, text);
            let record = item.record.as_mut().unwrap();
            record.name = Some((*text).to_owned());
            record.app_metadata.insert((*text).to_owned(), serde_json::json!([text, 1.5, null]));
            item.digest = record.digest();
            item.origin.place = format!("place {text}");
            items.push(item);
        }
        let mut settled = item(100, 1000, "settled");
        settled.record = None;
        settled.settled = Some(Outcome::failed(Code::FieldTooLong).at_field("na\tme\\"));
        items.push(settled);
        ledger.add_items(run.id, &items).await.unwrap();
        ledger.finish_planning(run.id, &[]).await.unwrap();
        ledger.start(run.id, &run.command()).await.unwrap();

        let lease = lease_all(&ledger, worker(1), LEASE).await.remove(0);
        let back = ledger.pending_items(&lease).await.unwrap();
        assert_eq!(back.len(), odd.len());
        for (item, planned) in back.iter().zip(&items) {
            assert!(Some(&item.record) == planned.record.as_ref(), "item {}", item.seq.0);
            assert_eq!(item.record.digest(), planned.digest);
        }
        let seen = ledger.items(run.id, &ItemFilter::default(), ferry_domain::ItemSeq(0), 100).await.unwrap();
        for (view, planned) in seen.iter().zip(&items) {
            assert_eq!((&view.key, &view.origin), (&planned.key, &planned.origin));
        }
        let last = seen.last().unwrap();
        assert_eq!((last.state, last.field.as_deref()), (ItemState::Failed, Some("na\tme\\")));
    })
    .await;
}

#[tokio::test]
async fn a_nul_is_refused_by_place_and_the_chunk_leaves_nothing_behind() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let run = new_run(1, None);
        ledger.open_run(&run).await.unwrap();
        let mut bad = item(2, 1001, "2");
        bad.record.as_mut().unwrap().user_metadata.insert("x".into(), "a\0b".into());
        let error = ledger.add_items(run.id, &[item(1, 1001, "1"), bad]).await.unwrap_err();
        assert!(matches!(error, LedgerError::Refused(_)), "{error:?}");
        assert!(error.to_string().contains("users.csv:3") && error.to_string().contains("NUL"), "{error}");
        assert!(matches!(
            ledger.add_items(run.id, &[item(1, 1001, "k\0")]).await,
            Err(LedgerError::Refused(_))
        ));
        assert_eq!(database.ask("SELECT count(*) FROM ferry.items").await, "0");
        ledger.add_items(run.id, &[item(1, 1001, "1")]).await.unwrap();
        assert_eq!(ledger.finish_planning(run.id, &[]).await.unwrap().tally.pending, 1);
    })
    .await;
}

#[tokio::test]
async fn an_error_of_copy_tells_no_value() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let run = new_run(1, None);
        ledger.open_run(&run).await.unwrap();
        let twice = [item(1, 1001, "secret-key"), item(1, 1001, "secret-key")];
        let error = ledger.add_items(run.id, &twice).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains("23505") && told.contains("items_pkey"), "{told}");
        assert!(!told.contains("secret") && !told.contains("example"), "{told}");
        assert!(ledger.add_items(run.id, &[item(1, 1001, "1")]).await.is_ok(), "the connection is fit again");
    })
    .await;
}

/// Run by hand (`--ignored --nocapture`): prints how long a million items take.
#[tokio::test]
#[ignore = "takes a minute; prints figures"]
async fn a_million_items() {
    in_database(|database| async move {
        let ledger = database.migrated().await;
        let run = new_run(1, None);
        ledger.open_run(&run).await.unwrap();
        let mut adding = std::time::Duration::ZERO;
        for chunk in 0..200i64 {
            let items: Vec<_> = (1..=5000)
                .map(|n| {
                    let seq = chunk * 5000 + n;
                    let mut item = item(seq, 1001 + (seq as u128 - 1) / 100, &seq.to_string());
                    let record = item.record.as_mut().unwrap();
                    record.name = Some(format!("Name {seq}"));
                    record.app_metadata.insert("role".into(), "nurse".into());
                    record.app_metadata.insert("hospital".into(), format!("H-{}", seq % 40).into());
                    item
                })
                .collect();
            let before = tokio::time::Instant::now();
            ledger.add_items(run.id, &items).await.unwrap();
            adding += before.elapsed();
        }
        let before = tokio::time::Instant::now();
        let planned = ledger.finish_planning(run.id, &[]).await.unwrap();
        assert_eq!((planned.tally.pending, planned.batches), (1_000_000, 10_000));
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap();
        eprintln!("added in {adding:?}, finished in {:?}, client {peak}", before.elapsed());
        ledger.start(run.id, &run.command()).await.unwrap();
        let before = tokio::time::Instant::now();
        let view = ledger.run(run.id).await.unwrap().unwrap();
        eprintln!("run view of {} batches: {:?}", view.open_batches, before.elapsed());
        let before = tokio::time::Instant::now();
        let leases = lease_all(&ledger, worker(1), LEASE).await;
        eprintln!("sent and leased {} jobs: {:?}", leases.len(), before.elapsed());
        let before = tokio::time::Instant::now();
        for lease in &leases[..200] {
            let results = crate::world::created(&ledger, lease).await;
            ledger.write_back(lease, &results, 100).await.unwrap();
        }
        eprintln!("20,000 users written back, 100 at once: {:?}", before.elapsed());
    })
    .await;
}
