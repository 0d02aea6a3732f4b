//! The chain of hashes that holds the audit log together: how a row is hashed, and finding the first that is not good.
//!
//! The hash of a row is SHA-256 over the hash of the row before it (32 bytes; before the first row, the one in
//! `audit_anchor`, which is zeros until retention removes something) followed by the row's columns `seq`, `id`, `at`,
//! `actor_id`, `session_id`, `address`, `request_id`, `action`, `outcome`, `subject_id` and `detail`, in this order. Each
//! column is its value as text in UTF-8, numbers in decimal, behind its length in bytes as four bytes, most significant
//! first; NULL is the four bytes `ff ff ff ff`.
//!
//! What this finds: any change, insertion, removal or exchange of rows by somebody who does not compute the hashes
//! anew, and missing rows at the end, unless `sqlite_sequence` was set back as well. What it cannot find: that somebody
//! with the open database rewrote every row from some point on. Only a copy of an earlier hash, kept elsewhere, does.

use rusqlite::types::ValueRef;
use rusqlite::{Connection, OptionalExtension, Row};
use sha2::{Digest, Sha256 as Hasher};

use crate::model::audit::{Broken, Fault, Place, Verification};
use crate::model::file::Sha256;
use crate::storage::database::DatabaseError;

/// How many columns of a row its hash covers.
pub(super) const COVERED: usize = 11;

/// The hash of a row with those columns. `None` is NULL.
pub(super) fn hash<T: AsRef<[u8]>>(previous: Sha256, columns: &[Option<T>; COVERED]) -> Sha256 {
    let mut hasher = Hasher::new();
    hasher.update(previous.0);
    for column in columns {
        match column {
            None => hasher.update(u32::MAX.to_be_bytes()),
            Some(value) => {
                let value = value.as_ref();
                // A value is far below SQLite's limit of 10^9 bytes.
                hasher.update(u32::try_from(value.len()).unwrap_or(u32::MAX - 1).to_be_bytes());
                hasher.update(value);
            }
        }
    }
    Sha256(hasher.finalize().into())
}

/// The last row that retention removed.
pub(super) fn anchor(connection: &Connection) -> Result<Place, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT through_seq, hash FROM audit_anchor")?;
    Ok(statement.query_row([], place)?)
}

/// The last row of the log.
pub(crate) fn head(connection: &Connection) -> Result<Place, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")?;
    match statement.query_row([], place).optional()? {
        Some(head) => Ok(head),
        None => anchor(connection),
    }
}

/// The largest number that a row ever had.
pub(super) fn last_seq(connection: &Connection) -> Result<i64, DatabaseError> {
    let sql = "SELECT ifnull(max(seq), 0) FROM sqlite_sequence WHERE name = 'audit'";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

/// How far the chain has been looked at.
pub(crate) enum Step {
    /// Good so far; go on from here.
    GoOn(Verification),
    /// The whole of it, or up to its first fault.
    Done(Verification),
}

/// Looks at up to `limit` rows after those that were looked at already.
pub(crate) fn verify(connection: &Connection, so_far: Option<Verification>, limit: u32) -> Result<Step, DatabaseError> {
    let anchor = anchor(connection)?;
    let mut state = so_far.unwrap_or(Verification { rows: 0, head: anchor, broken: None });
    if anchor.seq > state.head.seq {
        // Retention has removed more meanwhile.
        state.head = anchor;
    }
    let sql = "SELECT seq, id, at, actor_id, session_id, address, request_id, action, outcome, subject_id, detail, hash
               FROM audit WHERE seq > ?1 ORDER BY seq LIMIT ?2";
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query((state.head.seq, limit))?;
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        let seq: i64 = row.get("seq")?;
        let expected = state.head.seq + 1;
        if seq != expected {
            state.broken = Some(Broken { seq: expected, id: None, why: Fault::Missing });
            return Ok(Step::Done(state));
        }
        let hash = hash(state.head.hash, &columns(row)?);
        if row.get_ref("hash")? != ValueRef::Blob(&hash.0) {
            let id: String = row.get("id")?;
            state.broken = Some(Broken { seq, id: id.parse().ok(), why: Fault::Changed });
            return Ok(Step::Done(state));
        }
        state.head = Place { seq, hash };
        state.rows += 1;
    }
    if seen == limit {
        return Ok(Step::GoOn(state));
    }
    if last_seq(connection)? > state.head.seq {
        state.broken = Some(Broken { seq: state.head.seq + 1, id: None, why: Fault::Missing });
    }
    Ok(Step::Done(state))
}

