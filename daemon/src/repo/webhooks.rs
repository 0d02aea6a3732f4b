//! Webhooks, and the queue and log of what is sent to them. Triggers fill the queue (migration 0010).

use jiff::Timestamp;
use rusqlite::{Connection, OptionalExtension, Row, params};
use uuid::Uuid;
use zeroize::Zeroizing;

use super::folders::text;
use super::row;
use crate::model::told::{self, Told};
use crate::model::webhook::{self, Delivery, DeliveryState, DueDelivery, EventFilter, Webhook, WebhookUrl};
use crate::storage::database::DatabaseError;

/// Writes down for the triggers which actions of the audit log report which event, when that is not there as it is now.
pub(crate) fn keep_event_names(connection: &Connection) -> Result<(), DatabaseError> {
    let mut statement = connection.prepare("SELECT action, event FROM event_names ORDER BY action")?;
    let written: Vec<(String, String)> = row::all(statement.query([])?, |row| Ok((row.get(0)?, row.get(1)?)))?;
    let mut wanted: Vec<(&str, &str)> = told::NAMES.map(|name| (name, name)).into_iter().chain(told::ALSO).collect();
    wanted.sort_unstable();
    if written.iter().map(|(action, event)| (action.as_str(), event.as_str())).eq(wanted.iter().copied()) {
        return Ok(());
    }
    connection.execute("DELETE FROM event_names", [])?;
    let mut statement = connection.prepare("INSERT INTO event_names (action, event) VALUES (?1, ?2)")?;
    for (action, event) in wanted {
        statement.execute([action, event])?;
    }
    Ok(())
}

/// Adds a webhook.
pub(crate) fn insert(connection: &Connection, webhook: &Webhook, secret: &str) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO webhooks (id, url, secret, active, every_event, created_at, created_by)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    connection.prepare_cached(sql)?.execute(params![
        webhook.id.to_string(),
        webhook.url.as_str(),
        secret,
        webhook.active,
        webhook.events == EventFilter::All,
        webhook.created_at.as_millisecond(),
        webhook.created_by.to_string(),
    ])?;
    insert_events(connection, webhook)
}

/// Writes what may change of a webhook.
pub(crate) fn update(connection: &Connection, webhook: &Webhook) -> Result<(), DatabaseError> {
    let id = webhook.id.to_string();
    let sql = "UPDATE webhooks SET url = ?2, active = ?3, every_event = ?4 WHERE id = ?1";
    let every = webhook.events == EventFilter::All;
    connection.prepare_cached(sql)?.execute(params![id, webhook.url.as_str(), webhook.active, every])?;
    connection.prepare_cached("DELETE FROM webhook_events WHERE webhook_id = ?1")?.execute([id])?;
    insert_events(connection, webhook)
}

fn insert_events(connection: &Connection, webhook: &Webhook) -> Result<(), DatabaseError> {
    let mut statement = connection.prepare_cached("INSERT INTO webhook_events (webhook_id, event) VALUES (?1, ?2)")?;
    for event in webhook.events.names() {
        statement.execute(params![webhook.id.to_string(), event])?;
    }
    Ok(())
}

/// Finds a webhook.
pub(crate) fn find(connection: &Connection, id: Uuid) -> Result<Option<Webhook>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM webhooks WHERE id = ?1")?;
    row::first(statement.query([id.to_string()])?, |row| webhook(connection, row))
}

/// Up to `limit` webhooks, by id, after `after`.
pub(crate) fn list(connection: &Connection, after: Option<Uuid>, limit: u32) -> Result<Vec<Webhook>, DatabaseError> {
    let mut statement = connection.prepare_cached("SELECT * FROM webhooks WHERE id > ?1 ORDER BY id LIMIT ?2")?;
    row::all(statement.query(params![text(after), limit])?, |row| webhook(connection, row))
}

/// How many webhooks there are.
pub(crate) fn count(connection: &Connection) -> Result<u32, DatabaseError> {
    Ok(connection.prepare_cached("SELECT count(*) FROM webhooks")?.query_row([], |row| row.get(0))?)
}

/// Deletes a webhook with its log. False when it is gone already.
pub(crate) fn delete(connection: &Connection, id: Uuid) -> Result<bool, DatabaseError> {
    Ok(connection.prepare_cached("DELETE FROM webhooks WHERE id = ?1")?.execute([id.to_string()])? > 0)
}

