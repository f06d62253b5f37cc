//! Users as lines of CSV, written one by one so that a million of them need no memory.

use ferry_domain::{
    Code,
    ports::{Discrepancy, ItemView},
};

/// The header line of a report.
pub fn header() -> &'static str {
    "seq,key,place,state,code,field,auth0_user_id,remedy,other\n"
}

/// One user's line of a report, with its line end, and what was found when it was read back.
/// Cells that a spreadsheet would take for a formula get a leading apostrophe.
pub fn row(item: &ItemView, found: Option<&Discrepancy>) -> String {
    let (code, field) = match found {
        // Of a user that an earlier run moved, too: its own code says that there is nothing to do.
        Some(found) if item.code.is_none_or(|code| code == Code::AlreadyMigrated) => {
            (Some(found.code()), Some(found.fields.join(" ")))
        }
        _ => (item.code, item.field.clone()),
    };
    line(
        &[
            item.seq.0.to_string(),
            item.key.shown(),
            item.origin.to_string(),
            item.state.as_str().to_owned(),
            code.map(|c| c.as_str().to_owned()).unwrap_or_default(),
            field.unwrap_or_default(),
            item.auth0_user_id.as_ref().map(|id| id.0.clone()).unwrap_or_default(),
            code.map(|c| c.remedy().to_owned()).unwrap_or_default(),
            item.other.clone().unwrap_or_default(),
        ]
        .map(harmless),
    )
}

/// The header line of an id map.
pub fn id_header() -> &'static str {
    "key,auth0_user_id,state,code,place\n"
}

/// One user's line of an id map, with its line end. The key is written as the source has it:
/// programs look it up.
pub fn id_row(item: &ItemView) -> String {
    line(&[
        item.key.0.clone(),
        item.auth0_user_id.as_ref().map(|id| id.0.clone()).unwrap_or_default(),
        item.state.as_str().to_owned(),
        item.code.map(|c| c.as_str().to_owned()).unwrap_or_default(),
        item.origin.to_string(),
    ])
}

/// Any line, with its line end. Cells that a spreadsheet would take for a formula get a leading
/// apostrophe.
pub fn cells<const N: usize>(cells: [String; N]) -> String {
    line(&cells.map(harmless))
}

fn line<const N: usize>(cells: &[String; N]) -> String {
    let mut line = cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

fn harmless(cell: String) -> String {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}") } else { cell }
}

fn quoted(cell: &str) -> String {
    if cell.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", cell.replace('"', "\"\""))
    } else {
        cell.to_owned()
    }
}

#[cfg(test)]
mod tests {
    use ferry_domain::{Auth0UserId, ItemSeq, ItemState, Origin, SourceKey, ending};

    use super::*;

    fn item() -> ItemView {
        ItemView {
            seq: ItemSeq(3),
            key: SourceKey("=cmd,\"x\"".into()),
            origin: Origin { place: "users.csv".into(), line: 4 },
            state: ItemState::Failed,
            code: Some(Code::DuplicateEmail),
            field: Some("email".into()),
            other: Some("users.csv:2".into()),
            auth0_user_id: None,
        }
    }

    #[test]
    fn a_line_has_the_header_s_cells_and_no_formula() {
        let line = row(&item(), None);
        assert!(
            line.starts_with("3,\"'=cmd,\"\"x\"\"\",users.csv:4,failed,DUPLICATE_EMAIL,email,,"),
            "{line}"
        );
        assert!(line.ends_with(",users.csv:2\n"), "{line}");
        assert_eq!(header().matches(',').count(), 8);
    }

    #[test]
    fn a_user_that_is_not_as_written_is_told_with_what_differs() {
        let id = Auth0UserId("auth0|3".into());
        let created = ItemView {
            state: ItemState::Created,
            code: None,
            field: None,
            other: None,
            auth0_user_id: Some(id.clone()),
            ..item()
        };
        let found = |fields: &[&str]| Discrepancy {
            seq: created.seq,
            key: created.key.clone(),
            auth0_user_id: id.clone(),
            fields: fields.iter().map(|&field| field.to_owned()).collect(),
        };
        for (fields, told) in [
            (&["name", "blocked"][..], "created,DIFFERS_AT_TARGET,name blocked,auth0|3,"),
            (&[], "created,MISSING_AT_TARGET,,auth0|3,"),
            (&[ending::NOT_READ_BACK], "created,NOT_READ_BACK,not read back,auth0|3,"),
        ] {
            let line = row(&created, Some(&found(fields)));
            assert!(line.contains(told), "{line}");
        }
        let moved =
            ItemView { state: ItemState::Skipped, code: Some(Code::AlreadyMigrated), ..created.clone() };
        let line = row(&moved, Some(&found(&["email"])));
        assert!(line.contains("skipped,DIFFERS_AT_TARGET,email,auth0|3,"), "{line}");
    }

    #[test]
    fn an_id_map_keeps_each_key_as_the_source_has_it() {
        let moved = ItemView {
            key: SourceKey("-a@example.com".into()),
            state: ItemState::Created,
            code: None,
            auth0_user_id: Some(Auth0UserId("auth0|3".into())),
            ..item()
        };
        assert_eq!(id_row(&moved), "-a@example.com,auth0|3,created,,users.csv:4\n");
        assert_eq!(id_header().matches(',').count(), 4);
    }
}
