//! Other accounts: their keys as the box names them, and how far this device believes them. Keys that were used once are
//! pinned, and when the box names others everything with that account stops until a person accepts them.

use coffer_api::{SecretGroup, SecretIdentity, SecretMember, SecretRole};
use coffer_crypto::secrets::identity::{Acquaintance, PublicIdentity, Trust};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use uuid::Uuid;

use super::{decode, device::Device, failure::Failure, line::Line, replica::Kind, rows::Person};

/// Somebody, as the box names them now and this device knows them.
pub struct Met {
    /// Which account.
    pub account: Uuid,
    /// What it is called.
    pub name: Option<String>,
    /// Its keys, as the box names them.
    pub public: PublicIdentity,
    /// What this device believes, with keys that have changed left out.
    pub known: Option<Acquaintance>,
}

impl Device {
    /// An account as this device knows it.
    pub(super) fn person(&self, account: Uuid) -> Result<Option<Person>, Failure> {
        self.replica.rows().get(Kind::Person, Uuid::nil(), account)
    }

    /// Whether a person has compared an account's keys.
    pub(super) fn has_verified(&self, account: Uuid) -> Result<bool, Failure> {
        let known = self.person(account)?.map(|person| person.acquaintance(account)).transpose()?;
        Ok(known.is_some_and(|known| known.trust == Trust::Verified))
    }

    fn keep_person(&self, met: &Met, trust: Trust) -> Result<(), Failure> {
        let person = Person::new(met.name.clone(), &met.public, trust);
        self.replica.rows().put(Kind::Person, Uuid::nil(), met.account, &person)
    }
}

impl Met {
    /// Keys that may be used: the same as before, or seen for the first time. They are pinned by that.
    pub fn pin(self, line: &Line<'_>) -> Result<PublicIdentity, Failure> {
        let known = self.known.unwrap_or_else(|| Acquaintance::new(&self.public));
        let met = known.meet(&self.public).map_err(|changed| Failure::KeysChanged {
            name: self.called(),
            known: changed.known.fingerprint,
            named: changed.named,
        })?;
        line.device.keep_person(&self, met.pinned().trust)?;
        Ok(self.public)
    }

    /// A person has compared the fingerprint, and says that it is right.
    pub fn verify(&self, line: &Line<'_>) -> Result<(), Failure> {
        self.check_unchanged()?;
        line.device.keep_person(self, Trust::Verified)
    }

