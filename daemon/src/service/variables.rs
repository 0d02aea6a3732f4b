//! Variables of add-ons and clients: read, set, delete. Nobody overwrites by accident what somebody else has set.

use super::Error;
use super::caller::Caller;
use super::common::Common;
use crate::model::precondition::Precondition;
use crate::model::role::Action;
use crate::model::variable::{Namespace, Variable, VariableName, VariableValue};
use crate::repo::audit::{self, Outcome};
use crate::repo::variables;

/// Variables of all namespaces together.
const MAX_VARIABLES: u32 = 1000;
/// Variables of one namespace.
const MAX_IN_NAMESPACE: u32 = 256;
/// Largest page of a list: 1.6 MiB, when every value is as long as it may be.
const MAX_PAGE: u32 = 100;

/// The variables of the vault.
pub(crate) struct Variables {
    common: Common,
}

/// What setting a variable did.
pub(crate) struct SetVariable {
    pub(crate) variable: Variable,
    /// There was none of that name.
    pub(crate) created: bool,
}

impl Variables {
    /// A service.
    pub(crate) fn new(common: Common) -> Self {
        Self { common }
    }

    /// One variable.
    pub(crate) async fn get(&self, caller: &Caller, name: VariableName) -> Result<Variable, Error> {
        caller.require(Action::ManageSettings).await?;
        let found = caller.store().database.read(move |connection| variables::find(connection, &name)).await?;
        found.ok_or(Error::NotFound("variable"))
    }

    /// A page of the variables, of one namespace or of all, by name, and where the next page starts.
    pub(crate) async fn list(
        &self,
        caller: &Caller,
        namespace: Option<Namespace>,
        after: Option<VariableName>,
        limit: u32,
    ) -> Result<(Vec<Variable>, Option<VariableName>), Error> {
        caller.require(Action::ManageSettings).await?;
        let limit = limit.clamp(1, MAX_PAGE);
        let read = caller.store().database.read(move |connection| match &namespace {
            Some(namespace) => variables::list_of(connection, namespace, after.as_ref(), limit + 1),
            None => variables::list(connection, after.as_ref(), limit + 1),
        });
        let mut items = read.await?;
        let more = items.len() > limit as usize;
        items.truncate(limit as usize);
        let next = items.last().filter(|_| more).map(|last| last.name.clone());
        Ok((items, next))
    }

    /// Sets a variable, new or not, when the precondition holds for what is there.
    pub(crate) async fn set(
        &self,
        caller: &Caller,
        name: VariableName,
        value: VariableValue,
        precondition: Precondition,
    ) -> Result<SetVariable, Error> {
        caller.require(Action::ManageSettings).await?;
        let mut variable = Variable {
            id: self.common.ids.next(),
            name,
            value,
            version: self.common.ids.next(),
            updated_at: self.common.clock.now(),
            updated_by: caller.user.id,
        };
        let (auditor, context) = (self.common.auditor.clone(), caller.context.clone());
        let stored = caller.store().database.write(move |transaction| -> Result<_, Error> {
            let before = variables::find(transaction, &variable.name)?;
            require(&precondition, before.as_ref())?;
            let created = before.is_none();
            if created {
                require_room(variables::count(transaction, &variable.name.namespace)?)?;
            }
            // One that is replaced keeps its id, by which the audit knows it.
            variable.id = before.map_or(variable.id, |before| before.id);
            variables::set(transaction, &variable)?;
            let action = if created { "variable.created" } else { "variable.changed" };
            let entry = auditor.entry(&context, action, Outcome::Success, Some(variable.id));
            // The name alone: the value may be a secret.
            audit::insert(transaction, &entry.with_detail(variable.name.to_string()))?;
            Ok(SetVariable { variable, created })
        });
        stored.await
    }

    /// Deletes a variable, when the precondition holds for it.
    pub(crate) async fn delete(
        &self,
        caller: &Caller,
        name: VariableName,
        precondition: Precondition,
    ) -> Result<(), Error> {
        caller.require(Action::ManageSettings).await?;
        let (auditor, context) = (self.common.auditor.clone(), caller.context.clone());
        let deleted = caller.store().database.write(move |transaction| -> Result<(), Error> {
            let before = variables::find(transaction, &name)?.ok_or(Error::NotFound("variable"))?;
            require(&precondition, Some(&before))?;
            variables::delete(transaction, before.id)?;
            let entry = auditor.entry(&context, "variable.deleted", Outcome::Success, Some(before.id));
            Ok(audit::insert(transaction, &entry.with_detail(name.to_string()))?)
        });
        deleted.await
    }
}

fn require(precondition: &Precondition, current: Option<&Variable>) -> Result<(), Error> {
    let version = current.map(|variable| variable.version.to_string());
    if precondition.holds(version.as_deref()) { Ok(()) } else { Err(Error::PreconditionFailed) }
}

fn require_room((in_all, in_namespace): (u32, u32)) -> Result<(), Error> {
    if in_namespace >= MAX_IN_NAMESPACE {
        return Err(Error::LimitReached { what: "variables in this namespace", limit: MAX_IN_NAMESPACE });
    }
    if in_all >= MAX_VARIABLES {
        return Err(Error::LimitReached { what: "variables", limit: MAX_VARIABLES });
    }
    Ok(())
}
