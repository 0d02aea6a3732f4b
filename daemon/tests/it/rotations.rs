//! Rotation of credentials: by programs that are really run, for members who open what they find with the vault's key.

use std::collections::BTreeMap;
use std::fs;
use std::time::Duration;

use coffer_crypto::secrets::drop_box::{self, DropBox, Purpose};
use coffer_crypto::secrets::grant::Role;
use coffer_crypto::secrets::keys::ItemKey;
use coffer_crypto::secrets::manifest::Change;
use serde_json::{Value, json};
use uuid::Uuid;

use crate::audit::{lock, rows};
use crate::client::Reply;
use crate::harness::Daemon;
use crate::hooks::Hooks;
use crate::secrets::{NEW, User, Vault, decode, encode, let_in, rng};
use crate::webhooks::wait_until;

const ADMIN: &str = "the admin credential of the canary";

/// A place with one password. `OUT/hold.STEP` cuts a step off: whoever waits for it waits until they are killed.
const PASSWORD: &str = r#"
    asked=$(cat)
    member() { printf %s "$asked" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
    hold() { if [ -e OUT/hold.$1 ]; then mv OUT/hold.$1 OUT/held.$1; exec sleep 25; fi; }
    step=$(member step)
    echo "$step" >> OUT/steps
    case $step in
    apply)
        hold before; if [ -e OUT/no.apply ]; then printf '{"ok":false,"problem":"closed to %s"}' "$(member admin)"; exit; fi
        member value > OUT/fresh; mv OUT/fresh OUT/credential
        hold after; if [ -e OUT/mute ]; then exit 3; fi ;;
    verify)
        hold verify
        if [ -e OUT/no.verify ] || [ "$(member value)" != "$(cat OUT/credential)" ]; then
            echo '{"ok":false,"problem":"that is not the credential"}'; exit
        fi ;;
    esac
    echo '{"ok":true}'"#;

/// A place with any number of keys, each with a name.
const KEYS: &str = r#"
    asked=$(cat)
    member() { printf %s "$asked" | sed -n "s/.*\"$1\":\"\([^\"]*\)\".*/\1/p"; }
    hold() { if [ -e OUT/hold.$1 ]; then mv OUT/hold.$1 OUT/held.$1; exec sleep 25; fi; }
    name=$(member handle)
    case $(member step) in
    apply)
        hold before
        # What an interrupted attempt has left is known to nobody.
        if printf %s "$asked" | grep -q '"again":true'; then
            for key in OUT/key.*; do
                printf %s "$asked" | grep -q "\"known\":\[[^]]*\"${key#OUT/key.}\"" || rm "$key"
            done
        fi
        name=$(member value | cut -c 1-8); member value > OUT/fresh; mv OUT/fresh "OUT/key.$name"
        hold after; echo '{"ok":true,"handle":"'"$name"'"}' ;;
    verify)
        hold verify
        if [ -e OUT/no.verify ]; then echo '{"ok":false,"problem":"not yet"}'; exit; fi
        if [ "$(member value)" = "$(cat "OUT/key.$name")" ]; then echo '{"ok":true}'; else echo '{"ok":false}'; fi ;;
    revoke) rm -f "OUT/key.$name"; echo '{"ok":true}' ;;
    esac"#;

/// An item whose field a program rotates.
pub(crate) struct Rig {
    hooks: Hooks,
    pub(crate) daemon: Daemon,
    pub(crate) ada: User,
    pub(crate) vault: Vault,
    item: ItemKey,
    field: Uuid,
    handle_field: Uuid,
    rotation: Uuid,
}

impl Rig {
    pub(crate) fn new(script: &str) -> Self {
        Self::with(script, &[])
    }

    /// The same, with more arguments of the daemon.
    pub(crate) fn with(script: &str, arguments: &[&str]) -> Self {
        let hooks = Hooks::new();
        hooks.add("place.rotation", script);
        hooks.add("curious.any", "cat >> OUT/overheard");
        let of_hooks = hooks.arguments();
        let all: Vec<&str> = of_hooks.iter().map(String::as_str).chain(arguments.iter().copied()).collect();
        let daemon = Daemon::unlocked_with(&all);
        let ada = User::with_role(&daemon, "ada_l", "editor");
        let mut vault = ada.vault(&daemon);
        let item = ItemKey::generate(vault.key().vault(), Uuid::new_v4(), &mut rng());
        vault.put(&daemon, &ada, item.item(), NEW, &vault.revision(&ada, &item, Some(b"old"))).expect(200);
        vault.sync(&daemon, &ada);
        let [field, handle_field, rotation] = std::array::from_fn(|_| Uuid::new_v4());
        Self { hooks, daemon, ada, vault, item, field, handle_field, rotation }
    }

