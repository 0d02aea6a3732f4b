//! Two people, or one person on two devices, have changed the same item: what it says then. Pure, and by field: changes of
//! different fields go together; where both have changed the same one, the item says what the box has, and what this device
//! had becomes a copy. Nothing that somebody has written is lost without somebody having seen it.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};
use uuid::Uuid;

use super::content::{Content, Field};

/// What an item says after both changes.
#[derive(Clone, PartialEq)]
pub struct Merged {
    /// The item; `None` when it stays deleted.
    pub item: Option<Content>,
    /// What this device had, where both have changed the same: to be kept as an item of its own.
    pub copy: Option<Content>,
}

/// Merges this device's change with the other one. All three are states of one item: `base`, which both began with (`None`
/// for an item that both have made), and what each has made of it (`None` for deleted).
///
/// A change wins over a deletion: who has deleted the item did not know what it says now. What was attached to it is gone with a
/// deletion at the box, though.
pub fn merge(base: Option<&Content>, ours: Option<&Content>, theirs: Option<&Content>) -> Merged {
    match (ours, theirs) {
        (None, None) => Merged { item: None, copy: None },
        // Who deletes what the other left alone deletes it.
        (None, Some(theirs)) if Some(theirs) == base => Merged { item: None, copy: None },
        (Some(ours), None) if Some(ours) == base => Merged { item: None, copy: None },
        (None, Some(theirs)) => Merged { item: Some(theirs.clone()), copy: None },
        (Some(ours), None) => Merged { item: Some(Content { attachments: Vec::new(), ..ours.clone() }), copy: None },
        (Some(ours), Some(theirs)) => merge_contents(base, ours, theirs),
    }
}

fn merge_contents(base: Option<&Content>, ours: &Content, theirs: &Content) -> Merged {
    let mut merge = Merge { is_conflict: false };
    let of = |get: fn(&Content) -> &Map<String, Value>| base.map(get);
    let item = Content {
        // A document of a newer format is not written here, so both have the same one.
        format: ours.format.max(theirs.format),
        kind: merge.value(base.map(|base| &base.kind), &ours.kind, &theirs.kind),
        title: merge.value(base.map(|base| &base.title), &ours.title, &theirs.title),
        fields: merge.list(
            [base.map_or(&[], |base| &base.fields), &ours.fields, &theirs.fields],
            |field| field.id,
            Merge::field,
        ),
        notes: merge.value(base.map(|base| &base.notes), &ours.notes, &theirs.notes),
        tags: tags(base.map(|base| &base.tags), &ours.tags, &theirs.tags),
        // Either is right, and nothing that was written.
        favorite: Merge { is_conflict: false }.value(base.map(|base| &base.favorite), &ours.favorite, &theirs.favorite),
        attachments: merge.list(
            [base.map_or(&[], |base| &base.attachments), &ours.attachments, &theirs.attachments],
            |attachment| attachment.id,
            Merge::value,
        ),
        other: merge.members(of(|base| &base.other), &ours.other, &theirs.other),
    };
    Merged { item: Some(item), copy: merge.is_conflict.then(|| ours.clone()) }
}

/// The title of a copy.
pub fn conflict_title(title: &str, device: &str, date: jiff::civil::Date) -> String {
    format!("{title} (conflict of {device}, {date})")
}

struct Merge {
    is_conflict: bool,
}

impl Merge {
    /// What one side has changed; theirs when both have, and differently.
    fn value<T: Clone + PartialEq>(&mut self, base: Option<&T>, ours: &T, theirs: &T) -> T {
        if ours == theirs || Some(ours) == base {
            return theirs.clone();
        }
        if Some(theirs) == base {
            return ours.clone();
        }
        self.is_conflict = true;
        theirs.clone()
    }

    /// What may be absent. A change wins over a removal.
    fn member<T: Clone + PartialEq>(
        &mut self,
        base: Option<&T>,
        ours: Option<&T>,
        theirs: Option<&T>,
        both: impl FnOnce(&mut Self, Option<&T>, &T, &T) -> T,
    ) -> Option<T> {
        match (ours, theirs) {
            (Some(ours), Some(theirs)) => Some(both(self, base, ours, theirs)),
            (Some(only), None) | (None, Some(only)) => (Some(only) != base).then(|| only.clone()),
            (None, None) => None,
        }
    }

    fn members(
        &mut self,
        base: Option<&Map<String, Value>>,
        ours: &Map<String, Value>,
        theirs: &Map<String, Value>,
    ) -> Map<String, Value> {
        let names: BTreeSet<&String> = ours.keys().chain(theirs.keys()).collect();
        let merged = names.into_iter().filter_map(|name| {
            let base = base.and_then(|base| base.get(name));
            let value = self.member(base, ours.get(name), theirs.get(name), Self::value);
            Some((name.clone(), value?))
        });
        merged.collect()
    }

    /// What has ids, each merged on its own by `both`.
    fn list<T: Clone + PartialEq>(
        &mut self,
        [base, ours, theirs]: [&[T]; 3],
        id: fn(&T) -> Uuid,
        both: fn(&mut Self, Option<&T>, &T, &T) -> T,
    ) -> Vec<T> {
        let by_id = |all: &'_ [T]| all.iter().map(|one| (id(one), one.clone())).collect::<BTreeMap<_, _>>();
        let (before, mine, others) = (by_id(base), by_id(ours), by_id(theirs));
        let ids = |all: &[T]| all.iter().map(id).collect::<Vec<_>>();
        let order = order(&ids(base), ids(ours), ids(theirs)).into_iter();
        order.filter_map(|id| self.member(before.get(&id), mine.get(&id), others.get(&id), both)).collect()
    }

    fn field(&mut self, base: Option<&Field>, ours: &Field, theirs: &Field) -> Field {
        Field {
            id: theirs.id,
            name: self.value(base.map(|base| &base.name), &ours.name, &theirs.name),
            kind: self.value(base.map(|base| &base.kind), &ours.kind, &theirs.kind),
            value: self.value(base.map(|base| &base.value), &ours.value, &theirs.value),
            other: self.members(base.map(|base| &base.other), &ours.other, &theirs.other),
        }
    }
}

/// A tag is there when one side has added it, and not when one side has taken it away.
fn tags(base: Option<&BTreeSet<String>>, ours: &BTreeSet<String>, theirs: &BTreeSet<String>) -> BTreeSet<String> {
    let stays = |tag: &&String| {
        let was_there = base.is_some_and(|base| base.contains(*tag));
        !was_there || (ours.contains(*tag) && theirs.contains(*tag))
    };
    ours.union(theirs).filter(stays).cloned().collect()
}

/// The order of the side that has changed it; theirs when both have. What only the other side has stands at the end.
fn order(base: &[Uuid], ours: Vec<Uuid>, theirs: Vec<Uuid>) -> Vec<Uuid> {
    let (first, second) = if theirs == base { (ours, theirs) } else { (theirs, ours) };
    let more: Vec<Uuid> = second.into_iter().filter(|id| !first.contains(id)).collect();
    [first, more].concat()
}
