//! What people do with their boxes: list them, get tokens for them, remove them.

use std::time::Duration;

use serde_json::json;

use crate::box_key::BoxKey;
use crate::harness::{Registrar, Where, advance, call};
use crate::on_both_databases;

on_both_databases!(
    a_removed_box_is_gone_and_removing_it_again_is_no_error,
    a_box_of_somebody_else_looks_like_one_that_is_not_there,
    a_removed_box_may_be_registered_by_somebody_else,
    what_is_old_is_forgotten,
);

fn a_removed_box_is_gone_and_removing_it_again_is_no_error(place: &Where) {
    let registrar = Registrar::start(place);
    let ticket = registrar.ticket("ada");
    let registered = registrar.register(&ticket, &BoxKey::new(1)).expect(200);
    registrar.registered("ada", 2);
    let id = registered["device_id"].as_str().unwrap();
    let path = format!("/devices/{id}");
    // The box is online, and its tunnel in use.
    let tunnel = {
        let world = registrar.cloudflare.stand_in.world();
        let ours = world.tunnels.iter().find(|(_, tunnel)| tunnel.name.ends_with(id));
        ours.unwrap().0.clone()
    };
    let connected = format!("{}/stand-in/connected/{tunnel}", registrar.cloudflare.url);
    assert_eq!(call(&registrar.agent, "PUT", &connected, None, None).status, 204);

    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
    assert!(!registrar.cloudflare.stand_in.world().tunnels.contains_key(&tunnel));
    assert_eq!(registrar.devices("ada").len(), 1);
    let token = registrar.as_person("ada", "POST", "/device-tokens", Some(&json!({ "device_id": id })));
    token.expect_problem(404, "not_found");
    registrar.register(&ticket, &BoxKey::new(1)).expect_problem(403, "wrong_ticket");

    let calls = registrar.cloudflare.stand_in.world().calls.len();
    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    assert_eq!(registrar.cloudflare.stand_in.world().calls.len(), calls, "nothing was left to do");
    registrar.as_person("bob", "DELETE", &path, None).expect_problem(404, "not_found");
}

fn a_box_of_somebody_else_looks_like_one_that_is_not_there(place: &Where) {
    let registrar = Registrar::start(place);
    let id = registrar.registered("ada", 1)["device_id"].as_str().unwrap().to_owned();
    let unknown = "01890a5d-ac96-774b-bcce-b302099a8057";
    let ask = |id: &str| {
        let token = registrar.as_person("bob", "POST", "/device-tokens", Some(&json!({ "device_id": id })));
        let removal = registrar.as_person("bob", "DELETE", &format!("/devices/{id}"), None);
        (token.expect_problem(404, "not_found"), removal.expect_problem(404, "not_found"))
    };
    assert_eq!(ask(&id), ask(unknown));
    registrar.as_person("bob", "DELETE", "/devices/no-id", None).expect_problem(404, "not_found");
    assert_eq!(registrar.devices("bob").len(), 0);
    assert_eq!(registrar.devices("ada").len(), 1);
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
}

fn a_removed_box_may_be_registered_by_somebody_else(place: &Where) {
    let registrar = Registrar::start(place);
    let first = registrar.registered("ada", 1);
    let path = format!("/devices/{}", first["device_id"].as_str().unwrap());
    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    let second = registrar.registered("bob", 1);
    for field in ["device_id", "shared_secret", "tunnel_token", "server_url"] {
        assert_ne!(first[field], second[field], "{field}");
    }
    assert_eq!(registrar.devices("bob").len(), 1);
    // And her removal does not touch it.
    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
}

fn what_is_old_is_forgotten(place: &Where) {
    let registrar = Registrar::start(place);
    let (unused, used) = (registrar.ticket("ada"), registrar.ticket("ada"));
    registrar.register(&used, &BoxKey::new(1)).expect(200);
    let removed = registrar.registered("ada", 2)["device_id"].as_str().unwrap().to_owned();
    let path = format!("/devices/{removed}");
    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    let after = |registrar: Registrar, days: u64| {
        advance(place, Duration::from_hours(days * 24));
        // It forgets before it listens.
        registrar.crash_and_restart(place)
    };
    let registrar = after(registrar, 1);
    registrar.register(&unused, &BoxKey::new(3)).expect_problem(410, "ticket_expired");
    let registrar = after(registrar, 1);
    registrar.register(&unused, &BoxKey::new(3)).expect_problem(403, "wrong_ticket");
    registrar.register(&used, &BoxKey::new(1)).expect(200);
    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    let registrar = after(registrar, 30);
    registrar.register(&used, &BoxKey::new(1)).expect_problem(403, "wrong_ticket");
    registrar.as_person("ada", "DELETE", &path, None).expect_problem(404, "not_found");
    assert_eq!(registrar.devices("ada").len(), 1, "a box that is there stays");
}