    /// A person takes keys that have changed.
    pub fn accept(&self, line: &Line<'_>) -> Result<(), Failure> {
        match self.known.map(|known| known.meet(&self.public)) {
            Some(Err(changed)) => line.device.keep_person(self, changed.accept().trust),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    /// Fails when the keys are others than before.
    pub fn check_unchanged(&self) -> Result<(), Failure> {
        match self.known.map(|known| known.meet(&self.public)) {
            Some(Err(changed)) => Err(Failure::KeysChanged {
                name: self.called(),
                known: changed.known.fingerprint,
                named: changed.named,
            }),
            Some(Ok(_)) | None => Ok(()),
        }
    }

    fn called(&self) -> String {
        self.name.clone().unwrap_or_else(|| self.account.to_string())
    }
}

/// Looks somebody up by id.
pub fn by_id(line: &Line<'_>, account: Uuid) -> Result<Met, Failure> {
    let named: SecretIdentity = line.get(&format!("/secrets/identities/{account}"))?;
    if named.user_id != account {
        return Err(line.protocol("it names another account than was asked for"));
    }
    met(line, named)
}

/// Looks somebody up by name.
pub fn by_name(line: &Line<'_>, name: &str) -> Result<Met, Failure> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let unknown = || Failure::Unknown {
        what: "person",
        name: name.to_owned(),
        hint: ", or they have not logged in with `coffer` yet.",
    };
    if name.is_empty() || !name.chars().all(is_plain) {
        return Err(unknown());
    }
    let named = line.get::<SecretIdentity>(&format!("/secrets/people/{name}"));
    let named = named.map_err(|failure| if failure.is_not_found() { unknown() } else { failure })?;
    // A name that was somebody's is not silently another's.
    let people = line.device.replica.rows().of_vault::<Person>(Kind::Person, Uuid::nil())?;
    let is_other =
        |(account, person): &(Uuid, Person)| person.name.as_deref() == Some(name) && *account != named.user_id;
    if people.iter().any(is_other) {
        return Err(Failure::AnotherAccount { name: name.to_owned() });
    }
    met(line, named)
}

/// Everybody in a group of this account's, as the box says, but this account; and the names of those who have no keys yet.
pub fn of_group(line: &Line<'_>, name: &str) -> Result<(Vec<Met>, Vec<String>), Failure> {
    let unknown = || Failure::Unknown { what: "group", name: name.to_owned(), hint: " that you are in." };
    let path = format!("/secrets/groups/{}", utf8_percent_encode(name, NON_ALPHANUMERIC));
    let group = line.get::<SecretGroup>(&path);
    let group = group.map_err(|failure| if failure.is_not_found() { unknown() } else { failure })?;
    let others = group.members.into_iter().filter(|named| named.user_id != line.device.profile.account);
    Ok((others.map(|named| met(line, named)).collect::<Result<_, _>>()?, group.without_keys))
}

/// Keys that are believed to be an account's: known ones, or else those that the box names.
pub(super) fn believed(line: &Line<'_>, account: Uuid) -> Result<PublicIdentity, Failure> {
    if account == line.device.profile.account {
        return Ok(line.device.identity()?.public().clone());
    }
    if let Some(person) = line.device.person(account)?
        && person.acquaintance(account)?.trust != Trust::Unverified
    {
        return person.public(account);
    }
    by_id(line, account)?.pin(line)
}

fn met(line: &Line<'_>, named: SecretIdentity) -> Result<Met, Failure> {
    let account = named.user_id;
    let public = decode(&named.public).and_then(|bytes| PublicIdentity::parse(account, &bytes).ok());
    let public = public.ok_or_else(|| line.protocol("what it says are somebody's keys are none"))?;
    let person = line.device.person(account)?;
    let known = person.as_ref().map(|person| person.acquaintance(account)).transpose()?;
    let name = named.username.or_else(|| person.and_then(|person| person.name));
    Ok(Met { account, name, public, known })
}

/// Somebody who is in a vault.
pub struct Member {
    /// Which account.
    pub account: Uuid,
    /// What it is called.
    pub name: String,
    /// What it may do.
    pub role: SecretRole,
    /// How far its keys are believed.
    pub trust: &'static str,
}

impl Device {
    /// Who was in a vault at the last visit.
    pub fn members(&self, vault: Uuid) -> Result<Vec<Member>, Failure> {
        let member = |member: &SecretMember| {
            let account = member.user_id;
            let known = self.person(account)?.map(|person| person.acquaintance(account)).transpose()?;
            let trust = match known.map(|known| known.trust) {
                _ if account == self.profile.account => "you",
                Some(Trust::Verified) => "verified",
                Some(Trust::Pinned) => "pinned",
                Some(Trust::Unverified) | None => "unverified",
            };
            Ok(Member { account, name: self.person_name(account)?, role: member.role, trust })
        };
        self.vault(vault)?.members.iter().map(member).collect()
    }

    /// The member of that name or id.
    pub fn member_called(&self, vault: Uuid, called: &str) -> Result<Uuid, Failure> {
        let is_called = |member: &Member| member.name == called || member.account.to_string() == called;
        let found = self.members(vault)?.into_iter().find(is_called).map(|member| member.account);
        found.ok_or_else(|| Failure::Unknown { what: "member", name: called.to_owned(), hint: " of the vault." })
    }
}
