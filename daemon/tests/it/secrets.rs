//! Secrets vaults, through clients that seal as docs/secrets.md says and a box that cannot open anything.

use std::collections::BTreeSet;

use coffer_crypto::secrets::grant::{self, Role, Terms};
use coffer_crypto::secrets::identity::{Identity, PublicIdentity};
use coffer_crypto::secrets::item::Version;
use coffer_crypto::secrets::keys::{AccountKey, ItemKey, VaultKey};
use coffer_crypto::secrets::manifest::{Change, Entry, Manifest, Witness};
use data_encoding::BASE64URL_NOPAD;
use rand_core::UnwrapErr;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::audit::rows;
use crate::client::Reply;
use crate::events::Follower;
use crate::harness::{Daemon, Person};
use crate::webhooks::wait_until;

pub(crate) const SECRET: &[u8] = b"the canary that sings of hunter2";

pub(crate) fn rng() -> UnwrapErr<getrandom::SysRng> {
    UnwrapErr(getrandom::SysRng)
}

pub(crate) fn encode(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

pub(crate) fn decode(text: &Value) -> Vec<u8> {
    BASE64URL_NOPAD.decode(text.as_str().unwrap().as_bytes()).unwrap()
}

/// Somebody with a client: an account on the box, and the keys that the box has not.
pub(crate) struct User {
    pub(crate) person: Person,
    account: AccountKey,
    pub(crate) identity: Identity,
}

impl User {
    pub(crate) fn new(daemon: &Daemon, name: &str) -> Self {
        Self::with_role(daemon, name, "reader")
    }

    /// The same, with a role on the box.
    pub(crate) fn with_role(daemon: &Daemon, name: &str, role: &str) -> Self {
        let person = daemon.user(name, role);
        let id = person.id.parse().unwrap();
        let account = AccountKey::generate(id, &mut rng());
        let identity = Identity::generate(id, &mut rng()).unwrap();
        let user = Self { person, account, identity };
        let body = json!({
            "by_password": encode(&[1; 104]),
            "by_recovery": encode(&[2; 104]),
            "identity": encode(&user.identity.seal(&user.account, &mut rng()).unwrap()),
            "public": encode(&user.identity.public().to_bytes()),
        });
        user.send(daemon, "PUT", "/secrets/account", &body).expect(204);
        user
    }

    pub(crate) fn id(&self) -> Uuid {
        self.account.account()
    }

    pub(crate) fn send(&self, daemon: &Daemon, method: &str, path: &str, body: &Value) -> Reply {
        daemon.send_as(&self.person.token, method, path, body)
    }

    pub(crate) fn get(&self, daemon: &Daemon, path: &str) -> Reply {
        daemon.get_as(&self.person.token, path)
    }

    /// Makes a vault.
    pub(crate) fn vault(&self, daemon: &Daemon) -> Vault {
        let key = VaultKey::generate(Uuid::new_v4(), &mut rng());
        let body = json!({ "id": key.vault(), "key": encode(&key.wrap(&self.account, &mut rng()).unwrap()) });
        self.send(daemon, "POST", "/secrets/vaults", &body).expect(201);
        Vault { manifest: Manifest::empty(key.vault()), keys: vec![key], writers: vec![self.identity.public().clone()] }
    }
}

/// What a client remembers of a vault.
pub(crate) struct Vault {
    pub(crate) manifest: Manifest,
    pub(crate) keys: Vec<VaultKey>,
    writers: Vec<PublicIdentity>,
}

impl Vault {
    pub(crate) fn key(&self) -> &VaultKey {
        self.keys.last().unwrap()
    }

    pub(crate) fn path(&self, rest: &str) -> String {
        format!("/secrets/vaults/{}{rest}", self.key().vault())
    }

    /// The body of the next revision of an item.
    pub(crate) fn revision(&self, writer: &User, item: &ItemKey, content: Option<&[u8]>) -> Value {
        let revision = self.manifest.entries().get(&item.item()).map_or(0, |entry| entry.revision) + 1;
        let version = Version { revision, generation: self.key().generation() };
        let sealed = content.map(|content| item.seal(version, content, &mut rng()).unwrap());
        let entry = Entry { revision, content: sealed.as_ref().map(|sealed| Sha256::digest(sealed).into()) };
        let link = self.manifest.write(Change::Item(item.item(), entry), self.key(), &writer.identity).unwrap();
        json!({
            "key_generation": self.key().generation(),
            "wrapped_key": encode(&item.wrap(self.key(), &mut rng()).unwrap()),
            "content": sealed.map(|sealed| encode(&sealed)),
            "link": encode(&link),
        })
    }

    pub(crate) fn put(
        &self,
        daemon: &Daemon,
        writer: &User,
        item: Uuid,
        condition: (&str, &str),
        body: &Value,
    ) -> Reply {
        let headers = [("content-type", "application/json"), condition];
        let path = self.path(&format!("/items/{item}"));
        daemon.request_as(&writer.person.token, "PUT", &path, &headers, body.to_string().as_bytes())
    }

    /// Follows what the box tells, and believes no more of it than is proven.
    pub(crate) fn sync(&mut self, daemon: &Daemon, reader: &User) -> Value {
        let since = self.manifest.sequence();
        let changes = reader.get(daemon, &self.path(&format!("/sync?since={since}"))).expect(200);
        let links: Vec<Vec<u8>> = changes["links"].as_array().unwrap().iter().map(decode).collect();
        let witness = Witness { writers: &self.writers, keys: &self.keys };
        self.manifest = self.manifest.follow(&links, witness).unwrap();
        changes
    }
}

pub(crate) const NEW: (&str, &str) = ("if-none-match", "*");

/// A vault of Ada's with one item in it.
pub(crate) fn ada_and_a_vault(daemon: &Daemon) -> (User, Vault, ItemKey) {
    let ada = User::new(daemon, "ada_l");
    let mut vault = ada.vault(daemon);
    let item = ItemKey::generate(vault.key().vault(), Uuid::new_v4(), &mut rng());
    vault.put(daemon, &ada, item.item(), NEW, &vault.revision(&ada, &item, Some(SECRET))).expect(200);
    vault.sync(daemon, &ada);
    (ada, vault, item)
}

/// Lets somebody in, who then has what a client needs.
pub(crate) fn let_in(daemon: &Daemon, vault: &Vault, by: &User, user: &User, role: Role, name: &str) -> Vault {
    let terms = Terms { role, made_at_s: 0 };
    let seal = |key| grant::seal(key, terms, &by.identity, user.identity.public(), &mut rng()).unwrap();
    let keys: Vec<Value> =
        vault.keys.iter().map(|key| json!({ "generation": key.generation(), "sealed": encode(&seal(key)) })).collect();
    let path = vault.path(&format!("/members/{}", user.id()));
    by.send(daemon, "PUT", &path, &json!({ "role": name, "keys": keys })).expect(204);
    let given = user.get(daemon, &vault.path("/keys")).expect(200);
    let open = |key: &Value| grant::open(&decode(&key["sealed"]), by.identity.public(), &user.identity).unwrap().0;
    let mut writers = vault.writers.clone();
    writers.push(user.identity.public().clone());
    Vault {
        manifest: Manifest::empty(vault.key().vault()),
        keys: given.as_array().unwrap().iter().map(open).collect(),
        writers,
    }
}

#[test]
fn two_people_share_a_vault_that_the_box_cannot_read() {
    let daemon = Daemon::unlocked();
    let (ada, mut vault, item) = ada_and_a_vault(&daemon);
    let grace = User::new(&daemon, "grace");
    grace.get(&daemon, &vault.path("")).expect_problem(404, "not_found");
    let mut theirs = let_in(&daemon, &vault, &ada, &grace, Role::Editor, "editor");
    let changes = theirs.sync(&daemon, &grace);
    let found = &changes["items"][0];
    let key = ItemKey::unwrap(theirs.key(), item.item(), &decode(&found["wrapped_key"])).unwrap();
    let version = Version { revision: 1, generation: 1 };
    assert_eq!(key.open(version, &decode(&found["content"])).unwrap().as_slice(), SECRET);

    let written = theirs.revision(&grace, &key, Some(b"changed"));
    theirs.put(&daemon, &grace, item.item(), ("if-match", "\"1\""), &written).expect(200);
    vault.writers.push(grace.identity.public().clone());
    let changes = vault.sync(&daemon, &ada);
    assert_eq!((vault.manifest.sequence(), changes["more"].clone()), (2, json!(false)));
    assert_eq!(changes["items"][0]["changed_by"], grace.person.id.as_str());
    let identity = ada.get(&daemon, &format!("/secrets/identities/{}", grace.id())).expect(200);
    assert_eq!(decode(&identity["public"]), grace.identity.public().to_bytes());
    assert_eq!(rows(&daemon, "action=secret_item.written").len(), 2);
}

#[test]
fn whoever_is_slower_gets_what_there_is_and_a_repeated_change_is_one() {
    let daemon = Daemon::unlocked();
    let (ada, mut vault, item) = ada_and_a_vault(&daemon);
    let (first, second) = (vault.revision(&ada, &item, Some(b"first")), vault.revision(&ada, &item, Some(b"second")));
    let one = ("if-match", "\"1\"");
    let stored = vault.put(&daemon, &ada, item.item(), one, &first).expect(200);
    assert_eq!(vault.put(&daemon, &ada, item.item(), one, &first).expect(200), stored, "heard nothing, sent again");
    let copy = vault.put(&daemon, &ada, item.item(), one, &second).expect(412);
    assert_eq!(copy, stored);
    vault.put(&daemon, &ada, item.item(), NEW, &second).expect(412);
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"2\""), &second).expect(412);
    vault.sync(&daemon, &ada);
    let again = vault.revision(&ada, &item, Some(b"second"));
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"2\""), &again).expect(200);
    vault.sync(&daemon, &ada);
    let gone = vault.revision(&ada, &item, None);
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"3\""), &gone).expect(200);
    let changes = vault.sync(&daemon, &ada);
    assert_eq!(changes["items"][0]["content"], Value::Null, "deleted, and told of");
    let headers = [("content-type", "application/json")];
    let path = vault.path(&format!("/items/{}", item.item()));
    let body = gone.to_string();
    daemon
        .request_as(&ada.person.token, "PUT", &path, &headers, body.as_bytes())
        .expect_problem(428, "precondition_required");
}

