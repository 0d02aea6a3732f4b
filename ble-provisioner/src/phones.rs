//! The phones that may come back without a code. Pure: a list and its rules.

use coffer_crypto::channel::PublicKey;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Each costs a line of the list that the owner reads.
const MAX_PHONES: usize = 32;
const MAX_NAME_CHARACTERS: usize = 64;

/// A phone, known by the public half of the key that it made for this box.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Phone {
    /// Names it towards people.
    pub(crate) id: Uuid,
    pub(crate) key: PublicKey,
    /// What its owner calls it.
    pub(crate) name: PhoneName,
    pub(crate) enrolled_at: Timestamp,
    /// The last session.
    pub(crate) last_seen_at: Timestamp,
}

/// 1 to 64 characters, none of them a control character.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub(crate) struct PhoneName(String);

/// Why a name is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a phone's name has 1 to {MAX_NAME_CHARACTERS} characters, none of them a control character")]
pub(crate) struct NotAName;

impl TryFrom<String> for PhoneName {
    type Error = NotAName;

    fn try_from(text: String) -> Result<Self, NotAName> {
        let text = text.trim();
        let fits = (1..=MAX_NAME_CHARACTERS).contains(&text.chars().count());
        if fits && !text.chars().any(char::is_control) { Ok(Self(text.to_owned())) } else { Err(NotAName) }
    }
}

impl From<PhoneName> for String {
    fn from(name: PhoneName) -> Self {
        name.0
    }
}

/// All there are, in the order of their enrolment.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Phones(Vec<Phone>);

/// There are as many phones as a box takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a box knows at most {MAX_PHONES} phones; revoke one first")]
pub(crate) struct Full;

impl Phones {
    /// All of them.
    pub(crate) fn iter(&self) -> impl Iterator<Item = &Phone> {
        self.0.iter()
    }

    /// The one with that key.
    pub(crate) fn by_key(&self, key: &PublicKey) -> Option<&Phone> {
        self.0.iter().find(|phone| phone.key == *key)
    }

    /// Adds a phone. One that is known already gets the new name.
    pub(crate) fn enrol(&mut self, key: PublicKey, name: PhoneName, now: Timestamp) -> Result<Phone, Full> {
        if let Some(known) = self.0.iter_mut().find(|phone| phone.key == key) {
            known.name = name;
            return Ok(known.clone());
        }
        if self.0.len() >= MAX_PHONES {
            return Err(Full);
        }
        #[expect(clippy::disallowed_methods, reason = "ids only have to differ")]
        let id = Uuid::now_v7();
        let phone = Phone { id, key, name, enrolled_at: now, last_seen_at: now };
        self.0.push(phone.clone());
        Ok(phone)
    }

    /// Forgets all but the one with that key: who claims a box owns it alone.
    pub(crate) fn keep_only(&mut self, key: &PublicKey) {
        self.0.retain(|phone| phone.key == *key);
    }

    /// Gives a phone another name; whether there is such a phone.
    pub(crate) fn rename(&mut self, id: Uuid, name: PhoneName) -> bool {
        let phone = self.0.iter_mut().find(|phone| phone.id == id);
        phone.map(|phone| phone.name = name).is_some()
    }

    /// Forgets a phone, and gives back what it was.
    pub(crate) fn revoke(&mut self, id: Uuid) -> Option<Phone> {
        let index = self.0.iter().position(|phone| phone.id == id)?;
        Some(self.0.remove(index))
    }

    /// Notes that a phone was here.
    pub(crate) fn seen(&mut self, key: &PublicKey, now: Timestamp) {
        if let Some(phone) = self.0.iter_mut().find(|phone| phone.key == *key) {
            phone.last_seen_at = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn name(text: &str) -> PhoneName {
        PhoneName::try_from(text.to_owned()).unwrap()
    }

    #[test]
    fn a_phone_that_enrols_twice_is_one_phone() {
        let mut phones = Phones::default();
        let first = phones.enrol(PublicKey([1; 32]), name("Ada's"), NOW).unwrap();
        let again = phones.enrol(PublicKey([1; 32]), name("Ada's old one"), NOW).unwrap();
        assert_eq!((first.id, phones.iter().count()), (again.id, 1));
        assert_eq!(phones.by_key(&PublicKey([1; 32])).unwrap().name, name("Ada's old one"));
    }

    #[test]
    fn an_unknown_phone_is_not_renamed_and_not_revoked() {
        let mut phones = Phones::default();
        let phone = phones.enrol(PublicKey([1; 32]), name("one"), NOW).unwrap();
        assert!(!phones.rename(Uuid::nil(), name("two")));
        assert_eq!(phones.revoke(Uuid::nil()), None);
        assert_eq!(phones.revoke(phone.id), Some(phone.clone()));
        assert_eq!(phones.revoke(phone.id), None);
    }

    #[test]
    fn who_claims_is_the_only_one() {
        let mut phones = Phones::default();
        for key in 1..4 {
            phones.enrol(PublicKey([key; 32]), name("phone"), NOW).unwrap();
        }
        phones.keep_only(&PublicKey([2; 32]));
        assert_eq!(phones.iter().map(|phone| phone.key).collect::<Vec<_>>(), [PublicKey([2; 32])]);
    }

    #[test]
    fn there_is_a_last_place() {
        let mut phones = Phones::default();
        for key in 0..32 {
            phones.enrol(PublicKey([key; 32]), name("phone"), NOW).unwrap();
        }
        assert_eq!(phones.enrol(PublicKey([99; 32]), name("phone"), NOW), Err(Full));
        phones.enrol(PublicKey([5; 32]), name("known"), NOW).unwrap();
    }

    #[test]
    fn names_are_short_and_can_be_shown() {
        for (text, good) in [("a", true), ("  Ada's phone ", true), ("", false), ("  ", false), ("a\nb", false)] {
            assert_eq!(PhoneName::try_from(text.to_owned()).is_ok(), good, "{text:?}");
        }
        assert!(PhoneName::try_from("ä".repeat(64)).is_ok());
        assert!(PhoneName::try_from("ä".repeat(65)).is_err());
    }
}
