//! A vault's history against a server that lies about it.

use std::collections::BTreeMap;

use coffer_crypto::secrets::Error;
use coffer_crypto::secrets::identity::{Identity, PublicIdentity};
use coffer_crypto::secrets::keys::VaultKey;
use coffer_crypto::secrets::manifest::{Change, Delivered, Entry, Fault, Finding, LINK_BYTES, Manifest, Witness};
use proptest::prelude::*;
use uuid::Uuid;

use super::support::{ALICE, ITEM, OTHER_ITEM, OTHER_VAULT, VAULT, alice, bob, rng, vault_key};

/// A vault, the keys to check it, and an honest server's copy of its history.
struct World {
    members: Vec<PublicIdentity>,
    keys: Vec<VaultKey>,
    states: Vec<Manifest>,
    links: Vec<Vec<u8>>,
}

impl World {
    fn new() -> Self {
        let members = vec![alice().public().clone(), bob().public().clone()];
        Self { members, keys: vec![vault_key()], states: vec![Manifest::empty(VAULT)], links: Vec::new() }
    }

    fn with(changes: &[Change]) -> Self {
        let mut world = Self::new();
        for change in changes {
            world.write(*change, &alice());
        }
        world
    }

    fn witness(&self) -> Witness<'_> {
        Witness { writers: &self.members, keys: &self.keys }
    }

    fn newest(&self) -> &Manifest {
        self.states.last().unwrap()
    }

    fn write(&mut self, change: Change, writer: &Identity) {
        if change == Change::NewKey {
            let next = self.keys.last().unwrap().next(&mut rng(9)).unwrap();
            self.keys.push(next);
        }
        let link = self.newest().write(change, self.keys.last().unwrap(), writer).unwrap();
        let seen = self.links.len().saturating_sub(1);
        self.links.push(link);
        let next = self.newest().follow(&self.links[seen..], self.witness()).unwrap();
        self.states.push(next);
    }

    /// What a device that stands at a change says when it is shown these links.
    fn shown(&self, at: usize, links: &[Vec<u8>]) -> Result<Manifest, Fault> {
        self.states[at].follow(links, self.witness())
    }
}

fn written(item: Uuid, revision: u64, content: u8) -> Change {
    Change::Item(item, Entry { revision, content: Some([content; 32]) })
}

fn deleted(item: Uuid, revision: u64) -> Change {
    Change::Item(item, Entry { revision, content: None })
}

fn four_changes() -> World {
    World::with(&[written(ITEM, 1, 1), written(OTHER_ITEM, 1, 2), written(ITEM, 2, 3), written(ITEM, 3, 4)])
}

#[test]
fn what_a_device_keeps_of_a_history_reads_back_and_goes_on() {
    let changes = [written(ITEM, 1, 1), written(OTHER_ITEM, 1, 2), deleted(OTHER_ITEM, 2), Change::NewKey];
    let world = World::with(&changes);
    for (at, state) in world.states.iter().enumerate() {
        let kept = Manifest::from_bytes(&state.to_bytes()).unwrap();
        assert_eq!(&kept, state);
        assert_eq!(kept.follow(&world.links[at.saturating_sub(1)..], world.witness()).as_ref(), Ok(world.newest()));
    }
    let bytes = world.newest().to_bytes();
    for cut in [0, 59, 61, bytes.len() - 1] {
        assert!(matches!(Manifest::from_bytes(&bytes[..cut]), Err(Error::Length(_))), "{cut}");
    }
}

#[test]
fn a_device_follows_from_wherever_it_was() {
    let mut world = four_changes();
    world.write(Change::NewKey, &bob());
    world.write(deleted(OTHER_ITEM, 2), &bob());
    for at in 0..world.states.len() {
        let newest = world.shown(at, &world.links[at.saturating_sub(1)..]).unwrap();
        assert_eq!(&newest, world.newest(), "from change {at}");
    }
    let entries = world.newest().entries().clone();
    let adopted = Manifest::adopt(VAULT, &world.links[5], entries, world.witness()).unwrap();
    assert_eq!(&adopted, world.newest());
}

