//! The page that opens a one-time link in a browser. It is the same for every link: what it needs stands in the address.

use std::sync::LazyLock;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use data_encoding::BASE64;
use sha2::{Digest, Sha256};

use super::share_pages::{LOGO, ROBOTS, STYLES};

const SCRIPT: &str = include_str!("handout_page.js");
const OWN_STYLES: &str = include_str!("handout_page.css");

/// The page's own script and styles, by their digests; questions to this box; nothing else.
static POLICY: LazyLock<Option<HeaderValue>> = LazyLock::new(|| {
    let digest = |text: &str| BASE64.encode(&Sha256::digest(text));
    let policy = format!(
        "default-src 'none'; script-src 'sha256-{}'; style-src 'sha256-{}'; connect-src 'self'; base-uri 'none'; \
         form-action 'none'; frame-ancestors 'none'",
        digest(SCRIPT),
        digest(&styles())
    );
    HeaderValue::try_from(policy).ok()
});

static PAGE: LazyLock<String> = LazyLock::new(|| {
    format!(
        "<!DOCTYPE html><html lang=\"en\"><head><meta charset=\"utf-8\">\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\
         <meta name=\"robots\" content=\"noindex, nofollow\"><title>A secret for you · Coffer</title><style>{}</style></head>\
         <body><header>{LOGO}<span>Coffer</span></header><main><div class=\"card\" aria-live=\"polite\">\
         <h1>Somebody sends you a secret</h1>\
         <p>It opens in this browser alone. Opening it may use the link up, so do it when you can keep what is in it.</p>\
         <noscript><p class=\"alert\">This page needs JavaScript: the secret is opened in your browser, and not on the box.</p></noscript>\
         <p class=\"buttons\"><button type=\"button\" disabled>Open the secret</button></p>\
         </div></main><footer></footer><script>{SCRIPT}</script></body></html>",
        styles()
    )
});

fn styles() -> String {
    format!("{STYLES}{OWN_STYLES}")
}

/// The page.
pub(super) fn reply() -> Response {
    const TYPE: HeaderValue = HeaderValue::from_static("text/html; charset=utf-8");
    const REFERRER: HeaderName = header::REFERRER_POLICY;
    let mut response = (StatusCode::OK, PAGE.as_str()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, TYPE);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("private, no-store"));
    headers.insert(ROBOTS, HeaderValue::from_static("noindex, nofollow"));
    headers.insert(REFERRER, HeaderValue::from_static("no-referrer"));
    if let Some(policy) = &*POLICY {
        headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
    }
    response
}
