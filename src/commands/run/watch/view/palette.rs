//! Colours, and what stands for them where none are wanted.

use ferry_domain::RunState;
use ratatui::style::{Color, Modifier, Style};

/// How words are told apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Palette {
    /// Whether there may be colours.
    pub colours: bool,
}

impl Palette {
    fn of(self, colour: Color, without: Modifier) -> Style {
        match self.colours {
            true => Style::new().fg(colour),
            false => Style::new().add_modifier(without),
        }
    }

    pub fn plain(self) -> Style {
        Style::new()
    }

    /// Names before values.
    pub fn label(self) -> Style {
        self.of(Color::Cyan, Modifier::empty())
    }

    pub fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    /// What is less important than the rest.
    pub fn faint(self) -> Style {
        self.of(Color::DarkGray, Modifier::DIM)
    }

    pub fn good(self) -> Style {
        self.of(Color::Green, Modifier::BOLD)
    }

    /// Somebody should know it.
    pub fn warning(self) -> Style {
        self.of(Color::Yellow, Modifier::BOLD)
    }

    /// Somebody has to do something.
    pub fn bad(self) -> Style {
        self.of(Color::Red, Modifier::BOLD)
    }

    /// What waits for an answer.
    pub fn question(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    pub fn state(self, state: RunState) -> Style {
        let style = match state {
            RunState::Running | RunState::Sealing | RunState::Sealed => self.good(),
            RunState::Planning | RunState::Planned | RunState::Paused => self.warning(),
            RunState::Stopped | RunState::Cancelling | RunState::Cancelled => self.bad(),
        };
        style.add_modifier(Modifier::BOLD)
    }
}
