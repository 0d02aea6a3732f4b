//! Which part of a content a client wants, whether it has it already, and what it believes to change (RFC 9110, sections
//! 13 and 14).

use std::ops::Range;

use axum::http::{HeaderMap, HeaderName, header};
use http_range_header::{EndPosition, StartPosition, SyntacticallyCorrectRange};

use super::problem::RequestProblem;
use crate::model::precondition::{Precondition, Versions};

/// What to answer to a request for a content.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    /// All of it.
    Whole,
    /// One part of it.
    Part(Range<u64>),
    /// Two parts of it or more, far enough from each other, in the order that the client asked for.
    Parts(Vec<Range<u64>>),
    /// Nothing: the client has it.
    NotModified,
    /// Nothing: the part lies outside.
    Outside,
}

/// Most ranges that are looked at; who asks for more gets the whole (RFC 9110, section 14.2).
const MAX_RANGES: usize = 64;

/// Parts that are nearer to each other become one: what stands between two parts is about as long.
const GAP_BYTES: u64 = 128;

/// Reads the headers of a GET or HEAD of a content of that length and tag (with its quotes).
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
    if parsed.ranges.len() > MAX_RANGES {
        return Wanted::Whole;
    }
    // Those that lie outside are left out as long as one does not.
    let inside = parsed.ranges.into_iter().filter_map(|range| satisfied(range, size_bytes)).collect();
    let parts = coalesced(inside);
    match parts.as_slice() {
        [] => Wanted::Outside,
        [part] => Wanted::Part(part.clone()),
        // Nothing would be saved.
        parts if parts.iter().map(|part| part.end - part.start + GAP_BYTES).sum::<u64>() >= size_bytes => Wanted::Whole,
        _ => Wanted::Parts(parts),
    }
}

/// The part of a content that a range names; nothing when it lies outside.
fn satisfied(range: SyntacticallyCorrectRange, size_bytes: u64) -> Option<Range<u64>> {
    let start = match range.start {
        StartPosition::Index(start) => start,
        StartPosition::FromLast(length) => size_bytes.saturating_sub(length),
    };
    let end = match range.end {
        EndPosition::Index(last) => last.saturating_add(1).min(size_bytes),
        EndPosition::LastByte => size_bytes,
    };
    (start < end).then_some(start..end)
}

/// Makes one of parts that overlap or nearly touch, in the place of the first of them. What is left does not overlap, so
/// that the reply is never longer than the content and what stands between its parts.
fn coalesced(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut apart: Vec<Range<u64>> = Vec::new();
    for part in parts {
        let mut place = apart.len();
        let mut merged = part;
        // Once it has grown it may touch others, also ones before: looked at until none is near.
        while let Some(near) = apart
            .iter()
            .position(|other| merged.start <= other.end + GAP_BYTES && other.start <= merged.end + GAP_BYTES)
        {
            let other = apart.remove(near);
            merged = merged.start.min(other.start)..merged.end.max(other.end);
            place = near.min(place);
        }
        apart.insert(place, merged);
    }
    apart
}

/// Reads the headers of a request that changes something: `If-Match` compares strongly, `If-None-Match` weakly.
///
/// What cannot be read is refused: whoever sends a condition must not be taken for somebody who has none.
pub(super) fn precondition(headers: &HeaderMap) -> Result<Precondition, RequestProblem> {
    Ok(Precondition {
        one_of: versions(headers, &header::IF_MATCH, false)?,
        none_of: versions(headers, &header::IF_NONE_MATCH, true)?,
    })
}

fn versions(headers: &HeaderMap, name: &HeaderName, weak_too: bool) -> Result<Option<Versions>, RequestProblem> {
    if !headers.contains_key(name) {
        return Ok(None);
    }
    let lines: Result<Vec<&str>, _> = headers.get_all(name).iter().map(|value| value.to_str()).collect();
    let tags = lines.ok().and_then(|lines| entity_tags(&lines.join(",")));
    let Some(tags) = tags else {
        let detail = format!("The header {name} is not * or a list of ETags, each in double quotes.");
        return Err(RequestProblem::Unreadable(detail));
    };
    Ok(Some(match tags {
        Tags::Any => Versions::Any,
        Tags::These(tags) => {
            let wanted = tags.into_iter().filter(|tag| weak_too || !tag.weak);
            Versions::These(wanted.map(|tag| tag.text).collect())
        }
    }))
}

enum Tags {
    Any,
    These(Vec<Tag>),
}

struct Tag {
    weak: bool,
    /// Without its quotes.
    text: String,
}

