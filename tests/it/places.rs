//! The same application at another place, and another application at a place of the same name.

use crate::{
    identity::{Embedded, execute},
    world::Place,
};

const FRIDAY: &str =
    "1,ann@example.com,Ann,true,true\n2,bea@example.com,Bea,true,true\n3,cyd@example.com,Cyd,true,true\n";
/// Bea has another address, and a colleague came.
const MONDAY: &str = "1,ann@example.com,Ann,true,true\n2,bea.new@example.com,Bea,true,true\n3,cyd@example.com,Cyd,true,true\n\
     4,dan@example.com,Dan,true,true\n";

/// `plan` and `run start` refuse a source, and say these words.
fn refused(place: &Place, source: &[&str], words: &[&str]) {
    for command in [&["plan"][..], &["run", "start", "--yes"]] {
        let refused = place.run(&[command, source].concat());
        assert_eq!(refused.code, 6, "{}", refused.all());
        let said = refused.err.split_whitespace().collect::<Vec<_>>().join(" ");
        for word in words {
            assert!(said.contains(word), "{word}: {said}");
        }
        assert!(!said.contains("example.com"), "{said}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_under_another_file_name_doubles_nobody_and_names_the_name_to_keep() {
    let mut world = Embedded::new().await;
    world.csv("users friday.csv", FRIDAY);
    assert_eq!(world.moves(&["users friday.csv"]).0.code, 0);
    world.csv("users-monday.csv", MONDAY);
    let plan = world.place.must(&["plan", "users-monday.csv"]).all();
    let said = plan.split_whitespace().collect::<Vec<_>>().join(" ");
    for words in ["they keep their accounts", "--migration 'users friday'"] {
        assert!(said.contains(words), "{words}: {plan}");
    }
    let (watched, run) = world.moves(&["users-monday.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("2,2,users-monday.csv:3,conflict,CHANGED_SINCE_MOVED,email,"), "{report}");
    assert_eq!(world.simulator.users().len(), 4, "Dan alone is new: {report}");

    // Auth0 is made to agree, and she is settled; the name to keep is taken without a word.
    let bea = world.simulator.users().into_iter().find(|user| user.email == "bea@example.com").unwrap();
    world.simulator.change(&bea.user_id, |user| user.email = "bea.new@example.com".into());
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 0);
    for name in [&["--migration", "users friday"][..], &[]] {
        world.csv("users-tuesday.csv", MONDAY);
        assert_eq!(
            world.moves(&[&["users-tuesday.csv", "--accept", "MIGRATION_RENAMED"], name].concat()).0.code,
            0
        );
    }
    assert_eq!(world.simulator.users().len(), 4);
}

/// A delta holds few of them, so nobody can tell them from another application's.
#[tokio::test(flavor = "multi_thread")]
async fn keys_that_another_migration_moved_are_told_before_anything_is_sent() {
    let mut world = Embedded::new().await;
    world.csv("users.csv", FRIDAY);
    assert_eq!(world.moves(&["users.csv"]).0.code, 0);
    world.csv("delta.csv", "2,bea.new@example.com,Bea,true,true\n4,dan@example.com,Dan,true,true\n");
    for command in [&["plan", "delta.csv"][..], &["run", "start", "delta.csv"]] {
        let said = world.place.run(command).all().split_whitespace().collect::<Vec<_>>().join(" ");
        for words in
            ["1 of 2 users", "1 of them with another address", "--migration users", "second accounts"]
        {
            assert!(said.contains(words), "{words}: {said}");
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn other_people_in_a_file_of_the_same_name_are_another_migration() {
    let mut world = Embedded::new().await;
    for folder in ["school", "clinic"] {
        std::fs::create_dir(world.place.path(folder)).unwrap();
    }
    world.csv("school/users.csv", FRIDAY);
    assert_eq!(world.moves(&["school/users.csv"]).0.code, 0);
    world.csv("clinic/users.csv", "1,zoe@example.org,Zoe,true,true\n2,yan@example.org,Yan,true,true\n");
    let words = ["2 of 2 users", "another application", "--migration", "MIGRATION_TAKEN", "school/users.csv"];
    refused(&world.place, &["clinic/users.csv"], &words);
    assert_eq!(world.moves(&["clinic/users.csv", "--migration", "clinic"]).0.code, 0);
    assert_eq!(world.simulator.users().len(), 5);
    // A newer export of the same people needs no word.
    world.csv("clinic/new.csv", "1,zoe@example.org,Zoe,true,true\n2,yan@example.org,Yann,true,true\n");
    let (watched, run) = world.moves(&["clinic/new.csv", "--migration", "clinic"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    assert!(world.report(&run).contains("CHANGED_SINCE_MOVED,name"), "{}", world.report(&run));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_moved_to_another_folder_keeps_its_name_and_tells_who_changed() {
    let mut world = Embedded::new().await;
    world.place.set("FERRY_LEDGER_URL", "sqlite://ledger.db");
    let rows = "(1, 'ann@example.com', 'Ann', 1, 1), (2, 'bea@example.com', 'Bea', 1, 1),
                (3, 'cyd@example.com', 'Cyd', 1, 1), (4, 'dan@example.com', 'Dan', 1, 1)";
    world.application("app.db", "staff", rows).await;
    let settings = std::fs::read_to_string(world.place.path("ferry.toml")).unwrap();
    world.place.write("ferry.toml", &format!("{settings}auth0_user_id = \"auth0_user_id\"\n"));
    assert_eq!(world.moves(&[]).0.code, 0);

    std::fs::create_dir(world.place.path("new")).unwrap();
    let copy = format!("VACUUM INTO '{}'", world.place.path("new/app.db").display());
    execute(&world.place, "app.db", &copy).await;
    std::fs::rename(world.place.path("app.db"), world.place.path("old.db")).unwrap();
    let change = "UPDATE staff SET name = 'Anna' WHERE id = 1;
                  UPDATE staff SET email = 'bea.new@example.com', auth0_user_id = NULL WHERE id = 2;
                  UPDATE staff SET auth0_user_id = NULL WHERE id = 3;";
    execute(&world.place, "new/app.db", change).await;
    world.place.set("DATABASE_URL", "sqlite://new/app.db");
    let words = ["same application at another place", "--accept MIGRATION_TAKEN", "second account"];
    refused(&world.place, &[], &words);

    let plan = world.place.run(&["plan", "--accept", "MIGRATION_TAKEN", "--output", "csv"]);
    assert!(plan.out.contains("1,1,staff:1,conflict,CHANGED_SINCE_MOVED,name"), "{}", plan.all());
    let (watched, run) = world.moves(&["--accept", "MIGRATION_TAKEN"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("1,1,staff:1,conflict,CHANGED_SINCE_MOVED,name"), "{report}");
    assert!(report.contains("2,2,staff:2,conflict,ID_TAKEN,email"), "{report}");
    assert_eq!(world.simulator.users().len(), 4, "nobody is made twice");
    assert_eq!(world.assert_ids_match("new/app.db", "staff").await, 3);
    // A ledger that knows nothing of the first run compares nobody, and says so.
    world.place.set("FERRY_LEDGER_URL", "sqlite://empty.db");
    let uncompared = "3 users have an Auth0 id already, and the ledger knows no earlier run";
    for command in [&["plan"][..], &["run", "start"]] {
        let said = world.place.run(command).all();
        assert!(said.split_whitespace().collect::<Vec<_>>().join(" ").contains(uncompared), "{said}");
    }
    world.place.set("FERRY_LEDGER_URL", "sqlite://ledger.db");
    assert!(!world.place.run(&["plan"]).all().contains("knows no earlier run"));
    // Another name would make a second Bea.
    refused(&world.place, &["--migration", "another"], &["MIGRATION_RENAMED", "--migration app.staff"]);
}
