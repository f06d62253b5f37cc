//! Users keep the accounts that earlier runs gave them, and nobody else gets those.

use ferry_simulator::PlantedUser;

use crate::identity::{Embedded, execute};

/// Accounts of people with a confirmed address, who were at Auth0 before.
fn plant(world: &Embedded, emails: &[&str]) {
    for email in emails {
        let email_verified = true;
        world.simulator.plant(PlantedUser { email_verified, ..PlantedUser::new(*email) });
    }
}

fn readdress(world: &Embedded, from: &str, to: &str) {
    let user = world.simulator.users().into_iter().find(|user| user.email == from).unwrap();
    assert!(world.simulator.change(&user.user_id, |user| user.email = to.into()));
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_adopted_and_has_another_address_gets_no_second_account_and_nobody_gets_theirs() {
    let mut world = Embedded::new().await;
    plant(&world, &["bea@example.com"]);
    world.csv("users.csv", "1,ann@example.com,Ann,true,true\n2,bea@example.com,Bea,true,true\n");
    let (watched, run) = world.moves(&["users.csv"]);
    assert_eq!((watched.code, &world.shown(&run)["adopted"]), (0, &1.into()), "{}", watched.all());

    let rows =
        "1,ann@example.com,Ann,true,true\n2,new@example.com,Bea,true,true\n9,bea@example.com,B,true,true\n";
    world.csv("users.csv", rows);
    let (_, run) = world.moves(&["users.csv"]);
    let told = |world: &mut Embedded| {
        let report = world.report(&run);
        assert!(report.contains("2,2,users.csv:3,conflict,CHANGED_SINCE_MOVED,email,"), "{report}");
        assert!(report.contains("3,9,users.csv:4,conflict,ACCOUNT_OF_ANOTHER_USER,email,,"), "{report}");
        assert!(report.ends_with(",2\n"), "{report}");
        assert_eq!(world.simulator.users().len(), 2);
    };
    told(&mut world);
    // A retry and another run know it as well.
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 3);
    told(&mut world);
    let (watched, _) = world.moves(&["users.csv"]);
    assert_eq!((watched.code, world.simulator.users().len()), (3, 2), "{}", watched.all());

    // Auth0 is made to agree: she keeps her account, and the address is free for the other.
    readdress(&world, "bea@example.com", "new@example.com");
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 0);
    assert_eq!(world.simulator.users().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_adopted_keeps_the_account_also_where_the_row_lost_its_id_or_is_gone() {
    let mut world = Embedded::new().await;
    plant(&world, &["ann@example.com", "bea@example.com", "cyd@example.com"]);
    let rows = "(1, 'ann@example.com', 'Ann', 1, 1), (2, 'bea@example.com', 'Bea', 1, 1),
                (3, 'cyd@example.com', 'Cyd', 1, 1)";
    world.application("app.db", "staff", rows).await;
    let settings = std::fs::read_to_string(world.place.path("ferry.toml")).unwrap();
    world.place.write("ferry.toml", &format!("{settings}auth0_user_id = \"auth0_user_id\"\n"));
    let (_, run) = world.moves(&[]);
    assert_eq!(world.shown(&run)["adopted"], 3);
    let change = "UPDATE staff SET auth0_user_id = NULL WHERE id = 1;
                  UPDATE staff SET auth0_user_id = NULL, email = 'new@example.com' WHERE id = 2;
                  DELETE FROM staff WHERE id = 3;
                  INSERT INTO staff (id, email, name, verified, active) VALUES (10, 'cyd@example.com', 'C', 1, 1)";
    execute(&world.place, "app.db", change).await;
    let (watched, run) = world.moves(&[]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    let report = world.report(&run);
    assert!(report.contains("2,2,staff:2,conflict,CHANGED_SINCE_MOVED,email,"), "{report}");
    assert!(report.contains("3,10,staff:3,conflict,ACCOUNT_OF_ANOTHER_USER,email,,"), "{report}");
    assert_eq!(world.assert_ids_match("app.db", "staff").await, 1, "Ann has hers again: {report}");
    assert_eq!(world.simulator.users().len(), 3);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_was_found_under_another_name_keeps_the_account() {
    let mut world = Embedded::new().await;
    let rows = "1,ann@example.com,Ann,true,true\n2,bea@example.com,Bea,true,true\n";
    world.csv("w1.csv", rows);
    world.csv("w2.csv", rows);
    for file in ["w1.csv", "w2.csv"] {
        assert_eq!(world.moves(&[file]).0.code, 0);
    }
    let rows =
        "1,new@example.com,Ann,true,true\n2,bea@example.com,Bea,true,true\n9,ann@example.com,A,true,true\n";
    for file in ["w2.csv", "w3.csv", "w3.csv", "w1.csv"] {
        world.csv(file, rows);
        let (watched, run) = world.moves(&[file]);
        assert_eq!(watched.code, 3, "{}", watched.all());
        let report = world.report(&run);
        assert!(report.contains("conflict,CHANGED_SINCE_MOVED,email,"), "{report}");
        assert!(report.contains("conflict,ACCOUNT_OF_ANOTHER_USER,email,"), "{report}");
        assert_eq!(world.simulator.users().len(), 2, "{report}");
    }
}

/// Left out of a run, but not forgotten: the account can sign in.
#[tokio::test(flavor = "multi_thread")]
async fn who_was_moved_from_a_file_and_is_disabled_since_is_told_until_the_account_is_blocked() {
    let mut world = Embedded::new().await;
    let settings = std::fs::read_to_string(world.place.path("ferry.toml")).unwrap();
    world.place.write("ferry.toml", &settings.replace("inactive = \"block\"\n", ""));
    world.csv("users.csv", "1,ann@example.com,Ann,true,true\n2,bea@example.com,Bea,true,true\n");
    assert_eq!(world.moves(&["users.csv"]).0.code, 0);
    let rows =
        "1,ann@example.com,Ann,true,true\n2,bea@example.com,Bea,true,false\n3,cyd@example.com,C,true,false\n";
    world.csv("users.csv", rows);
    let plan = world.place.run(&["plan", "users.csv", "--output", "csv"]);
    let (watched, run) = world.moves(&["users.csv"]);
    assert_eq!(watched.code, 3, "{}", watched.all());
    for told in [plan.out, world.report(&run)] {
        assert!(told.contains("2,2,users.csv:3,conflict,CHANGED_SINCE_MOVED,blocked,"), "{told}");
    }
    let shown = world.shown(&run);
    assert_eq!((&shown["conflict"], &shown["skipped"]), (&1.into(), &2.into()), "{shown}");
    let bea = world.simulator.users().into_iter().find(|user| user.email == "bea@example.com").unwrap();
    world.simulator.change(&bea.user_id, |user| user.blocked = Some(true));
    world.place.must(&["run", "retry", &run, "--yes"]);
    world.goes_on(&run, 0);
    assert_eq!(world.moves(&["users.csv"]).0.code, 0, "settled");
    assert_eq!(world.simulator.users().len(), 2);
}
