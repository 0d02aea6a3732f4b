//! The piece of a text that shows why it was found.

use std::ops::Range;

pub(crate) use coffer_api::{SnippetPart, SnippetSource};

use super::search::{Term, folded, is_of_word};

/// How much is shown in front of the first word that was found.
const BEFORE_BYTES: usize = 60;
/// How much is shown in all.
const ALL_BYTES: usize = 240;
/// Longest word that is compared; the index has no use for longer ones either.
const MAX_WORD_BYTES: usize = 256;

/// A piece of a text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Snippet {
    pub(crate) source: SnippetSource,
    pub(crate) parts: Vec<SnippetPart>,
}

/// The piece around the first of the terms. `None` when none of them is in the text.
pub(crate) fn around(text: &str, terms: &[Term]) -> Option<Vec<SnippetPart>> {
    let first = words(text, 0).find(|word| is_term(slice(text, word), terms))?;
    let start = boundary(text, first.start.saturating_sub(BEFORE_BYTES), first.start);
    let limit = floor(text, start + ALL_BYTES).max(first.end);
    let end = if limit < text.len() { last_break(text, first.end..limit) } else { limit };
    let mut parts = Vec::new();
    let mut shown = start;
    if start > 0 {
        push(&mut parts, "…", false);
    }
    for word in words(text, start).take_while(|word| word.end <= end) {
        let found = slice(text, &word);
        if is_term(found, terms) {
            push(&mut parts, slice(text, &(shown..word.start)), false);
            push(&mut parts, found, true);
            shown = word.end;
        }
    }
    push(&mut parts, slice(text, &(shown..end)), false);
    if end < text.len() {
        push(&mut parts, "…", false);
    }
    Some(parts)
}

/// Adds a part, with every run of spaces and line breaks as one space.
fn push(parts: &mut Vec<SnippetPart>, text: &str, found: bool) {
    let mut even = String::with_capacity(text.len());
    for c in text.chars() {
        let c = if c.is_whitespace() || c.is_control() { ' ' } else { c };
        let follows_space = even.ends_with(' ') || even.is_empty() && ends_with_space(parts);
        if c != ' ' || !follows_space {
            even.push(c);
        }
    }
    match parts.last_mut() {
        Some(last) if last.found == found => last.text.push_str(&even),
        Some(_) | None if even.is_empty() => {}
        Some(_) | None => parts.push(SnippetPart { text: even, found }),
    }
}

fn ends_with_space(parts: &[SnippetPart]) -> bool {
    parts.last().is_none_or(|part| part.text.ends_with(' '))
}

fn is_term(word: &str, terms: &[Term]) -> bool {
    if word.len() > MAX_WORD_BYTES {
        return false;
    }
    if word.is_ascii() {
        // The common case, without a copy.
        return terms.iter().any(|term| {
            let start = word.get(..term.folded.len());
            start.is_some_and(|start| start.eq_ignore_ascii_case(&term.folded))
                && (term.open || word.len() == term.folded.len())
        });
    }
    let word = folded(word);
    terms.iter().any(|term| if term.open { word.starts_with(&term.folded) } else { word == term.folded })
}

/// The words of a text from a place on.
fn words(text: &str, from: usize) -> impl Iterator<Item = Range<usize>> {
    let mut at = from;
    std::iter::from_fn(move || {
        let rest = text.get(at..)?;
        let start = at + rest.find(is_of_word)?;
        let rest = text.get(start..)?;
        at = start + rest.find(|c| !is_of_word(c)).unwrap_or(rest.len());
        Some(start..at)
    })
}

/// A place at or behind `from` where a word begins, `word` at the latest.
fn boundary(text: &str, from: usize, word: usize) -> usize {
    let from = floor(text, from);
    if from == 0 {
        return 0;
    }
    let space = slice(text, &(from..word)).find(char::is_whitespace);
    space.map_or(from, |space| from + space)
}

/// Where the last word ends that begins in that range; its end when it is one word.
fn last_break(text: &str, range: Range<usize>) -> usize {
    slice(text, &range).rfind(char::is_whitespace).map_or(range.end, |space| range.start + space)
}

/// The nearest boundary of a character, at or before.
fn floor(text: &str, mut at: usize) -> usize {
    at = at.min(text.len());
    while !text.is_char_boundary(at) {
        at -= 1;
    }
    at
}

fn slice<'a>(text: &'a str, range: &Range<usize>) -> &'a str {
    text.get(range.clone()).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::search::Words;

    /// With brackets around what was found.
    fn shown(text: &str, words: &str) -> Option<String> {
        let terms = Words::parse(words).unwrap().unwrap().terms();
        let parts = around(text, &terms)?;
        assert!(parts.iter().all(|part| !part.text.is_empty()));
        Some(parts.iter().map(|p| if p.found { format!("[{}]", p.text) } else { p.text.clone() }).collect())
    }

    #[test]
    fn what_is_found_is_marked() {
        for (text, words, expected) in [
            ("The quick fox", "quick", Some("The [quick] fox")),
            ("The QUICK fox", "quick fo", Some("The [QUICK] [fox]")),
            ("The quicker fox", "quick ", None),
            ("The quicker fox", "quick", Some("The [quicker] fox")),
            ("Über Café", "cafe uber", Some("[Über] [Café]")),
            ("a <b>quick</b> one", "quick", Some("a <b>[quick]</b> one")),
            ("a\n\n  quick\tone", "quick", Some("a [quick] one")),
            ("report-2024.pdf", "report-2024", Some("[report]-[2024].pdf")),
            ("日本語の文章", "日本", Some("[日本語の文章]")),
            ("", "quick", None),
        ] {
            assert_eq!(shown(text, words).as_deref(), expected, "{text} / {words}");
        }
    }

    #[test]
    fn a_long_text_is_cut_between_words() {
        let text = format!("{} needle {}", "é first ".repeat(500), "last ü ".repeat(500));
        let piece = shown(&text, "needle").unwrap();
        assert!(piece.len() < ALL_BYTES + 20, "{piece}");
        assert!(piece.starts_with('…') && piece.ends_with('…'), "{piece}");
        assert!(piece.contains("first [needle] last"), "{piece}");
        let endless = format!("{}needle", "ü".repeat(3000));
        assert_eq!(shown(&endless, "needle"), None);
        assert!(shown(&format!("{} needle", "ü".repeat(3000)), "needle").unwrap().ends_with("[needle]"));
    }
}