/// The covered columns as they are stored: a value that means the same, but is written differently, is a change too.
fn columns(row: &Row<'_>) -> Result<[Option<Vec<u8>>; COVERED], DatabaseError> {
    let mut columns = [const { None }; COVERED];
    for (index, column) in columns.iter_mut().enumerate() {
        *column = match row.get_ref(index)? {
            ValueRef::Null => None,
            ValueRef::Integer(number) => Some(number.to_string().into_bytes()),
            ValueRef::Text(bytes) | ValueRef::Blob(bytes) => Some(bytes.to_vec()),
            ValueRef::Real(number) => Some(number.to_string().into_bytes()),
        };
    }
    Ok(columns)
}

fn place(row: &Row<'_>) -> rusqlite::Result<Place> {
    Ok(Place { seq: row.get(0)?, hash: Sha256(row.get(1)?) })
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use uuid::Uuid;

    use super::super::{audit, migrate};
    use super::*;
    use crate::model::audit::{Entry, Outcome};

    /// What somebody does who has the database open and knows of the triggers.
    const DROP_TRIGGERS: &str = "DROP TRIGGER audit_is_only_added_to; DROP TRIGGER audit_is_not_changed;
                                 DROP TRIGGER audit_is_deleted_by_retention_only;";

    fn entry(number: u128) -> Entry {
        Entry {
            id: Uuid::from_u128(number),
            at: Timestamp::from_millisecond(1_795_000_000_000).unwrap(),
            actor_id: number.is_multiple_of(2).then(|| Uuid::from_u128(0xace)),
            session_id: None,
            address: "192.0.2.7".parse().ok(),
            request_id: "request".to_owned(),
            action: "file.stored".to_owned(),
            outcome: Outcome::Success,
            subject_id: None,
            detail: Some("caf\u{e9}".to_owned()),
        }
    }

    fn log_of(rows: u128) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for number in 1..=rows {
            audit::insert(&connection, &entry(number)).unwrap();
        }
        connection
    }

    /// In steps of three rows.
    fn verified(connection: &Connection) -> Verification {
        let mut so_far = None;
        loop {
            match verify(connection, so_far, 3).unwrap() {
                Step::GoOn(state) => so_far = Some(state),
                Step::Done(verification) => return verification,
            }
        }
    }

    fn broken_by(change: &str) -> Option<(i64, Option<u128>, Fault)> {
        let connection = log_of(10);
        connection.execute_batch(DROP_TRIGGERS).unwrap();
        connection.execute_batch(change).unwrap();
        verified(&connection).broken.map(|broken| (broken.seq, broken.id.map(|id| id.as_u128()), broken.why))
    }

    #[test]
    fn an_untouched_log_is_good_and_goes_on_being_so() {
        let connection = log_of(0);
        assert_eq!(verified(&connection).rows, 0);
        assert_eq!(verified(&connection).head, Place { seq: 0, hash: Sha256([0; 32]) });
        for rows in 1..=10 {
            audit::insert(&connection, &entry(rows)).unwrap();
            let verification = verified(&connection);
            assert_eq!((verification.rows, verification.broken), (u64::try_from(rows).unwrap(), None));
            assert_eq!(verification.head, head(&connection).unwrap());
        }
    }

    #[test]
    fn the_hash_is_the_published_one() {
        // Computed by a few lines of Python that read the first paragraphs of this file.
        let hashes = [
            "cd14149abba4ef61ab5e5134a20a0374c1d7c24d1d02299b330a743c9aa7fec4",
            "5321b9bd72d68c1abf9dd48141eeefbb6a53e5346c2b96ae33b736a4a4821237",
        ];
        let connection = log_of(2);
        for (seq, expected) in (1..).zip(hashes) {
            let sql = "SELECT lower(hex(hash)) FROM audit WHERE seq = ?1";
            let hash: String = connection.query_row(sql, [seq], |row| row.get(0)).unwrap();
            assert_eq!(hash, expected, "row {seq}");
        }
    }

    #[test]
    fn the_first_row_that_is_not_good_is_named() {
        for (change, seq, id, why) in [
            ("UPDATE audit SET action = 'file.deleted' WHERE seq = 4", 4, Some(4), Fault::Changed),
            ("UPDATE audit SET actor_id = NULL WHERE seq = 4", 4, Some(4), Fault::Changed),
            ("UPDATE audit SET subject_id = '' WHERE seq = 4", 4, Some(4), Fault::Changed),
            ("UPDATE audit SET at = at + 1 WHERE seq = 1", 1, Some(1), Fault::Changed),
            ("UPDATE audit SET id = upper(id) || ' ' WHERE seq = 10", 10, None, Fault::Changed),
            ("UPDATE audit SET hash = zeroblob(32) WHERE seq = 10", 10, Some(10), Fault::Changed),
            ("UPDATE audit SET action = 'a', outcome = 'failed' WHERE seq >= 6", 6, Some(6), Fault::Changed),
            // Text moved from one column to its neighbour.
            (
                "UPDATE audit SET request_id = 'requestfile', action = '.stored' WHERE seq = 3",
                3,
                Some(3),
                Fault::Changed,
            ),
            ("DELETE FROM audit WHERE seq = 1", 1, None, Fault::Missing),
            ("DELETE FROM audit WHERE seq IN (5, 6)", 5, None, Fault::Missing),
            ("DELETE FROM audit WHERE seq = 10", 10, None, Fault::Missing),
            ("DELETE FROM audit WHERE seq > 3", 4, None, Fault::Missing),
            ("DELETE FROM audit", 1, None, Fault::Missing),
            // The gap is closed by numbering anew.
            (
                "DELETE FROM audit WHERE seq = 5; UPDATE audit SET seq = seq - 1 WHERE seq > 5",
                5,
                Some(6),
                Fault::Changed,
            ),
            (
                "UPDATE audit SET seq = 99 WHERE seq = 7; UPDATE audit SET seq = 7 WHERE seq = 8;
              UPDATE audit SET seq = 8 WHERE seq = 99",
                7,
                Some(8),
                Fault::Changed,
            ),
        ] {
            assert_eq!(broken_by(change), Some((seq, id, why)), "{change}");
        }
    }

    #[test]
    fn rows_that_are_missing_at_the_end_are_noticed_even_when_others_follow() {
        let connection = log_of(10);
        connection.execute_batch(DROP_TRIGGERS).unwrap();
        connection.execute_batch("DELETE FROM audit WHERE seq > 8").unwrap();
        audit::insert(&connection, &entry(11)).unwrap();
        let broken = verified(&connection).broken;
        assert_eq!(broken, Some(Broken { seq: 9, id: None, why: Fault::Missing }));
    }

    #[test]
    fn what_only_a_remembered_hash_shows() {
        // Somebody who also sets the counter back, and has the rows from there on hashed anew.
        let connection = log_of(10);
        let remembered = verified(&connection).head;
        connection.execute_batch(DROP_TRIGGERS).unwrap();
        let change = "DELETE FROM audit WHERE seq > 8; UPDATE sqlite_sequence SET seq = 8 WHERE name = 'audit'";
        connection.execute_batch(change).unwrap();
        assert_eq!(verified(&connection).broken, None);
        for number in [109, 110] {
            audit::insert(&connection, &entry(number)).unwrap();
        }
        let now = verified(&connection);
        assert_eq!((now.broken, now.head.seq), (None, remembered.seq));
        assert_ne!(now.head.hash, remembered.hash);
    }

    #[test]
    fn the_log_refuses_what_is_not_adding_to_its_end() {
        let connection = log_of(10);
        for change in [
            "UPDATE audit SET action = 'x' WHERE seq = 4",
            "UPDATE audit SET seq = 40 WHERE seq = 10",
            "UPDATE OR REPLACE audit SET seq = 4 WHERE seq = 5",
            "DELETE FROM audit",
            "DELETE FROM audit WHERE seq = 1",
            "DELETE FROM audit WHERE seq = 10",
            "REPLACE INTO audit SELECT * FROM audit WHERE seq = 4",
            "REPLACE INTO audit SELECT 11, id, at, actor_id, session_id, address, request_id, action, outcome,
                 subject_id, detail, hash FROM audit WHERE seq = 4",
            "INSERT INTO audit (id, at, request_id, action, outcome, hash) VALUES ('x', 1, '', 'x', 'failed', zeroblob(32))",
            "UPDATE audit_anchor SET through_seq = 5",
            "UPDATE audit_anchor SET through_seq = 5, hash = (SELECT hash FROM audit WHERE seq = 4)",
            "UPDATE audit_anchor SET through_seq = 11, hash = zeroblob(32)",
            "DELETE FROM audit_anchor",
            "REPLACE INTO audit_anchor VALUES (1, 10, (SELECT hash FROM audit WHERE seq = 10))",
        ] {
            let refusal = connection.execute_batch(change).expect_err(change).to_string();
            assert!(refusal.contains("the audit log") || refusal.contains("the anchor of"), "{change}: {refusal}");
        }
        assert_eq!((verified(&connection).rows, verified(&connection).broken), (10, None));
    }

    #[test]
    fn a_shortened_log_is_good_and_hides_nothing_after_its_beginning() {
        let mut connection = log_of(10);
        let older = Timestamp::from_millisecond(1_795_000_000_001).unwrap();
        let trim = |connection: &mut Connection, before, limit| {
            let transaction = connection.transaction().unwrap();
            let trimmed = audit::trim(&transaction, before, limit).unwrap();
            transaction.commit().unwrap();
            trimmed.map(|trimmed| (trimmed.rows, trimmed.through_seq))
        };
        assert_eq!(trim(&mut connection, older - jiff::SignedDuration::from_millis(1), 100), None, "not old enough");
        assert_eq!(trim(&mut connection, older, 4), Some((4, 4)));
        assert_eq!((verified(&connection).rows, verified(&connection).head.seq), (6, 10));
        connection.execute("DELETE FROM audit WHERE seq <= 4", []).unwrap();
        connection.execute("DELETE FROM audit WHERE seq = 5", []).expect_err("behind the anchor");

        let so_far = match verify(&connection, None, 2).unwrap() {
            Step::GoOn(state) => state,
            Step::Done(_) => panic!("six rows are more than two"),
        };
        assert_eq!(trim(&mut connection, older, 3), Some((3, 7)), "while somebody verifies");
        let Step::Done(rest) = verify(&connection, Some(so_far), 100).unwrap() else { panic!("three rows are left") };
        assert_eq!((rest.rows, rest.broken), (5, None));

        assert_eq!(trim(&mut connection, older, 100), Some((3, 10)));
        assert_eq!((verified(&connection).rows, verified(&connection).broken), (0, None));
        audit::insert(&connection, &entry(11)).unwrap();
        assert_eq!((verified(&connection).head.seq, verified(&connection).broken), (11, None));
        connection.execute_batch(DROP_TRIGGERS).unwrap();
        connection.execute_batch("DELETE FROM audit").unwrap();
        assert_eq!(verified(&connection).broken, Some(Broken { seq: 11, id: None, why: Fault::Missing }));
    }
}