#[test]
fn each_role_does_what_it_may_and_a_change_counts_at_once() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let (grace, henry) = (User::new(&daemon, "grace"), User::new(&daemon, "henry"));
    let mut theirs = let_in(&daemon, &vault, &ada, &grace, Role::Viewer, "viewer");
    theirs.sync(&daemon, &grace);
    let write = |theirs: &Vault| {
        let body = theirs.revision(&grace, &item, Some(b"mine"));
        theirs.put(&daemon, &grace, item.item(), ("if-match", "\"1\""), &body)
    };
    write(&theirs).expect_problem(403, "forbidden");
    let member = |user: &User| vault.path(&format!("/members/{}", user.id()));
    let role = |name: &str| json!({ "role": name });
    grace.send(&daemon, "PUT", &member(&henry), &role("viewer")).expect_problem(403, "forbidden");
    grace.send(&daemon, "PUT", &member(&grace), &role("owner")).expect_problem(403, "forbidden");
    grace.send(&daemon, "DELETE", &vault.path(""), &json!({})).expect_problem(403, "forbidden");
    ada.send(&daemon, "PUT", &member(&grace), &role("editor")).expect(204);
    write(&theirs).expect(200);
    ada.send(&daemon, "PUT", &member(&ada), &role("viewer")).expect_problem(409, "last_owner");
    ada.send(&daemon, "DELETE", &member(&ada), &json!({})).expect_problem(409, "last_owner");
    ada.send(&daemon, "DELETE", &member(&grace), &json!({})).expect(204);
    ada.send(&daemon, "DELETE", &member(&grace), &json!({})).expect_problem(404, "not_found");
    for path in ["", "/sync", "/keys", "/members", &format!("/items/{}", item.item())] {
        grace.get(&daemon, &vault.path(path)).expect_problem(404, "not_found");
    }
    write(&theirs).expect_problem(404, "not_found");
    let admin = daemon.get(&vault.path("/sync"));
    admin.expect_problem(404, "not_found");
    assert_eq!(daemon.get("/secrets/vaults").expect(200)["items"], json!([]), "administrators see nothing either");
}

