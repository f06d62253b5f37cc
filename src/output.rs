//! What people see. Data goes to stdout, talk to stderr.

use std::{
    io::{IsTerminal, Write},
    time::Duration,
};

use comfy_table::{CellAlignment, Table, presets};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::time::Instant;

use crate::exit::usage;

/// How often a line is printed where no bar can be drawn.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// One line of data on stdout. A closed pipe ends the output, not the program.
pub fn data(line: &str) {
    let _ = writeln!(std::io::stdout(), "{line}");
}

/// A value as JSON, on one line.
pub fn json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    data(&serde_json::to_string(value)?);
    Ok(())
}

/// One line of talk on stderr.
pub fn say(line: &str) {
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A plain table; columns named in `right` are right-aligned.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table.add_rows(rows);
    for &at in right {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect::<Vec<_>>().join("\n")
}

/// Asks on a terminal; elsewhere, only `--yes` is an answer.
pub fn confirmed(yes: bool, question: &str) -> anyhow::Result<bool> {
    if yes {
        return Ok(true);
    }
    if !std::io::stdin().is_terminal() {
        return Err(usage(format!("{question} Nobody is there to ask: pass --yes to agree")));
    }
    eprint!("{question} [y/N] ");
    let mut answer = String::new();
    std::io::stdin().read_line(&mut answer)?;
    Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
}

/// A bar on a terminal, a line every five seconds elsewhere.
pub struct Progress {
    bar: ProgressBar,
    drawn: bool,
    what: &'static str,
    said: Instant,
}

impl Progress {
    /// `total` may be 0 while it is not known.
    pub fn new(what: &'static str, total: u64) -> Self {
        let drawn = std::io::stderr().is_terminal();
        let target = if drawn { ProgressDrawTarget::stderr() } else { ProgressDrawTarget::hidden() };
        let bar = ProgressBar::with_draw_target((total > 0).then_some(total), target);
        let form = if total > 0 {
            "{prefix:10} {bar:32} {pos}/{len}  {msg}"
        } else {
            "{prefix:10} {spinner} {pos}  {msg}"
        };
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style.progress_chars("━━─"));
        }
        bar.set_prefix(what);
        Progress { bar, drawn, what, said: Instant::now() }
    }

    /// Where it stands, and why it waits if it does.
    pub fn at(&mut self, done: u64, note: &str) {
        self.bar.set_position(done);
        self.bar.set_message(note.to_owned());
        if !self.drawn && self.said.elapsed() >= LINE_EVERY {
            self.said = Instant::now();
            let of = self.bar.length().map(|total| format!("/{total}")).unwrap_or_default();
            say(&format!("{}: {done}{of} {note}", self.what));
        }
    }

    /// Takes the bar away.
    pub fn done(&self) {
        self.bar.finish_and_clear();
    }
}