    /// One that is set up, with its drop box.
    fn ready(script: &str) -> Self {
        let rig = Self::new(script);
        rig.create(&json!({})).expect(201);
        rig.set_drop_box().expect(204);
        rig
    }

    fn body(&self, more: &Value) -> Value {
        let mut body = json!({
            "id": self.rotation,
            "item_id": self.item.item(),
            "field_id": self.field,
            "handle_field_id": self.handle_field,
            "provider": { "kind": "command", "program": "place", "parameters": { "host": "router" } },
            "admin": ADMIN,
        });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body
    }

    pub(crate) fn create(&self, more: &Value) -> Reply {
        self.create_as(&self.ada, more)
    }

    fn create_as(&self, user: &User, more: &Value) -> Reply {
        user.send(&self.daemon, "POST", &self.vault.path("/rotations"), &self.body(more))
    }

    pub(crate) fn set_drop_box(&self) -> Reply {
        let drop_box = DropBox::of(self.vault.key()).unwrap();
        self.ada.send(&self.daemon, "PUT", &self.vault.path("/drop-box"), &signed(&drop_box, &self.ada))
    }

    fn path(&self, rest: &str) -> String {
        self.vault.path(&format!("/rotations/{}{rest}", self.rotation))
    }

    pub(crate) fn run(&self) {
        self.ada.send(&self.daemon, "POST", &self.path("/run"), &json!({})).expect(202);
    }

    fn state(&self) -> Value {
        self.ada.get(&self.daemon, &self.path("")).expect(200)
    }

    pub(crate) fn wait_for(&self, state: &str) -> Value {
        wait_until(state, || self.state()["state"] == state);
        self.state()
    }

    pub(crate) fn wait_for_problem(&self) -> Value {
        wait_until("a problem", || self.state()["problem"].is_string());
        self.state()
    }

    fn drops(&self) -> Vec<Value> {
        let told = self.ada.get(&self.daemon, &self.vault.path("/drops")).expect(200);
        told["drops"].as_array().unwrap().clone()
    }

    /// What a member reads in a value.
    fn opened(&self, dropped: &Value) -> BTreeMap<Uuid, String> {
        assert_eq!(dropped["item_id"], json!(self.item.item()));
        let purpose = Purpose { item: self.item.item(), base_revision: dropped["base_revision"].as_u64().unwrap() };
        let generation = dropped["generation"].as_u64().unwrap();
        let key = self.vault.keys.iter().find(|key| u64::from(key.generation()) == generation).unwrap();
        let document = drop_box::open(key, purpose, &decode(&dropped["content"])).unwrap();
        serde_json::from_value(serde_json::from_slice::<Value>(&document).unwrap()["fields"].clone()).unwrap()
    }

    /// The one value that is in force for sure.
    pub(crate) fn value(&self) -> (String, Option<String>) {
        let drops = self.drops();
        assert!(drops.len() == 1 && drops[0]["is_certain"] == true, "{drops:?}");
        let mut fields = self.opened(&drops[0]);
        (fields.remove(&self.field).unwrap(), fields.remove(&self.handle_field))
    }

    /// A member writes what was found into the item, and says so.
    pub(crate) fn take(&mut self) {
        let path = self.vault.path(&format!("/drops/{}", self.drops()[0]["id"].as_str().unwrap()));
        self.ada.send(&self.daemon, "DELETE", &path, &json!({})).expect_problem(412, "precondition_failed");
        let revision = self.vault.manifest.entries()[&self.item.item()].revision;
        let body = self.vault.revision(&self.ada, &self.item, Some(b"new"));
        let condition = format!("\"{revision}\"");
        self.vault.put(&self.daemon, &self.ada, self.item.item(), ("if-match", &condition), &body).expect(200);
        self.vault.sync(&self.daemon, &self.ada);
        self.ada.send(&self.daemon, "DELETE", &path, &json!({})).expect(204);
        self.ada.send(&self.daemon, "DELETE", &path, &json!({})).expect_problem(404, "not_found");
    }

