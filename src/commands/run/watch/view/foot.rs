//! The foot of a page: what a key did, what is asked, and which keys there are.

use ferry_operations::rate::DEFAULT;
use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::{
    Palette, Shown,
    text::{folded, padded},
};
use crate::commands::run::watch::{keys::Mode, orders};

/// Each key, in a word and in a sentence.
const KEYS: [(&str, &str, &str); 6] = [
    ("p", "pause", "pause the run: requests under way are finished; asks first"),
    ("r", "resume", "let a paused run go on; asks first"),
    ("+", "faster", "more requests per second; asks first"),
    ("-", "slower", "fewer requests per second; asks first"),
    ("q", "quit", "stop watching, as Esc does; the run goes on as it is"),
    ("?", "help", "this list"),
];

/// From the top: what was told, what is asked, the keys.
pub fn lines(shown: &Shown, width: usize) -> Vec<Line<'static>> {
    let palette = &shown.palette;
    let mut lines = Vec::new();
    if let Some(notice) = &shown.notice {
        lines.extend(folded(notice, palette.strong(), width));
    }
    match &shown.mode {
        Mode::Watching => lines.push(keys(width, palette)),
        Mode::Help => lines.push(one_of(&[("?", "back")], palette)),
        Mode::Rate(field) => {
            let asked = format!("Requests per second, or a plan's name: {}_", field.text);
            lines.extend(asked_in(&asked, width, palette));
            lines.push(one_of(&[("+ -", "change"), ("Enter", "set"), ("Esc", "leave")], palette));
        }
        Mode::Confirm(order) => {
            lines.extend(asked_in(&orders::question(order, shown.settings.as_ref()), width, palette));
            lines.push(one_of(&[("y", "yes"), ("n", "no")], palette));
        }
        Mode::Doing(order) => lines.extend(folded(orders::under_way(order), palette.strong(), width)),
    }
    lines
}

fn asked_in(text: &str, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let lines = folded(text, palette.question(), width).into_iter();
    lines.map(|line| padded(line, width).style(palette.question())).collect()
}

/// All keys with a word each, or as many as there is room for: the last two always.
fn keys(width: usize, palette: &Palette) -> Line<'static> {
    let all = KEYS.map(|(key, word, _)| (key, word));
    let short = [("p", "pause"), ("r", "resume"), ("+ -", "rate"), ("q", "quit"), ("?", "help")];
    let ways = [one_of(&all, palette), apart(&short, 2, palette), apart(&short, 1, palette)];
    let fits = ways.into_iter().find(|line| line.width() <= width);
    fits.unwrap_or_else(|| one_of(&short[3..], palette))
}

fn one_of(keys: &[(&'static str, &'static str)], palette: &Palette) -> Line<'static> {
    apart(keys, 2, palette)
}

fn apart(keys: &[(&'static str, &'static str)], columns: usize, palette: &Palette) -> Line<'static> {
    let mut spans = Vec::new();
    for (key, word) in keys {
        if !spans.is_empty() {
            spans.push(Span::raw(" ".repeat(columns)));
        }
        spans.push(Span::styled(*key, palette.strong()));
        spans.push(Span::styled(format!(" {word}"), palette.faint()));
    }
    Line::from(spans)
}

/// The keys in sentences.
pub fn help(width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let mut lines = vec![Line::styled("Keys", palette.strong())];
    for (key, _, text) in KEYS {
        let begin = format!("  {key}  ");
        for (at, line) in
            folded(text, Style::new(), width.saturating_sub(begin.len())).into_iter().enumerate()
        {
            let begin = if at == 0 { begin.clone() } else { " ".repeat(begin.len()) };
            let mut told = Line::from(Span::styled(begin, palette.strong()));
            told.spans.extend(line.spans);
            lines.push(told);
        }
    }
    let more = format!(
        "A rate is a number of requests per second, the name of a plan as in ferry run rate, or {DEFAULT}. What is \
         changed is kept in the audit: ferry audit."
    );
    lines.push(Line::default());
    lines.extend(folded(&more, palette.faint(), width));
    lines
}
