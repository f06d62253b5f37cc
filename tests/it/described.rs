//! What describes the command line for shells and for `man`.

use crate::world::new_place;

#[test]
fn completions_are_written_whatever_the_settings_are() {
    let place = new_place();
    place.write("ferry.toml", "this is no setting");
    for (shell, word) in
        [("bash", "complete -F _ferry"), ("zsh", "#compdef ferry"), ("fish", "complete -c ferry")]
    {
        let script = place.must(&["completions", shell]);
        assert!(script.out.contains(word) && script.out.contains("restore-ids"), "{shell}: {}", script.out);
    }
    assert_eq!(place.run(&["completions", "tcsh"]).code, 2);
    let bash = place.must(&["completions", "bash"]).out;
    let script = place.write("ferry.bash", &bash);
    // The shell itself reads it, and completes a verb.
    let asked = "source \"$1\"; COMP_WORDS=(ferry run re); COMP_CWORD=2; _ferry ferry re run; echo \"${COMPREPLY[*]}\"";
    let answer = std::process::Command::new("bash").args(["-c", asked, "-"]).arg(script).output().unwrap();
    let answer = String::from_utf8_lossy(&answer.stdout).into_owned();
    for verb in ["resume", "retry", "report", "restore-ids"] {
        assert!(answer.split_whitespace().any(|word| word == verb), "{verb}: {answer}");
    }
}

#[test]
fn each_command_has_a_page_that_names_variables_and_no_values() {
    let mut place = new_place();
    place.set("AUTH0_CLIENT_SECRET", "s3cret-of-pages");
    place.set("DATABASE_URL", "postgres://anna:s3cret-of-pages@db.example/app");
    let said = place.must(&["man", "pages"]);
    assert!(said.err.contains("man pages/ferry.1"), "{}", said.all());
    let page = |name: &str| std::fs::read_to_string(place.path("pages").join(name)).unwrap();
    assert!(page("ferry-run-start.1").contains("max\\-failures"));
    assert!(page("ferry-worker.1").contains("FERRY_LISTEN"));
    for file in std::fs::read_dir(place.path("pages")).unwrap() {
        let text = std::fs::read_to_string(file.unwrap().path()).unwrap();
        assert!(text.starts_with(".ie") && !text.contains("s3cret"), "{text}");
    }
    let blocked = place.write("file", "");
    let refused = place.run(&["man", blocked.to_str().unwrap()]);
    assert_eq!(refused.code, 1);
    assert!(refused.err.contains("could not be written"), "{}", refused.err);
}
