//! The audit log: rows are added, in the transaction of what they report, and read. Nothing changes them; retention
//! removes the oldest. The triggers of `0003_audit.sql` hold everybody to that.

use jiff::Timestamp;
use rusqlite::{Connection, Row, Transaction, named_params, params};
use rusqlite_migration::{HookError, HookResult};
use uuid::Uuid;

use super::audit_chain::{hash, head, last_seq};
use super::row;
pub(crate) use crate::model::audit::{Entry, Outcome};
use crate::model::audit::{Filter, Record};
use crate::model::file::Sha256;
use crate::storage::database::DatabaseError;

/// Adds a row to the end of the chain.
pub(crate) fn insert(connection: &Connection, entry: &Entry) -> Result<(), DatabaseError> {
    let last = head(connection)?;
    let seq = last.seq.max(last_seq(connection)?) + 1;
    let at = entry.at.as_millisecond();
    let columns = [
        Some(seq.to_string()),
        Some(entry.id.to_string()),
        Some(at.to_string()),
        entry.actor_id.map(|id| id.to_string()),
        entry.session_id.map(|id| id.to_string()),
        entry.address.map(|address| address.to_string()),
        Some(entry.request_id.clone()),
        Some(entry.action.clone()),
        Some(entry.outcome.name().to_owned()),
        entry.subject_id.map(|id| id.to_string()),
        entry.detail.clone(),
    ];
    let hash = hash(last.hash, &columns);
    let [_, id, _, actor_id, session_id, address, request_id, action, outcome, subject_id, detail] = &columns;
    let sql = "INSERT INTO audit (seq, id, at, actor_id, session_id, address, request_id, action, outcome, subject_id,
                                  detail, hash)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)";
    connection.prepare_cached(sql)?.execute(params![
        seq, id, at, actor_id, session_id, address, request_id, action, outcome, subject_id, detail, hash.0
    ])?;
    Ok(())
}

/// Whether there is a row of that id.
pub(crate) fn contains(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT EXISTS (SELECT 1 FROM audit WHERE id = ?1)")?;
    Ok(statement.query_row([id.to_string()], |row| row.get(0))?)
}

/// In which direction the log is read, and from where.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Walk {
    /// Newest first, before this number.
    Back { before: i64 },
    /// Oldest first, after this number, to the end that the log had when the walk began.
    Forth { after: i64, through: i64 },
}

/// What one step through the log found.
pub(crate) struct Found {
    pub(crate) records: Vec<Record>,
    /// The last row that was looked at; absent when there are no more.
    pub(crate) last: Option<i64>,
}

/// Looks at up to `steps` rows for up to `limit` that the filter wants.
///
/// An index narrows the rows by one of the filter's conditions; how many rows that leaves is not known, so they are
/// looked at in steps of a bounded length.
pub(crate) fn search(
    connection: &Connection,
    filter: &Filter,
    walk: Walk,
    limit: u32,
    steps: u32,
) -> Result<Found, DatabaseError> {
    let (after, before) = match walk {
        Walk::Back { before } => (0, before),
        Walk::Forth { after, through } => (after, through.saturating_add(1)),
    };
    let mut statement = connection.prepare_cached(&query(filter, walk))?;
    let mut rows = statement.query(named_params! {
        ":after": after,
        ":before": before,
        ":steps": steps,
        ":actor_id": filter.actor_id.map(|id| id.to_string()),
        ":action": filter.action,
        ":outcome": filter.outcome.map(Outcome::name),
        ":subject_id": filter.subject_id.map(|id| id.to_string()),
        ":request_id": filter.request_id,
        ":from": filter.from.map(ceiling),
        ":until": filter.until.map(ceiling),
    })?;
    let mut found = Found { records: Vec::new(), last: None };
    let mut seen = 0;
    while let Some(row) = rows.next()? {
        seen += 1;
        if row.get("wanted")? {
            found.records.push(record(row)?);
        }
        if seen == steps || found.records.len() >= limit as usize {
            found.last = Some(row.get("seq")?);
            break;
        }
    }
    Ok(found)
}