    /// The password there.
    fn credential(&self) -> String {
        fs::read_to_string(self.hooks.out("credential")).unwrap_or_default().trim_end().to_owned()
    }

    /// The keys there.
    fn keys(&self) -> BTreeMap<String, String> {
        let found = fs::read_dir(self.hooks.out("")).unwrap().map(|entry| entry.unwrap().path());
        let keys = found.filter_map(|path| {
            let name = path.file_name()?.to_str()?.strip_prefix("key.")?.to_owned();
            Some((name, fs::read_to_string(path).unwrap().trim_end().to_owned()))
        });
        keys.collect()
    }

    fn set(&self, name: &str) {
        fs::write(self.hooks.out(name), "").unwrap();
    }

    fn unset(&self, name: &str) {
        fs::remove_file(self.hooks.out(name)).unwrap();
    }

    /// The clock goes on, and sessions end.
    pub(crate) fn later(&mut self, by: Duration) {
        self.daemon.advance(by);
        self.log_in();
    }

    fn log_in(&mut self) {
        self.daemon.log_in();
        self.ada.person = self.daemon.log_in_as("ada_l", crate::harness::PASSWORD);
    }

    /// As after a power cut.
    fn crash(mut self) -> Self {
        self.daemon = self.daemon.crash_and_restart();
        self.daemon.unlock();
        self.log_in();
        self
    }
}

fn signed(drop_box: &DropBox, by: &User) -> Value {
    json!({
        "generation": drop_box.generation,
        "public": encode(&drop_box.public),
        "signature": encode(&drop_box.sign(&by.identity)),
    })
}

#[test]
fn a_credential_is_rotated_and_its_members_alone_can_read_it() {
    let mut rig = Rig::ready(PASSWORD);
    rig.run();
    let done = rig.wait_for("old_revoked");
    assert_eq!((&done["problem"], &done["attempts"], &done["next_at"]), (&Value::Null, &json!(0), &Value::Null));
    assert!(done["rotated_at"].is_string(), "{done}");
    let (first, handle) = rig.value();
    assert_eq!((first.len(), handle), (43, None));
    assert_eq!(rig.credential(), first);
    let steps = fs::read_to_string(rig.hooks.out("steps")).unwrap();
    assert_eq!(steps.lines().collect::<Vec<_>>(), ["apply", "verify"]);
    // Nobody has taken the first one: the second stands in its place.
    rig.run();
    wait_until("another one", || rig.credential() != first);
    wait_until("it is done", || rig.state()["state"] == "old_revoked" && rig.value().0 == rig.credential());
    rig.take();
    assert_eq!(rig.drops(), [] as [Value; 0]);
    let all = rows(&rig.daemon, "limit=500");
    for action in ["created", "asked_for", "done", "value_taken"] {
        let action = format!("secret_rotation.{action}");
        assert!(all.iter().any(|row| row["action"] == action.as_str()), "{action}");
    }
    let log = rig.daemon.log();
    for secret in [first, rig.credential(), ADMIN.to_owned()] {
        assert!(!log.contains(&secret) && !all.iter().any(|row| row.to_string().contains(&secret)), "{secret}");
        assert!(!fs::read_to_string(rig.hooks.out("overheard")).unwrap_or_default().contains(&secret), "{secret}");
        assert!(!rig.ada.get(&rig.daemon, &rig.vault.path("/rotations")).expect(200).to_string().contains(&secret));
    }
}

#[test]
fn a_crash_at_any_step_ends_with_one_password_that_members_can_read() {
    for step in ["before", "after", "verify"] {
        let rig = Rig::ready(PASSWORD);
        rig.set(&format!("hold.{step}"));
        rig.run();
        wait_until(step, || rig.hooks.out(&format!("held.{step}")).exists());
        let in_force = rig.credential();
        let mut rig = rig.crash();
        wait_until("it went on", || rig.state()["state"] == "old_revoked");
        assert_ne!(rig.credential(), in_force, "{step}: what is lost is not used again");
        assert_eq!(rig.value().0, rig.credential(), "{step}");
        rig.take();
    }
}

