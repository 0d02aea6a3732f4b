//! Each rule on its own, and a thousand runs of several devices that edit offline and meet on one box.

use std::collections::{BTreeMap, BTreeSet};

use coffer_client::secrets::{
    content::{Attachment, Content, Field, FieldKind, Kind},
    merge::{Merged, conflict_title, merge},
};
use proptest::prelude::*;
use uuid::Uuid;

fn item() -> Content {
    Content::new(Kind::Login, "Bank").with("user", FieldKind::Text, "ada").with("password", FieldKind::Secret, "old")
}

fn changed(change: impl FnOnce(&mut Content)) -> Content {
    let mut content = item_with_fixed_ids();
    change(&mut content);
    content
}

fn item_with_fixed_ids() -> Content {
    let mut content = item();
    for (number, field) in (1..).zip(&mut content.fields) {
        field.id = Uuid::from_u128(number);
    }
    content
}

fn set(content: &mut Content, field: usize, value: &str) {
    content.fields[field].value = value.to_owned().into();
}

#[test]
fn changes_of_different_fields_go_together() {
    let base = item_with_fixed_ids();
    let ours = changed(|content| {
        set(content, 0, "ada_l");
        content.tags.insert("money".to_owned());
    });
    let theirs = changed(|content| {
        set(content, 1, "new");
        content.title = "The bank".to_owned();
        content.tags.insert("home".to_owned());
    });
    let merged = merge(Some(&base), Some(&ours), Some(&theirs));
    let all = changed(|content| {
        set(content, 0, "ada_l");
        set(content, 1, "new");
        content.title = "The bank".to_owned();
        content.tags = ["money", "home"].map(str::to_owned).into();
    });
    assert!(merged == Merged { item: Some(all), copy: None });
}

#[test]
fn what_both_have_attached_is_there_and_nothing_after_a_deletion() {
    let attach = |content: &mut Content, number: u128| {
        let (id, name) = (Uuid::from_u128(number), format!("file {number}"));
        content.attachments.push(Attachment { id, name, size: 1, sha256: String::new() });
    };
    let names = |content: &Content| content.attachments.iter().map(|one| one.id.as_u128()).collect::<Vec<_>>();
    let base = changed(|content| attach(content, 1));
    let (mut ours, mut theirs) = (base.clone(), base.clone());
    attach(&mut ours, 2);
    attach(&mut theirs, 3);
    let Merged { item, copy } = merge(Some(&base), Some(&ours), Some(&theirs));
    assert_eq!((names(&item.unwrap()), copy.is_none()), (vec![1, 3, 2], true));
    theirs.attachments.remove(0);
    assert_eq!(names(&merge(Some(&base), Some(&ours), Some(&theirs)).item.unwrap()), [3, 2]);
    // The box has forgotten it all when it was told of the deletion, and still has it when it was not.
    assert_eq!(names(&merge(Some(&base), Some(&ours), None).item.unwrap()), [0; 0]);
    assert_eq!(names(&merge(Some(&base), None, Some(&theirs)).item.unwrap()), [3]);
}

#[test]
fn the_same_field_changed_twice_becomes_a_copy_and_the_same_value_does_not() {
    let base = item_with_fixed_ids();
    let (ours, theirs) = (changed(|content| set(content, 1, "mine")), changed(|content| set(content, 1, "theirs")));
    let merged = merge(Some(&base), Some(&ours), Some(&theirs));
    assert!(merged == Merged { item: Some(theirs), copy: Some(ours.clone()) });
    assert!(merge(Some(&base), Some(&ours), Some(&ours)) == Merged { item: Some(ours.clone()), copy: None });
    assert!(merge(Some(&base), Some(&ours), Some(&base)) == Merged { item: Some(ours), copy: None });
}

#[test]
fn a_change_wins_over_a_deletion_and_a_deletion_over_nothing() {
    let (base, edited) = (item_with_fixed_ids(), changed(|content| set(content, 1, "new")));
    for (ours, theirs, item) in [
        (None, Some(&edited), Some(edited.clone())),
        (Some(&edited), None, Some(edited.clone())),
        (None, Some(&base), None),
        (Some(&base), None, None),
        (None, None, None),
    ] {
        assert!(merge(Some(&base), ours, theirs) == Merged { item, copy: None });
    }
}

#[test]
fn a_field_that_is_removed_stays_when_the_other_side_has_changed_it() {
    let base = item_with_fixed_ids();
    let without = changed(|content| drop(content.fields.pop()));
    let edited = changed(|content| set(content, 1, "new"));
    assert!(merge(Some(&base), Some(&without), Some(&base)).item == Some(without.clone()));
    assert!(merge(Some(&base), Some(&without), Some(&edited)).item == Some(edited.clone()));
    assert!(merge(Some(&base), Some(&edited), Some(&without)).item == Some(edited));
}

#[test]
fn what_a_newer_client_wrote_is_merged_unread() {
    let base = item_with_fixed_ids();
    let ours = changed(|content| drop(content.other.insert("icon".to_owned(), "red".into())));
    let theirs = changed(|content| drop(content.other.insert("shape".to_owned(), "round".into())));
    let merged = merge(Some(&base), Some(&ours), Some(&theirs)).item.unwrap();
    assert_eq!(merged.other.len(), 2);
}