/// One statement for each index and direction.
fn query(filter: &Filter, walk: Walk) -> String {
    let narrowed = if filter.request_id.is_some() {
        "request_id = :request_id"
    } else if filter.subject_id.is_some() {
        "subject_id = :subject_id"
    } else if filter.outcome.is_some_and(|outcome| outcome != Outcome::Success) {
        // Said twice, for the index that holds these rows only.
        "outcome = :outcome AND outcome <> 'success'"
    } else if filter.actor_id.is_some() {
        "actor_id = :actor_id"
    } else if filter.action.is_some() {
        "action = :action"
    } else {
        "TRUE"
    };
    let order = match walk {
        Walk::Back { .. } => "DESC",
        Walk::Forth { .. } => "ASC",
    };
    format!(
        "SELECT *, (:actor_id IS NULL OR actor_id IS :actor_id) AND (:action IS NULL OR action = :action)
               AND (:outcome IS NULL OR outcome = :outcome) AND (:subject_id IS NULL OR subject_id IS :subject_id)
               AND (:request_id IS NULL OR request_id = :request_id)
               AND (:from IS NULL OR at >= :from) AND (:until IS NULL OR at < :until) AS wanted
         FROM audit WHERE seq > :after AND seq < :before AND {narrowed} ORDER BY seq {order} LIMIT :steps"
    )
}

/// Rows have whole milliseconds: at or after a time, and before it, are decided by the next one.
fn ceiling(time: Timestamp) -> i64 {
    let floor = time.as_millisecond();
    if Timestamp::from_millisecond(floor).is_ok_and(|exact| exact < time) { floor + 1 } else { floor }
}

/// What retention removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Trimmed {
    pub(crate) rows: usize,
    /// The last row that is gone.
    pub(crate) through_seq: i64,
}

/// Removes up to `limit` of the oldest rows, as far as they are from before that time without a gap: the chain can be
/// shortened at its beginning only.
pub(crate) fn trim(
    transaction: &Transaction<'_>,
    before: Timestamp,
    limit: u32,
) -> Result<Option<Trimmed>, DatabaseError> {
    let mut statement = transaction.prepare_cached("SELECT seq, at FROM audit ORDER BY seq LIMIT ?1")?;
    let mut rows = statement.query([limit])?;
    let mut through = None;
    while let Some(row) = rows.next()? {
        if row.get::<_, i64>("at")? >= before.as_millisecond() {
            break;
        }
        through = Some(row.get("seq")?);
    }
    drop(rows);
    let Some(through_seq) = through else { return Ok(None) };
    let sql = "UPDATE audit_anchor SET (through_seq, hash) = (SELECT seq, hash FROM audit WHERE seq = ?1)";
    transaction.prepare_cached(sql)?.execute([through_seq])?;
    let rows = transaction.prepare_cached("DELETE FROM audit WHERE seq <= ?1")?.execute([through_seq])?;
    Ok(Some(Trimmed { rows, through_seq }))
}

/// Puts the rows of a log that was no chain yet into one, as the last part of `0003_audit.sql`.
pub(super) fn chain_what_was_there(transaction: &Transaction<'_>) -> HookResult {
    let sql = "SELECT *, NULL AS session_id, NULL AS address, NULL AS detail FROM audit_before ORDER BY id";
    let mut statement = transaction.prepare(sql)?;
    let mut rows = statement.query([])?;
    while let Some(row) = rows.next()? {
        entry(row).and_then(|entry| insert(transaction, &entry)).map_err(hook_error)?;
    }
    drop(rows);
    drop(statement);
    transaction.execute_batch("DROP TABLE audit_before")?;
    Ok(())
}

