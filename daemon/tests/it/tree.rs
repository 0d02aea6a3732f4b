//! The tree of files and folders against a simple model: whatever is done to it, in whatever order.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use serde_json::{Value, json};

use crate::harness::{Daemon, content, files_below};

const NAMES: [&str; 3] = ["a.txt", "b", "\u{e9}"];

/// Something to do; numbers choose among what there is.
#[derive(Clone, Debug)]
enum Step {
    Folder { parent: usize, name: usize },
    Upload { parent: usize, name: usize, size: usize },
    Place { item: usize, parent: usize, name: usize },
    Copy { item: usize, parent: usize, name: usize },
    Trash { item: usize },
    Restore { item: usize },
    Delete { item: usize },
}

fn step() -> impl Strategy<Value = Step> {
    let (item, parent, name) = (0..64_usize, 0..64_usize, 0..NAMES.len());
    prop_oneof![
        3 => (parent.clone(), name.clone()).prop_map(|(parent, name)| Step::Folder { parent, name }),
        3 => (parent.clone(), name.clone(), 0..5000_usize)
            .prop_map(|(parent, name, size)| Step::Upload { parent, name, size }),
        3 => (item.clone(), parent.clone(), name.clone())
            .prop_map(|(item, parent, name)| Step::Place { item, parent, name }),
        2 => (item.clone(), parent, name).prop_map(|(item, parent, name)| Step::Copy { item, parent, name }),
        3 => item.clone().prop_map(|item| Step::Trash { item }),
        2 => item.clone().prop_map(|item| Step::Restore { item }),
        1 => item.prop_map(|item| Step::Delete { item }),
    ]
}

#[derive(Clone, Debug)]
struct Node {
    parent: Option<String>,
    name: String,
    /// The contents of a file, the current one last; `None` for a folder.
    revisions: Option<Vec<(u64, usize)>>,
    trashed: bool,
}

/// What there should be.
#[derive(Default)]
struct Model {
    nodes: BTreeMap<String, Node>,
    /// In the order they were made, so that numbers mean the same in each run.
    order: Vec<String>,
    /// Tells contents apart.
    contents: u64,
}

impl Model {
    fn is_live(&self, id: &str) -> bool {
        let node = &self.nodes[id];
        !node.trashed && node.parent.as_ref().is_none_or(|parent| self.is_live(parent))
    }

    fn is_folder(&self, id: &str) -> bool {
        self.nodes[id].revisions.is_none()
    }

    fn is_within(&self, id: &str, top: &str) -> bool {
        id == top || self.nodes[id].parent.as_ref().is_some_and(|parent| self.is_within(parent, top))
    }

    fn find(&self, parent: &str, name: &str) -> Option<&String> {
        let found =
            |(_, node): &(&String, &Node)| node.parent.as_deref() == Some(parent) && node.name == name && !node.trashed;
        self.nodes.iter().find(found).map(|(id, _)| id)
    }

    fn children(&self, id: &str) -> Vec<String> {
        let inside = |(_, node): &(&String, &Node)| node.parent.as_deref() == Some(id);
        self.nodes.iter().filter(inside).map(|(id, _)| id.clone()).collect()
    }

    fn add(&mut self, id: &str, parent: &str, name: &str, revisions: Option<Vec<(u64, usize)>>) {
        let node = Node { parent: Some(parent.to_owned()), name: name.to_owned(), revisions, trashed: false };
        self.nodes.insert(id.to_owned(), node);
        self.order.push(id.to_owned());
    }

    fn remove(&mut self, id: &str) {
        for child in self.children(id) {
            self.remove(&child);
        }
        self.nodes.remove(id);
        self.order.retain(|other| other != id);
    }

    /// The item that a number chooses.
    fn item(&self, number: usize) -> Option<String> {
        // The first is the folder of the case, which stays.
        let items = &self.order[1..];
        (!items.is_empty()).then(|| items[number % items.len()].clone())
    }

