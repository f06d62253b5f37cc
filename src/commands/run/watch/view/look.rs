//! The upper parts of a page: what becomes of the run.

use ferry_domain::{RunState, RunView};
use ferry_operations::{
    pace::{self, counted},
    units::{grouped, rounded},
    watching::{Limits, Look, STEP},
};
use ratatui::text::{Line, Span};

use super::{
    Palette,
    fit::Part,
    part,
    text::{LABEL, Piece, bar, cut, field, graph, percent, sentence},
};

/// Widths below leave out what can be read elsewhere.
const NARROW: usize = 60;
/// Characters of an id that name a run among few.
const SHORT_ID: usize = 8;
/// The longest bar that is easy to read.
const LONGEST_BAR: usize = 100;

/// All of them, in their order on the page.
pub fn parts(look: &Look, silent: Option<&str>, width: usize, palette: &Palette) -> Vec<Part> {
    vec![
        part(0, vec![title(&look.run, width, palette)]),
        Part { apart: true, ..part(1, bars(&look.run, width, palette)) },
        part(3, speed(look, width, palette)),
        part(3, time(look, width, palette)),
        part(10, recent(look, width, palette)),
        part(9, limits(look, width, palette)),
        part(2, now(look, silent, width, palette)),
        Part { apart: true, ..part(4, outcomes(&look.run, width, palette)) },
    ]
}

/// Which run it is, and its state.
pub fn title(run: &RunView, width: usize, palette: &Palette) -> Line<'static> {
    let id = id(run, width);
    let state = run.state.as_str();
    let begun = "run  ".len() + id.chars().count() + state.len();
    let room = width.saturating_sub(begun + 2);
    let about = match width >= super::WIDE {
        true => {
            format!("{} from {} to {} / {}", run.migration, run.source, run.spec.tenant, run.spec.connection)
        }
        false => run.migration.clone(),
    };
    let about = cut(&about, room);
    let gap = width.saturating_sub(begun + about.chars().count());
    Line::from(vec![
        Span::raw("run "),
        Span::styled(id, palette.strong()),
        Span::raw(" "),
        Span::styled(state, palette.state(run.state)),
        Span::raw(" ".repeat(gap)),
        Span::styled(about, palette.faint()),
    ])
}

/// Whole, or as much of it as commands need.
fn id(run: &RunView, width: usize) -> String {
    let id = run.id.to_string();
    if width < NARROW { id.chars().take(SHORT_ID).collect() } else { id }
}