#[test]
fn members_hear_that_their_vault_has_changed_and_nobody_else_does() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let (grace, henry) = (User::new(&daemon, "grace"), User::new(&daemon, "henry"));
    let_in(&daemon, &vault, &ada, &grace, Role::Viewer, "viewer");
    let follow = |user: &User| Follower::start(&daemon, &user.person.token, None);
    let (member, stranger) = (follow(&grace), follow(&henry));
    let body = vault.revision(&ada, &item, Some(b"changed"));
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"1\""), &body).expect(200);
    let told = format!("\"subject\":\"{}\",\"revision\":2", vault.key().vault());
    wait_until("the member hears of it", || member.text().contains(&told));
    assert!(member.text().contains("event: secret_vault.changed"));
    // What the stranger hears after it comes after it.
    let theirs = henry.vault(&daemon);
    let item = ItemKey::generate(theirs.key().vault(), Uuid::new_v4(), &mut rng());
    theirs.put(&daemon, &henry, item.item(), NEW, &theirs.revision(&henry, &item, Some(b"mine"))).expect(200);
    wait_until("the stranger hears of their own", || stranger.text().contains(&theirs.key().vault().to_string()));
    assert!(!stranger.text().contains(&vault.key().vault().to_string()), "{}", stranger.text());
}

