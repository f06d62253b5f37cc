//! What people see. Data goes to stdout, talk to stderr. What programs read is in [`crate::printed`].

use std::{
    io::{self, IsTerminal, Write},
    sync::{
        OnceLock,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use ferry_domain::ports::Clock;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use ratatui::crossterm::terminal;
use time::format_description::well_known::Rfc3339;
use tokio::time::Instant;

use crate::{exit::Exit, system::SystemClock};

/// How often a line is printed where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// The first thing that went wrong on stdout: a full disk, for instance.
static LOST: OnceLock<io::Error> = OnceLock::new();

/// Whoever read stdout is gone.
static CLOSED: AtomicBool = AtomicBool::new(false);

/// One line of data on stdout. A closed pipe ends the output, not the program; what else keeps it
/// from being written is told by [`lost`].
pub fn data(line: &str) {
    note(writeln!(io::stdout(), "{line}"));
}

/// Why data is missing on stdout, if it is. To be asked when all is written.
pub fn lost() -> Option<&'static io::Error> {
    note(io::stdout().flush());
    LOST.get()
}

/// Whether nobody reads stdout any more, or it can't be written: what would go on for long may end.
pub fn is_over() -> bool {
    CLOSED.load(Ordering::Relaxed) || LOST.get().is_some()
}

fn note(written: io::Result<()>) {
    match written {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => CLOSED.store(true, Ordering::Relaxed),
        Err(error) => {
            let _ = LOST.set(error); // the first one says why
        }
    }
}

/// Part of a line of data on stdout, for lists that are too long to be held.
pub fn part(text: &str) {
    note(write!(io::stdout(), "{text}"));
}

/// One line of talk on stderr.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// Machines read what a process says of itself.
static FOR_MACHINES: AtomicBool = AtomicBool::new(false);

/// From now on each [`remark`] is a JSON object, as the lines of the log are.
pub fn remark_as_json() {
    FOR_MACHINES.store(true, Ordering::Relaxed);
}

/// What a process that works for long says of itself, whatever the level of its log: on stderr, where
/// its log goes, too.
pub fn remark(line: &str) {
    told_as("INFO", line);
}

/// Why a process ends with an error.
pub fn last_word(line: &str) {
    told_as("ERROR", line);
}

fn told_as(level: &str, line: &str) {
    if !FOR_MACHINES.load(Ordering::Relaxed) {
        return say(line);
    }
    let now = SystemClock.now().format(&Rfc3339).unwrap_or_default(); // can't fail between the years 0 and 9999
    say(&serde_json::json!({ "timestamp": now, "level": level, "message": line, "target": "ferry" })
        .to_string());
}

/// Columns of a terminal that nobody has made wider: what people read fits in them.
pub const WIDTH: usize = 80;

/// Narrower ones fold no text: a word in each line can't be read.
const NARROWEST: usize = 24;

/// Columns of the terminal that shows what is said; `None` where none does.
pub fn columns() -> Option<usize> {
    let shown = io::stdout().is_terminal() || io::stderr().is_terminal();
    let size = shown.then(terminal::size)?.ok()?;
    Some(usize::from(size.0)).filter(|columns| *columns > 0)
}

/// What a line of text may have: a wide terminal makes it no easier to read.
fn room() -> usize {
    columns().unwrap_or(WIDTH).clamp(NARROWEST, WIDTH)
}

/// A text behind its name, folded at spaces, with the next lines aligned with its first.
pub fn field(name: &str, width: usize, text: &str) -> String {
    field_in(room(), name, width, text)
}

fn field_in(room: usize, name: &str, width: usize, text: &str) -> String {
    let mut lines = vec![format!("{name:width$}")];
    for word in text.split_whitespace() {
        let line = lines.last_mut().expect("it begins with one"); // and never loses one
        let begun = line.chars().count();
        if begun > width && begun + 1 + word.chars().count() > room {
            lines.push(format!("{:width$} {word}", ""));
        } else {
            line.push(' ');
            line.push_str(word);
        }
    }
    lines.iter().map(|line| line.trim_end()).collect::<Vec<_>>().join("\n")
}

/// A text in lines that fit a terminal, indented.
pub fn folded(text: &str, indent: usize) -> Vec<String> {
    folded_between(text.split_whitespace(), indent)
}

/// Pieces in lines that fit a terminal, indented; no piece is torn.
pub fn folded_between<'a>(pieces: impl IntoIterator<Item = &'a str>, indent: usize) -> Vec<String> {
    folded_in(room(), pieces, indent)
}

fn folded_in<'a>(room: usize, pieces: impl IntoIterator<Item = &'a str>, indent: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for piece in pieces {
        let line = lines.last_mut().expect("it begins with one"); // and never loses one
        if line.is_empty() {
            line.push_str(piece);
        } else if indent + line.chars().count() + 1 + piece.chars().count() > room {
            lines.push(piece.to_owned());
        } else {
            line.push(' ');
            line.push_str(piece);
        }
    }
    lines.into_iter().map(|line| format!("{:indent$}{line}", "")).collect()
}

