//! Who sees which folder, beyond their role.

use std::collections::BTreeSet;

use uuid::Uuid;

pub(crate) use coffer_api::Access;

/// Who looks: all that decides what they see.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Viewer {
    pub(crate) user_id: Uuid,
    /// Private folders are there for them as well.
    pub(crate) sees_all: bool,
    /// Their role allows to add things. Without it every access is [`Access::Read`].
    pub(crate) may_write: bool,
    /// Their role allows to change what others made.
    pub(crate) edits_all: bool,
    /// Nothing outside of this folder is there for them.
    pub(crate) scope: Option<Uuid>,
}

/// Whom a private folder is open to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Grantee {
    User(Uuid),
    Group(Uuid),
}

/// One line of a private folder's list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Grant {
    pub(crate) grantee: Grantee,
    pub(crate) access: Access,
}

/// The name under which an access is stored.
pub(crate) fn name(access: Access) -> &'static str {
    match access {
        Access::Read => "read",
        Access::Write => "write",
    }
}

/// Reads a stored name.
pub(crate) fn parse(name: &str) -> Option<Access> {
    [Access::Read, Access::Write].into_iter().find(|access| self::name(*access) == name)
}

/// Who a folder is open to: everybody, or exactly those on a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AccessList {
    pub(crate) private: bool,
    pub(crate) grants: Vec<Grant>,
}

/// Why a list is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum AccessListError {
    #[error("a folder that is not private has no list; leave the list empty")]
    Open,
    #[error("the list has more than {} entries; use a group", AccessList::MAX_GRANTS)]
    TooLong,
    #[error("somebody is on the list twice")]
    Twice,
}

impl AccessList {
    /// Longest list that is accepted.
    pub(crate) const MAX_GRANTS: usize = 200;

    /// Checks a list.
    pub(crate) fn parse(private: bool, grants: Vec<Grant>) -> Result<Self, AccessListError> {
        if !private && !grants.is_empty() {
            return Err(AccessListError::Open);
        }
        if grants.len() > Self::MAX_GRANTS {
            return Err(AccessListError::TooLong);
        }
        let grantees: BTreeSet<Grantee> = grants.iter().map(|grant| grant.grantee).collect();
        if grantees.len() < grants.len() {
            return Err(AccessListError::Twice);
        }
        Ok(Self { private, grants })
    }

    /// The same list, if it is one, with this user on it who may write.
    pub(crate) fn with_writer(mut self, user_id: Uuid) -> Self {
        if self.private {
            let grantee = Grantee::User(user_id);
            self.grants.retain(|grant| grant.grantee != grantee);
            self.grants.push(Grant { grantee, access: Access::Write });
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_that_are_accepted_and_refused() {
        let grant = |number| Grant { grantee: Grantee::User(Uuid::from_u128(number)), access: Access::Read };
        let group = |number| Grant { grantee: Grantee::Group(Uuid::from_u128(number)), access: Access::Read };
        for (private, grants, expected) in [
            (true, vec![], Ok(())),
            (false, vec![], Ok(())),
            (true, vec![grant(1), grant(2), group(1)], Ok(())),
            (true, (0..200).map(grant).collect(), Ok(())),
            (false, vec![grant(1)], Err(AccessListError::Open)),
            (true, (0..201).map(grant).collect(), Err(AccessListError::TooLong)),
            (true, vec![grant(1), Grant { access: Access::Write, ..grant(1) }], Err(AccessListError::Twice)),
            (true, vec![group(1), group(1)], Err(AccessListError::Twice)),
        ] {
            assert_eq!(AccessList::parse(private, grants).map(|_| ()), expected);
        }
    }

    #[test]
    fn who_makes_a_folder_private_stays_on_its_list() {
        let user = Uuid::from_u128(7);
        let written = vec![Grant { grantee: Grantee::User(user), access: Access::Write }];
        let only_read = vec![Grant { grantee: Grantee::User(user), access: Access::Read }];
        for grants in [vec![], only_read, written.clone()] {
            assert_eq!(AccessList { private: true, grants }.with_writer(user).grants, written);
        }
        assert_eq!(AccessList { private: false, grants: vec![] }.with_writer(user).grants, []);
    }
}
