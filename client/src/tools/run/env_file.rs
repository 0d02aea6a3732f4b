//! Files with variables, one a line: `NAME=value`, `export NAME='value'`, `# comment`.
//!
//! Nothing is expanded: a `$` in a password is a `$`.

use zeroize::Zeroizing;

/// A line that cannot be understood. What is in it may be a secret, and is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct Misread {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong with it.
    pub why: &'static str,
}

/// The variables, in order.
pub fn parse(text: &str) -> Result<Vec<(String, Zeroizing<String>)>, Misread> {
    let lines = text.lines().enumerate().map(|(index, line)| (index + 1, line.trim()));
    let lines = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    lines.map(|(line, text)| variable(text).map_err(|why| Misread { line, why })).collect()
}

fn variable(line: &str) -> Result<(String, Zeroizing<String>), &'static str> {
    let (name, rest) = line.split_once('=').ok_or("there is no = in it")?;
    let name = name.strip_prefix("export ").unwrap_or(name).trim();
    let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_';
    if name.is_empty() || name.starts_with(|c: char| c.is_ascii_digit()) || !name.chars().all(is_name) {
        return Err("a name has letters, digits and _, and does not begin with a digit");
    }
    Ok((name.to_owned(), value(rest.trim())?))
}

fn value(text: &str) -> Result<Zeroizing<String>, &'static str> {
    let mut value = Zeroizing::new(String::with_capacity(text.len()));
    let Some(quote) = text.chars().next().filter(|c| matches!(c, '"' | '\'')) else {
        // A comment begins behind a space, so that a # in a password or a URL is not one.
        let end = text.find(" #").unwrap_or(text.len());
        value.push_str(text[..end].trim_end());
        return Ok(value);
    };
    let mut rest = text[1..].chars();
    loop {
        match rest.next().ok_or("a quotation mark is not closed")? {
            c if c == quote => break,
            '\\' if quote == '"' => match rest.next().ok_or("a quotation mark is not closed")? {
                'n' => value.push('\n'),
                'r' => value.push('\r'),
                't' => value.push('\t'),
                c @ ('"' | '\\' | '$' | '`') => value.push(c),
                c => value.extend(['\\', c]),
            },
            c => value.push(c),
        }
    }
    let behind = rest.as_str().trim_start();
    if behind.is_empty() || behind.starts_with('#') {
        Ok(value)
    } else {
        Err("there is something behind the closing quotation mark")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_variables() {
        for (line, name, value) in [
            ("A=b", "A", "b"),
            ("  export A_1 = b c  ", "A_1", "b c"),
            ("A=", "A", ""),
            ("A=b#c # d", "A", "b#c"),
            ("A=$B=\\n", "A", "$B=\\n"),
            ("A='b \\n \" # $c' # d", "A", "b \\n \" # $c"),
            (r#"A="b\n\"\\\$\x'""#, "A", "b\n\"\\$\\x'"),
            ("A=coffer://Home/Mail/password?attribute=otp", "A", "coffer://Home/Mail/password?attribute=otp"),
        ] {
            let variables = parse(line).unwrap();
            assert_eq!(variables, [(name.to_owned(), Zeroizing::new(value.to_owned()))], "{line}");
        }
        assert!(parse("\n# A=b\r\n   \n").unwrap().is_empty());
    }

    #[test]
    fn a_line_that_is_none_is_named_and_not_shown() {
        for line in ["secret", "=secret", "1A=secret", "A-B=secret", "A='secret", "A=\"secret\\\"", "A='secret'x"] {
            let misread = parse(&format!("A=b\n\n{line}\nB=c")).unwrap_err();
            assert_eq!(misread.line, 3, "{line}");
            assert!(!misread.to_string().contains("secret"), "{misread}");
        }
    }
}
