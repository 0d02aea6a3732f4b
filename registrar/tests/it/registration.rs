//! A box is registered: by a ticket, once, and again when it asks again.

use std::time::Duration;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER};
use hmac::{Hmac, KeyInit, Mac};
use serde_json::{Value, json};
use sha2::Sha256;

use crate::box_key::BoxKey;
use crate::harness::{DOMAIN, Registrar, Where, advance};
use crate::on_both_databases;
use crate::persons::now;

on_both_databases!(
    a_box_is_registered_and_its_person_gets_tokens_for_it,
    a_box_that_asks_again_gets_the_same,
    a_ticket_is_for_one_box,
    a_ticket_ends_after_a_quarter_of_an_hour_unless_it_was_used,
    a_box_belongs_to_one_person,
    a_box_proves_its_key,
    a_users_token_registers_too,
    a_box_that_asks_many_times_at_once_gets_one_tunnel,
    of_many_boxes_with_one_ticket_at_once_one_is_registered,
);

fn a_box_is_registered_and_its_person_gets_tokens_for_it(place: &Where) {
    let registrar = Registrar::start(place);
    let device = BoxKey::new(1);
    let ticket = registrar.as_person("ada", "POST", "/claim-tickets", None).expect(201);
    let lasts = ticket["expires_at"].as_str().unwrap().parse::<jiff::Timestamp>().unwrap().as_second() - now();
    assert!((890..=900).contains(&lasts), "{lasts}");
    let ticket = ticket["ticket"].as_str().unwrap();
    assert_eq!((ticket.len(), &ticket[..3]), (46, "ct_"));

    let proof = device.proof(ticket);
    let body = json!({ "ticket": ticket, "public_key": device.public(), "proof": proof, "name": "Attic" });
    let registered = registrar.call("POST", "/register-device", None, Some(&body)).expect(200);
    let id = registered["device_id"].as_str().unwrap();
    assert_eq!(id.parse::<uuid::Uuid>().unwrap().get_version_num(), 7);
    let host = format!("{id}.{DOMAIN}");
    assert_eq!(registered["server_url"], format!("https://{host}"));
    let secret = HEXLOWER.decode(registered["shared_secret"].as_str().unwrap().as_bytes()).unwrap();
    assert_eq!(secret.len(), 32);

    {
        let world = registrar.cloudflare.stand_in.world();
        assert_eq!((world.tunnels.len(), world.records.len()), (1, 1));
        let (tunnel_id, tunnel) = world.tunnels.first_key_value().unwrap();
        assert_eq!(tunnel.token, registered["tunnel_token"].as_str().unwrap());
        assert_eq!(tunnel.name, format!("coffer-{id}"));
        let ingress = json!([
            { "hostname": host, "service": "http://127.0.0.1:8000" },
            { "service": "http_status:404" },
        ]);
        assert_eq!(tunnel.configuration, json!({ "config": { "ingress": ingress } }));
        let record = world.records.values().next().unwrap();
        assert_eq!((record.kind.as_str(), record.name.as_str()), ("CNAME", host.as_str()));
        assert_eq!(record.content, format!("{tunnel_id}.cfargotunnel.com"));
        assert!(record.proxied);
    }

    let devices = registrar.devices("ada");
    assert_eq!(devices.len(), 1);
    assert_eq!(devices[0]["device_id"], id);
    assert_eq!((devices[0]["name"].as_str(), devices[0]["state"].as_str()), (Some("Attic"), Some("ready")));

    let issued = registrar.as_person("ada", "POST", "/device-tokens", Some(&json!({ "device_id": id }))).expect(201);
    assert_eq!(issued["server_url"], format!("https://{host}"));
    let (header, claims) = read(issued["token"].as_str().unwrap(), &secret);
    assert_eq!(header["alg"], "HS256");
    let iat = claims["iat"].as_i64().unwrap();
    assert!((now() - iat).abs() < 30);
    assert_eq!(claims, json!({ "sub": "ada", "device_id": id, "iat": iat, "exp": iat + 3600 }));
    let expires_at: jiff::Timestamp = issued["expires_at"].as_str().unwrap().parse().unwrap();
    assert_eq!(expires_at.as_second(), iat + 3600);
}

/// Checks a device token as a box does.
fn read(token: &str, secret: &[u8]) -> (Value, Value) {
    let (message, signature) = token.rsplit_once('.').unwrap();
    let mac = Hmac::<Sha256>::new_from_slice(secret).unwrap().chain_update(message.as_bytes());
    mac.verify_slice(&BASE64URL_NOPAD.decode(signature.as_bytes()).unwrap()).unwrap();
    let part = |text: &str| serde_json::from_slice(&BASE64URL_NOPAD.decode(text.as_bytes()).unwrap()).unwrap();
    let (header, claims) = message.split_once('.').unwrap();
    (part(header), part(claims))
}

