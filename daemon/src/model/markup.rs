//! The readable text of HTML and XML, for the index of words: tags go, entities become what they stand for.
//!
//! Neither a parser nor a filter: what comes out is never shown as markup. It takes one pass, whatever is in there.

/// Elements whose content nobody reads.
const UNREAD: [&str; 4] = ["script", "style", "template", "noscript"];

/// Entities with names; the rest of them is rare in texts of today.
const ENTITIES: [(&str, char); 24] = [
    ("amp", '&'),
    ("lt", '<'),
    ("gt", '>'),
    ("quot", '"'),
    ("apos", '\''),
    ("nbsp", ' '),
    ("auml", 'ä'),
    ("ouml", 'ö'),
    ("uuml", 'ü'),
    ("Auml", 'Ä'),
    ("Ouml", 'Ö'),
    ("Uuml", 'Ü'),
    ("szlig", 'ß'),
    ("eacute", 'é'),
    ("egrave", 'è'),
    ("ecirc", 'ê'),
    ("agrave", 'à'),
    ("acirc", 'â'),
    ("ccedil", 'ç'),
    ("ntilde", 'ñ'),
    ("aring", 'å'),
    ("oslash", 'ø'),
    ("euro", '€'),
    ("copy", '©'),
];

/// Longest entity, without its ends.
const MAX_ENTITY: usize = 10;

/// The text between the tags, a space in place of each.
pub(crate) fn text(markup: &str) -> String {
    let mut found = String::with_capacity(markup.len() / 2);
    let mut rest = markup;
    while let Some(at) = rest.find(['<', '&']) {
        found.push_str(rest.get(..at).unwrap_or_default());
        rest = rest.get(at..).unwrap_or_default();
        rest = if rest.starts_with('&') { entity(rest, &mut found) } else { behind_tag(rest, &mut found) };
    }
    found.push_str(rest);
    found
}

/// Adds what an entity stands for; gives what follows.
fn entity<'a>(rest: &'a str, found: &mut String) -> &'a str {
    let end = rest.bytes().take(MAX_ENTITY + 2).position(|byte| byte == b';');
    let name = end.and_then(|end| rest.get(1..end));
    let character = name.and_then(|name| match name.strip_prefix('#') {
        Some(number) => {
            let code = match number.strip_prefix(['x', 'X']) {
                Some(digits) => u32::from_str_radix(digits, 16),
                None => number.parse(),
            };
            char::from_u32(code.ok()?)
        }
        None => ENTITIES.iter().find(|(known, _)| *known == name).map(|(_, character)| *character),
    });
    if let Some((character, end)) = character.zip(end) {
        found.push(character);
        rest.get(end + 1..).unwrap_or_default()
    } else {
        found.push('&');
        rest.get(1..).unwrap_or_default()
    }
}

/// What follows a tag, a comment, or an element that nobody reads.
fn behind_tag<'a>(rest: &'a str, found: &mut String) -> &'a str {
    let behind = |end: &str| rest.split_once(end).map_or("", |(_, rest)| rest);
    if rest.starts_with("<!--") {
        return behind("-->");
    }
    if let Some(data) = rest.strip_prefix("<![CDATA[") {
        let (text, rest) = data.split_once("]]>").unwrap_or((data, ""));
        found.push_str(text);
        return rest;
    }
    let Some(inside) = rest.get(1..) else { return "" };
    if !inside.starts_with(|c: char| c.is_ascii_alphabetic() || "/!?".contains(c)) {
        // "a < b".
        found.push('<');
        return inside;
    }
    found.push(' ');
    let name = inside.find(|c: char| !c.is_ascii_alphanumeric()).and_then(|end| inside.get(..end)).unwrap_or(inside);
    let rest = behind(">");
    match UNREAD.iter().find(|unread| name.eq_ignore_ascii_case(unread)) {
        Some(unread) => behind_end(rest, unread),
        None => rest,
    }
}

/// What follows the end tag of that element.
fn behind_end<'a>(mut rest: &'a str, name: &str) -> &'a str {
    while let Some((_, behind)) = rest.split_once("</") {
        rest = behind;
        if rest.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)) {
            return rest.split_once('>').map_or("", |(_, rest)| rest);
        }
    }
    ""
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_go_and_words_stay() {
        for (markup, expected) in [
            ("<p>One</p><p>two</p>", "One two"),
            ("a<br/>b", "a b"),
            ("x < y && z", "x < y && z"),
            ("<!-- no --><b class=\"n>\">yes", "\">yes"),
            ("<script>if (a < b) no()</script>yes", "yes"),
            ("<STYLE>no</style >yes<style>no", "yes"),
            ("<head><title>Yes</title></head><body>yes</body>", "Yes yes"),
            ("&lt;b&gt; &#233;&#xE9; &amp;amp; &unknown; &", "<b> éé &amp; &unknown; &"),
            ("&#xD800; &#99999999999;", "&#xD800; &#99999999999;"),
            ("<a><![CDATA[1 < 2]]></a>", "1 < 2"),
            ("<!doctype html><?xml?>yes", "yes"),
            ("cut <b", "cut"),
            ("<", "<"),
        ] {
            let found = text(markup);
            let words: Vec<&str> = found.split_whitespace().collect();
            assert_eq!(words.join(" "), expected, "{markup}");
        }
    }

    #[test]
    fn a_bomb_costs_one_pass() {
        let deep = "<div>".repeat(200_000);
        assert_eq!(text(&deep).trim(), "");
        assert_eq!(text(&"<!--".repeat(200_000)).trim(), "");
        assert_eq!(text(&"&".repeat(200_000)).len(), 200_000);
    }
}
