//! Tables for people on stdout.

use std::io::{self, IsTerminal};

use comfy_table::{CellAlignment, Table, presets};
use ratatui::text::Span;

use crate::output;

/// A plain table; columns named in `right` are right-aligned. Where it is too wide for the terminal, each row
/// is a block of lines instead: torn lines can be neither read nor copied.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    with_below(header, rows, right, &[])
}

/// The same with lines of its own below each row: sentences that fit no column.
pub fn with_below(header: &[&str], rows: Vec<Vec<String>>, right: &[usize], below: &[Vec<String>]) -> String {
    // Where no terminal shows it, a table is as wide as it has to be.
    let columns = output::columns().filter(|_| io::stdout().is_terminal());
    fitted(header, &rows, right, below, columns)
}

fn fitted(
    header: &[&str],
    rows: &[Vec<String>],
    right: &[usize],
    below: &[Vec<String>],
    columns: Option<usize>,
) -> String {
    let lines = side_by_side(header, rows, right);
    let too_wide = columns.is_some_and(|columns| lines.iter().any(|line| Span::raw(line).width() > columns));
    let followed = |(at, row): (usize, String)| {
        std::iter::once(row).chain(below.get(at).cloned().unwrap_or_default()).collect::<Vec<_>>().join("\n")
    };
    if too_wide && !rows.is_empty() {
        let blocks = rows.iter().map(|row| block(header, row));
        return blocks.enumerate().map(followed).collect::<Vec<_>>().join("\n\n");
    }
    let mut lines = lines.into_iter();
    let names = lines.next().into_iter();
    names.chain(lines.enumerate().map(followed)).collect::<Vec<_>>().join("\n")
}

fn side_by_side(header: &[&str], rows: &[Vec<String>], right: &[usize]) -> Vec<String> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header(header.to_vec());
    table.add_rows(rows.iter().cloned());
    for &at in right {
        if let Some(column) = table.column_mut(at) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 2));
    }
    table.lines().map(|line| line.trim_end().to_owned()).collect()
}

/// A row as lines of name and value.
fn block(header: &[&str], row: &[String]) -> String {
    let width = header.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let fields = header.iter().zip(row).filter(|(_, value)| !value.is_empty());
    fields.map(|(name, value)| format!("{name:width$}  {value}")).collect::<Vec<_>>().join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows() -> Vec<Vec<String>> {
        vec![
            vec!["H-12/0001".to_owned(), "failed".to_owned(), "EMAIL_INVALID".to_owned()],
            vec!["H-12/0002".to_owned(), "created".to_owned(), String::new()],
        ]
    }

    const HEADER: [&str; 3] = ["key", "state", "code"];

    #[test]
    fn a_table_that_is_too_wide_for_the_terminal_is_printed_row_below_row() {
        let wide = "key        state    code\nH-12/0001  failed   EMAIL_INVALID\nH-12/0002  created";
        assert_eq!(fitted(&HEADER, &rows(), &[], &[], None), wide);
        assert_eq!(fitted(&HEADER, &rows(), &[], &[], Some(33)), wide);
        assert_eq!(
            fitted(&HEADER, &rows(), &[], &[], Some(32)),
            "key    H-12/0001\nstate  failed\ncode   EMAIL_INVALID\n\nkey    H-12/0002\nstate  created"
        );
        assert_eq!(fitted(&HEADER, &[], &[], &[], Some(5)), "key  state  code", "names alone stay a line");
    }

    #[test]
    fn what_belongs_below_a_row_stays_below_it_however_wide_the_terminal_is() {
        let below =
            [vec!["  correct it".to_owned(), "  in the source".to_owned()], vec!["  well".to_owned()]];
        assert_eq!(
            fitted(&HEADER, &rows(), &[], &below, None),
            "key        state    code\nH-12/0001  failed   EMAIL_INVALID\n  correct it\n  in the source\n\
             H-12/0002  created\n  well"
        );
        assert_eq!(
            fitted(&HEADER, &rows(), &[], &below, Some(10)),
            "key    H-12/0001\nstate  failed\ncode   EMAIL_INVALID\n  correct it\n  in the source\n\n\
             key    H-12/0002\nstate  created\n  well"
        );
    }
}