fn a_box_that_asks_again_gets_the_same(place: &Where) {
    let registrar = Registrar::start(place);
    let (device, ticket) = (BoxKey::new(1), registrar.ticket("ada"));
    let first = registrar.register(&ticket, &device).expect(200);
    assert_eq!(registrar.register(&ticket, &device).expect(200), first);
    // With another ticket too: the phone may have been asked for one again.
    assert_eq!(registrar.register(&registrar.ticket("ada"), &device).expect(200), first);
    let registrar = registrar.crash_and_restart(place);
    assert_eq!(registrar.register(&ticket, &device).expect(200), first);
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
    assert_eq!(registrar.devices("ada").len(), 1);
}

fn a_ticket_is_for_one_box(place: &Where) {
    let registrar = Registrar::start(place);
    let ticket = registrar.ticket("ada");
    registrar.register(&ticket, &BoxKey::new(1)).expect(200);
    registrar.register(&ticket, &BoxKey::new(2)).expect_problem(409, "already_claimed");
    for unknown in ["ct_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "", &ticket[..45], &"x".repeat(9000)] {
        registrar.register(unknown, &BoxKey::new(3)).expect_problem(403, "wrong_ticket");
    }
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
}

fn a_ticket_ends_after_a_quarter_of_an_hour_unless_it_was_used(place: &Where) {
    let registrar = Registrar::start(place);
    let (used, unused) = (registrar.ticket("ada"), registrar.ticket("ada"));
    let first = registrar.register(&used, &BoxKey::new(1)).expect(200);
    advance(place, Duration::from_mins(15));
    registrar.register(&unused, &BoxKey::new(2)).expect_problem(410, "ticket_expired");
    // Its box may have been without power since.
    assert_eq!(registrar.register(&used, &BoxKey::new(1)).expect(200), first);
    registrar.register(&used, &BoxKey::new(2)).expect_problem(409, "already_claimed");
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
}

fn a_box_belongs_to_one_person(place: &Where) {
    let registrar = Registrar::start(place);
    let first = registrar.registered("ada", 1);
    let bobs = registrar.ticket("bob");
    registrar.register(&bobs, &BoxKey::new(1)).expect_problem(409, "already_claimed");
    assert_eq!(registrar.devices("bob").len(), 0);
    // The ticket was not used up by that.
    let other = registrar.register(&bobs, &BoxKey::new(2)).expect(200);
    for field in ["device_id", "shared_secret", "tunnel_token", "server_url"] {
        assert_ne!(first[field], other[field], "{field}");
    }
}

fn a_box_proves_its_key(place: &Where) {
    let registrar = Registrar::start(place);
    let (device, other) = (BoxKey::new(1), BoxKey::new(2));
    let ticket = registrar.ticket("ada");
    registrar.register(&ticket, &device).expect(200);
    // Whoever saw the ticket and the public key still does not get the box's secret.
    for proof in [other.proof(&ticket), device.proof("another ticket"), String::new(), "AAAA".to_owned()] {
        let body = json!({ "ticket": ticket, "public_key": device.public(), "proof": proof });
        registrar.call("POST", "/register-device", None, Some(&body)).expect_problem(403, "wrong_proof");
    }
}

fn a_users_token_registers_too(place: &Where) {
    let registrar = Registrar::start(place);
    let device = BoxKey::new(1);
    let register = |token: &str| {
        let body = json!({ "user_token": token, "public_key": device.public(), "proof": device.proof(token) });
        registrar.call("POST", "/register-device", None, Some(&body))
    };
    let first = register(&registrar.key.token_of("ada")).expect(200);
    let later = registrar.key.token(&registrar.key.header(), &{
        let mut claims = crate::persons::claims("ada");
        claims["jti"] = json!("another token of hers");
        claims
    });
    assert_eq!(register(&later).expect(200), first);
    assert_eq!(registrar.register(&registrar.ticket("ada"), &device).expect(200), first);
    register(&registrar.key.token_of("bob")).expect_problem(409, "already_claimed");
    register("no.valid.token").expect_problem(401, "unauthenticated");
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
}

fn a_box_that_asks_many_times_at_once_gets_one_tunnel(place: &Where) {
    let registrar = Registrar::start(place);
    let ticket = registrar.ticket("ada");
    let replies: Vec<Value> = std::thread::scope(|scope| {
        let asking: Vec<_> =
            (0..8).map(|_| scope.spawn(|| registrar.register(&ticket, &BoxKey::new(1)).expect(200))).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert!(replies.iter().all(|reply| *reply == replies[0]));
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
}

fn of_many_boxes_with_one_ticket_at_once_one_is_registered(place: &Where) {
    let registrar = Registrar::start(place);
    let ticket = registrar.ticket("ada");
    let statuses: Vec<u16> = std::thread::scope(|scope| {
        let (registrar, ticket) = (&registrar, &ticket);
        let asking: Vec<_> =
            (0..8).map(|number| scope.spawn(move || registrar.register(ticket, &BoxKey::new(number)).status)).collect();
        asking.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    assert_eq!(statuses.iter().filter(|status| **status == 200).count(), 1, "{statuses:?}");
    assert_eq!(statuses.iter().filter(|status| **status == 409).count(), 7, "{statuses:?}");
    assert_eq!(registrar.cloudflare.counts(), (1, 1));
    assert_eq!(registrar.devices("ada").len(), 1);
}