/// Keeps what kind of error it was: a full drive is not a schema that is not understood.
fn hook_error(error: DatabaseError) -> HookError {
    match error {
        DatabaseError::Corrupt(error) | DatabaseError::Sqlite(error) => error.into(),
        DatabaseError::Full => {
            rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_FULL), None).into()
        }
        DatabaseError::Closed
        | DatabaseError::Busy
        | DatabaseError::Conflict
        | DatabaseError::Refused(_)
        | DatabaseError::Value(_)
        | DatabaseError::Newer
        | DatabaseError::Panicked
        | DatabaseError::NotCommitted => HookError::Hook(error.to_string()),
    }
}

fn record(row: &Row<'_>) -> Result<Record, DatabaseError> {
    Ok(Record { seq: row.get("seq")?, entry: entry(row)?, hash: Sha256(row.get("hash")?) })
}

fn entry(row: &Row<'_>) -> Result<Entry, DatabaseError> {
    let outcome: String = row.get("outcome")?;
    let outcomes = [Outcome::Success, Outcome::Refused, Outcome::Failed];
    let address: Option<String> = row.get("address")?;
    Ok(Entry {
        id: row::id(row, "id")?,
        at: row::time(row, "at")?,
        actor_id: row::optional_id(row, "actor_id")?,
        session_id: row::optional_id(row, "session_id")?,
        address: address.map(|text| text.parse().map_err(|_| DatabaseError::Value("address"))).transpose()?,
        request_id: row.get("request_id")?,
        action: row.get("action")?,
        outcome: outcomes.into_iter().find(|o| o.name() == outcome).ok_or(DatabaseError::Value("outcome"))?,
        subject_id: row::optional_id(row, "subject_id")?,
        detail: row.get("detail")?,
    })
}

#[cfg(test)]
mod tests {
    use super::super::migrate;
    use super::*;

    fn entry(number: u128) -> Entry {
        Entry {
            id: Uuid::from_u128(number),
            at: Timestamp::from_millisecond(i64::try_from(number).unwrap()).unwrap(),
            actor_id: Some(Uuid::from_u128(number % 7)),
            session_id: None,
            address: None,
            request_id: format!("request{}", number % 11),
            action: if number.is_multiple_of(5) { "file.deleted".to_owned() } else { "file.stored".to_owned() },
            outcome: if number.is_multiple_of(13) { Outcome::Failed } else { Outcome::Success },
            subject_id: number.is_multiple_of(3).then(|| Uuid::from_u128(number % 2)),
            detail: None,
        }
    }

    fn log_of(rows: u128) -> Connection {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        for number in 1..=rows {
            insert(&connection, &entry(number)).unwrap();
        }
        connection
    }

    type Condition = fn(&Entry) -> bool;

    fn filters() -> Vec<(Filter, Condition)> {
        let time = |ms| Some(Timestamp::from_millisecond(ms).unwrap());
        let (actor_id, subject_id) = (Some(Uuid::from_u128(3)), Some(Uuid::from_u128(1)));
        let (deleted, request) = (Some("file.deleted".to_owned()), Some("request4".to_owned()));
        let all = Filter::default;
        vec![
            (all(), |_| true),
            (Filter { actor_id, ..all() }, |entry| entry.actor_id == Some(Uuid::from_u128(3))),
            (Filter { action: deleted.clone(), ..all() }, |entry| entry.action == "file.deleted"),
            (Filter { outcome: Some(Outcome::Failed), ..all() }, |entry| entry.outcome == Outcome::Failed),
            (Filter { outcome: Some(Outcome::Success), ..all() }, |entry| entry.outcome == Outcome::Success),
            (Filter { subject_id, ..all() }, |entry| entry.subject_id == Some(Uuid::from_u128(1))),
            (Filter { request_id: request, ..all() }, |entry| entry.request_id == "request4"),
            (Filter { from: time(40), until: time(60), ..all() }, |entry| {
                (40..60).contains(&entry.at.as_millisecond())
            }),
            (Filter { actor_id, action: deleted, until: time(90), ..all() }, |entry| {
                entry.actor_id == Some(Uuid::from_u128(3))
                    && entry.action == "file.deleted"
                    && entry.at.as_millisecond() < 90
            }),
        ]
    }