#[test]
fn what_may_be_in_force_is_kept_for_members_until_another_one_surely_is() {
    let rig = Rig::ready(PASSWORD);
    rig.set("hold.after");
    rig.run();
    wait_until("held", || rig.hooks.out("held.after").exists());
    let in_force = rig.credential();
    rig.set("no.apply");
    let mut rig = rig.crash();
    let state = rig.wait_for_problem();
    assert_eq!((&state["state"], &state["problem"]), (&json!("idle"), &json!("closed to …")));
    let drops = rig.drops();
    assert!(drops.len() == 1 && drops[0]["is_certain"] == false, "{drops:?}");
    assert_eq!(rig.opened(&drops[0])[&rig.field], in_force);
    rig.unset("no.apply");
    rig.later(Duration::from_mins(10));
    rig.wait_for("old_revoked");
    assert_ne!(rig.credential(), in_force);
    assert_eq!(rig.value().0, rig.credential());
}

#[test]
fn a_crash_at_any_step_ends_with_one_key_that_members_can_read() {
    for step in ["before", "after", "verify"] {
        let rig = Rig::new(KEYS);
        fs::write(rig.hooks.out("key.first"), "the first\n").unwrap();
        rig.create(&json!({ "handle": "first" })).expect(201);
        rig.set_drop_box().expect(204);
        rig.set(&format!("hold.{step}"));
        rig.run();
        wait_until(step, || rig.hooks.out(&format!("held.{step}")).exists());
        assert!(rig.keys().contains_key("first"), "the old one lives");
        let mut rig = rig.crash();
        rig.wait_for("verified");
        let (value, handle) = rig.value();
        let handle = handle.unwrap();
        assert_eq!(
            (rig.keys().get("first").map(String::as_str), rig.keys().get(&handle)),
            (Some("the first"), Some(&value))
        );
        rig.take();
        rig.wait_for("old_revoked");
        let left = rig.keys();
        assert_eq!(left.get(&handle), Some(&value), "{step}");
        assert_eq!(left.len(), 1, "{step}: {left:?}");
    }
}

#[test]
fn an_old_key_lives_until_a_member_has_the_new_one_or_its_time_is_over() {
    let mut rig = Rig::new(KEYS);
    fs::write(rig.hooks.out("key.first"), "the first\n").unwrap();
    rig.create(&json!({ "handle": "first", "grace_s": 86_400, "every_s": 7_776_000 })).expect(201);
    rig.set_drop_box().expect(204);
    rig.run();
    let sleeps =
        |state: &Value| state["state"] == "verified" && state["next_at"].as_str() > state["changed_at"].as_str();
    wait_until("it waits for its day", || sleeps(&rig.state()));
    let (_, handle) = rig.value();
    assert!(rig.keys().contains_key("first"));
    rig.later(Duration::from_hours(25));
    let done = rig.wait_for("old_revoked");
    assert!(done["next_at"].is_string(), "{done}");
    assert_eq!(rig.keys().into_keys().collect::<Vec<_>>(), [handle.unwrap()]);
    assert_eq!(rig.drops().len(), 1, "the value still waits for a member");
}

#[test]
fn a_key_that_does_not_work_is_taken_back_and_the_old_one_stays() {
    let rig = Rig::new(KEYS);
    fs::write(rig.hooks.out("key.first"), "the first\n").unwrap();
    rig.create(&json!({ "handle": "first" })).expect(201);
    rig.set_drop_box().expect(204);
    rig.set("no.verify");
    rig.run();
    let state = rig.wait_for_problem();
    assert_eq!((&state["state"], &state["problem"]), (&json!("idle"), &json!("not yet")));
    assert_eq!(rig.keys().into_keys().collect::<Vec<_>>(), ["first"]);
    assert_eq!(rig.drops(), [] as [Value; 0]);
}

#[test]
fn a_place_that_says_no_keeps_the_old_credential_and_is_asked_again_later() {
    let mut rig = Rig::ready(PASSWORD);
    fs::write(rig.hooks.out("credential"), "the old one\n").unwrap();
    rig.set("no.apply");
    rig.run();
    let state = rig.wait_for_problem();
    assert_eq!((&state["state"], &state["attempts"]), (&json!("idle"), &json!(1)));
    assert_eq!(state["problem"], "closed to …", "without the admin credential");
    assert!(state["next_at"].is_string());
    assert_eq!((rig.credential().as_str(), rig.drops().len()), ("the old one", 0));
    let failed = rows(&rig.daemon, "action=secret_rotation.failed");
    assert_eq!((failed.len(), &failed[0]["outcome"]), (1, &json!("failed")));
    assert_eq!(failed[0]["detail"], "state: pending, problem: closed to …");
    rig.unset("no.apply");
    rig.later(Duration::from_mins(2));
    rig.wait_for("old_revoked");
    assert_eq!(rig.value().0, rig.credential());
}