#[test]
fn an_older_state_is_named_as_rolled_back() {
    let world = four_changes();
    assert_eq!(world.shown(4, &world.links[1..2]), Err(Fault::RolledBack { known: 4, shown: 2 }));
    assert_eq!(world.shown(4, &[]), Err(Fault::RolledBack { known: 4, shown: 0 }));
    assert_eq!(world.shown(4, &world.links[..]), Err(Fault::RolledBack { known: 4, shown: 1 }));
    assert_eq!(world.shown(0, &[]).as_ref(), Ok(&world.states[0]), "nothing was seen before");
}

#[test]
fn another_past_is_named_as_forked() {
    let world = four_changes();
    let mut other = World::with(&[written(ITEM, 1, 1), written(OTHER_ITEM, 1, 2)]);
    other.write(written(ITEM, 2, 9), &bob());
    other.write(written(ITEM, 3, 4), &bob());
    assert_eq!(world.shown(3, &other.links[2..]), Err(Fault::Forked { sequence: 3 }), "the one that was seen");
    let spliced = [world.links[2].clone(), other.links[3].clone()];
    assert_eq!(world.shown(3, &spliced), Err(Fault::Forked { sequence: 4 }), "the one after it");
}

#[test]
fn missing_changes_are_named_as_dropped() {
    let world = four_changes();
    let without_third = [world.links[1].clone(), world.links[3].clone()];
    assert_eq!(world.shown(2, &without_third), Err(Fault::Dropped { sequence: 3 }));
    assert_eq!(world.shown(2, &world.links[2..]), Err(Fault::Dropped { sequence: 2 }), "the one that was seen");
    assert_eq!(world.shown(0, &world.links[1..]), Err(Fault::Dropped { sequence: 1 }));
    let twice = [world.links[1].clone(), world.links[2].clone(), world.links[2].clone()];
    assert_eq!(world.shown(2, &twice), Err(Fault::Dropped { sequence: 4 }));
}

#[test]
fn a_change_is_written_by_a_member_with_the_key_of_its_time() {
    let mut world = four_changes();
    world.members.truncate(1);
    let by_bob = world.newest().write(written(ITEM, 4, 5), &world.keys[0], &bob()).unwrap();
    let shown = [world.links[3].clone(), by_bob];
    assert_eq!(world.shown(4, &shown), Err(Fault::Stranger(bob().public().account())));

    // Somebody who left has signed with good keys, and has not the new vault key.
    let next = world.keys[0].next(&mut rng(77)).unwrap();
    let by_leaver = world.newest().write(Change::NewKey, &next, &alice()).unwrap();
    world.write(Change::NewKey, &alice());
    assert_eq!(world.shown(4, &[world.links[3].clone(), by_leaver]), Err(Fault::Outsider { sequence: 5 }));
    let stale = world.newest().write(written(ITEM, 4, 5), &world.keys[0], &alice());
    assert_eq!(stale, Err(Fault::Link(Error::Elsewhere("a vault key"))));

    let impostor = Identity::generate(ALICE, &mut rng(101)).unwrap();
    let forged = world.newest().write(written(ITEM, 4, 5), &world.keys[1], &impostor).unwrap();
    let signature = Fault::Link(Error::Signature("a link of a vault's history"));
    assert_eq!(world.shown(5, &[world.links[4].clone(), forged]), Err(signature));
}

#[test]
fn revisions_count_by_one() {
    let world = four_changes();
    for revision in [0, 1, 3, 5, u64::MAX] {
        let refused = world.newest().write(written(ITEM, revision, 5), &world.keys[0], &alice());
        assert_eq!(refused, Err(Fault::Inconsistent { sequence: 5 }), "revision {revision}");
    }
}

