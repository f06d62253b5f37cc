//! One line for each user that needs a person, for a spreadsheet.

use ferry_domain::ports::ItemView;

/// The header line, with its line end.
pub fn header() -> &'static str {
    "seq,key,place,state,code,field,auth0_user_id,remedy,other\n"
}

/// One user's line, with its line end. Cells that a spreadsheet would take for
/// a formula get a leading apostrophe.
pub fn row(item: &ItemView) -> String {
    let cells = [
        item.seq.0.to_string(),
        item.key.shown(),
        item.origin.to_string(),
        item.state.as_str().to_owned(),
        item.code.map(|c| c.as_str().to_owned()).unwrap_or_default(),
        item.field.clone().unwrap_or_default(),
        item.auth0_user_id.as_ref().map(|id| id.0.clone()).unwrap_or_default(),
        item.code.map(|c| c.remedy().to_owned()).unwrap_or_default(),
        item.other.clone().unwrap_or_default(),
    ];
    let mut line = cells.iter().map(|cell| quoted(cell)).collect::<Vec<_>>().join(",");
    line.push('\n');
    line
}

fn quoted(cell: &str) -> String {
    let formula = cell.starts_with(['=', '+', '-', '@', '\t', '\r']);
    let cell = if formula { format!("'{cell}") } else { cell.to_owned() };
    if cell.contains([',', '"', '\n', '\r']) { format!("\"{}\"", cell.replace('"', "\"\"")) } else { cell }
}

#[cfg(test)]
mod tests {
    use ferry_domain::{Code, ItemSeq, ItemState, Origin, SourceKey};

    use super::*;

    #[test]
    fn a_line_has_the_header_s_cells_and_no_formula() {
        let item = ItemView {
            seq: ItemSeq(3),
            key: SourceKey("=cmd,\"x\"".into()),
            origin: Origin { place: "users.csv".into(), line: 4 },
            state: ItemState::Failed,
            code: Some(Code::EmailMissing),
            field: Some("email".into()),
            other: None,
            auth0_user_id: None,
        };
        assert!(row(&item).starts_with("3,\"'=cmd,\"\"x\"\"\",users.csv:4,failed,EMAIL_MISSING,email,,"));
        assert_eq!(header().matches(',').count(), 8);
    }
}