    fn folder(&self, number: usize) -> String {
        let folders: Vec<&String> = self.order.iter().filter(|id| self.is_folder(id)).collect();
        folders[number % folders.len()].clone()
    }

    /// Files and bytes inside and below.
    fn total(&self, id: &str) -> (u64, u64) {
        let mut total = (0, 0);
        for child in self.children(id).iter().filter(|child| !self.nodes[*child].trashed) {
            let more = match &self.nodes[child].revisions {
                Some(revisions) => (1, revisions.last().unwrap().1 as u64),
                None => self.total(child),
            };
            total = (total.0 + more.0, total.1 + more.1);
        }
        total
    }

    fn revisions(&self) -> impl Iterator<Item = &(u64, usize)> {
        self.nodes.values().filter_map(|node| node.revisions.as_ref()).flatten()
    }
}

/// The model beside the program.
struct Pair<'a> {
    daemon: &'a Daemon,
    model: Model,
}

impl Pair<'_> {
    fn new(daemon: &Daemon) -> Pair<'_> {
        let name = uuid::Uuid::new_v4().to_string();
        let id = id(&daemon.post("/folders", &json!({ "name": name })).expect(201));
        let mut model = Model::default();
        model.nodes.insert(id.clone(), Node { parent: None, name, revisions: None, trashed: false });
        model.order.push(id);
        Pair { daemon, model }
    }

    fn take(&mut self, step: &Step) {
        match *step {
            Step::Folder { parent, name } => self.make_folder(&self.model.folder(parent), NAMES[name]),
            Step::Upload { parent, name, size } => self.upload(&self.model.folder(parent), NAMES[name], size),
            Step::Place { item, parent, name } => {
                let Some(item) = self.model.item(item) else { return };
                self.place(&item, &self.model.folder(parent), NAMES[name]);
            }
            Step::Copy { item, parent, name } => {
                let Some(item) = self.model.item(item) else { return };
                self.copy(&item, &self.model.folder(parent), NAMES[name]);
            }
            Step::Trash { item } => {
                let Some(item) = self.model.item(item) else { return };
                let expected = if self.model.is_live(&item) { 204 } else { 404 };
                self.daemon.delete(&self.path(&item)).expect(expected);
                if expected == 204 {
                    self.model.nodes.get_mut(&item).unwrap().trashed = true;
                }
            }
            Step::Restore { item } => {
                let Some(item) = self.model.item(item) else { return };
                self.restore(&item);
            }
            Step::Delete { item } => {
                let Some(item) = self.model.item(item) else { return };
                let expected = if self.model.nodes[&item].trashed { 204 } else { 404 };
                self.daemon.delete(&format!("/trash/{item}")).expect(expected);
                if expected == 204 {
                    self.model.remove(&item);
                }
            }
        }
    }

    fn path(&self, id: &str) -> String {
        format!("/{}/{id}", if self.model.is_folder(id) { "folders" } else { "files" })
    }

    fn make_folder(&mut self, parent: &str, name: &str) {
        let reply = self.daemon.post("/folders", &json!({ "parent_id": parent, "name": name }));
        if !self.model.is_live(parent) {
            reply.expect_problem(404, "not_found");
        } else if self.model.find(parent, name).is_some() {
            reply.expect_problem(409, "name_taken");
        } else {
            self.model.add(&id(&reply.expect(201)), parent, name, None);
        }
    }

    fn upload(&mut self, parent: &str, name: &str, size: usize) {
        self.model.contents += 1;
        let seed = self.model.contents;
        let path = format!("/files?folder_id={parent}&name={}", name.replace('\u{e9}', "%C3%A9"));
        let reply = self.daemon.request("POST", &path, &[], &content(size, seed));
        if !self.model.is_live(parent) {
            reply.expect_problem(404, "not_found");
            return;
        }
        match self.model.find(parent, name).cloned() {
            None => self.model.add(&id(&reply.expect(201)), parent, name, Some(vec![(seed, size)])),
            Some(there) if self.model.is_folder(&there) => {
                reply.expect_problem(409, "name_taken");
            }
            Some(there) => {
                let revisions = self.model.nodes.get_mut(&there).unwrap().revisions.as_mut().unwrap();
                revisions.push((seed, size));
                let file = reply.expect(200);
                assert_eq!((id(&file), &file["revision"]), (there, &json!(revisions.len())));
            }
        }
    }

    fn place(&mut self, item: &str, parent: &str, name: &str) {
        let field = if self.model.is_folder(item) { "parent_id" } else { "folder_id" };
        let reply = self.daemon.send("PATCH", &self.path(item), &json!({ field: parent, "name": name }));
        let node = &self.model.nodes[item];
        if !self.model.is_live(item) {
            reply.expect_problem(404, "not_found");
        } else if node.parent.as_deref() == Some(parent) && node.name == name {
            reply.expect(200);
        } else if !self.model.is_live(parent) {
            reply.expect_problem(404, "not_found");
        } else if node.parent.as_deref() != Some(parent) && self.model.is_within(parent, item) {
            reply.expect_problem(409, "into_itself");
        } else if self.model.find(parent, name).is_some() {
            reply.expect_problem(409, "name_taken");
        } else {
            reply.expect(200);
            let node = self.model.nodes.get_mut(item).unwrap();
            (node.parent, node.name) = (Some(parent.to_owned()), name.to_owned());
        }
    }

    fn copy(&mut self, item: &str, parent: &str, name: &str) {
        let is_folder = self.model.is_folder(item);
        let field = if is_folder { "parent_id" } else { "folder_id" };
        let reply = self.daemon.post(&format!("{}/copy", self.path(item)), &json!({ field: parent, "name": name }));
        if !self.model.is_live(item) || !self.model.is_live(parent) {
            reply.expect_problem(404, "not_found");
        } else if is_folder && self.model.is_within(parent, item) {
            reply.expect_problem(409, "into_itself");
        } else if self.model.find(parent, name).is_some() {
            reply.expect_problem(409, "name_taken");
        } else {
            let copy = id(&reply.expect(201));
            let current = |node: &Node| node.revisions.as_ref().map(|list| vec![*list.last().unwrap()]);
            let revisions = current(&self.model.nodes[item]);
            self.model.add(&copy, parent, name, revisions);
            if is_folder {
                self.adopt(item, &copy);
            }
        }
    }

    /// Learns the identifiers of what was copied along.
    fn adopt(&mut self, original: &str, copy: &str) {
        let listed = [list(self.daemon, "files", copy), list(self.daemon, "folders", copy)].concat();
        for child in self.model.children(original) {
            let node = self.model.nodes[&child].clone();
            if node.trashed {
                continue;
            }
            let named = listed.iter().find(|item| item["name"] == node.name.as_str());
            let copied = id(named.unwrap_or_else(|| panic!("{} was not copied: {listed:?}", node.name)));
            let current = node.revisions.as_ref().map(|list| vec![*list.last().unwrap()]);
            self.model.add(&copied, copy, &node.name, current);
            if node.revisions.is_none() {
                self.adopt(&child, &copied);
            }
        }
    }

    fn restore(&mut self, item: &str) {
        let reply = self.daemon.post(&format!("/trash/{item}/restore"), &json!({}));
        let node = &self.model.nodes[item];
        let parent = node.parent.clone().unwrap();
        if !node.trashed {
            reply.expect_problem(404, "not_found");
        } else if !self.model.is_live(&parent) {
            reply.expect_problem(409, "origin_gone");
        } else {
            let restored = reply.expect(200);
            let (stem, extension) =
                node.name.split_once('.').map_or((node.name.as_str(), String::new()), |(a, b)| (a, format!(".{b}")));
            let numbered = (2..).map(|number| format!("{stem} ({number}){extension}"));
            let mut names = std::iter::once(node.name.clone()).chain(numbered);
            let name = names.find(|name| self.model.find(&parent, name).is_none()).unwrap();
            assert_eq!(restored["name"], name.as_str());
            let node = self.model.nodes.get_mut(item).unwrap();
            (node.name, node.trashed) = (name, false);
        }
    }

    /// Compares lists, counts, contents and what is on disk.
    fn compare(&self, blobs_before: usize, bytes_before: u64) {
        for id in self.model.order.iter().filter(|id| self.model.is_folder(id) && self.model.is_live(id)) {
            let live: Vec<String> =
                self.model.children(id).into_iter().filter(|child| !self.model.nodes[child].trashed).collect();
            let names = |items: &[Value]| -> BTreeSet<String> {
                items.iter().map(|item| item["name"].as_str().unwrap().to_owned()).collect()
            };
            let expected = |folders: bool| -> BTreeSet<String> {
                let kind = live.iter().filter(|child| self.model.is_folder(child) == folders);
                kind.map(|child| self.model.nodes[child].name.clone()).collect()
            };
            let (files, folders) = (list(self.daemon, "files", id), list(self.daemon, "folders", id));
            assert_eq!((names(&files), names(&folders)), (expected(false), expected(true)));
            let folder = self.daemon.get(&format!("/folders/{id}")).expect(200);
            let counted = ["file_count", "folder_count", "total_files", "total_bytes"]
                .map(|field| folder[field].as_u64().unwrap());
            let (total_files, total_bytes) = self.model.total(id);
            assert_eq!(counted, [files.len() as u64, folders.len() as u64, total_files, total_bytes]);
        }
        for (id, node) in self.model.nodes.iter().filter(|(id, _)| self.model.is_live(id)) {
            let Some(revisions) = &node.revisions else { continue };
            let (seed, size) = *revisions.last().unwrap();
            assert!(self.daemon.get(&format!("/files/{id}/content")).body == content(size, seed));
        }
        let on_disk: BTreeSet<u64> = self.model.revisions().map(|(seed, _)| *seed).collect();
        assert_eq!(blobs(self.daemon) - blobs_before, on_disk.len(), "contents on disk");
        let bytes: usize = self.model.revisions().map(|(_, size)| *size).sum();
        assert_eq!(stored_bytes(self.daemon) - bytes_before, bytes as u64, "usage");
    }
}