#[test]
fn a_new_key_is_for_exactly_the_members_and_for_every_item() {
    let daemon = Daemon::unlocked();
    let (ada, mut vault, item) = ada_and_a_vault(&daemon);
    let grace = User::new(&daemon, "grace");
    let mut theirs = let_in(&daemon, &vault, &ada, &grace, Role::Editor, "editor");
    theirs.sync(&daemon, &grace);
    ada.send(&daemon, "DELETE", &vault.path(&format!("/members/{}", grace.id())), &json!({})).expect(204);
    let next = vault.key().next(&mut rng()).unwrap();
    let link = vault.manifest.write(Change::NewKey, &next, &ada.identity).unwrap();
    let mine = json!({ "user_id": ada.id(), "sealed": encode(&next.wrap(&ada.account, &mut rng()).unwrap()) });
    let hers = json!({ "user_id": grace.id(), "sealed": encode(&[1; 237]) });
    let wrapped = json!({ "id": item.item(), "wrapped_key": encode(&item.wrap(&next, &mut rng()).unwrap()) });
    let rotate = |keys: &Value, items: &Value| {
        ada.send(&daemon, "POST", &vault.path("/keys"), &json!({ "link": encode(&link), "keys": keys, "items": items }))
    };
    rotate(&json!([]), &json!([wrapped])).expect_problem(422, "invalid_field");
    rotate(&json!([mine, hers]), &json!([wrapped])).expect_problem(422, "invalid_field");
    rotate(&json!([mine]), &json!([])).expect_problem(422, "invalid_field");
    let rotated = rotate(&json!([mine]), &json!([wrapped])).expect(200);
    assert_eq!((&rotated["generation"], &rotated["sequence"]), (&json!(2), &json!(2)));
    assert_eq!(rotate(&json!([mine]), &json!([wrapped])).expect(200), rotated, "heard nothing, sent again");
    let told = daemon.get("/audit?action=secret_vault.key_replaced").expect(200);
    assert_eq!(told["items"].as_array().unwrap().len(), 1, "{told}");
    vault.keys.push(next);
    vault.sync(&daemon, &ada);
    let found = ada.get(&daemon, &vault.path(&format!("/items/{}", item.item()))).expect(200);
    let key = ItemKey::unwrap(vault.key(), item.item(), &decode(&found["wrapped_key"])).unwrap();
    let version = Version { revision: 1, generation: 1 };
    assert_eq!(key.open(version, &decode(&found["content"])).unwrap().as_slice(), SECRET, "no item was sealed anew");
    let written = vault.revision(&ada, &key, Some(b"with the new key"));
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"1\""), &written).expect(200);
}

