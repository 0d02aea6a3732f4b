//! Jobs on all that is stored: how far they have come, and what they could not deal with.

use jiff::Timestamp;
use rusqlite::{Connection, Row, params};
use uuid::Uuid;

use super::row;
use crate::model::sealing_job::{self, Finding, Job, JobWait};
use crate::storage::database::DatabaseError;

/// Most findings of one job.
pub(crate) const MAX_FINDINGS: u32 = 1000;

/// Begins a job; what is known of an earlier one of its kind goes. One that runs is [`DatabaseError::Conflict`].
pub(crate) fn begin(connection: &Connection, job: &Job) -> Result<(), DatabaseError> {
    let kind = sealing_job::kind_name(job.kind);
    connection.prepare_cached("DELETE FROM sealing_jobs WHERE kind = ?1 AND state <> 'running'")?.execute([kind])?;
    let sql =
        "INSERT INTO sealing_jobs (id, kind, dry_run, bytes_per_s, directory, started_at, state, after_blob_id, total,
                                         done, done_bytes, counts)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, 'running', '',
                       (SELECT count(*) FROM contents) + (SELECT count(*) FROM small_pictures), 0, 0, '{}')";
    connection.prepare_cached(sql)?.execute(params![
        job.id.to_string(),
        kind,
        job.dry_run,
        job.bytes_per_s.map(row::from_size).transpose()?,
        job.directory,
        job.started_at.as_millisecond(),
    ])?;
    Ok(())
}

/// Writes how far a job has come. False when somebody stopped it meanwhile.
pub(crate) fn update(connection: &Connection, job: &Job) -> Result<bool, DatabaseError> {
    let sql = "UPDATE sealing_jobs SET finished_at = ?2, state = ?3, after_blob_id = ?4, total = ?5, done = ?6,
                                       done_bytes = ?7, counts = ?8, waits_for = NULL
               WHERE id = ?1 AND state = 'running'";
    let counts = serde_json::to_string(&job.counts).map_err(|_| DatabaseError::Value("counts"))?;
    let changed = connection.prepare_cached(sql)?.execute(params![
        job.id.to_string(),
        job.finished_at.map(Timestamp::as_millisecond),
        sealing_job::state_name(job.state),
        job.after,
        row::from_size(job.total)?,
        row::from_size(job.done)?,
        row::from_size(job.done_bytes)?,
        counts,
    ])?;
    Ok(changed > 0)
}

/// Counts a blob that a job has sealed. For the transaction in which it is sealed: neither is without the other.
pub(crate) fn count_sealed(connection: &Connection, id: Uuid, bytes: u64) -> Result<(), DatabaseError> {
    let sql = "UPDATE sealing_jobs
               SET done = done + 1, done_bytes = done_bytes + ?3,
                   counts = json_set(counts, '$.' || ?2, ifnull(json_extract(counts, '$.' || ?2), 0) + 1)
               WHERE id = ?1";
    let values = params![id.to_string(), sealing_job::SEALED, row::from_size(bytes)?];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// Notes what the job waits for that runs.
pub(crate) fn set_waiting(connection: &Connection, wait: JobWait) -> Result<(), DatabaseError> {
    let sql = "UPDATE sealing_jobs SET waits_for = ?1 WHERE state = 'running'";
    connection.prepare_cached(sql)?.execute([sealing_job::wait_name(wait)])?;
    Ok(())
}

/// Stops a job that runs. False when none of that id does.
pub(crate) fn cancel(connection: &Connection, id: Uuid, now: Timestamp) -> Result<bool, DatabaseError> {
    let sql = "UPDATE sealing_jobs SET state = 'cancelled', finished_at = ?2, waits_for = NULL WHERE id = ?1 AND state = 'running'";
    Ok(connection.prepare_cached(sql)?.execute(params![id.to_string(), now.as_millisecond()])? > 0)
}

/// Whether a job goes on.
pub(crate) fn is_running(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    let sql = "SELECT EXISTS (SELECT 1 FROM sealing_jobs WHERE id = ?1 AND state = 'running')";
    Ok(connection.prepare_cached(sql)?.query_row([id.to_string()], |row| row.get(0))?)
}

/// The job that runs.
pub(crate) fn running(connection: &Connection) -> Result<Option<Job>, DatabaseError> {
    row::first(connection.prepare_cached("SELECT * FROM sealing_jobs WHERE state = 'running'")?.raw_query(), job)
}

/// The last job of each kind, the newest first.
pub(crate) fn list(connection: &Connection) -> Result<Vec<Job>, DatabaseError> {
    row::all(
        connection.prepare_cached("SELECT * FROM sealing_jobs ORDER BY started_at DESC, id DESC")?.raw_query(),
        job,
    )
}

/// Finds a job.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Job>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM sealing_jobs WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, job)
}

/// Notes what a job could not deal with; once there are many, no more.
pub(crate) fn add_finding(connection: &Connection, job: Uuid, finding: &Finding) -> Result<(), DatabaseError> {
    let sql = "INSERT OR REPLACE INTO sealing_findings (job_id, subject, finding)
               SELECT ?1, ?2, ?3 WHERE (SELECT count(*) FROM sealing_findings WHERE job_id = ?1) < ?4";
    let values = params![job.to_string(), finding.subject, finding.finding, MAX_FINDINGS];
    connection.prepare_cached(sql)?.execute(values)?;
    Ok(())
}

/// What a job could not deal with.
pub(crate) fn findings(connection: &Connection, job: Uuid) -> Result<Vec<Finding>, DatabaseError> {
    let sql = "SELECT subject, finding FROM sealing_findings WHERE job_id = ?1 ORDER BY subject";
    row::all(connection.prepare_cached(sql)?.query([job.to_string()])?, |row| {
        Ok(Finding { subject: row.get(0)?, finding: row.get(1)? })
    })
}

fn job(row: &Row<'_>) -> Result<Job, DatabaseError> {
    let (kind, state, counts): (String, String, String) = (row.get("kind")?, row.get("state")?, row.get("counts")?);
    let bytes_per_s: Option<i64> = row.get("bytes_per_s")?;
    let waits_for: Option<String> = row.get("waits_for")?;
    Ok(Job {
        id: row::id(row, "id")?,
        kind: sealing_job::kind_named(&kind).ok_or(DatabaseError::Value("job"))?,
        dry_run: row.get("dry_run")?,
        bytes_per_s: bytes_per_s.and_then(|number| u64::try_from(number).ok()),
        directory: row.get("directory")?,
        started_at: row::time(row, "started_at")?,
        finished_at: row::optional_time(row, "finished_at")?,
        state: sealing_job::state_named(&state).ok_or(DatabaseError::Value("job"))?,
        waits_for: waits_for.as_deref().and_then(sealing_job::wait_named),
        after: row.get("after_blob_id")?,
        total: row::size(row, "total")?,
        done: row::size(row, "done")?,
        done_bytes: row::size(row, "done_bytes")?,
        counts: serde_json::from_str(&counts).map_err(|_| DatabaseError::Value("counts"))?,
    })
}
