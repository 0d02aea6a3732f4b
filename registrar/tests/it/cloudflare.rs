//! Cloudflare is away, slow, or refuses; and the registrar dies in the middle. Nothing is lost, and nothing is made twice.

use std::sync::Arc;

use serde_json::json;

use crate::box_key::BoxKey;
use crate::harness::{CLOUDFLARE_TOKEN, Cloudflare, Registrar, Where};
use crate::on_both_databases;

/// The calls of a registration that make something, in their order, and the one that ends it.
const STEPS: [&str; 4] = ["create_tunnel", "configure_tunnel", "create_record", "tunnel_token"];

on_both_databases!(
    a_registrar_killed_after_any_step_goes_on_when_the_box_asks_again,
    nothing_is_lost_while_cloudflare_is_away,
    a_removal_that_was_cut_off_goes_on,
);

fn a_registrar_killed_after_any_step_goes_on_when_the_box_asks_again(place: &Where) {
    let mut registrar = Registrar::start(place);
    for (number, step) in (1_u8..).zip(STEPS) {
        let (ticket, device) = (registrar.ticket("ada"), BoxKey::new(number));
        registrar.cloudflare.fault(&json!({ "operation": step, "kind": "held", "times": 1 }));
        std::thread::scope(|scope| {
            let body = json!({ "ticket": ticket, "public_key": device.public(), "proof": device.proof(&ticket) });
            let url = format!("{}/register-device", registrar.url);
            let asking = scope.spawn(move || {
                let request = ureq::post(url).header("content-type", "application/json");
                assert!(request.send(body.to_string()).is_err(), "the registrar died");
            });
            registrar.cloudflare.wait_for_held();
            registrar.kill();
            asking.join().unwrap();
        });
        registrar.cloudflare.repair();
        registrar = registrar.restart_killed(place);
        let devices = registrar.devices("ada");
        assert_eq!(devices.last().unwrap()["state"], "registering", "{step}");
        let id = devices.last().unwrap()["device_id"].clone();
        let early = registrar.as_person("ada", "POST", "/device-tokens", Some(&json!({ "device_id": id })));
        early.expect_problem(409, "not_ready");

        let registered = registrar.register(&ticket, &device).expect(200);
        assert_eq!(registered["device_id"], id, "{step}");
        assert_eq!(registrar.cloudflare.counts(), (number.into(), number.into()), "{step}");
        assert_eq!(registrar.devices("ada").last().unwrap()["state"], "ready");
    }
}

fn nothing_is_lost_while_cloudflare_is_away(place: &Where) {
    let often = "[limits]\nrequests_per_minute = 1000";
    let registrar = Registrar::start_with(place, &Arc::new(Cloudflare::start()), often);
    let mut number = 0;
    for step in ["find_tunnel", "create_tunnel", "configure_tunnel", "find_record", "create_record", "tunnel_token"] {
        for kind in ["unavailable", "unanswered", "limited"] {
            number += 1;
            let (ticket, device) = (registrar.ticket("ada"), BoxKey::new(number));
            registrar.cloudflare.fault(&json!({ "operation": step, "kind": kind }));
            let refused = registrar.register(&ticket, &device);
            // What is done and not answered is found by the next attempt; where it is the answer that counts, it is not.
            let found = kind == "unanswered" && ["create_tunnel", "create_record"].contains(&step);
            if found {
                refused.expect(200);
            } else {
                let problem = refused.expect_problem(503, "cloudflare_unavailable");
                assert_eq!(problem["retry_after_s"], if kind == "limited" { 120 } else { 10 });
            }
            registrar.cloudflare.repair();
            registrar.register(&ticket, &device).expect(200);
            assert_eq!(registrar.cloudflare.counts(), (1, 1), "{step} {kind}");
            // One box at a time, or there would be too many.
            let id = registrar.devices("ada")[0]["device_id"].as_str().unwrap().to_owned();
            registrar.as_person("ada", "DELETE", &format!("/devices/{id}"), None).expect(204);
            assert_eq!(registrar.cloudflare.counts(), (0, 0), "{step} {kind}");
        }
    }
}