#[test]
fn an_answer_that_did_not_come_is_found_out_by_trying() {
    let rig = Rig::ready(PASSWORD);
    rig.set("mute");
    rig.run();
    rig.wait_for("old_revoked");
    assert_eq!(rig.value().0, rig.credential());
}

#[test]
fn a_locked_vault_rotates_nothing_and_what_was_due_comes_after_it() {
    let rig = Rig::new(PASSWORD);
    rig.create(&json!({ "every_s": 3600 })).expect(201);
    rig.set_drop_box().expect(204);
    lock(&rig.daemon);
    rig.daemon.advance(Duration::from_hours(2));
    assert!(!rig.hooks.out("steps").exists());
    rig.daemon.unlock();
    wait_until("it is rotated", || rig.hooks.out("credential").exists());
}

#[test]
fn who_may_set_one_up_and_who_may_look() {
    let rig = Rig::new(PASSWORD);
    let [editor, viewer, reader, stranger] = ["eve_l", "vic_l", "rob_l", "sam_l"]
        .map(|name| User::with_role(&rig.daemon, name, if name == "rob_l" { "writer" } else { "editor" }));
    for (user, role, name) in
        [(&editor, Role::Editor, "editor"), (&viewer, Role::Viewer, "viewer"), (&reader, Role::Manager, "manager")]
    {
        let_in(&rig.daemon, &rig.vault, &rig.ada, user, role, name);
    }
    for (user, status, code) in [
        (&editor, 403, "forbidden"),
        (&viewer, 403, "forbidden"),
        (&reader, 403, "forbidden"),
        (&stranger, 404, "not_found"),
    ] {
        rig.create_as(user, &json!({})).expect_problem(status, code);
    }
    let made = rig.create(&json!({})).expect(201);
    assert_eq!(rig.create(&json!({})).expect(201), made, "heard nothing, sent again");
    assert!(made.get("admin").is_none() && !made.to_string().contains(ADMIN));
    rig.create(&json!({ "field_id": Uuid::new_v4() })).expect_problem(422, "invalid_field");
    for user in [&editor, &viewer, &reader] {
        assert_eq!(user.get(&rig.daemon, &rig.path("")).expect(200), made);
        user.send(&rig.daemon, "POST", &rig.path("/run"), &json!({})).expect_problem(403, "forbidden");
        user.send(&rig.daemon, "DELETE", &rig.path(""), &json!({})).expect_problem(403, "forbidden");
    }
    for path in [rig.path(""), rig.vault.path("/rotations"), rig.vault.path("/drops")] {
        stranger.get(&rig.daemon, &path).expect_problem(404, "not_found");
    }
    let drop_box = DropBox::of(rig.vault.key()).unwrap();
    let set = |user: &User, body: &Value| user.send(&rig.daemon, "PUT", &rig.vault.path("/drop-box"), body);
    set(&editor, &signed(&drop_box, &editor)).expect_problem(403, "forbidden");
    set(&stranger, &signed(&drop_box, &stranger)).expect_problem(404, "not_found");
    set(&rig.ada, &signed(&drop_box, &editor)).expect_problem(422, "invalid_field");
    set(&rig.ada, &signed(&DropBox { generation: 2, ..drop_box }, &rig.ada)).expect_problem(422, "invalid_field");
    for _ in 0..2 {
        set(&rig.ada, &signed(&drop_box, &rig.ada)).expect(204);
    }
    assert_eq!(rows(&rig.daemon, "action=secret_vault.drop_box_set").len(), 1);
    rig.run();
    rig.wait_for("old_revoked");
    let dropped = rig.vault.path(&format!("/drops/{}", rig.drops()[0]["id"].as_str().unwrap()));
    viewer.send(&rig.daemon, "DELETE", &dropped, &json!({})).expect_problem(403, "forbidden");
    stranger.send(&rig.daemon, "DELETE", &dropped, &json!({})).expect_problem(404, "not_found");
    rig.ada.send(&rig.daemon, "DELETE", &rig.path(""), &json!({})).expect(204);
    rig.ada.send(&rig.daemon, "DELETE", &rig.path(""), &json!({})).expect_problem(404, "not_found");
    rig.ada.send(&rig.daemon, "POST", &rig.path("/run"), &json!({})).expect_problem(404, "not_found");
    assert_eq!(rig.drops().len(), 1, "what is in force is not lost with what made it");
    rig.ada.send(&rig.daemon, "DELETE", &rig.vault.path(""), &json!({})).expect(204);
}

