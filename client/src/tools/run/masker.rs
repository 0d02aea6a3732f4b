//! Takes secrets out of a stream of bytes, also where they span the borders of its pieces, overlap, or are encoded.
//!
//! What cannot be the beginning of a secret leaves at once; what can, waits for the bytes that decide it, or for the end.

use data_encoding::{BASE64, BASE64URL, HEXLOWER, HEXUPPER};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_encode};
use zeroize::{Zeroize, Zeroizing};

/// What stands in place of secrets; several that touch or overlap are one.
pub const MASK: &[u8] = b"<hidden by coffer>";

/// Shorter ones would hide half of any output, and are guessed from what is left of it.
pub const MIN_SECRET_BYTES: usize = 4;

/// Lines of longer secrets are hidden on their own: programs print keys line by line, and indent them.
const MIN_LINE_BYTES: usize = 8;

/// No secret of people or services is longer, and each byte costs some of memory.
const MAX_SECRET_BYTES: usize = 64 << 10;

const ROOT: u32 = 0;
const NONE: u32 = u32::MAX;

/// All that `encodeURIComponent` leaves as it is.
const COMPONENT: &AsciiSet = &NON_ALPHANUMERIC
    .remove(b'-')
    .remove(b'_')
    .remove(b'.')
    .remove(b'!')
    .remove(b'~')
    .remove(b'*')
    .remove(b'\'')
    .remove(b'(')
    .remove(b')');
/// All that RFC 3986 leaves as it is.
const UNRESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// The secrets, as an automaton of Aho and Corasick: one step a byte, however many there are.
pub struct Secrets {
    /// The tree of all beginnings. A node's children hang on a list.
    nodes: Vec<Node>,
    /// The byte that leads to each node.
    bytes: Zeroizing<Vec<u8>>,
    /// The children of the root, where nearly every byte of an output begins.
    roots: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Node {
    first_child: u32,
    next_sibling: u32,
    /// The node of the longest proper end of this beginning that is itself a beginning.
    fall: u32,
    /// The length of the longest secret that ends here; 0 for none.
    ends: usize,
    /// How many of the last bytes may be the beginning of a secret that goes on.
    waits: usize,
}

/// One stream, on its way.
pub struct Masker<'a> {
    secrets: &'a Secrets,
    node: u32,
    /// What came and did not leave.
    held: Zeroizing<Vec<u8>>,
    /// What of it is secret, as places in it; in order, apart from each other.
    hidden: Vec<(usize, usize)>,
    /// The last byte that left was part of a secret.
    in_secret: bool,
}

impl Secrets {
    /// Those, as they are and as programs encode them. Too short ones are left out.
    pub fn new<'a>(secrets: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut forms = Vec::new();
        for secret in secrets {
            let secret = &secret[..secret.len().min(MAX_SECRET_BYTES)];
            add_forms(secret, &mut forms);
            for line in secret.split(|byte| *byte == b'\n').map(<[u8]>::trim_ascii) {
                if line.len() >= MIN_LINE_BYTES && line.len() < secret.len() {
                    add_forms(line, &mut forms);
                }
            }
        }
        Self::of_patterns(forms.iter().map(|form| form.as_slice()))
    }

    /// Exactly those.
    fn of_patterns<'a>(patterns: impl Iterator<Item = &'a [u8]> + Clone) -> Self {
        // As large as it may be, so that it is not moved and left behind while it grows.
        let capacity = 1 + patterns.clone().map(<[u8]>::len).sum::<usize>();
        let mut secrets = Self {
            nodes: vec![Node { first_child: NONE, next_sibling: NONE, fall: ROOT, ends: 0, waits: 0 }],
            bytes: Zeroizing::new(Vec::with_capacity(capacity)),
            roots: vec![NONE; 256],
        };
        secrets.bytes.push(0);
        for pattern in patterns.filter(|pattern| !pattern.is_empty()) {
            let end = pattern.iter().fold(ROOT, |node, byte| secrets.child_or_new(node, *byte));
            secrets.nodes[end as usize].ends = pattern.len();
        }
        secrets.link();
        secrets
    }

    fn child(&self, node: u32, byte: u8) -> Option<u32> {
        if node == ROOT {
            return Some(self.roots[usize::from(byte)]).filter(|child| *child != NONE);
        }
        let mut child = self.nodes[node as usize].first_child;
        while child != NONE {
            if self.bytes[child as usize] == byte {
                return Some(child);
            }
            child = self.nodes[child as usize].next_sibling;
        }
        None
    }

    fn child_or_new(&mut self, node: u32, byte: u8) -> u32 {
        if let Some(child) = self.child(node, byte) {
            return child;
        }
        let child = u32::try_from(self.nodes.len()).unwrap_or(NONE);
        let next_sibling = self.nodes[node as usize].first_child;
        self.nodes.push(Node { first_child: NONE, next_sibling, fall: ROOT, ends: 0, waits: 0 });
        self.bytes.push(byte);
        self.nodes[node as usize].first_child = child;
        if node == ROOT {
            self.roots[usize::from(byte)] = child;
        }
        child
    }

    /// Level by level, since a node falls to one that is nearer to the root.
    fn link(&mut self) {
        let mut level = vec![ROOT];
        let mut depth = 0;
        while !level.is_empty() {
            let mut next = Vec::new();
            for node in level {
                let mut child = self.nodes[node as usize].first_child;
                while child != NONE {
                    let byte = self.bytes[child as usize];
                    let fall = if node == ROOT { ROOT } else { self.step(self.nodes[node as usize].fall, byte) };
                    let behind = self.nodes[fall as usize];
                    let this = &mut self.nodes[child as usize];
                    this.fall = fall;
                    this.ends = this.ends.max(behind.ends);
                    this.waits = if this.first_child == NONE { behind.waits } else { depth + 1 };
                    next.push(child);
                    child = self.nodes[child as usize].next_sibling;
                }
            }
            level = next;
            depth += 1;
        }
    }

    fn step(&self, mut node: u32, byte: u8) -> u32 {
        loop {
            match self.child(node, byte) {
                Some(child) => return child,
                None if node == ROOT => return ROOT,
                None => node = self.nodes[node as usize].fall,
            }
        }
    }
}

