//! Who may do what: one pure function.

pub(crate) use coffer_api::Role;

/// What a caller asks to do. Each data operation of the service layer names one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// List folders and files, read metadata and contents.
    Read,
    /// Add folders and files.
    Add,
    /// Delete folders and files.
    Delete,
    /// Read the audit log.
    ReadAudit,
    /// Lock the vault, see and change its key slots.
    ManageVault,
}

/// Whether a role allows an action.
pub(crate) fn allows(role: Role, action: Action) -> bool {
    let least = match action {
        Action::Read => Role::Reader,
        Action::Add => Role::Writer,
        Action::Delete => Role::Editor,
        Action::ReadAudit | Action::ManageVault => Role::Admin,
    };
    role >= least
}

/// The name under which a role is stored.
pub(crate) fn name(role: Role) -> &'static str {
    match role {
        Role::Reader => "reader",
        Role::Writer => "writer",
        Role::Editor => "editor",
        Role::Admin => "admin",
    }
}

/// Reads a stored name.
pub(crate) fn parse(name: &str) -> Option<Role> {
    [Role::Reader, Role::Writer, Role::Editor, Role::Admin].into_iter().find(|role| self::name(*role) == name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        use Action::{Add, Delete, ManageVault, Read, ReadAudit};
        let actions = [Read, Add, Delete, ReadAudit, ManageVault];
        for (role, expected) in [
            (Role::Reader, [true, false, false, false, false]),
            (Role::Writer, [true, true, false, false, false]),
            (Role::Editor, [true, true, true, false, false]),
            (Role::Admin, [true, true, true, true, true]),
        ] {
            assert_eq!(actions.map(|action| allows(role, action)), expected, "{role:?}");
            assert_eq!(parse(name(role)), Some(role));
        }
        assert_eq!(parse("root"), None);
    }
}
