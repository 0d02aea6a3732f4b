//! How much one person may have and ask.

use std::sync::Arc;
use std::time::Duration;

use crate::box_key::BoxKey;
use crate::harness::{Cloudflare, Registrar, Where, advance};
use crate::on_both_databases;

on_both_databases!(a_person_has_so_many_boxes, a_person_has_so_many_open_tickets);

fn a_person_has_so_many_boxes(place: &Where) {
    let registrar = Registrar::start_with(place, &Arc::new(Cloudflare::start()), "per_user = 2");
    let first = registrar.registered("ada", 1);
    registrar.registered("ada", 2);
    let ticket = registrar.ticket("ada");
    registrar.register(&ticket, &BoxKey::new(3)).expect_problem(409, "limit_reached");
    assert_eq!(registrar.cloudflare.counts(), (2, 2));
    assert_eq!(registrar.registered("ada", 1), first, "a box that is there may ask again");
    registrar.registered("bob", 4);
    let path = format!("/devices/{}", first["device_id"].as_str().unwrap());
    registrar.as_person("ada", "DELETE", &path, None).expect(204);
    registrar.register(&ticket, &BoxKey::new(3)).expect(200);
}

fn a_person_has_so_many_open_tickets(place: &Where) {
    let registrar = Registrar::start(place);
    for _ in 0..10 {
        registrar.ticket("ada");
    }
    registrar.as_person("ada", "POST", "/claim-tickets", None).expect_problem(409, "limit_reached");
    registrar.ticket("bob");
    advance(place, Duration::from_mins(15));
    registrar.ticket("ada");
}

#[test]
fn a_person_asks_so_often() {
    let place = Where::sqlite();
    let more = "[limits]\nrequests_per_minute = 5";
    let registrar = Registrar::start_with(&place, &Arc::new(Cloudflare::start()), more);
    let (ticket, device) = (registrar.ticket("ada"), BoxKey::new(1));
    registrar.register(&ticket, &device).expect(200);
    for _ in 0..3 {
        registrar.devices("ada");
    }
    let problem = registrar.as_person("ada", "GET", "/devices", None).expect_problem(429, "too_many_requests");
    assert!((1..=60).contains(&problem["retry_after_s"].as_u64().unwrap()));
    registrar.register(&ticket, &device).expect_problem(429, "too_many_requests");
    assert_eq!(registrar.devices("bob").len(), 0);
    advance(&place, Duration::from_mins(1));
    assert_eq!(registrar.devices("ada").len(), 1);
}
