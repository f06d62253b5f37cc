//! The statement that gives rows their ids, and what its answer means.
//!
//! The key arrives as text and is cast to the column's type (`key = given.key::bigint`): the
//! other way round no index of the application's would serve. Rows are locked in order of key.
//! **A key that several rows carry is written to none of them**: partitions, tables that inherit
//! and a lost index allow it, and one of the rows is somebody else's. Blanks are written over
//! like NULL, and so are the words that tools write for it. **A row with another address than was
//! planned gets no id**: the account is somebody else's, or the person's old one.

use ferry_domain::{Code, null, ports::RefusedRow};

use super::{AppRow, look::Found};

/// A key whose row was found.
#[derive(sqlx::FromRow)]
pub(super) struct Hit {
    /// Its position among those given, from 1.
    number: i64,
    /// How many rows carry it.
    rows: i64,
    /// Whether its row had no other id.
    free: bool,
    /// Whether its row has the address that was planned.
    same: bool,
    /// Whether its row has the id now.
    written: bool,
}

/// For a table that has all that write-back needs.
pub(super) fn update(found: &Found) -> String {
    let Found { name, key, key_type, id, email, .. } = found;
    let none = null::sql_list();
    let free = format!("(app.{id} IS NULL OR btrim(app.{id}::text) IN ({none}) OR app.{id} = given.id)");
    // As `Email::normalised` does it; addresses that were planned are ASCII.
    let same = match email {
        Some(email) => {
            format!("coalesce(lower(btrim({email}, E' \\t\\n\\r') COLLATE \"C\") = given.email, false)")
        }
        None => "true".to_owned(),
    };
    format!(
        "WITH given AS MATERIALIZED (
             SELECT pair.key::{key_type} AS key, pair.id, pair.email, pair.number
             FROM unnest($1::text[], $2::text[], $3::text[])
                 WITH ORDINALITY AS pair (key, id, email, number)
         ), locked AS MATERIALIZED (
             SELECT given.number, {free} AS free, {same} AS same
             FROM {name} AS app JOIN given ON app.{key} = given.key
             ORDER BY app.{key}
             FOR NO KEY UPDATE OF app
         ), found AS MATERIALIZED (
             SELECT number, count(*) AS rows, bool_and(free) AS free, bool_and(same) AS same
             FROM locked GROUP BY number
         ), written AS (
             UPDATE {name} AS app
             SET {id} = given.id
             FROM given JOIN found ON found.number = given.number
             WHERE app.{key} = given.key AND found.rows = 1 AND found.same AND {free}
             RETURNING given.number
         )
         SELECT found.number, found.rows, found.free, found.same, written.number IS NOT NULL AS written
         FROM found LEFT JOIN written ON written.number = found.number"
    )
}

/// Rows that did not take their ids, and why.
pub(super) fn refused(rows: &[AppRow<'_>], hits: &[Hit]) -> Vec<RefusedRow> {
    let mut fates = vec![Some((Code::AppRowChanged, None)); rows.len()]; // vanished, unless it was found
    for hit in hits {
        if let Some(fate) = usize::try_from(hit.number - 1).ok().and_then(|at| fates.get_mut(at)) {
            *fate = match hit {
                Hit { written: true, .. } => None,
                Hit { rows: 2.., .. } => Some((Code::AppKeyShared, None)),
                Hit { free: false, .. } => Some((Code::AppRowChanged, None)),
                Hit { same: false, .. } => Some((Code::AppRowChanged, Some("email".to_owned()))),
                // A trigger that answers NULL leaves the row as it is.
                _ => Some((Code::AppRowRefused, None)),
            };
        }
    }
    let refused = rows.iter().zip(fates).filter_map(|(row, fate)| Some((row, fate?)));
    refused.map(|(row, (code, said))| RefusedRow { seq: row.seq, code, said }).collect()
}

#[cfg(test)]
mod tests {
    use ferry_domain::ItemSeq;

    use super::*;

    #[test]
    fn each_row_has_the_one_reason_that_is_its_own() {
        let row = |seq| AppRow { seq: ItemSeq(seq), key: "k", id: "auth0|x", email: "k@example.com" };
        let rows: Vec<_> = (1..=6).map(row).collect();
        let hit = |number, rows, free, written| Hit { number, rows, free, same: number != 6, written };
        let hits = [
            hit(1, 1, true, true),
            hit(2, 2, true, false),
            hit(3, 1, false, false),
            hit(4, 1, true, false),
            hit(6, 1, true, false),
        ];
        let found = refused(&rows, &hits);
        let codes: Vec<_> = found.iter().map(|row| (row.seq.0, row.code)).collect();
        assert_eq!(
            codes,
            [
                (2, Code::AppKeyShared),
                (3, Code::AppRowChanged),
                (4, Code::AppRowRefused),
                (5, Code::AppRowChanged),
                (6, Code::AppRowChanged)
            ]
        );
        assert_eq!(found[4].said.as_deref(), Some("email"));
    }
}