#[test]
fn no_byte_of_a_link_can_be_changed_and_it_has_one_length() {
    let world = four_changes();
    let mut shown = [world.links[2].clone(), world.links[3].clone()];
    assert_eq!(shown[1].len(), LINK_BYTES);
    for link in 0..2 {
        // Of the link that was seen before, the signature was checked then; its hash is compared now.
        for at in 0..if link == 0 { 165 } else { LINK_BYTES } {
            shown[link][at] ^= 1;
            assert!(world.shown(3, &shown).is_err(), "byte {at} of link {link}");
            shown[link][at] ^= 1;
        }
    }
    let length = Fault::Link(Error::Length("a link of a vault's history"));
    for bytes in [&shown[1][1..], &[], &[&shown[1][..], &[0]].concat()] {
        assert_eq!(world.shown(0, &[bytes.to_vec()]), Err(length));
    }
}

#[test]
fn a_new_device_believes_the_items_that_the_newest_change_covers_and_no_others() {
    let world = four_changes();
    let entries = world.newest().entries().clone();
    let adopt = |entries| Manifest::adopt(VAULT, &world.links[3], entries, world.witness()).map(|_| ());
    assert_eq!(adopt(entries.clone()), Ok(()));
    let inconsistent = Err(Fault::Inconsistent { sequence: 4 });
    let mut dropped = entries.clone();
    dropped.remove(&OTHER_ITEM);
    assert_eq!(adopt(dropped), inconsistent);
    let mut older = entries.clone();
    older.insert(ITEM, Entry { revision: 2, content: Some([3; 32]) });
    assert_eq!(adopt(older), inconsistent);
    let elsewhere = Manifest::adopt(OTHER_VAULT, &world.links[3], entries, world.witness());
    assert_eq!(elsewhere, Err(Fault::Link(Error::Elsewhere("a link of a vault's history"))));
}

#[test]
fn what_is_wrong_with_delivered_items_is_named() {
    let gone = Uuid::from_u128(0x22);
    let mut world = four_changes();
    world.write(written(gone, 1, 7), &alice());
    world.write(deleted(gone, 2), &alice());
    let honest = BTreeMap::from([
        (ITEM, Delivered { revision: 3, content: [4; 32] }),
        (OTHER_ITEM, Delivered { revision: 1, content: [2; 32] }),
    ]);
    assert_eq!(world.newest().inspect(&honest), []);
    let but = |item, revision, content: u8| {
        let mut delivered = honest.clone();
        delivered.insert(item, Delivered { revision, content: [content; 32] });
        world.newest().inspect(&delivered)
    };
    assert_eq!(but(ITEM, 2, 3), [Finding::RolledBack(ITEM)]);
    assert_eq!(but(ITEM, 3, 2), [Finding::Swapped(ITEM, OTHER_ITEM)]);
    assert_eq!(but(ITEM, 3, 3), [Finding::Altered(ITEM)], "an old content that is said to be the newest");
    assert_eq!(but(ITEM, 4, 4), [Finding::Altered(ITEM)]);
    assert_eq!(but(gone, 1, 7), [Finding::Revived(gone)]);
    let never = Uuid::from_u128(0x23);
    assert_eq!(but(never, 1, 8), [Finding::Invented(never)]);
    let mut dropped = honest.clone();
    dropped.remove(&OTHER_ITEM);
    assert_eq!(world.newest().inspect(&dropped), [Finding::Dropped(OTHER_ITEM)]);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// A server that shows any other selection of true links than the one that is asked for is found out.
    #[test]
    fn no_selection_of_true_links_passes_for_another(
        at in 0_usize..=4,
        chosen in prop::collection::vec(0_usize..4, 0..6),
    ) {
        let world = four_changes();
        let links: Vec<Vec<u8>> = chosen.iter().map(|index| world.links[*index].clone()).collect();
        let first = at.saturating_sub(1);
        let is_honest = chosen.iter().copied().eq(first..first + chosen.len()) && (at == 0 || !chosen.is_empty());
        prop_assert_eq!(world.shown(at, &links).is_ok(), is_honest);
    }
}
