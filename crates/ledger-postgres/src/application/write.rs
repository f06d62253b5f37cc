//! The statements that give rows their ids, and what their answers mean.
//!
//! Two of them. The quick one costs what a plain `UPDATE` costs, and says only which rows it wrote;
//! those that are left, and groups in which it met a lock or an error, get the thorough one, which
//! says why.
//!
//! The key arrives as text and is cast to the column's type (`key = given.key::bigint`): the
//! other way round no index of the application's would serve. Rows are locked in order of key.
//! **A key that several rows carry is written to none of them**: partitions, tables that inherit
//! and a lost index allow it, and one of the rows is somebody else's. Blanks are written over
//! like NULL, and so are the words that tools write for it. **A row with another address than was
//! planned gets no id**: the account is somebody else's, or the person's old one. **A row that the
//! application holds locked is left out**, not waited for: its transaction may take minutes, and
//! the others of the group need not.

use ferry_domain::{
    Code,
    application::Relation,
    null,
    ports::{AppRows, RefusedRow},
};

use super::{AppRow, look::Found};

/// A key whose row was found.
#[derive(sqlx::FromRow)]
pub(super) struct Hit {
    /// Its position among those given, from 1.
    number: i64,
    /// How many rows carry it.
    rows: i64,
    /// Whether others hold it locked.
    locked: bool,
    /// Whether its row had no other id.
    free: bool,
    /// Whether its row has the address that was planned.
    same: bool,
    /// Whether its row has the id now.
    written: bool,
    /// Whether policies may keep rows from being changed: such a row looks like a locked one.
    pub guarded: bool,
}

/// For a table that has all that write-back needs: writes rows and answers with the positions of
/// those written, from 1; one whose key several rows carry comes several times. Waits for locks.
pub(super) fn quick_update(found: &Found) -> String {
    let Found { name, key, key_type, id, .. } = found;
    let Guards { free, same } = Guards::of(found);
    format!(
        "WITH given AS (
             SELECT pair.key::{key_type} AS key, pair.id, pair.email, pair.number
             FROM unnest($1::text[], $2::text[], $3::text[])
                 WITH ORDINALITY AS pair (key, id, email, number)
         )
         UPDATE {name} AS app
         SET {id} = given.id
         FROM given
         WHERE app.{key} = given.key AND {same} AND {free}
         RETURNING given.number"
    )
}

/// What a row has to be like.
struct Guards {
    /// Without another id.
    free: String,
    /// With the address that was planned.
    same: String,
}

impl Guards {
    fn of(found: &Found) -> Self {
        let Found { id, email, .. } = found;
        let none = null::sql_list();
        let free = format!("(app.{id} IS NULL OR btrim(app.{id}::text) IN ({none}) OR app.{id} = given.id)");
        // As `Email::normalised` does it; addresses that were planned are ASCII.
        let same = match email {
            Some(email) => {
                format!("coalesce(lower(btrim({email}, E' \\t\\n\\r') COLLATE \"C\") = given.email, false)")
            }
            None => "true".to_owned(),
        };
        Guards { free, same }
    }
}

/// For the same table: writes rows and says what became of each.
pub(super) fn update(found: &Found) -> String {
    let Found { name, oid, key, key_type, id, .. } = found;
    // Asked each time: a policy may come while a run is running. Behind a view its owner's count.
    let guarded = match found.table.relation {
        Relation::Table | Relation::Divided => format!("row_security_active({oid}::oid)"),
        _ => "true".to_owned(),
    };
    let Guards { free, same } = Guards::of(found);
    format!(
        "WITH given AS MATERIALIZED (
             SELECT pair.key::{key_type} AS key, pair.id, pair.email, pair.number
             FROM unnest($1::text[], $2::text[], $3::text[])
                 WITH ORDINALITY AS pair (key, id, email, number)
         ), there AS MATERIALIZED (
             SELECT given.number, count(*) AS rows
             FROM {name} AS app JOIN given ON app.{key} = given.key
             GROUP BY given.number
         ), held AS MATERIALIZED (
             SELECT given.number, {free} AS free, {same} AS same
             FROM {name} AS app JOIN given ON app.{key} = given.key
             ORDER BY app.{key}
             FOR NO KEY UPDATE OF app SKIP LOCKED
         ), found AS MATERIALIZED (
             SELECT there.number, there.rows, held.number IS NULL AS locked,
                    coalesce(held.free, false) AS free, coalesce(held.same, false) AS same
             FROM there LEFT JOIN held ON there.rows = 1 AND held.number = there.number
         ), written AS (
             UPDATE {name} AS app
             SET {id} = given.id
             FROM given JOIN found ON found.number = given.number
             WHERE app.{key} = given.key AND found.rows = 1 AND NOT found.locked AND found.same AND {free}
             RETURNING given.number
         )
         SELECT found.number, found.rows, found.locked, found.free, found.same, written.number IS NOT NULL AS written,
                {guarded} AS guarded
         FROM found LEFT JOIN written ON written.number = found.number"
    )
}

