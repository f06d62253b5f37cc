//! The page that is drawn: a pure function of what is shown and of the size.
//!
//! A page is made of parts, each with lines and with how much it matters ([`fit`]). Small terminals leave out what
//! matters least, and say how many lines of a list are missing; nothing is cut within a number.

mod fit;
mod foot;
mod lists;
mod look;
mod palette;
#[cfg(test)]
mod tests;
mod text;

use ferry_domain::{RunView, limits::LimitPlan};
use ferry_operations::{
    waits::Around,
    watching::{Limits, Look},
};
use ratatui::text::Line;

pub use self::palette::Palette;
use self::{
    fit::Part,
    text::{padded, within},
};
use super::keys::{Facts, Mode};

/// From this width on, lists are beside one another.
const WIDE: usize = 120;
/// A list of workers needs no more; remedies beside it do.
const WORKERS: usize = 70;
/// Between two columns.
const GAP: usize = 3;

/// All that a page shows.
#[derive(Clone, Debug)]
pub struct Shown {
    /// The run as it was when watching began.
    pub first: RunView,
    /// The last look that was answered.
    pub look: Option<Look>,
    /// Why there is no newer one.
    pub silent: Option<String>,
    /// Where one is among the keys.
    pub mode: Mode,
    /// What came of the last key.
    pub notice: Option<String>,
    /// The limits of the settings.
    pub settings: Option<LimitPlan>,
    pub palette: Palette,
}

impl Shown {
    /// The run when it was last seen.
    pub fn run(&self) -> &RunView {
        self.look.as_ref().map_or(&self.first, |look| &look.run)
    }

    /// What keys depend on.
    pub fn facts(&self) -> Facts {
        let run = self.run();
        let known = self.look.as_ref().map(|look| look.limits.clone());
        let limits = known.unwrap_or_else(|| Limits::of(run, &Around::default()));
        Facts { run: run.id, state: run.state, users_per_second: limits.users_per_second }
    }
}

/// The lines of a page: never more than `height`, none wider than `width`.
pub fn page(shown: &Shown, width: usize, height: usize) -> Vec<Line<'static>> {
    let mut foot = foot::lines(shown, width);
    foot.truncate(height);
    let room = height - foot.len();
    let mut page = match (&shown.mode, &shown.look) {
        (Mode::Help, _) => foot::help(width, &shown.palette),
        (_, Some(look)) => body(shown, look, width, room),
        (_, None) => begun(shown, width),
    };
    page.truncate(room);
    page.resize(room, Line::default());
    page.extend(foot);
    page.into_iter().map(|line| within(line, width)).collect()
}

/// Before the ledger has answered.
fn begun(shown: &Shown, width: usize) -> Vec<Line<'static>> {
    let mut page = vec![look::title(&shown.first, width, &shown.palette)];
    let told = shown.silent.as_deref().unwrap_or("reading the ledger …");
    page.extend(text::folded(told, shown.palette.plain(), width));
    page
}

fn body(shown: &Shown, seen: &Look, width: usize, height: usize) -> Vec<Line<'static>> {
    let palette = &shown.palette;
    let mut parts = look::parts(seen, shown.silent.as_deref(), width, palette);
    if width < WIDE {
        parts.extend([
            lists::failures(seen, width, palette),
            lists::workers(seen, width, palette),
            lists::jobs(seen, width, palette),
        ]);
        return fit::fit(parts, height);
    }
    let mut page = fit::fit(parts, height);
    let right = ((width - GAP) / 2).min(WORKERS);
    let left = width - GAP - right;
    let room = height.saturating_sub(page.len() + 1);
    let codes = fit::fit(vec![lists::failures(seen, left, palette)], room);
    let work = vec![lists::jobs(seen, right, palette), lists::workers(seen, right, palette)];
    page.push(Line::default());
    page.extend(beside(codes, fit::fit(work, room), left));
    page
}

/// Two columns.
fn beside(left: Vec<Line<'static>>, right: Vec<Line<'static>>, width: usize) -> Vec<Line<'static>> {
    let rows = left.len().max(right.len());
    let (mut left, mut right) = (left.into_iter(), right.into_iter());
    let row = |_| {
        let mut line = padded(left.next().unwrap_or_default(), width + GAP);
        line.spans.extend(right.next().unwrap_or_default().spans);
        line
    };
    (0..rows).map(row).collect()
}

/// A part that has lines only.
fn part(weight: u8, lines: Vec<Line<'static>>) -> Part {
    Part { weight, head: lines, rows: Vec::new(), of: "", apart: false }
}