#[test]
fn the_states_of_an_item_are_there_for_members() {
    let daemon = Daemon::unlocked();
    let (ada, mut vault, item) = ada_and_a_vault(&daemon);
    let grace = User::new(&daemon, "grace");
    let second = vault.revision(&ada, &item, Some(b"second"));
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"1\""), &second).expect(200);
    vault.sync(&daemon, &ada);
    let gone = vault.revision(&ada, &item, None);
    vault.put(&daemon, &ada, item.item(), ("if-match", "\"2\""), &gone).expect(200);
    let path = vault.path(&format!("/items/{}/revisions", item.item()));
    let page = ada.get(&daemon, &path).expect(200);
    let revisions = page["items"].as_array().unwrap();
    assert_eq!(revisions.iter().map(|one| one["revision"].as_u64().unwrap()).collect::<Vec<_>>(), [3, 2, 1]);
    assert_eq!((&revisions[0]["content"], &page["next_cursor"]), (&Value::Null, &Value::Null));
    let version = Version { revision: 1, generation: 1 };
    assert_eq!(item.open(version, &decode(&revisions[2]["content"])).unwrap().as_slice(), SECRET);
    let rest = ada.get(&daemon, &format!("{path}?cursor=2")).expect(200);
    assert_eq!(rest["items"].as_array().unwrap().len(), 1);
    grace.get(&daemon, &path).expect_problem(404, "not_found");
    ada.get(&daemon, &vault.path(&format!("/items/{}/revisions", Uuid::new_v4()))).expect_problem(404, "not_found");
}

#[test]
fn somebody_with_keys_is_found_by_exactly_their_name() {
    let daemon = Daemon::unlocked();
    let (ada, grace) = (User::new(&daemon, "ada_l"), User::new(&daemon, "grace"));
    daemon.user("henry", "reader");
    let found = ada.get(&daemon, "/secrets/people/grace").expect(200);
    assert_eq!((&found["user_id"], &found["username"]), (&json!(grace.id()), &json!("grace")));
    assert_eq!(decode(&found["public"]), grace.identity.public().to_bytes());
    for nobody in ["grac", "nobody", "henry", "%20", "a%2Fb"] {
        ada.get(&daemon, &format!("/secrets/people/{nobody}")).expect_problem(404, "not_found");
    }
    daemon.send("PATCH", &format!("/users/{}", grace.id()), &json!({ "active": false })).expect(200);
    ada.get(&daemon, "/secrets/people/grace").expect_problem(404, "not_found");
    let known = ada.get(&daemon, &format!("/secrets/identities/{}", grace.id())).expect(200);
    assert_eq!(known["username"], "grace");
}

#[test]
fn whoever_is_in_a_group_finds_the_keys_of_the_others() {
    let daemon = Daemon::unlocked();
    let [ada, grace, henry] = ["ada_l", "grace", "henry"].map(|name| User::new(&daemon, name));
    let kim: Uuid = daemon.user("kim_", "reader").id.parse().unwrap();
    let group = daemon.post("/groups", &json!({ "name": "The Family" })).expect(201);
    for id in [ada.id(), grace.id(), kim] {
        let path = format!("/groups/{}/members/{id}", group["id"].as_str().unwrap());
        daemon.send("PUT", &path, &json!({})).expect(204);
    }
    let found = ada.get(&daemon, "/secrets/groups/the%20family").expect(200);
    let names: BTreeSet<&str> =
        found["members"].as_array().unwrap().iter().map(|member| member["username"].as_str().unwrap()).collect();
    assert_eq!((names, &found["without_keys"]), (BTreeSet::from(["ada_l", "grace"]), &json!(["kim_"])));
    let hidden = henry.get(&daemon, "/secrets/groups/the%20family").expect_problem(404, "not_found");
    let unknown = henry.get(&daemon, "/secrets/groups/nobody").expect_problem(404, "not_found");
    assert_eq!(hidden["detail"], unknown["detail"]);
    daemon.send("PATCH", &format!("/users/{}", grace.id()), &json!({ "active": false })).expect(200);
    let found = ada.get(&daemon, "/secrets/groups/The%20Family").expect(200);
    assert_eq!(found["members"].as_array().unwrap().len(), 1, "who is locked out is not let in");
}