#[test]
fn a_copy_says_whose_it_is_and_when() {
    let date = jiff::civil::date(2026, 11, 29);
    assert_eq!(conflict_title("Bank", "laptop", date), "Bank (conflict of laptop, 2026-11-29)");
}

/// What one device does.
#[derive(Clone, Debug)]
enum Step {
    /// Writes a value that nobody has written before: into a field (0 to 2), the notes (3) or the title (4).
    Write {
        device: usize,
        place: usize,
    },
    /// Adds a field.
    Add {
        device: usize,
    },
    /// Removes the last field.
    Remove {
        device: usize,
    },
    Delete {
        device: usize,
    },
    Sync {
        device: usize,
    },
}

const DEVICES: usize = 3;

fn step() -> impl Strategy<Value = Step> {
    let device = 0..DEVICES;
    prop_oneof![
        6 => (device.clone(), 0..5_usize).prop_map(|(device, place)| Step::Write { device, place }),
        1 => device.clone().prop_map(|device| Step::Add { device }),
        1 => device.clone().prop_map(|device| Step::Remove { device }),
        1 => device.clone().prop_map(|device| Step::Delete { device }),
        4 => device.prop_map(|device| Step::Sync { device }),
    ]
}

/// A box that keeps one item, and what became copies.
struct World {
    shared: Option<Content>,
    copies: Vec<Content>,
    devices: [Device; DEVICES],
    /// Every value that was written, and whether somebody who saw it has written over it or removed it.
    written: BTreeMap<String, bool>,
}

#[derive(Clone)]
struct Device {
    base: Option<Content>,
    view: Option<Content>,
}

impl World {
    fn new() -> Self {
        let device = Device { base: Some(item_with_fixed_ids()), view: Some(item_with_fixed_ids()) };
        Self {
            shared: Some(item_with_fixed_ids()),
            copies: Vec::new(),
            devices: std::array::from_fn(|_| device.clone()),
            written: BTreeMap::new(),
        }
    }

    fn fresh(&mut self) -> String {
        let value = format!("value {}", self.written.len());
        self.written.insert(value.clone(), false);
        value
    }

    /// Somebody saw the value, and let it go.
    fn gone(&mut self, value: &str) {
        if let Some(is_superseded) = self.written.get_mut(value) {
            *is_superseded = true;
        }
    }

    fn edit(&mut self, device: usize, edit: impl FnOnce(&mut Content, String) -> Vec<String>) {
        let Some(mut view) = self.devices[device].view.take() else { return };
        let fresh = self.fresh();
        for old in edit(&mut view, fresh) {
            self.gone(&old);
        }
        self.devices[device].view = Some(view);
    }

    fn run(&mut self, step: &Step) {
        match *step {
            Step::Write { device, place } => self.edit(device, |view, fresh| {
                let place = match place {
                    3 => &mut *view.notes,
                    4 => &mut view.title,
                    place => match view.fields.get_mut(place) {
                        Some(field) => &mut *field.value,
                        None => &mut *view.notes,
                    },
                };
                vec![std::mem::replace(place, fresh)]
            }),
            Step::Add { device } => self.edit(device, |view, fresh| {
                view.fields.push(Field::new("more", FieldKind::Text, fresh));
                Vec::new()
            }),
            Step::Remove { device } => self.edit(device, |view, fresh| {
                let removed = view.fields.pop().map(|field| field.value.to_string());
                [fresh].into_iter().chain(removed).collect()
            }),
            Step::Delete { device } => {
                for value in self.devices[device].view.take().iter().flat_map(values) {
                    self.gone(&value);
                }
            }
            Step::Sync { device } => self.sync(device),
        }
    }

    fn sync(&mut self, device: usize) {
        let Device { base, view } = self.devices[device].clone();
        let merged = merge(base.as_ref(), view.as_ref(), self.shared.as_ref());
        self.copies.extend(merged.copy);
        self.shared.clone_from(&merged.item);
        self.devices[device] = Device { base: merged.item.clone(), view: merged.item };
    }
}

fn values(content: &Content) -> Vec<String> {
    let fields = content.fields.iter().map(|field| field.value.to_string());
    fields.chain([content.title.clone(), content.notes.to_string()]).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn devices_that_edit_offline_lose_nothing(steps in prop::collection::vec(step(), 1..60)) {
        let mut world = World::new();
        for step in &steps {
            world.run(step);
        }
        // Twice: what the last one brings, the first ones have to hear of.
        for device in (0..DEVICES).chain(0..DEVICES) {
            world.sync(device);
        }
        let there: BTreeSet<String> = world.shared.iter().chain(&world.copies).flat_map(values).collect();
        for (value, is_superseded) in &world.written {
            prop_assert!(*is_superseded || there.contains(value), "{value} is lost");
        }
        for device in &world.devices {
            prop_assert!(device.view == world.shared, "all see the same in the end");
        }
    }
}