    #[test]
    fn every_filter_finds_what_it_names_in_both_directions() {
        let connection = log_of(100);
        for (filter, condition) in filters() {
            let mut expected: Vec<u128> = (1..=100).filter(|number| condition(&entry(*number))).collect();
            for newest_first in [false, true] {
                if newest_first {
                    expected.reverse();
                }
                // Steps and pages that are short, so that a search goes on where it stopped.
                let mut found = Vec::new();
                let mut walk =
                    if newest_first { Walk::Back { before: i64::MAX } } else { Walk::Forth { after: 0, through: 100 } };
                loop {
                    let step = search(&connection, &filter, walk, 2, 9).unwrap();
                    assert!(step.records.len() <= 2);
                    found.extend(step.records.iter().map(|record| record.entry.id.as_u128()));
                    let Some(last) = step.last else { break };
                    walk = match walk {
                        Walk::Back { .. } => Walk::Back { before: last },
                        Walk::Forth { through, .. } => Walk::Forth { after: last, through },
                    };
                }
                assert_eq!(found, expected, "{filter:?}");
            }
        }
    }

    #[test]
    fn a_step_reads_in_order_and_never_sorts() {
        let connection = log_of(10);
        let indexes = ["", "actor", "action", "trouble", "", "subject", "request", "", "actor"];
        for ((filter, _), index) in filters().iter().zip(indexes) {
            for walk in [Walk::Back { before: 5 }, Walk::Forth { after: 1, through: 5 }] {
                let sql = format!("EXPLAIN QUERY PLAN {}", query(filter, walk));
                let mut statement = connection.prepare(&sql).unwrap();
                let mut rows = statement.raw_query();
                let mut plan = Vec::new();
                while let Some(row) = rows.next().unwrap() {
                    plan.push(row.get::<_, String>("detail").unwrap());
                }
                let expected =
                    if index.is_empty() { "USING INTEGER PRIMARY KEY" } else { &format!("audit_by_{index} ") };
                assert!(plan.len() == 1 && plan[0].starts_with("SEARCH") && plan[0].contains(expected), "{plan:?}");
            }
        }
    }

    #[test]
    fn a_time_between_two_milliseconds_belongs_to_the_later_one() {
        let [before, at] = ["2026-11-21T00:00:00.0009Z", "2026-11-21T00:00:00.001Z"].map(|time| time.parse().unwrap());
        assert_eq!(ceiling(before), ceiling(at));
        assert_eq!(ceiling(at), Timestamp::as_millisecond(at));
    }

    #[test]
    fn the_rows_of_a_log_without_a_chain_are_put_into_one() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.execute_batch(include_str!("migrations/0001_foundation.sql")).unwrap();
        connection.pragma_update(None, "user_version", 1).unwrap();
        for number in [2, 1, 3] {
            let row = entry(number);
            connection
                .execute(
                    "INSERT INTO audit VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
                    params![
                        row.id.to_string(),
                        row.at.as_millisecond(),
                        row.actor_id.map(|id| id.to_string()),
                        row.action,
                        row.outcome.name(),
                        row.subject_id.map(|id| id.to_string()),
                        row.request_id,
                    ],
                )
                .unwrap();
        }
        migrate(&mut connection).unwrap();
        let found = search(&connection, &Filter::default(), Walk::Forth { after: 0, through: 9 }, 10, 10).unwrap();
        let ids: Vec<_> = found.records.iter().map(|record| (record.seq, record.entry.id.as_u128())).collect();
        assert_eq!(ids, [(1, 1), (2, 2), (3, 3)]);
        assert_eq!(found.records[2].entry.subject_id, entry(3).subject_id);
        let super::super::audit_chain::Step::Done(state) =
            super::super::audit_chain::verify(&connection, None, 10).unwrap()
        else {
            panic!("three rows are fewer than ten")
        };
        assert_eq!((state.rows, state.broken), (3, None));
        connection.query_row("SELECT 1 FROM audit_before", [], |_| Ok(())).expect_err("the old table is gone");
    }
}
