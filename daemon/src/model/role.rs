//! Who may do what: one pure function.

pub(crate) use coffer_api::Role;

/// What a caller asks to do. Each operation of the service layer names one, and each route declares one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    /// See one's own profile, log out.
    Profile,
    /// Set up one's own second factors. All that an account may do which must have one and has none yet.
    Enrol,
    /// Change one's own profile and password; see and end one's own sessions, API keys and links.
    Account,
    /// List folders and files, read metadata and contents.
    Read,
    /// Add folders and files.
    Add,
    /// Change and delete what one added oneself.
    EditOwn,
    /// Change and delete everything.
    Edit,
    /// Write comments on what one sees.
    Comment,
    /// Say who may see a folder that one added oneself.
    RestrictOwn,
    /// Say who may see any folder.
    Restrict,
    /// Make links that open what one sees to people without an account.
    Share,
    /// Have the box change credentials that one's secrets vaults hold, which makes it connect to where they are used.
    RotateSecrets,
    /// Make and change accounts, invitations and the rules of registration.
    ManagePeople,
    /// Make and change groups.
    ManageGroups,
    /// Set variables of add-ons and clients.
    ManageSettings,
    /// Say who is told of events outside of the box.
    ManageWebhooks,
    /// See how the box is doing.
    ReadMetrics,
    /// Read, export and verify the audit log.
    ReadAudit,
    /// Say how long the audit log is kept.
    ManageAudit,
    /// Lock the vault, see and change its key slots.
    ManageVault,
    /// See the box's name, its tunnel, and what needs a person.
    SeeDevice,
    /// See figures of the machine and where it is in the network.
    InspectDevice,
    /// Name the box, see and end its registration.
    ManageDevice,
}

impl Action {
    /// The name in the API's description, in the audit and in docs/api.md.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Profile => "profile",
            Self::Enrol => "enrol",
            Self::Account => "account",
            Self::Read => "read",
            Self::Add => "add",
            Self::EditOwn => "edit_own",
            Self::Edit => "edit",
            Self::Comment => "comment",
            Self::RestrictOwn => "restrict_own",
            Self::Restrict => "restrict",
            Self::Share => "share",
            Self::RotateSecrets => "rotate_secrets",
            Self::ManagePeople => "manage_people",
            Self::ManageGroups => "manage_groups",
            Self::ManageSettings => "manage_settings",
            Self::ManageWebhooks => "manage_webhooks",
            Self::ReadMetrics => "read_metrics",
            Self::ReadAudit => "read_audit",
            Self::ManageAudit => "manage_audit",
            Self::ManageVault => "manage_vault",
            Self::SeeDevice => "see_device",
            Self::InspectDevice => "inspect_device",
            Self::ManageDevice => "manage_device",
        }
    }
}

/// Whether a role allows an action.
pub(crate) fn allowed(role: Role, action: Action) -> bool {
    let least = match action {
        Action::Profile | Action::Enrol | Action::Account | Action::Read | Action::SeeDevice => Role::Reader,
        Action::Add | Action::EditOwn | Action::Comment | Action::RestrictOwn | Action::Share => Role::Writer,
        Action::Edit | Action::RotateSecrets | Action::InspectDevice => Role::Editor,
        Action::Restrict
        | Action::ManagePeople
        | Action::ManageGroups
        | Action::ManageSettings
        | Action::ManageWebhooks
        | Action::ReadMetrics
        | Action::ReadAudit
        | Action::ManageAudit
        | Action::ManageVault
        | Action::ManageDevice => Role::Admin,
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
        use Action as A;
        for (action, [reader, writer, editor, admin]) in [
            (A::Profile, [true, true, true, true]),
            (A::Enrol, [true, true, true, true]),
            (A::Account, [true, true, true, true]),
            (A::Read, [true, true, true, true]),
            (A::Add, [false, true, true, true]),
            (A::EditOwn, [false, true, true, true]),
            (A::Comment, [false, true, true, true]),
            (A::RestrictOwn, [false, true, true, true]),
            (A::Share, [false, true, true, true]),
            (A::Edit, [false, false, true, true]),
            (A::RotateSecrets, [false, false, true, true]),
            (A::Restrict, [false, false, false, true]),
            (A::ManagePeople, [false, false, false, true]),
            (A::ManageGroups, [false, false, false, true]),
            (A::ManageSettings, [false, false, false, true]),
            (A::ManageWebhooks, [false, false, false, true]),
            (A::ReadMetrics, [false, false, false, true]),
            (A::ReadAudit, [false, false, false, true]),
            (A::ManageAudit, [false, false, false, true]),
            (A::ManageVault, [false, false, false, true]),
            (A::SeeDevice, [true, true, true, true]),
            (A::InspectDevice, [false, false, true, true]),
            (A::ManageDevice, [false, false, false, true]),
        ] {
            let row = [Role::Reader, Role::Writer, Role::Editor, Role::Admin].map(|role| allowed(role, action));
            assert_eq!(row, [reader, writer, editor, admin], "{}", action.name());
        }
    }

    #[test]
    fn names_of_roles() {
        for role in [Role::Reader, Role::Writer, Role::Editor, Role::Admin] {
            assert_eq!(parse(name(role)), Some(role));
        }
        assert_eq!(parse("root"), None);
    }
}
