//! Text that fits a number of columns.

use ratatui::{
    style::Style,
    text::{Line, Span},
};

use super::Palette;

/// Columns of names before values, with a space behind.
pub const LABEL: usize = 10;
/// Between two values.
const BETWEEN: usize = 2;

/// A value with its style; it is not torn unless it is longer than a line.
pub type Piece = (String, Style);

/// Values behind a name, in as many lines as they need.
pub fn field(name: &str, pieces: Vec<Piece>, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    flow(name, pieces, BETWEEN, width, palette)
}

/// A sentence behind a name.
pub fn sentence(name: &str, text: &str, style: Style, width: usize, palette: &Palette) -> Vec<Line<'static>> {
    let words = text.split_whitespace().map(|word| (word.to_owned(), style)).collect();
    flow(name, words, 1, width, palette)
}

/// A sentence without a name.
pub fn folded(text: &str, style: Style, width: usize) -> Vec<Line<'static>> {
    let mut lines = vec![String::new()];
    for word in text.split_whitespace().flat_map(|word| chunks(word, width.max(1))) {
        let line = lines.last_mut().expect("it begins with one"); // and never loses one
        let begun = columns(line);
        if begun > 0 && begun + 1 + columns(&word) > width {
            lines.push(word);
        } else {
            line.push_str(if begun > 0 { " " } else { "" });
            line.push_str(&word);
        }
    }
    lines.into_iter().map(|line| Line::styled(line, style)).collect()
}

fn flow(
    name: &str,
    pieces: Vec<Piece>,
    between: usize,
    width: usize,
    palette: &Palette,
) -> Vec<Line<'static>> {
    let room = width.saturating_sub(LABEL).max(1);
    let label = |name: &str| Line::from(Span::styled(format!("{name:LABEL$}"), palette.label()));
    let (mut lines, mut begun) = (vec![label(name)], 0);
    let pieces = pieces.into_iter().flat_map(|(text, style)| {
        chunks(&text, room).into_iter().map(move |chunk| (chunk, style)).collect::<Vec<_>>()
    });
    for (text, style) in pieces {
        let long = columns(&text);
        if begun > 0 && begun + between + long > room {
            lines.push(label(""));
            begun = 0;
        }
        let line = lines.last_mut().expect("it begins with one"); // and never loses one
        if begun > 0 {
            line.push_span(Span::raw(" ".repeat(between)));
            begun += between;
        }
        line.push_span(Span::styled(text, style));
        begun += long;
    }
    lines
}

/// A text in pieces that fit a line: whole, if it can be.
fn chunks(text: &str, width: usize) -> Vec<String> {
    if columns(text) <= width {
        return vec![text.to_owned()];
    }
    let chars: Vec<char> = text.chars().collect();
    chars.chunks(width).map(|chunk| chunk.iter().collect()).collect()
}

/// The begin of a text, with a mark where the rest is missing.
pub fn cut(text: &str, width: usize) -> String {
    if columns(text) <= width {
        return text.to_owned();
    }
    let mut begin: String = text.chars().take(width.saturating_sub(1)).collect();
    if width > 0 {
        begin.push('…');
    }
    begin
}

/// The begin of a sentence: whole words, with a mark where the rest is missing.
pub fn begin(text: &str, width: usize) -> String {
    let cut = cut(text, width);
    match cut.strip_suffix('…').and_then(|whole| whole.rsplit_once(' ')) {
        Some((words, _)) if cut != text => format!("{words} …"),
        _ => cut,
    }
}

/// A line that ends where the next column begins.
pub fn padded(mut line: Line<'static>, width: usize) -> Line<'static> {
    let missing = width.saturating_sub(line.width());
    line.push_span(Span::raw(" ".repeat(missing)));
    line
}

/// A line without what is beyond the edge: that of a terminal too small for what is never left out.
pub fn within(line: Line<'static>, width: usize) -> Line<'static> {
    if line.width() <= width {
        return line;
    }
    let (mut room, mut spans) = (width, Vec::new());
    let (style, all) = (line.style, line.spans);
    for span in all {
        let text = cut(&span.content, room);
        room -= columns(&text).min(room);
        spans.push(Span::styled(text, span.style));
    }
    Line::from(spans).style(style)
}

/// What is done and what is not, as two pieces of a bar of this width.
pub fn bar(done: i64, total: i64, width: usize) -> (String, String) {
    let share = if total > 0 { done.clamp(0, total) as f64 / total as f64 } else { 0.0 };
    let full = (share * width as f64).floor() as usize;
    ("━".repeat(full), "─".repeat(width - full))
}

/// A column for each value, of eight heights; none for nothing.
pub fn graph(values: &[f64], highest: f64) -> String {
    const HEIGHTS: [char; 9] = [' ', '▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];
    let height = |value: &f64| (value / highest * 8.0).ceil().clamp(0.0, 8.0) as usize;
    values.iter().map(|value| HEIGHTS[height(value)]).collect()
}

/// In whole percent; 100 only when all is done.
pub fn percent(done: i64, total: i64) -> String {
    let share = if total > 0 { done.clamp(0, total) * 100 / total } else { 0 };
    format!("{share} %")
}

fn columns(text: &str) -> usize {
    text.chars().count()
}

#[cfg(test)]
mod tests {
    use super::*;

    const PALETTE: Palette = Palette { colours: false };

    fn told(lines: &[Line<'_>]) -> Vec<String> {
        lines.iter().map(|line| line.to_string().trim_end().to_owned()).collect()
    }

    #[test]
    fn values_go_to_the_next_line_whole() {
        let pieces = ["created 12", "failed 3", "pending 400"].map(|text| (text.to_owned(), Style::new()));
        let lines = field("users", pieces.to_vec(), 31, &PALETTE);
        assert_eq!(told(&lines), ["users     created 12  failed 3", "          pending 400"]);
        let lines = sentence("now", "waits: no worker runs: ferry worker", Style::new(), 30, &PALETTE);
        assert_eq!(told(&lines), ["now       waits: no worker", "          runs: ferry worker"]);
        let long = sentence("now", &"x".repeat(25), Style::new(), 20, &PALETTE);
        assert_eq!(long.len(), 3, "a word that fits no line is torn, not lost");
    }

    #[test]
    fn texts_and_bars_keep_to_their_width() {
        assert_eq!(
            (cut("abcdef", 4), cut("abc", 3), cut("abc", 0)),
            ("abc…".into(), "abc".into(), "".into())
        );
        assert_eq!(bar(1, 4, 8), ("━━".into(), "──────".into()));
        assert_eq!((begin("one two three", 9), begin("one two", 9)), ("one two …".into(), "one two".into()));
        assert_eq!(begin("onetwothree", 5), "onet…");
        assert_eq!(graph(&[0.0, 0.1, 4.0, 8.0, 9.0], 8.0), " ▁▄██");
        assert_eq!(bar(0, 0, 2), (String::new(), "──".into()));
        assert_eq!(
            (percent(999, 1_000), percent(4, 4), percent(0, 0)),
            ("99 %".into(), "100 %".into(), "0 %".into())
        );
        assert_eq!(folded("one two three", Style::new(), 7).len(), 2);
    }
}