/// The end of a text that may have this many characters: of a path the end says most.
pub fn shortened(text: &str, most: usize) -> String {
    let all = text.chars().count();
    if all <= most {
        return text.to_owned();
    }
    std::iter::once('…').chain(text.chars().skip(all + 1 - most)).collect()
}

/// What a command ends with when a person did not agree.
pub fn nothing_changed() -> Exit {
    say("Nothing was changed.");
    Exit::Refused
}

/// A bar on a terminal, a line every five seconds elsewhere; both say why it waits.
pub struct Progress {
    bar: ProgressBar,
    drawn: bool,
    what: &'static str,
    /// When the last line was printed; `None` when the next one is due now.
    said: Option<Instant>,
    waits: Option<String>,
}

impl Progress {
    /// `total` may be 0 while it is not known.
    pub fn new(what: &'static str, total: u64) -> Self {
        let form = if total > 0 {
            "{prefix:10} {bar:32} {pos}/{len}  {msg}"
        } else {
            "{prefix:10} {spinner} {pos}  {msg}"
        };
        Self::formed(what, total, form)
    }

    /// Lines alone, on a terminal too.
    pub fn lines(what: &'static str, total: u64) -> Self {
        Progress { drawn: false, bar: ProgressBar::hidden(), ..Self::tall(what, total) }
    }

    /// With a line of its own below the bar for what is said: reasons are long, and the
    /// end of a line that does not fit is cut off.
    pub fn tall(what: &'static str, total: u64) -> Self {
        Self::formed(what, total, "{prefix:10} {bar:32} {pos}/{len}\n{msg}")
    }

    fn formed(what: &'static str, total: u64, form: &str) -> Self {
        let drawn = std::io::stderr().is_terminal()
            && crate::system::environment("TERM").is_none_or(|kind| kind != "dumb");
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_prefix(what);
        Progress { bar, drawn, what, said: Some(Instant::now()), waits: None }
    }

    /// Why it waits, if it does. A new reason is printed immediately; one that differs in its figures
    /// alone is none.
    pub fn waits(&mut self, why: Option<&str>) {
        if self.waits.as_deref().map(without_figures) != why.map(without_figures) {
            self.said = None;
        }
        self.waits = why.map(str::to_owned);
    }

    /// Whether there is a terminal to draw on.
    pub fn is_drawn(&self) -> bool {
        self.drawn
    }

    /// What is counted now, and up to where.
    pub fn of(&mut self, what: &'static str, total: u64) {
        self.what = what;
        self.bar.set_prefix(what);
        self.bar.set_length(total);
    }

    /// How far it is.
    pub fn at(&mut self, done: u64, note: &str) {
        self.bar.set_position(done);
        if self.drawn {
            let why = self.waits.as_deref().map(|why| folded(why, 0)).unwrap_or_default();
            let note = Some(note).filter(|note| !note.is_empty()).map(str::to_owned);
            self.bar.set_message(note.into_iter().chain(why).collect::<Vec<_>>().join("\n"));
        } else if self.said.is_none_or(|said| said.elapsed() >= LINE_EVERY) {
            self.said = Some(Instant::now());
            let of = self.bar.length().map(|total| format!("/{total}")).unwrap_or_default();
            let why = self.waits.as_deref().map(|why| format!(" · {why}")).unwrap_or_default();
            say(&format!("{}: {done}{of} {note}{why}", self.what));
        }
    }

    /// Says something above the bar.
    pub fn say(&self, text: &str) {
        self.bar.suspend(|| say(&folded(text, 0).join("\n")));
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}

/// A reason, whatever the numbers in it are at present.
fn without_figures(text: &str) -> String {
    text.chars().filter(|letter| !letter.is_ascii_digit() && *letter != '.').collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_is_folded_below_its_begin_and_no_word_is_lost() {
        let text = "word ".repeat(40);
        let folded = field("remedy", 11, &text);
        assert_eq!(folded.matches("word").count(), 40);
        for line in folded.lines() {
            assert!(line.len() <= WIDTH, "{} characters: {line}", line.len());
            assert!(line.starts_with("remedy      word") || line.starts_with("            word"), "{line}");
        }
        let (narrow, text) = (folded_in(40, text.split_whitespace(), 2), field_in(40, "remedy", 11, &text));
        assert_eq!((narrow.concat() + &text).matches("word").count(), 80);
        assert!(
            narrow.iter().map(String::as_str).chain(text.lines()).all(|line| line.len() <= 40),
            "{narrow:?}"
        );
        let long = "x".repeat(150);
        assert_eq!(field("a", 2, &long), format!("a  {long}"), "a word longer than a line stays whole");
        assert_eq!(field("a", 2, ""), "a");
    }
}