fn a_removal_that_was_cut_off_goes_on(place: &Where) {
    let mut registrar = Registrar::start(place);
    for (number, step) in (1_u8..).zip(["delete_record", "disconnect_tunnel", "delete_tunnel"]) {
        let id = registrar.registered("ada", number)["device_id"].as_str().unwrap().to_owned();
        let path = format!("/devices/{id}");
        registrar.cloudflare.fault(&json!({ "operation": step, "kind": "unavailable" }));
        let refused = registrar.as_person("ada", "DELETE", &path, None);
        refused.expect_problem(503, "cloudflare_unavailable");
        assert_eq!(registrar.devices("ada")[0]["state"], "removing");
        let token = registrar.as_person("ada", "POST", "/device-tokens", Some(&json!({ "device_id": id })));
        token.expect_problem(404, "not_found");
        let again = registrar.register(&registrar.ticket("ada"), &BoxKey::new(number));
        again.expect_problem(503, "busy");
        registrar.kill();
        registrar.cloudflare.repair();
        registrar = registrar.restart_killed(place);
        // By itself: nobody asks again.
        registrar.cloudflare.wait_until(|world| world.tunnels.is_empty() && world.records.is_empty());
        registrar.as_person("ada", "DELETE", &path, None).expect(204);
        assert_eq!(registrar.devices("ada").len(), 0);
    }
}

#[test]
fn a_hiccup_of_cloudflare_is_not_noticed() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    for (number, kind) in (1..).zip(["unavailable", "unanswered"]) {
        registrar.cloudflare.fault(&json!({ "kind": kind, "times": 2 }));
        registrar.registered("ada", number);
        assert_eq!(registrar.cloudflare.counts(), (number.into(), number.into()));
    }
}

#[test]
fn what_cloudflare_refuses_is_told_to_the_log_and_not_to_the_box() {
    let place = Where::sqlite();
    let mut registrar = Registrar::start(&place);
    let ticket = registrar.ticket("ada");
    registrar.cloudflare.fault(&json!({ "operation": "create_record", "kind": "refused" }));
    let problem = registrar.register(&ticket, &BoxKey::new(1)).expect_problem(502, "cloudflare_refused");
    assert!(!problem.to_string().contains("9109"), "{problem}");
    let calls = registrar.cloudflare.stand_in.world().calls.len();
    assert_eq!(calls, 5, "a refusal is not tried again");
    registrar.cloudflare.repair();
    registrar.register(&ticket, &BoxKey::new(1)).expect(200);
    assert!(registrar.stop().success());
    let log = registrar.log();
    assert!(log.contains("create DNS record") && log.contains("9109"), "{log}");
    assert!(!log.contains(CLOUDFLARE_TOKEN), "{log}");
}

#[test]
fn a_wrong_api_token_is_a_refusal() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    place.write_secret("cloudflare-token", "another one");
    let registrar = registrar.crash_and_restart(&place);
    registrar.register(&registrar.ticket("ada"), &BoxKey::new(1)).expect_problem(502, "cloudflare_refused");
}

#[test]
fn what_somebody_deleted_at_cloudflare_is_made_again_when_the_box_asks() {
    let place = Where::sqlite();
    let registrar = Registrar::start(&place);
    let (ticket, device) = (registrar.ticket("ada"), BoxKey::new(1));
    let first = registrar.register(&ticket, &device).expect(200);
    registrar.cloudflare.stand_in.world().tunnels.clear();
    let second = registrar.register(&ticket, &device).expect(200);
    assert_ne!(first["tunnel_token"], second["tunnel_token"]);
    assert_eq!(first["shared_secret"], second["shared_secret"]);
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
    let world = registrar.cloudflare.stand_in.world();
    let tunnel = world.tunnels.keys().next().unwrap();
    assert_eq!(world.records.values().next().unwrap().content, format!("{tunnel}.cfargotunnel.com"));
}