impl<'a> Masker<'a> {
    /// Nothing came yet.
    pub fn new(secrets: &'a Secrets) -> Self {
        Self { secrets, node: ROOT, held: Zeroizing::default(), hidden: Vec::new(), in_secret: false }
    }

    /// Takes what comes, and gives what can leave.
    pub fn push(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        let mut held = Zeroizing::new(Vec::with_capacity(self.held.len() + piece.len()));
        held.extend_from_slice(&self.held);
        for byte in piece {
            held.push(*byte);
            self.node = self.secrets.step(self.node, *byte);
            let ends = self.secrets.nodes[self.node as usize].ends;
            if ends > 0 {
                self.hide(held.len() - ends, held.len());
            }
        }
        let leaves = held.len() - self.secrets.nodes[self.node as usize].waits;
        self.held = held;
        self.leave(leaves, out);
    }

    /// Nothing comes any more: gives the rest.
    pub fn finish(&mut self, out: &mut Vec<u8>) {
        self.node = ROOT;
        self.leave(self.held.len(), out);
    }

    /// Secrets end in the order of their ends, so that only the last ones can touch a new one.
    fn hide(&mut self, mut start: usize, end: usize) {
        while let Some((before, _)) = self.hidden.pop_if(|(_, before_ends)| *before_ends >= start) {
            start = start.min(before);
        }
        self.hidden.push((start, end));
    }

    fn leave(&mut self, count: usize, out: &mut Vec<u8>) {
        let mut place = 0;
        for (start, end) in &self.hidden {
            if *start >= count {
                break;
            }
            if *start > place {
                out.extend_from_slice(&self.held[place..*start]);
                self.in_secret = false;
            }
            if !self.in_secret {
                out.extend_from_slice(MASK);
            }
            self.in_secret = true;
            place = count.min(*end);
        }
        if place < count {
            out.extend_from_slice(&self.held[place..count]);
            self.in_secret = false;
        }
        self.hidden.retain(|(_, end)| *end > count);
        for (start, end) in &mut self.hidden {
            *start = start.saturating_sub(count);
            *end -= count;
        }
        self.held[..count].zeroize();
        self.held.drain(..count);
    }
}

/// A secret as it is, and as programs write it in URLs, headers and dumps.
fn add_forms(secret: &[u8], forms: &mut Vec<Zeroizing<Vec<u8>>>) {
    if secret.len() < MIN_SECRET_BYTES {
        return;
    }
    let mut add = |form: String| forms.push(Zeroizing::new(form.into_bytes()));
    for base64 in [BASE64, BASE64URL] {
        // Behind 0, 1 or 2 other bytes, as `user:password` has it; without the digits that depend on what is around it.
        for before in 0..3 {
            let mut shifted = Zeroizing::new(vec![0; before]);
            shifted.extend_from_slice(secret);
            let whole = Zeroizing::new(base64.encode(&shifted));
            let own = (before * 8).div_ceil(6)..shifted.len() * 8 / 6;
            add(whole[own].to_owned());
            if before == 0 {
                add(whole.trim_end_matches('=').to_owned());
            }
        }
    }
    add(HEXLOWER.encode(secret));
    add(HEXUPPER.encode(secret));
    for set in [COMPONENT, UNRESERVED, NON_ALPHANUMERIC] {
        let upper = Zeroizing::new(percent_encode(secret, set).to_string());
        add(lower_escapes(&upper));
        add(upper.replace("%20", "+"));
        add(upper.to_string());
    }
    forms.push(Zeroizing::new(secret.to_vec()));
}

