//! Sessions that end because of something else: other rights, another password, a refresh token that came twice.

use rusqlite::Connection;
use uuid::Uuid;

use super::audit::{Auditor, Context};
use super::common::Common;
use super::events::EventBus;
use crate::model::event::Event;
use crate::repo::audit::{self, Outcome};
use crate::repo::sessions;
use crate::storage::database::DatabaseError;

/// Why sessions end, and by whose doing.
pub(super) struct Ending {
    auditor: Auditor,
    context: Context,
    why: &'static str,
}

impl Ending {
    /// The reason goes into the audit log.
    pub(super) fn new(common: &Common, context: &Context, why: &'static str) -> Self {
        Self { auditor: common.auditor(), context: context.clone(), why }
    }

    /// Ends the sessions of a person but one, in the transaction that is the reason.
    pub(super) fn of_user(
        &self,
        connection: &Connection,
        user_id: Uuid,
        except: Option<Uuid>,
    ) -> Result<Vec<Uuid>, DatabaseError> {
        self.write_down(connection, sessions::revoke_of_user(connection, user_id, except, self.auditor.clock.now())?)
    }

    /// Ends one.
    pub(super) fn of(&self, connection: &Connection, id: Uuid, user_id: Uuid) -> Result<Vec<Uuid>, DatabaseError> {
        let ended = sessions::revoke(connection, id, user_id, self.auditor.clock.now())?;
        self.write_down(connection, if ended { vec![id] } else { Vec::new() })
    }

    /// Ends the one that was not used for the longest time.
    pub(super) fn least_used(&self, connection: &Connection, user_id: Uuid) -> Result<Vec<Uuid>, DatabaseError> {
        let ended = sessions::revoke_least_used(connection, user_id, self.auditor.clock.now())?;
        self.write_down(connection, ended.into_iter().collect())
    }

    fn write_down(&self, connection: &Connection, ended: Vec<Uuid>) -> Result<Vec<Uuid>, DatabaseError> {
        for id in &ended {
            let entry = self.auditor.entry(&self.context, "session.revoked", Outcome::Success, Some(*id));
            audit::insert(connection, &entry.with_detail(self.why))?;
        }
        Ok(ended)
    }
}

/// Tells of them, once it is committed.
pub(super) fn tell(events: &EventBus, ended: &[Uuid]) {
    for session_id in ended {
        events.publish(&Event::SessionRevoked { session_id: *session_id });
    }
}