/// How far it is: users that are made, and users that are read back.
fn bars(run: &RunView, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let (made, read) = counted(run);
    // Those who are not made yet are read back too; who was moved earlier is read back besides.
    let all = (read.total + run.tally.pending).max(read.done);
    let rows = [("made", made.done, made.total), ("read back", read.done, all)];
    let told = rows.map(|(_, done, total)| format!("{}/{}", grouped(done), grouped(total)));
    let longest = told.iter().map(String::len).max().unwrap_or_default();
    let room = width.saturating_sub(LABEL + longest + " 100 %".len() + 1).min(LONGEST_BAR);
    let line = |((name, done, total), told): ((&'static str, i64, i64), String)| {
        let (full, rest) = bar(done, total, room);
        Line::from(vec![
            Span::styled(format!("{name:LABEL$}"), palette.label()),
            Span::styled(full, palette.good()),
            Span::styled(rest, palette.faint()),
            Span::raw(format!(" {:>5} {told:>longest$}", percent(done, total))),
        ])
    };
    rows.into_iter().zip(told).map(line).collect()
}

/// How fast it goes, against the limit.
fn speed(look: &Look, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let plain = palette.plain();
    let users = look.speed.map(|speed| speed.users_per_second).filter(|speed| *speed > 0.0);
    let mut pieces: Vec<Piece> = Vec::new();
    pieces.extend(users.map(|speed| (of(speed, "users/s", look.limits.users_per_second), plain)));
    let requests = look.requests_per_second.filter(|speed| *speed > 0.0);
    pieces.extend(requests.map(|speed| (of(speed, "requests/s", look.limits.requests_per_second), plain)));
    if pieces.is_empty() {
        pieces.push((if look.sending { "not known yet" } else { "nothing is sent" }.into(), palette.faint()));
    }
    field("speed", pieces, width, palette)
}

/// Speeds of late as a graph, whose full height is the limit, or the highest speed that there was.
fn recent(look: &Look, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let speeds = &look.recent;
    let highest = speeds.iter().copied().fold(0.0, f64::max).max(look.limits.users_per_second.unwrap_or(0.0));
    if highest <= 0.0 || width < NARROW {
        return Vec::new();
    }
    let time = rounded(STEP * u32::try_from(speeds.len()).unwrap_or_default());
    let told = format!("of {} users/s, the last {time}", short(highest));
    let room = width.saturating_sub(LABEL + told.chars().count() + 2);
    let shown = &speeds[speeds.len().saturating_sub(room)..];
    field("graph", vec![(graph(shown, highest), palette.good()), (told, palette.faint())], width, palette)
}

/// How long it still takes, and how long it has taken.
fn time(look: &Look, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let left = look.speed.and_then(|speed| speed.left).map(|left| format!("about {}", rounded(left)));
    let since = pace::elapsed(&look.run, look.at).map(|time| format!("{} since its start", rounded(time)));
    let waits = !look.sending && look.run.state.is_active();
    let unknown = if waits { "not known: nothing is sent" } else { "not known" };
    let mut times: Vec<Piece> = vec![(left.unwrap_or_else(|| unknown.into()), palette.plain())];
    times.extend(since.map(|since| (since, palette.faint())));
    field("time left", times, width, palette)
}

/// `12.3 of 16 users/s`.
fn of(speed: f64, what: &str, limit: Option<f64>) -> String {
    match limit {
        Some(limit) => format!("{speed:.1} of {} {what}", short(limit)),
        None => format!("{speed:.1} {what}"),
    }
}

/// At most two digits after the point.
fn short(number: f64) -> String {
    format!("{number:.2}").trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn limits(look: &Look, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let Limits { plan, set, users_per_second, .. } = &look.limits;
    let most = match users_per_second {
        Some(most) => format!("at most {} users/s", short(*most)),
        None => "no limit".to_owned(),
    };
    let mut pieces = vec![(plan.clone(), palette.plain()), (most, palette.plain())];
    if *set {
        pieces.push((format!("set by run rate (started with {})", look.run.spec.limits), palette.faint()));
    }
    field("limits", pieces, width, palette)
}

/// Why it waits, and what else has to be known now.
fn now(look: &Look, silent: Option<&str>, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    // Whether it still waits is not known then.
    if let Some(silent) = silent {
        return sentence("ledger", silent, palette.bad(), width, palette);
    }
    let mut lines = Vec::new();
    let why =
        look.why.as_deref().unwrap_or("users move").replace(&look.run.id.to_string(), &id(&look.run, width));
    let style = match look.run.state {
        _ if look.why.is_none() => palette.plain(),
        RunState::Stopped => palette.bad(),
        _ => palette.warning(),
    };
    lines.extend(sentence("now", &why, style, width, palette));
    if let Some(lost) = &look.details.table {
        lines.extend(sentence("warning", lost, palette.bad(), width, palette));
    }
    lines
}

/// What became of the users; what needs a person comes first.
fn outcomes(run: &RunView, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let sums = &run.tally;
    let all = [
        ("pending", sums.pending, palette.plain(), true),
        ("created", sums.created, palette.plain(), true),
        ("failed", sums.failed, palette.bad(), true),
        ("conflict", sums.conflict, palette.bad(), true),
        ("otherwise at Auth0", run.discrepancies, palette.bad(), false),
        ("adopted", sums.adopted, palette.plain(), false),
        ("skipped", sums.skipped, palette.plain(), false),
        ("cancelled", sums.cancelled, palette.plain(), false),
    ];
    let told = all.into_iter().filter(|(_, users, _, always)| *always || *users > 0);
    let pieces = told.map(|(name, users, style, _)| {
        (format!("{name} {}", grouped(users)), if users > 0 { style } else { palette.faint() })
    });
    field("users", pieces.collect(), width, palette)
}
