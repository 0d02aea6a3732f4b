//! Tables as spreadsheets and browsers write them (RFC 4180), in memory that is wiped.

use zeroize::Zeroizing;

/// A line of a table.
pub type Row = Vec<Zeroizing<String>>;

/// A table that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {why}")]
pub struct CsvError {
    /// Counts from 1.
    pub line: usize,
    /// What is wrong there.
    pub why: &'static str,
}

/// The rows, and the line that each begins at. Empty lines are none.
pub fn read(text: &str) -> Result<Vec<(usize, Row)>, CsvError> {
    // A byte order mark, as Windows has it.
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let (mut rows, mut row, mut line, mut start) = (Vec::new(), Row::new(), 1, 1);
    let mut rest = text;
    while !rest.is_empty() {
        let (value, behind) = if let Some(quoted) = rest.strip_prefix('"') {
            unquote(quoted).ok_or(CsvError { line, why: "a quotation mark is not closed" })?
        } else {
            let end = rest.find([',', '\n']).unwrap_or(rest.len());
            let (value, behind) = rest.split_at(end);
            let value = if behind.starts_with(',') { value } else { value.strip_suffix('\r').unwrap_or(value) };
            (Zeroizing::new(value.to_owned()), behind)
        };
        line += rest[..rest.len() - behind.len()].matches('\n').count();
        row.push(value);
        let behind = behind.strip_prefix('\r').filter(|behind| behind.starts_with('\n')).unwrap_or(behind);
        if let Some(next) = behind.strip_prefix(',') {
            rest = next;
            if rest.is_empty() {
                row.push(Zeroizing::default());
            }
            continue;
        }
        rest = match behind.strip_prefix('\n') {
            Some(next) => next,
            None if behind.is_empty() => behind,
            None => return Err(CsvError { line, why: "there is something behind a closing quotation mark" }),
        };
        let complete = std::mem::take(&mut row);
        if complete.len() > 1 || complete.first().is_some_and(|value| !value.is_empty()) {
            rows.push((start, complete));
        }
        line += 1;
        start = line;
    }
    if !row.is_empty() {
        rows.push((start, row));
    }
    Ok(rows)
}

/// What is between quotation marks, of which the first was taken, and what is behind them.
fn unquote(text: &str) -> Option<(Zeroizing<String>, &str)> {
    let mut value = Zeroizing::new(String::with_capacity(text.find("\",").unwrap_or(text.len())));
    let mut rest = text;
    loop {
        let end = rest.find('"')?;
        value.push_str(&rest[..end]);
        rest = &rest[end + 1..];
        match rest.strip_prefix('"') {
            Some(next) => {
                value.push('"');
                rest = next;
            }
            None => return Some((value, rest)),
        }
    }
}

/// A table of rows.
pub fn write(rows: &[Row]) -> Zeroizing<String> {
    // Each value could be all quotation marks.
    let capacity = rows.iter().flatten().map(|value| value.len() * 2 + 3).sum::<usize>() + rows.len();
    let mut text = Zeroizing::new(String::with_capacity(capacity));
    for row in rows {
        for (index, value) in row.iter().enumerate() {
            if index > 0 {
                text.push(',');
            }
            if value.contains([',', '"', '\n', '\r']) {
                text.push('"');
                for c in value.chars() {
                    if c == '"' {
                        text.push('"');
                    }
                    text.push(c);
                }
                text.push('"');
            } else {
                text.push_str(value);
            }
        }
        text.push('\n');
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn table(text: &str) -> Vec<(usize, Vec<String>)> {
        let row = |(line, row): (usize, Row)| (line, row.iter().map(|value| value.to_string()).collect());
        read(text).unwrap().into_iter().map(row).collect()
    }

    #[test]
    fn rows_are_read() {
        for (text, rows) in [
            ("", vec![]),
            ("a,b", vec![(1, vec!["a", "b"])]),
            ("\u{feff}a,b\r\nc,\r\n", vec![(1, vec!["a", "b"]), (2, vec!["c", ""])]),
            ("a,", vec![(1, vec!["a", ""])]),
            ("\n\na\n", vec![(3, vec!["a"])]),
            ("\"a\nb\"\"c\",\"\"\r\nd,e", vec![(1, vec!["a\nb\"c", ""]), (3, vec!["d", "e"])]),
            ("a b\"c\",d", vec![(1, vec!["a b\"c\"", "d"])]),
        ] {
            let rows: Vec<(usize, Vec<String>)> =
                rows.into_iter().map(|(line, row)| (line, row.into_iter().map(str::to_owned).collect())).collect();
            assert_eq!(table(text), rows, "{text:?}");
        }
        assert_eq!(read("a\n\"b").unwrap_err().line, 2);
        assert_eq!(read("a\nb,\"c\"d").unwrap_err().line, 2);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(rows in vec(vec("[a\",\r\n ü]{0,6}", 2..4), 0..5)) {
            let rows: Vec<Row> = rows.into_iter().map(|row| row.into_iter().map(Zeroizing::new).collect()).collect();
            let read: Vec<Row> = read(&write(&rows)).unwrap().into_iter().map(|(_, row)| row).collect();
            prop_assert_eq!(read, rows);
        }
    }
}
