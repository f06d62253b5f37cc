//! The lower parts of a page: lists, the largest or nearest first.

use std::time::Duration;

use ferry_domain::{liveness::FRESH, ports::WorkerView};
use ferry_operations::{
    units::{counted, grouped, shown},
    views::JobsOfKind,
    watching::{Group, Look},
};
use ratatui::text::{Line, Span};

use super::{
    Palette,
    fit::Part,
    text::{begin, cut, field},
};

/// The longest name of a worker that is shown whole.
const NAME: usize = 28;
/// Less room for a remedy says nothing.
const REMEDY: usize = 40;

/// Users that need a person, by code.
pub fn failures(look: &Look, width: usize, palette: &Palette) -> Part {
    let groups = &look.details.failures;
    let users = look.run.tally.failed + look.run.tally.conflict;
    let told = match users {
        0 => ("no user needs a person".to_owned(), palette.faint()),
        _ => (format!("{} need a person", who(users)), palette.bad()),
    };
    let head = field("failures", vec![told], width, palette);
    let longest = |text: fn(&Group) -> usize| groups.iter().map(text).max().unwrap_or_default();
    let code = longest(|group| group.code.as_str().len());
    let number = longest(|group| grouped(group.users).len());
    let row = |group: &Group| failure(group, code, number, width, palette);
    Part { weight: 6, head, rows: groups.iter().map(row).collect(), of: "codes", apart: true }
}

fn who(users: i64) -> String {
    if users == 1 { "1 user".to_owned() } else { format!("{} users", grouped(users)) }
}

fn failure(group: &Group, code: usize, number: usize, width: usize, palette: &Palette) -> Line<'static> {
    let row = format!(
        "  {:>number$}  {:code$}  {:8}",
        grouped(group.users),
        group.code.as_str(),
        group.state.as_str()
    );
    let room = width.saturating_sub(row.chars().count() + 2);
    let mut line = Line::raw(cut(&row, width));
    if room >= REMEDY {
        line.push_span(Span::styled(format!("  {}", begin(group.code.remedy(), room)), palette.faint()));
    }
    line
}

/// Who works.
pub fn workers(look: &Look, width: usize, palette: &Palette) -> Part {
    let live = |worker: &&WorkerView| worker.silent_for <= FRESH;
    let count = look.workers.iter().filter(live).count();
    let slots: i64 = look.workers.iter().filter(live).map(|worker| i64::from(worker.record.slots)).sum();
    let held: i64 = look.workers.iter().filter(live).map(|worker| worker.leases).sum();
    let head = match count {
        0 => vec![("no worker runs: ferry worker".to_owned(), palette.bad())],
        _ => vec![
            (count.to_string(), palette.plain()),
            (format!("{} held, {}", counted_batches(held), counted(slots, "slot")), palette.plain()),
        ],
    };
    let rows = look.workers.iter().map(|worker| row(worker, width, palette)).collect();
    Part { weight: 7, head: field("workers", head, width, palette), rows, of: "workers", apart: true }
}

fn counted_batches(number: i64) -> String {
    if number == 1 { "1 batch".to_owned() } else { format!("{number} batches") }
}

fn row(worker: &WorkerView, width: usize, palette: &Palette) -> Line<'static> {
    let silent = match worker.silent_for {
        silent if silent > FRESH => format!("silent for {}", shown(silent)),
        heard => format!("heard {} ago", shown(heard)),
    };
    let held = format!("{:>3} of {:<3}", worker.leases, worker.record.slots);
    let pid = format!("/{}", worker.record.pid);
    let room = width.saturating_sub(2 + 2 + held.len() + 2 + silent.len()).min(NAME);
    let name = format!("{}{pid}", cut(&worker.record.host, room.saturating_sub(pid.len())));
    let mut line = Line::raw(format!("  {name:room$}  {held}  "));
    let style = if worker.silent_for > FRESH { palette.bad() } else { palette.faint() };
    line.push_span(Span::styled(silent, style));
    let waits = worker.record.waiting_for.as_ref().map(ToString::to_string).unwrap_or_default();
    let room = width.saturating_sub(line.width() + 2);
    if !waits.is_empty() && room >= REMEDY {
        line.push_span(Span::styled(format!("  {}", begin(&waits, room)), palette.warning()));
    }
    line
}

/// Jobs of all runs: what waits, what is held, and for how long the oldest has waited.
pub fn jobs(look: &Look, width: usize, palette: &Palette) -> Part {
    let kinds = &look.details.jobs;
    let sum = |of: fn(&JobsOfKind) -> i64| kinds.iter().map(of).sum::<i64>();
    let all = [
        ("waiting", sum(|kind| kind.ready + kind.queued), palette.plain()),
        ("held", sum(|kind| kind.leased), palette.plain()),
        ("later", sum(|kind| kind.scheduled), palette.plain()),
        ("again", sum(|kind| kind.retrying), palette.warning()),
        ("dead", sum(|kind| kind.dead), palette.bad()),
    ];
    let told = all.into_iter().enumerate().filter(|(at, (_, jobs, _))| *at < 2 || *jobs > 0);
    let mut pieces: Vec<_> =
        told.map(|(_, (name, jobs, style))| (format!("{name} {}", grouped(jobs)), style)).collect();
    if let Some(oldest) = kinds.iter().filter_map(|kind| kind.oldest_due_seconds).max_by(f64::total_cmp) {
        let age = Duration::try_from_secs_f64(oldest).unwrap_or_default();
        pieces.push((format!("oldest waits {}", shown(age)), palette.faint()));
    }
    Part { weight: 8, head: field("jobs", pieces, width, palette), rows: Vec::new(), of: "", apart: true }
}