/// Queues an event for one webhook, whatever it wants to be told of.
pub(crate) fn enqueue(connection: &Connection, webhook_id: Uuid, told: &Told) -> Result<(), DatabaseError> {
    let sql = "INSERT INTO webhook_deliveries (webhook_id, event_id, event, at, subject_id, state, attempts,
                   next_attempt_at) VALUES (?1, ?2, ?3, ?4, ?5, 'waiting', 0, ?4)";
    connection.prepare_cached(sql)?.execute(params![
        webhook_id.to_string(),
        told.id.to_string(),
        told.event,
        told.at.as_millisecond(),
        told.subject_id.to_string(),
    ])?;
    Ok(())
}

/// Up to `limit` deliveries of a webhook, newest first, before `before`.
pub(crate) fn deliveries(
    connection: &Connection,
    webhook_id: Uuid,
    before: Option<Uuid>,
    limit: u32,
) -> Result<Vec<Delivery>, DatabaseError> {
    let sql = "SELECT * FROM webhook_deliveries WHERE webhook_id = ?1 AND event_id < ?2
               ORDER BY event_id DESC LIMIT ?3";
    let before = before.unwrap_or(Uuid::max()).to_string();
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query(params![webhook_id.to_string(), before, limit])?, delivery)
}

/// Of each webhook the delivery that has been due for longest.
pub(crate) fn due(connection: &Connection, now: Timestamp) -> Result<Vec<DueDelivery>, DatabaseError> {
    let sql = "SELECT webhooks.url, webhooks.secret, d.*
               FROM webhooks JOIN webhook_deliveries d ON d.webhook_id = webhooks.id AND d.event_id = (
                   SELECT event_id FROM webhook_deliveries
                   WHERE webhook_id = webhooks.id AND state = 'waiting' AND next_attempt_at <= ?1
                   ORDER BY next_attempt_at, event_id LIMIT 1)";
    let mut statement = connection.prepare_cached(sql)?;
    row::all(statement.query([now.as_millisecond()])?, |row| {
        Ok(DueDelivery {
            webhook_id: row::id(row, "webhook_id")?,
            url: row.get("url")?,
            secret: Zeroizing::new(row.get("secret")?),
            told: told(row)?,
            attempts: row.get("attempts")?,
        })
    })
}

/// What an attempt led to.
pub(crate) struct Attempt {
    pub(crate) state: DeliveryState,
    pub(crate) at: Timestamp,
    pub(crate) next_at: Option<Timestamp>,
    pub(crate) status: Option<u16>,
    pub(crate) problem: Option<&'static str>,
}

/// Notes an attempt. Nothing happens when the delivery is gone, or was given up meanwhile.
pub(crate) fn note(
    connection: &Connection,
    webhook_id: Uuid,
    event_id: Uuid,
    attempt: &Attempt,
) -> Result<(), DatabaseError> {
    let sql = "UPDATE webhook_deliveries
               SET state = ?3, attempts = attempts + 1, last_attempt_at = ?4, next_attempt_at = ?5, status = ?6,
                   problem = ?7
               WHERE webhook_id = ?1 AND event_id = ?2 AND state = 'waiting'";
    connection.prepare_cached(sql)?.execute(params![
        webhook_id.to_string(),
        event_id.to_string(),
        webhook::state_name(attempt.state),
        attempt.at.as_millisecond(),
        attempt.next_at.map(Timestamp::as_millisecond),
        attempt.status,
        attempt.problem,
    ])?;
    Ok(())
}

/// Gives up whatever waits for a webhook.
pub(crate) fn give_up(connection: &Connection, webhook_id: Uuid, problem: &str) -> Result<(), DatabaseError> {
    let sql = "UPDATE webhook_deliveries SET state = 'failed', next_attempt_at = NULL, problem = ?2
               WHERE webhook_id = ?1 AND state = 'waiting'";
    connection.prepare_cached(sql)?.execute(params![webhook_id.to_string(), problem])?;
    Ok(())
}