#[test]
fn what_cannot_be_set_up() {
    let rig = Rig::new(PASSWORD);
    for (more, field) in [
        (json!({ "every_s": 60 }), "every_s"),
        (json!({ "every_s": u64::MAX }), "every_s"),
        (json!({ "grace_s": u64::MAX }), "grace_s"),
        (json!({ "admin": "" }), "admin"),
        (json!({ "handle": "" }), "handle"),
        (json!({ "handle_field_id": rig.field }), "handle_field_id"),
        (json!({ "provider": { "kind": "command", "program": "../../bin/sh" } }), "provider.program"),
        (json!({ "provider": { "kind": "command", "program": "place", "arguments": [] } }), "provider"),
        (json!({ "provider": { "kind": "sorcery" } }), "provider.kind"),
    ] {
        let refused = rig.create(&more).expect_problem(422, "invalid_field");
        assert_eq!(refused["errors"][0]["field"], field, "{more}: {refused}");
    }
    rig.create(&json!({ "item_id": Uuid::new_v4() })).expect_problem(404, "not_found");
    // Whether there is such a program is found out when it is needed: it may come later.
    rig.create(&json!({ "provider": { "kind": "command", "program": "nothing" } })).expect(201);
    rig.set_drop_box().expect(204);
    rig.run();
    assert_eq!(rig.wait_for_problem()["problem"], "there is no such program");
}

#[test]
fn without_an_item_or_a_drop_box_of_the_newest_key_nothing_is_changed() {
    let mut rig = Rig::new(PASSWORD);
    rig.create(&json!({})).expect(201);
    rig.run();
    let problem = rig.wait_for_problem()["problem"].as_str().unwrap().to_owned();
    assert!(problem.starts_with("no manager has set the drop box"), "{problem}");
    rig.set_drop_box().expect(204);
    let next = rig.vault.key().next(&mut rng()).unwrap();
    let link = rig.vault.manifest.write(Change::NewKey, &next, &rig.ada.identity).unwrap();
    let body = json!({
        "link": encode(&link),
        "keys": [{ "user_id": rig.ada.id(), "sealed": encode(&[1; 104]) }],
        "items": [{ "id": rig.item.item(), "wrapped_key": encode(&rig.item.wrap(&next, &mut rng()).unwrap()) }],
    });
    rig.ada.send(&rig.daemon, "POST", &rig.vault.path("/keys"), &body).expect(200);
    rig.vault.keys.push(next);
    rig.vault.sync(&rig.daemon, &rig.ada);
    rig.run();
    wait_until("it is tried again", || rig.state()["attempts"] == 2);
    assert!(!rig.hooks.out("steps").exists(), "somebody who left knows the older key");
    rig.set_drop_box().expect(204);
    rig.run();
    rig.wait_for("old_revoked");
    assert_eq!(rig.value().0, rig.credential(), "sealed to the newest key");
    let gone = rig.vault.revision(&rig.ada, &rig.item, None);
    rig.vault.put(&rig.daemon, &rig.ada, rig.item.item(), ("if-match", "\"1\""), &gone).expect(200);
    rig.run();
    assert_eq!(rig.wait_for_problem()["problem"], "the item is deleted");
}

#[test]
fn a_program_that_reads_nothing_of_a_long_question_keeps_nobody_waiting() {
    // It makes a long credential itself; when it is asked to try that, what it has started holds its standard input open.
    let mute = "if [ -e OUT/applied ]; then exec 3<&0; sleep 1000 <&3 3<&- & exit 3; fi\n\
                touch OUT/applied; printf '{\"ok\":true,\"value\":\"%016000d\"}' 1";
    let rig = Rig::new(mute);
    let parameters: std::collections::BTreeMap<String, String> =
        (0..25).map(|name| (format!("{name:01000}"), "x".repeat(1000))).collect();
    let provider = json!({ "kind": "command", "program": "place", "parameters": parameters });
    rig.create(&json!({ "provider": provider })).expect(201);
    rig.set_drop_box().expect(204);
    rig.run();
    assert_eq!(rig.wait_for_problem()["problem"], "the program ended with 3");
}
