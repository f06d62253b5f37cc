//! Tables for people on stdout.

use std::io::{self, IsTerminal};

use comfy_table::{CellAlignment, Table, presets};
use ratatui::{crossterm::terminal, text::Span};

/// A plain table; columns named in `right` are right-aligned. Where it is too wide for the terminal, each row
/// is a block of lines instead: torn lines can be neither read nor copied.
pub fn table(header: &[&str], rows: Vec<Vec<String>>, right: &[usize]) -> String {
    fitted(header, rows, right, columns())
}

/// Columns of the terminal on stdout. Where there is none, a table is as wide as it has to be.
fn columns() -> Option<usize> {
    let size = io::stdout().is_terminal().then(terminal::size)?;
    size.ok().map(|(columns, _)| usize::from(columns)).filter(|columns| *columns > 0)
}

fn fitted(header: &[&str], rows: Vec<Vec<String>>, right: &[usize], columns: Option<usize>) -> String {
    let lines = side_by_side(header, &rows, right);
    match columns {
        Some(columns) if !rows.is_empty() && lines.iter().any(|line| Span::raw(line).width() > columns) => {
            blocks(header, &rows)
        }
        _ => lines.join("\n"),
    }
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

/// Each row as lines of name and value, with an empty line between rows.
fn blocks(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = header.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let block = |row: &Vec<String>| {
        let fields = header.iter().zip(row).filter(|(_, value)| !value.is_empty());
        fields.map(|(name, value)| format!("{name:width$}  {value}")).collect::<Vec<_>>().join("\n")
    };
    rows.iter().map(block).collect::<Vec<_>>().join("\n\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_that_is_too_wide_for_the_terminal_is_printed_row_below_row() {
        let rows = || {
            vec![
                vec!["H-12/0001".to_owned(), "failed".to_owned(), "EMAIL_INVALID".to_owned()],
                vec!["H-12/0002".to_owned(), "created".to_owned(), String::new()],
            ]
        };
        let header = ["key", "state", "code"];
        let wide = "key        state    code\nH-12/0001  failed   EMAIL_INVALID\nH-12/0002  created";
        assert_eq!(fitted(&header, rows(), &[], None), wide);
        assert_eq!(fitted(&header, rows(), &[], Some(33)), wide);
        assert_eq!(
            fitted(&header, rows(), &[], Some(32)),
            "key    H-12/0001\nstate  failed\ncode   EMAIL_INVALID\n\nkey    H-12/0002\nstate  created"
        );
        assert_eq!(fitted(&header, Vec::new(), &[], Some(5)), "key  state  code", "names alone stay a line");
    }
}