#[test]
fn a_link_that_does_not_fit_its_change_is_refused() {
    let daemon = Daemon::unlocked();
    let (ada, vault, item) = ada_and_a_vault(&daemon);
    let good = vault.revision(&ada, &item, Some(b"next"));
    let one = ("if-match", "\"1\"");
    let with = |field: &str, value: Value| {
        let mut body = good.clone();
        body[field] = value;
        vault.put(&daemon, &ada, item.item(), one, &body)
    };
    with("content", json!(encode(&[0; 300]))).expect_problem(422, "invalid_field");
    with("content", Value::Null).expect_problem(422, "invalid_field");
    with("key_generation", json!(2)).expect_problem(422, "invalid_field");
    with("wrapped_key", json!(encode(&[0; 103]))).expect_problem(422, "invalid_field");
    with("link", json!(encode(&[0; 261]))).expect_problem(422, "invalid_field");
    with("link", json!("")).expect_problem(422, "invalid_field");
    vault.put(&daemon, &ada, Uuid::new_v4(), NEW, &good).expect_problem(422, "invalid_field");
    vault.put(&daemon, &ada, item.item(), one, &good).expect(200);
}

#[test]
fn what_is_kept_survives_the_lock_and_holds_nothing_in_clear() {
    let mut daemon = Daemon::unlocked();
    let (ada, mut vault, item) = ada_and_a_vault(&daemon);
    daemon = daemon.crash_and_restart();
    daemon.unlock();
    vault.sync(&daemon, &ada);
    let found = ada.get(&daemon, &vault.path(&format!("/items/{}", item.item()))).expect(200);
    assert_eq!(found["revision"], 1);
    let account = ada.get(&daemon, "/secrets/account").expect(200);
    let opened = Identity::open(&ada.account, &decode(&account["identity"])).unwrap();
    assert_eq!(opened.public(), ada.identity.public());
    ada.send(&daemon, "DELETE", &vault.path(""), &json!({})).expect(204);
    ada.get(&daemon, &vault.path("")).expect_problem(404, "not_found");
}

#[test]
fn keys_and_names_of_others_are_refused() {
    let daemon = Daemon::unlocked();
    let (ada, grace) = (User::new(&daemon, "ada_l"), User::new(&daemon, "grace"));
    let mut body = ada.get(&daemon, "/secrets/account").expect(200);
    grace.send(&daemon, "PUT", "/secrets/account", &body).expect_problem(422, "invalid_field");
    body["identity"] = json!(encode(&[1; 135]));
    ada.send(&daemon, "PUT", "/secrets/account", &body).expect_problem(422, "invalid_field");
    let unknown = format!("/secrets/identities/{}", Uuid::new_v4());
    ada.get(&daemon, &unknown).expect_problem(404, "not_found");
    let key = VaultKey::generate(Uuid::new_v4(), &mut rng());
    let body = json!({ "id": key.vault(), "key": encode(&key.wrap(&ada.account, &mut rng()).unwrap()) });
    let made = ada.send(&daemon, "POST", "/secrets/vaults", &body).expect(201);
    assert_eq!(ada.send(&daemon, "POST", "/secrets/vaults", &body).expect(201), made, "heard nothing, sent again");
    let vault = ada.vault(&daemon);
    let other = json!({ "id": vault.key().vault(), "key": encode(&[1; 104]) });
    ada.send(&daemon, "POST", "/secrets/vaults", &other).expect_problem(422, "invalid_field");
    let taken = json!({ "id": vault.key().vault(), "key": encode(&[1; 104]) });
    grace.send(&daemon, "POST", "/secrets/vaults", &taken).expect_problem(422, "invalid_field");
    let key = json!({ "name": "backup", "role": "reader" });
    let key = ada.send(&daemon, "POST", "/api-keys", &key).expect(201);
    daemon.get_as(key["key"].as_str().unwrap(), "/secrets/vaults").expect_problem(403, "session_needed");
}
