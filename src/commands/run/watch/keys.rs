//! What a key does: from where one is and what is known of the run, to where one is then and what is to be done.
//! Nothing here touches a terminal or the ledger.

#[cfg(test)]
mod tests;

use ferry_domain::{
    RunId, RunState,
    ports::LedgerError,
    run::{Asked, RunMove},
};
use ferry_operations::rate;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// Longer names of plans there are not.
const LONGEST: usize = 30;

/// A key that means something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Key {
    Char(char),
    Enter,
    Escape,
    Backspace,
    /// Ctrl-C, which is no signal while keys come one by one.
    Interrupt,
    /// Ctrl-L.
    Redraw,
}

impl Key {
    pub fn of(event: &KeyEvent) -> Option<Key> {
        if event.kind == KeyEventKind::Release {
            return None;
        }
        let control = event.modifiers.contains(KeyModifiers::CONTROL);
        Some(match event.code {
            KeyCode::Char('c') if control => Key::Interrupt,
            KeyCode::Char('l') if control => Key::Redraw,
            KeyCode::Char(_) if control => return None,
            KeyCode::Char(char) => Key::Char(char),
            KeyCode::Enter => Key::Enter,
            KeyCode::Esc => Key::Escape,
            KeyCode::Backspace => Key::Backspace,
            _ => return None,
        })
    }
}

/// What is to be changed in the run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Order {
    /// `ferry run pause`, `ferry run resume`.
    Move(RunMove),
    /// `ferry run rate`, with what would be written behind it.
    Rate(String),
}

/// Where one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mode {
    Watching,
    /// The list of keys.
    Help,
    /// New limits are being written.
    Rate(Field),
    /// Waits for y or n.
    Confirm(Order),
    /// The ledger is asked to do it.
    Doing(Order),
}

/// A text that is being written.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Field {
    pub text: String,
    /// Proposed and not touched: what is typed takes its place.
    proposed: bool,
}

/// What is known of the run.
#[derive(Clone, Copy, Debug)]
pub struct Facts {
    pub run: RunId,
    pub state: RunState,
    /// What its limits allow now; `None` without a limit.
    pub users_per_second: Option<f64>,
}

/// What is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Action {
    Stay,
    Quit,
    Redraw,
    Do(Order),
}

/// What a key led to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    pub mode: Mode,
    /// What to tell besides.
    pub notice: Option<String>,
    pub action: Action,
}

impl Step {
    fn to(mode: Mode) -> Self {
        Step { mode, notice: None, action: Action::Stay }
    }

    fn told(mode: Mode, notice: impl Into<String>) -> Self {
        Step { notice: Some(notice.into()), ..Step::to(mode) }
    }

    fn acts(mode: Mode, action: Action) -> Self {
        Step { action, ..Step::to(mode) }
    }
}

/// What a key does.
pub fn press(mode: Mode, key: Key, facts: &Facts) -> Step {
    match (key, mode) {
        (Key::Interrupt, mode) => Step::acts(mode, Action::Quit),
        (Key::Redraw, mode) => Step::acts(mode, Action::Redraw),
        (key, Mode::Watching) => watching(key, facts),
        (Key::Escape | Key::Enter | Key::Char('?' | 'q' | 'h'), Mode::Help) => Step::to(Mode::Watching),
        (Key::Char('y' | 'Y'), Mode::Confirm(order)) => {
            Step::acts(Mode::Doing(order.clone()), Action::Do(order))
        }
        // Any other key: a text that was pasted, or meant for the shell, must not come to its y.
        (_, Mode::Confirm(_)) => Step::told(Mode::Watching, "Nothing was changed."),
        (key, Mode::Rate(field)) => writing(key, field),
        (Key::Escape | Key::Char('q'), mode @ Mode::Doing(_)) => Step::acts(mode, Action::Quit),
        (_, mode) => Step::to(mode),
    }
}

fn watching(key: Key, facts: &Facts) -> Step {
    match key {
        Key::Char('q') | Key::Escape => Step::acts(Mode::Watching, Action::Quit),
        Key::Char('p') => ask(RunMove::Pause, facts),
        Key::Char('r') => ask(RunMove::Resume, facts),
        Key::Char('+' | '=') => propose(true, facts),
        Key::Char('-') => propose(false, facts),
        Key::Char('?' | 'h') => Step::to(Mode::Help),
        _ => Step::to(Mode::Watching),
    }
}

/// Asks for y or n; what the run has no such move for is refused immediately, in the ledger's words.
fn ask(step: RunMove, facts: &Facts) -> Step {
    match facts.state.asked(step) {
        Asked::Moves(_) => Step::to(Mode::Confirm(Order::Move(step))),
        Asked::Already => Step::told(Mode::Watching, format!("The run is already {}.", facts.state)),
        Asked::Refused => {
            let refusal = LedgerError::no_such_move(facts.run, facts.state, step);
            Step::told(Mode::Watching, refusal.to_string())
        }
    }
}

fn propose(up: bool, facts: &Facts) -> Step {
    if !facts.state.is_active() {
        return Step::told(Mode::Watching, LedgerError::ended(facts.run, facts.state).to_string());
    }
    match facts.users_per_second {
        Some(now) => {
            let text = next(now.round() as u32, up).to_string();
            Step::to(Mode::Rate(Field { text, proposed: true }))
        }
        None => Step::told(
            Mode::Rate(Field::default()),
            "There is no limit now. Write a number of requests per second.",
        ),
    }
}

/// A quarter more, or a fifth less, so that one takes the other back; at least one.
fn next(now: u32, up: bool) -> u32 {
    match up {
        true => now.saturating_add((now / 4).max(1)).min(100_000),
        false => now.saturating_sub((now / 5).max(1)).max(1),
    }
}

fn writing(key: Key, mut field: Field) -> Step {
    let number = field.text.parse::<u32>().ok();
    match (key, number) {
        (Key::Escape, _) => return Step::told(Mode::Watching, "Nothing was changed."),
        (Key::Enter, _) => {
            return match rate::named(&field.text) {
                Ok(_) => Step::to(Mode::Confirm(Order::Rate(field.text))),
                Err(refusal) => Step::told(Mode::Rate(field), refusal.to_string()),
            };
        }
        (Key::Backspace, _) => {
            field.text.pop();
        }
        (Key::Char('+' | '='), Some(now)) => field.text = next(now, true).to_string(),
        // Behind a letter it belongs to a name: private-500.
        (Key::Char('-'), Some(now)) => field.text = next(now, false).to_string(),
        (Key::Char(char @ ('a'..='z' | '0'..='9' | ':' | '-')), _) => {
            if field.proposed {
                field.text.clear();
            }
            if field.text.len() < LONGEST {
                field.text.push(char);
            }
        }
        _ => return Step::to(Mode::Rate(field)),
    }
    let stepped = matches!(key, Key::Char('+' | '=')) || key == Key::Char('-') && number.is_some();
    field.proposed = stepped;
    Step::to(Mode::Rate(field))
}