/// Gives up what waits for a webhook beyond the newest `keep`. Returns how many.
pub(crate) fn shorten_queue(
    connection: &Connection,
    webhook_id: Uuid,
    keep: u32,
    problem: &str,
) -> Result<usize, DatabaseError> {
    let id = webhook_id.to_string();
    let sql = "SELECT event_id FROM webhook_deliveries WHERE webhook_id = ?1 AND state = 'waiting'
               ORDER BY event_id DESC LIMIT 1 OFFSET ?2";
    let newest_surplus: Option<String> =
        connection.prepare_cached(sql)?.query_row(params![id, keep], |row| row.get(0)).optional()?;
    let Some(newest_surplus) = newest_surplus else { return Ok(0) };
    let sql = "UPDATE webhook_deliveries SET state = 'failed', next_attempt_at = NULL, problem = ?3
               WHERE webhook_id = ?1 AND event_id <= ?2 AND state = 'waiting'";
    Ok(connection.prepare_cached(sql)?.execute(params![id, newest_surplus, problem])?)
}

/// Lets nothing wait longer than until then: the clock may have been set back.
pub(crate) fn wait_no_longer_than(connection: &Connection, latest: Timestamp) -> Result<(), DatabaseError> {
    let sql = "UPDATE webhook_deliveries SET next_attempt_at = ?1 WHERE state = 'waiting' AND next_attempt_at > ?1";
    connection.prepare_cached(sql)?.execute([latest.as_millisecond()])?;
    Ok(())
}

/// Removes up to `limit` deliveries of events before that time. Returns how many.
pub(crate) fn prune(connection: &Connection, before: Timestamp, limit: u32) -> Result<usize, DatabaseError> {
    let sql = "DELETE FROM webhook_deliveries WHERE (webhook_id, event_id) IN (
                   SELECT webhook_id, event_id FROM webhook_deliveries WHERE at < ?1 AND state <> 'waiting' LIMIT ?2)";
    Ok(connection.prepare_cached(sql)?.execute(params![before.as_millisecond(), limit])?)
}

/// How many deliveries wait.
pub(crate) fn waiting(connection: &Connection) -> Result<u32, DatabaseError> {
    let sql = "SELECT count(*) FROM webhook_deliveries INDEXED BY webhook_deliveries_waiting WHERE state = 'waiting'";
    Ok(connection.prepare_cached(sql)?.query_row([], |row| row.get(0))?)
}

fn webhook(connection: &Connection, row: &Row<'_>) -> Result<Webhook, DatabaseError> {
    let id: String = row.get("id")?;
    let events = if row.get("every_event")? {
        EventFilter::All
    } else {
        let sql = "SELECT event FROM webhook_events WHERE webhook_id = ?1 ORDER BY event";
        let mut statement = connection.prepare_cached(sql)?;
        EventFilter::Some(row::all(statement.query([&id])?, |row| Ok(row.get(0)?))?)
    };
    let url: String = row.get("url")?;
    Ok(Webhook {
        id: row::id(row, "id")?,
        url: WebhookUrl::parse(&url).map_err(|_| DatabaseError::Value("URL of a webhook"))?,
        events,
        active: row.get("active")?,
        created_at: row::time(row, "created_at")?,
        created_by: row::id(row, "created_by")?,
    })
}

fn delivery(row: &Row<'_>) -> Result<Delivery, DatabaseError> {
    let state: String = row.get("state")?;
    Ok(Delivery {
        told: told(row)?,
        state: webhook::parse_state(&state).ok_or(DatabaseError::Value("state of a delivery"))?,
        attempts: row.get("attempts")?,
        next_attempt_at: row::optional_time(row, "next_attempt_at")?,
        last_attempt_at: row::optional_time(row, "last_attempt_at")?,
        status: row.get("status")?,
        problem: row.get("problem")?,
    })
}

/// The columns that both queues have.
pub(super) fn told(row: &Row<'_>) -> Result<Told, DatabaseError> {
    Ok(Told {
        id: row::id(row, "event_id")?,
        event: row.get("event")?,
        at: row::time(row, "at")?,
        subject_id: row::id(row, "subject_id")?,
        folder_id: row::optional_id(row, "folder_id")?,
        size_bytes: row.get::<_, Option<i64>>("size_bytes")?.and_then(|size| u64::try_from(size).ok()),
        revision: row.get("revision")?,
    })
}