/// `*`, or a list of tags; a tag may hold a comma.
fn entity_tags(value: &str) -> Option<Tags> {
    let mut rest = value.trim_matches([' ', '\t', ',']);
    if rest == "*" {
        return Some(Tags::Any);
    }
    let mut tags = Vec::new();
    while !rest.is_empty() {
        let (weak, quoted) = rest.strip_prefix("W/").map_or((false, rest), |quoted| (true, quoted));
        let (text, behind) = quoted.strip_prefix('"')?.split_once('"')?;
        tags.push(Tag { weak, text: text.to_owned() });
        rest = behind.trim_start_matches([' ', '\t']);
        rest = if rest.is_empty() { rest } else { rest.strip_prefix(',')?.trim_start_matches([' ', '\t', ',']) };
    }
    if tags.is_empty() { None } else { Some(Tags::These(tags)) }
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
            ("bytes=-2000", Wanted::Part(0..1000)),
            ("bytes=5-2", Wanted::Outside),
            ("bytes=", Wanted::Whole),
            ("bytes=b-a", Wanted::Whole),
            ("lines=1-2", Wanted::Whole),
            ("bytes=18446744073709551616-", Wanted::Whole),
        ] {
            assert_eq!(ask(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn several_ranges() {
        let parts = |parts: &[(u64, u64)]| Wanted::Parts(parts.iter().map(|&(from, to)| from..to).collect());
        for (range, expected) in [
            ("bytes=0-1,500-600", parts(&[(0, 2), (500, 601)])),
            ("bytes=500-600, 0-1", parts(&[(500, 601), (0, 2)])),
            ("bytes=0-0,-1", parts(&[(0, 1), (999, 1000)])),
            ("bytes=0-0,2000-3000,-1", parts(&[(0, 1), (999, 1000)])),
            // One of them, after all.
            ("bytes=0-1,5-6", Wanted::Part(0..7)),
            ("bytes=0-10,5-20", Wanted::Part(0..21)),
            ("bytes=300-400,0-10,11-299", Wanted::Part(0..401)),
            ("bytes=2000-3000,10-19", Wanted::Part(10..20)),
            ("bytes=600-700,0-9,600-650", parts(&[(600, 701), (0, 10)])),
            ("bytes=0-9,600-700,8-20,590-610", parts(&[(0, 21), (590, 701)])),
            // Not worth it.
            ("bytes=0-400,600-999", Wanted::Whole),
            ("bytes=0-,-1", Wanted::Part(0..1000)),
            // Nothing of it, or nothing that makes sense.
            ("bytes=1000-,2000-", Wanted::Outside),
            ("bytes=0-1,x", Wanted::Whole),
        ] {
            assert_eq!(ask(&[(header::RANGE, range)]), expected, "{range}");
        }
    }

    #[test]
    fn absurdly_many_ranges_are_answered_by_the_whole_and_no_reply_grows_beyond_it() {
        let ask = |count: u64, step: u64, size_bytes| {
            let ranges: Vec<String> = (0..count).map(|n| format!("{}-{}", n * step, n * step)).collect();
            let value = HeaderValue::from_str(&format!("bytes={}", ranges.join(","))).unwrap();
            wanted(&HeaderMap::from_iter([(header::RANGE, value)]), size_bytes, "\"abc\"")
        };
        assert_eq!(ask(65, 1000, 1_000_000), Wanted::Whole);
        assert!(matches!(ask(64, 1000, 1_000_000), Wanted::Parts(parts) if parts.len() == 64));
        assert_eq!(ask(64, 0, 1_000_000), Wanted::Part(0..1));
        assert_eq!(ask(64, 130, 64 * 129), Wanted::Whole);
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
    fn what_a_client_believes_to_change() {
        let these = |versions: &[&str]| Some(Versions::These(versions.iter().map(ToString::to_string).collect()));
        for (value, one_of, none_of) in [
            ("*", Some(Versions::Any), Some(Versions::Any)),
            ("\"a\"", these(&["a"]), these(&["a"])),
            ("\"a\", W/\"b\" ,\"c,d\"", these(&["a", "c,d"]), these(&["a", "b", "c,d"])),
            ("W/\"a\"", these(&[]), these(&["a"])),
            ("\"\"", these(&[""]), these(&[""])),
        ] {
            let headers = |name: HeaderName| HeaderMap::from_iter([(name, HeaderValue::from_static(value))]);
            let read = precondition(&headers(header::IF_MATCH)).ok();
            assert_eq!(read, Some(Precondition { one_of, none_of: None }), "{value}");
            let read = precondition(&headers(header::IF_NONE_MATCH)).ok();
            assert_eq!(read, Some(Precondition { one_of: None, none_of }), "{value}");
        }
        for bad in ["", "a", "\"a", "a\"", "\"a\" \"b\"", "w/\"a\"", "*, \"a\"", "\"a\"x"] {
            let headers = HeaderMap::from_iter([(header::IF_MATCH, HeaderValue::from_static(bad))]);
            assert!(precondition(&headers).is_err(), "{bad}");
        }
        assert_eq!(precondition(&HeaderMap::new()).ok(), Some(Precondition::default()));
    }

    #[test]
    fn an_empty_content_has_no_part() {
        let headers = HeaderMap::from_iter([(header::RANGE, HeaderValue::from_static("bytes=0-"))]);
        assert_eq!(wanted(&headers, 0, "\"abc\""), Wanted::Whole);
    }
}