fn lower_escapes(text: &str) -> String {
    let mut after_percent = 0;
    let lower = |c: char| {
        after_percent = if c == '%' { 2_u8 } else { after_percent };
        if c == '%' || after_percent == 0 {
            return c;
        }
        after_percent -= 1;
        c.to_ascii_lowercase()
    };
    text.chars().map(lower).collect()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    /// What the masker does, said as simply as possible: looks at all places at once.
    fn naive(patterns: &[Vec<u8>], text: &[u8]) -> Vec<u8> {
        let mut is_hidden = vec![false; text.len()];
        for pattern in patterns {
            for start in 0..text.len() {
                if text[start..].starts_with(pattern) {
                    is_hidden[start..start + pattern.len()].fill(true);
                }
            }
        }
        let mut out = Vec::new();
        for (place, byte) in text.iter().enumerate() {
            if !is_hidden[place] {
                out.push(*byte);
            } else if place == 0 || !is_hidden[place - 1] {
                out.extend_from_slice(MASK);
            }
        }
        out
    }

    /// The longest end of a text with which a secret may begin, and go on.
    fn undecided(patterns: &[Vec<u8>], text: &[u8]) -> usize {
        let may_go_on = |length: &usize| {
            let end = &text[text.len() - length..];
            patterns.iter().any(|pattern| pattern.len() > *length && pattern.starts_with(end))
        };
        (1..=text.len()).rev().find(may_go_on).unwrap_or(0)
    }

    fn masked(secrets: &Secrets, pieces: &[&[u8]]) -> Vec<u8> {
        let (mut masker, mut out) = (Masker::new(secrets), Vec::new());
        for piece in pieces {
            masker.push(piece, &mut out);
        }
        masker.finish(&mut out);
        out
    }

    fn letters(length: std::ops::Range<usize>) -> impl Strategy<Value = Vec<u8>> {
        vec(prop::sample::select(b"abc".as_slice()), length)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(4000))]
        /// Few letters, so that secrets overlap, repeat and contain each other all the time.
        #[test]
        fn it_hides_what_a_naive_one_hides(
            patterns in vec(letters(1..7), 0..5),
            pieces in vec(letters(0..9), 0..8),
        ) {
            let secrets = Secrets::of_patterns(patterns.iter().map(Vec::as_slice));
            let (mut masker, mut out, mut text) = (Masker::new(&secrets), Vec::new(), Vec::new());
            for piece in &pieces {
                masker.push(piece, &mut out);
                text.extend_from_slice(piece);
                prop_assert_eq!(masker.held.len(), undecided(&patterns, &text), "held back after {:?}", text);
            }
            masker.finish(&mut out);
            prop_assert_eq!(out, naive(&patterns, &text));
        }

        #[test]
        fn no_form_of_a_secret_passes(secret in vec(any::<u8>(), 4..40), before in vec(any::<u8>(), 0..5), cut in 0_usize..200) {
            let secrets = Secrets::new([secret.as_slice()]);
            let joined = [before.as_slice(), &secret, b"!"].concat();
            for text in [
                joined.clone(),
                BASE64.encode(&joined).into_bytes(),
                BASE64URL.encode(&secret).into_bytes(),
                HEXLOWER.encode(&joined).into_bytes(),
                HEXUPPER.encode(&joined).into_bytes(),
                percent_encode(&joined, UNRESERVED).to_string().into_bytes(),
                lower_escapes(&percent_encode(&joined, COMPONENT).to_string()).into_bytes(),
            ] {
                let (head, tail) = text.split_at(cut.min(text.len()));
                let out = masked(&secrets, &[head, tail]);
                prop_assert!(out.windows(MASK.len()).any(|window| window == MASK), "{:?}", text);
            }
        }
    }

    #[test]
    fn what_surrounds_a_secret_is_untouched() {
        let secrets = Secrets::new([b"hunter2".as_slice(), b"ter2world"]);
        for (pieces, expected) in [
            (vec!["a hunter2 b"], "a # b"),
            (vec!["a hun", "ter", "2 b"], "a # b"),
            (vec!["hunter2hunter2"], "#"),
            (vec!["hunter2 hunter2"], "# #"),
            (vec!["hunter2world"], "#"),
            (vec!["hunter", " hunte"], "hunter hunte"),
            (vec!["Basic bWU6aHVudGVyMg=="], "Basic bWU6#=="),
            (vec!["68756e746572", "32."], "#."),
        ] {
            let pieces: Vec<_> = pieces.into_iter().map(str::as_bytes).collect();
            let expected = expected.replace('#', std::str::from_utf8(MASK).unwrap());
            assert_eq!(String::from_utf8(masked(&secrets, &pieces)).unwrap(), expected);
        }
    }

    #[test]
    fn a_key_is_hidden_line_by_line() {
        let secrets = Secrets::new([b"-----BEGIN KEY-----\nAAAABBBBCCCC\nDDDD\n-----END KEY-----\n".as_slice()]);
        let out = masked(&secrets, &[b"> -----BEGIN KEY-----\r\n> AAAABBBBCCCC\r\n> DDDD\r\n"]);
        let mask = std::str::from_utf8(MASK).unwrap();
        assert_eq!(String::from_utf8(out).unwrap(), format!("> {mask}\r\n> {mask}\r\n> DDDD\r\n"));
    }

    #[test]
    fn short_secrets_hide_nothing() {
        let secrets = Secrets::new([b"".as_slice(), b"abc"]);
        assert_eq!(masked(&secrets, &[b"abcabc"]), b"abcabc");
    }
}