fn id(item: &Value) -> String {
    item["id"].as_str().unwrap().to_owned()
}

fn list(daemon: &Daemon, kind: &str, folder: &str) -> Vec<Value> {
    let field = if kind == "files" { "folder_id" } else { "parent_id" };
    let page = daemon.get(&format!("/{kind}?{field}={folder}&limit=500&order_by=name")).expect(200);
    assert_eq!(page["next_cursor"], Value::Null);
    page["items"].as_array().unwrap().clone()
}

fn blobs(daemon: &Daemon) -> usize {
    files_below(&daemon.path("cipher")).len()
}

fn stored_bytes(daemon: &Daemon) -> u64 {
    daemon.get("/users/me/storage").expect(200)["total_bytes"].as_u64().unwrap()
}

#[test]
fn any_sequence_of_changes_leaves_the_tree_that_the_model_has() {
    let daemon = Daemon::unlocked();
    let mut runner = TestRunner::new(Config { cases: 24, failure_persistence: None, ..Config::default() });
    let steps = proptest::collection::vec(step(), 1..60);
    let result = runner.run(&steps, |steps| {
        let (blobs_before, bytes_before) = (blobs(&daemon), stored_bytes(&daemon));
        let mut pair = Pair::new(&daemon);
        for step in &steps {
            pair.take(step);
        }
        pair.compare(blobs_before, bytes_before);
        Ok(())
    });
    result.unwrap();
}
