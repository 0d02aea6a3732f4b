//! Counts requests by method, route and class of status. Routes are those that the program knows, so what is counted is
//! bounded; nothing of a request itself is kept.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use coffer_api::RouteMetrics;

/// The upper ends of the histogram's classes, in milliseconds.
pub(super) const BOUNDS_MS: [u64; 9] = [1, 5, 10, 50, 100, 500, 1000, 5000, 10_000];

/// The counts. Cheap to clone.
#[derive(Clone, Default)]
pub(crate) struct RequestStats(Arc<Mutex<BTreeMap<Key, Counts>>>);

#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct Key {
    route: String,
    method: &'static str,
    class: u16,
}

#[derive(Clone, Default)]
struct Counts {
    count: u64,
    total: Duration,
    within: [u64; BOUNDS_MS.len()],
}

impl RequestStats {
    /// Counts a request.
    pub(super) fn count(&self, method: &Method, route: Option<&str>, status: StatusCode, took: Duration) {
        let key = Key { route: route.unwrap_or("-").to_owned(), method: name(method), class: status.as_u16() / 100 };
        let mut counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.entry(key).or_default();
        counts.count += 1;
        counts.total += took;
        for (within, bound) in counts.within.iter_mut().zip(BOUNDS_MS) {
            *within += u64::from(took <= Duration::from_millis(bound));
        }
    }

    /// All counts, in the order of the routes.
    pub(super) fn all(&self) -> Vec<RouteMetrics> {
        let counts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let wire = |(key, counts): (&Key, &Counts)| RouteMetrics {
            method: key.method.to_owned(),
            route: key.route.clone(),
            status_class: key.class,
            count: counts.count,
            total_s: counts.total.as_secs_f64(),
            within: counts.within.to_vec(),
        };
        counts.iter().map(wire).collect()
    }
}

/// Clients can invent methods; those count as one.
fn name(method: &Method) -> &'static str {
    let known = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
    known.into_iter().find(|known| *known == method.as_str()).unwrap_or("OTHER")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_counted_by_what_the_program_knows_of_them() {
        let stats = RequestStats::default();
        let odd = Method::from_bytes(b"BREW").unwrap();
        for (method, route, status, ms) in [
            (&Method::GET, Some("/files/{id}"), StatusCode::OK, 1),
            (&Method::GET, Some("/files/{id}"), StatusCode::PARTIAL_CONTENT, 30),
            (&Method::GET, Some("/files/{id}"), StatusCode::IM_A_TEAPOT, 20_000),
            (&odd, None, StatusCode::IM_A_TEAPOT, 0),
        ] {
            stats.count(method, route, status, Duration::from_millis(ms));
        }
        let all = stats.all();
        let rows: Vec<_> =
            all.iter().map(|row| (row.method.as_str(), row.route.as_str(), row.status_class, row.count)).collect();
        let expected = [("OTHER", "-", 4, 1), ("GET", "/files/{id}", 2, 2), ("GET", "/files/{id}", 4, 1)];
        assert_eq!(rows, expected);
        assert_eq!(all[1].within, [1, 1, 1, 2, 2, 2, 2, 2, 2]);
        assert_eq!(all[2].within, [0; 9]);
    }
}
