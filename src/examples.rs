//! Examples in the help of each command. They are here together, so that one test can type them all.

mod lines;

use clap::Command;

use lines::{EXAMPLES, Example};

/// The command with the examples of all its verbs in their help.
pub fn added(command: Command) -> Command {
    below(command, "")
}

fn below(command: Command, before: &str) -> Command {
    let verbs: Vec<String> = command.get_subcommands().map(|verb| verb.get_name().to_owned()).collect();
    if verbs.is_empty() {
        return match text(before) {
            Some(text) => with(command, &text),
            None => command,
        };
    }
    verbs.iter().fold(command, |command, verb| {
        let words = format!("{before} {verb}").trim().to_owned();
        command.mut_subcommand(verb, |verb| below(verb, &words))
    })
}

/// Below what the help says after its options.
fn with(command: Command, text: &str) -> Command {
    let told = command.get_after_help().map(|told| format!("{told}\n\n")).unwrap_or_default();
    command.after_help(format!("{told}{text}"))
}

/// What each does is above it, so that narrow terminals break no columns.
fn text(words: &str) -> Option<String> {
    let (_, examples) = EXAMPLES.iter().find(|(of, _)| *of == words)?;
    let one = |(line, does): &Example| format!("\n  # {does}\n  {line}");
    Some(format!("Examples:{}", examples.iter().map(one).collect::<String>()))
}

#[cfg(test)]
mod tests {
    use clap::error::ErrorKind;

    use super::EXAMPLES;
    use crate::cli::command;

    /// Words of a line of a shell, with quotes; its pipes and redirections end it.
    fn words(line: &str) -> Vec<String> {
        let (mut words, mut quote) = (vec![String::new()], None);
        for letter in line.chars() {
            match (letter, quote) {
                ('"' | '\'', None) => quote = Some(letter),
                (letter, Some(end)) if letter == end => quote = None,
                (' ', None) => words.push(String::new()),
                (letter, _) => words.last_mut().unwrap().push(letter),
            }
        }
        let ends = |word: &String| ["|", ">", "&&"].contains(&word.as_str());
        words.into_iter().take_while(|word| !ends(word)).collect()
    }

    /// The words of each command that has no verbs.
    fn all(command: &clap::Command, before: &str) -> Vec<String> {
        if !command.has_subcommands() {
            return vec![before.to_owned()];
        }
        let below = |verb: &clap::Command| all(verb, format!("{before} {}", verb.get_name()).trim());
        command.get_subcommands().flat_map(below).collect()
    }

    #[test]
    fn each_command_has_examples_that_can_be_typed() {
        let commands = all(&command(), "");
        assert!(commands.len() > 30, "{commands:?}");
        for of in &commands {
            let found = EXAMPLES.iter().find(|(words, _)| words == of);
            let (_, examples) = found.unwrap_or_else(|| panic!("ferry {of} has no examples"));
            for (line, does) in *examples {
                let typed = line.trim_start_matches("source <(").trim_end_matches(')');
                assert!(
                    typed.starts_with(&format!("ferry {of}")),
                    "{line} is an example of another than {of}"
                );
                assert!(!does.is_empty() && !does.ends_with('.'), "{does}");
                if let Err(error) = command().try_get_matches_from(words(typed)) {
                    panic!("{line}\n{error}");
                }
            }
        }
        assert_eq!(EXAMPLES.len(), commands.len(), "examples of a command that is gone");
        assert_eq!(
            command().try_get_matches_from(words("ferry run show")).unwrap_err().kind(),
            ErrorKind::MissingRequiredArgument,
            "what can't be typed is found"
        );
    }

    #[test]
    fn examples_stand_at_the_end_of_the_help() {
        let help = |words: &[&str]| {
            let asked = words.iter().chain(&["--help"]).map(ToString::to_string);
            command().try_get_matches_from(asked).unwrap_err().to_string()
        };
        let list = help(&["ferry", "user", "list"]);
        assert!(
            list.contains("Keys of a filter") && list.contains("\n\nExamples:\n  # the first 50"),
            "{list}"
        );
        assert!(list.trim_end().ends_with("--after 50"), "{list}");
        assert!(help(&["ferry", "run", "pause"]).contains("  ferry run pause last\n"));
    }
}
