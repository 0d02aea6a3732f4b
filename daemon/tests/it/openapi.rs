//! The description of the API, and the page to browse it.

use std::collections::BTreeSet;
use std::path::Path;

use crate::client::{exchange, tcp};
use crate::harness::Daemon;

#[test]
#[expect(clippy::too_many_lines, reason = "one list, one line an address")]
fn every_route_is_described_with_its_errors() {
    let daemon = Daemon::unclaimed();
    let document = exchange(&mut tcp(daemon.address), "GET", "/api/openapi.json", &[], b"").expect(200);
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"));
    let paths: BTreeSet<&str> = document["paths"].as_object().unwrap().keys().map(String::as_str).collect();
    let expected = [
        "/api/v1/api-keys",
        "/api/v1/api-keys/{id}",
        "/api/v1/archives",
        "/api/v1/audit",
        "/api/v1/audit/export",
        "/api/v1/audit/retention",
        "/api/v1/audit/verify",
        "/api/v1/bulk",
        "/api/v1/comments/{id}",
        "/api/v1/comments/{id}/history",
        "/api/v1/device",
        "/api/v1/device/factory-reset",
        "/api/v1/device/network",
        "/api/v1/device/problems",
        "/api/v1/device/registration",
        "/api/v1/device/setup",
        "/api/v1/device/setup/code",
        "/api/v1/device/stats",
        "/api/v1/device/tunnel",
        "/api/v1/events",
        "/api/v1/favourites",
        "/api/v1/items/{id}/comments",
        "/api/v1/items/{id}/details",
        "/api/v1/items/{id}/favourite",
        "/api/v1/items/{id}/label",
        "/api/v1/items/{id}/note",
        "/api/v1/items/{id}/star",
        "/api/v1/items/{id}/tags/{tag}",
        "/api/v1/recent",
        "/api/v1/search",
        "/api/v1/stars",
        "/api/v1/tags",
        "/api/v1/files",
        "/api/v1/files/multipart",
        "/api/v1/files/{id}",
        "/api/v1/files/{id}/content",
        "/api/v1/files/{id}/copy",
        "/api/v1/files/{id}/revisions",
        "/api/v1/files/{id}/revisions/{number}",
        "/api/v1/files/{id}/revisions/{number}/content",
        "/api/v1/files/{id}/revisions/{number}/restore",
        "/api/v1/files/{id}/text",
        "/api/v1/files/{id}/image",
        "/api/v1/files/{id}/thumbnail",
        "/api/v1/folders",
        "/api/v1/folders/{id}",
        "/api/v1/folders/{id}/access",
        "/api/v1/folders/{id}/archive",
        "/api/v1/folders/{id}/copy",
        "/api/v1/groups",
        "/api/v1/groups/{id}",
        "/api/v1/groups/{id}/members",
        "/api/v1/groups/{id}/members/{user_id}",
        "/api/v1/invitations",
        "/api/v1/invitations/{id}",
        "/api/v1/metrics",
        "/api/v1/policy",
        "/api/v1/registrations",
        "/api/v1/sessions",
        "/api/v1/sessions/current",
        "/api/v1/sessions/refresh",
        "/api/v1/sessions/second-factor",
        "/api/v1/sessions/{id}",
        "/api/v1/settings",
        "/api/v1/settings/{namespace}/{key}",
        "/api/v1/shares",
        "/api/v1/shares/{id}",
        "/api/v1/storage/faults",
        "/api/v1/storage/policy",
        "/api/v1/storage/scrub",
        "/api/v1/storage/usage",
        "/api/v1/texts",
        "/api/v1/trash",
        "/api/v1/trash/{id}",
        "/api/v1/trash/{id}/restore",
        "/api/v1/uploads",
        "/api/v1/uploads/{id}",
        "/api/v1/users",
        "/api/v1/users/me",
        "/api/v1/users/me/second-factors",
        "/api/v1/users/me/second-factors/passkeys",
        "/api/v1/users/me/second-factors/passkeys/{id}",
        "/api/v1/users/me/second-factors/passkeys/{id}/removal",
        "/api/v1/users/me/second-factors/recovery-codes",
        "/api/v1/users/me/second-factors/totp",
        "/api/v1/users/me/second-factors/totp/confirm",
        "/api/v1/users/me/second-factors/totp/removal",
        "/api/v1/users/me/device-link",
        "/api/v1/users/me/storage",
        "/api/v1/users/me/password",
        "/api/v1/users/{id}",
        "/api/v1/users/{id}/password",
        "/api/v1/users/{id}/storage",
        "/api/v1/users/{id}/second-factors",
        "/api/v1/vault",
        "/api/v1/vault/key-slots/list",
        "/api/v1/vault/key-slots/{id}",
        "/api/v1/vault/lock",
        "/api/v1/vault/lockdown",
        "/api/v1/vault/master-password",
        "/api/v1/vault/recovery-key",
        "/api/v1/vault/unlock",
        "/api/v1/webhooks",
        "/api/v1/webhooks/{id}",
        "/api/v1/webhooks/{id}/deliveries",
        "/api/v1/webhooks/{id}/test",
        "/health",
        "/metrics",
        "/share/{token}",
        "/share/{token}/archive",
        "/share/{token}/content",
        "/share/{token}/info",
        "/share/{token}/items",
        "/share/{token}/upload",
    ];
    assert_eq!(paths, BTreeSet::from(expected));
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            assert!(operation["summary"].is_string(), "{method} {path} says what it does");
            let action =
                operation["x-action"].as_str().unwrap_or_else(|| panic!("{method} {path} declares its action"));
            let public = ["public", "setup_code", "master_secret", "control_socket"].contains(&action);
            assert_ne!(public, operation["security"].is_array(), "{method} {path} names its security");
        }
    }
}

#[test]
fn the_page_loads_nothing_from_elsewhere() {
    let daemon = Daemon::unclaimed();
    let get = |path: &str| exchange(&mut tcp(daemon.address), "GET", path, &[], b"");
    let root = get("/");
    assert_eq!((root.status, root.header("location")), (307, "/docs/"));
    let page = get("/docs/");
    assert_eq!(page.status, 200);
    assert!(page.header("content-security-policy").starts_with("default-src 'self'"));
    let html = String::from_utf8(page.body).unwrap();
    assert!(!html.contains("http://") && !html.contains("https://") && !html.contains("src=\"//"), "{html}");
    let is_asset = |text: &&str| Path::new(text).extension().is_some_and(|e| e == "js" || e == "css");
    for asset in html.split(['"', '\'']).filter(is_asset) {
        let reply = get(&format!("/docs/{}", asset.trim_start_matches("./")));
        assert_eq!(reply.status, 200, "{asset}");
        assert!(!reply.body.is_empty());
    }
    let start = String::from_utf8(get("/docs/swagger-initializer.js").body).unwrap();
    assert!(start.contains("/api/openapi.json"), "{start}");
}
