//! Which part of a content a client wants, and whether it has it already (RFC 9110, sections 13 and 14).

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};

/// What to answer to a request for a content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// One part of it.
    Part(Range<u64>),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: the part lies outside.
    Outside,
}

/// Reads the headers of a GET or HEAD of a content of that length and tag (with its quotes).
///
/// Several ranges at once are answered by the whole content, as RFC 9110, section 14.2, allows.
pub(super) fn wanted(headers: &HeaderMap, size_bytes: u64, etag: &str) -> Wanted {
    if text(headers, &header::IF_NONE_MATCH).is_some_and(|tags| weakly_lists(tags, etag)) {
        return Wanted::NotModified;
    }
    // A part of nothing cannot be expressed by Content-Range.
    let range = text(headers, &header::RANGE).filter(|_| size_bytes > 0);
    let Some(range) = range else { return Wanted::Whole };
    // A date never matches: contents have no Last-Modified, and a strong comparison is what keeps parts together.
    if text(headers, &header::IF_RANGE).is_some_and(|tag| tag.trim() != etag) {
        return Wanted::Whole;
    }
    let Ok(parsed) = http_range_header::parse_range_header(range) else { return Wanted::Whole };
    if parsed.ranges.len() != 1 {
        return Wanted::Whole;
    }
    match parsed.validate(size_bytes).ok().and_then(|ranges| ranges.into_iter().next()) {
        Some(range) => Wanted::Part(*range.start()..range.end() + 1),
        None => Wanted::Outside,
    }
}

fn text<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    headers.get(name).and_then(|value| value.to_str().ok())
}

fn weakly_lists(tags: &str, etag: &str) -> bool {
    tags.split(',').map(str::trim).any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn ask(pairs: &[(HeaderName, &'static str)]) -> Wanted {
        let headers = pairs.iter().map(|(name, value)| (name.clone(), HeaderValue::from_static(value)));
        wanted(&headers.collect(), 1000, "\"abc\"")
    }

    #[test]
    fn ranges() {
        for (range, expected) in [
            ("bytes=0-0", Wanted::Part(0..1)),
            ("bytes=0-", Wanted::Part(0..1000)),
            ("bytes=500-599", Wanted::Part(500..600)),
            ("bytes=-1", Wanted::Part(999..1000)),
            ("bytes=999-999", Wanted::Part(999..1000)),
            ("bytes=1000-", Wanted::Outside),
            ("bytes=1000-2000", Wanted::Outside),
            ("bytes=0-1,5-6", Wanted::Whole),
            ("bytes=", Wanted::Whole),
            ("bytes=b-a", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=18446744073709551616-", Wanted::Whole),
        ] {
            assert_eq!(ask(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn a_range_is_given_only_of_the_content_that_the_client_knows() {
        let range = (header::RANGE, "bytes=0-1");
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "\"abc\"")]), Wanted::Part(0..2));
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "W/\"abc\"")]), Wanted::Whole);
        assert_eq!(ask(&[range.clone(), (header::IF_RANGE, "\"abd\"")]), Wanted::Whole);
        assert_eq!(ask(&[range, (header::IF_RANGE, "Sat, 21 Nov 2026 00:00:00 GMT")]), Wanted::Whole);
    }

    #[test]
    fn what_the_client_has_is_not_sent_again() {
        for (tags, expected) in [
            ("\"abc\"", Wanted::NotModified),
            ("W/\"abc\"", Wanted::NotModified),
            ("\"x\", \"abc\"", Wanted::NotModified),
            ("*", Wanted::NotModified),
            ("\"abd\"", Wanted::Whole),
            ("abc", Wanted::Whole),
        ] {
            assert_eq!(ask(&[(header::IF_NONE_MATCH, tags)]), expected, "{tags}");
        }
        let both = [(header::IF_NONE_MATCH, "\"abc\""), (header::RANGE, "bytes=0-1")];
        assert_eq!(ask(&both), Wanted::NotModified);
    }

    #[test]
    fn an_empty_content_has_no_part() {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-"))]);
        assert_eq!(wanted(&headers, 0, "\"abc\""), Wanted::Whole);
    }
}