/// Positions of the keys whose rows can be changed; fails when others hold one of them locked.
pub(super) fn lock(found: &Found) -> String {
    let Found { name, key, key_type, .. } = found;
    format!(
        "SELECT given.number
         FROM unnest($1::text[]) WITH ORDINALITY AS given (key, number)
         JOIN {name} AS app ON app.{key} = given.key::{key_type}
         FOR NO KEY UPDATE OF app NOWAIT"
    )
}

/// What became of rows, by the statement's answer.
pub(super) fn fates(rows: &[AppRow<'_>], hits: &[Hit]) -> AppRows {
    let mut fates = vec![Fate::Refused(Code::AppRowChanged, None); rows.len()]; // vanished, unless it was found
    for hit in hits {
        if let Some(fate) = usize::try_from(hit.number - 1).ok().and_then(|at| fates.get_mut(at)) {
            *fate = match hit {
                Hit { written: true, .. } => Fate::Written,
                Hit { rows: 2.., .. } => Fate::Refused(Code::AppKeyShared, None),
                Hit { locked: true, .. } => Fate::Locked,
                Hit { free: false, .. } => Fate::Refused(Code::AppRowChanged, None),
                Hit { same: false, .. } => Fate::Refused(Code::AppRowChanged, Some("email")),
                // A trigger that answers NULL leaves the row as it is.
                _ => Fate::Refused(Code::AppRowRefused, None),
            };
        }
    }
    let mut done = AppRows::default();
    for (row, fate) in rows.iter().zip(fates) {
        match fate {
            Fate::Written => {}
            Fate::Locked => done.locked.push(row.seq),
            Fate::Refused(code, said) => {
                done.refused.push(RefusedRow { seq: row.seq, code, said: said.map(str::to_owned) });
            }
        }
    }
    done
}

/// What became of one row.
#[derive(Clone, Copy)]
enum Fate {
    Written,
    Locked,
    Refused(Code, Option<&'static str>),
}

#[cfg(test)]
mod tests {
    use ferry_domain::ItemSeq;

    use super::*;

    #[test]
    fn each_row_has_the_one_reason_that_is_its_own() {
        let row = |seq| AppRow { seq: ItemSeq(seq), key: "k", id: "auth0|x", email: "k@example.com" };
        let rows: Vec<_> = (1..=8).map(row).collect();
        let hit = |number, rows, free, written| {
            let locked = number > 6;
            Hit {
                number,
                rows,
                locked,
                free: free && !locked,
                same: number != 6 && !locked,
                written,
                guarded: false,
            }
        };
        let hits = [
            hit(1, 1, true, true),
            hit(2, 2, true, false),
            hit(3, 1, false, false),
            hit(4, 1, true, false),
            hit(6, 1, true, false),
            hit(7, 1, true, false),
            hit(8, 2, true, false),
        ];
        let AppRows { refused: found, locked } = fates(&rows, &hits);
        let codes: Vec<_> = found.iter().map(|row| (row.seq.0, row.code)).collect();
        assert_eq!(
            codes,
            [
                (2, Code::AppKeyShared),
                (3, Code::AppRowChanged),
                (4, Code::AppRowRefused),
                (5, Code::AppRowChanged),
                (6, Code::AppRowChanged),
                (8, Code::AppKeyShared)
            ]
        );
        assert_eq!(found[4].said.as_deref(), Some("email"));
        assert_eq!(locked, [ItemSeq(7)]);
    }
}
