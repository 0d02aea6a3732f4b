//! The audit log as a file: CSV (RFC 4180) or JSON Lines, written as it is read.

use std::io;

use coffer_api::{AuditEntry, AuditFormat};
use futures_util::Stream;
use tokio::sync::mpsc;

use super::audit::wire;
use crate::service::audit::Exported;

/// The names of the columns, in their order.
const HEADER: &str = "seq,id,at,actor_id,session_id,address,request_id,action,outcome,subject_id,detail,hash\r\n";

/// The text, part after part. When rows stop coming before the end, so does the text, with an error: a part of a log
/// must not pass for all of it.
pub(super) fn text(
    format: AuditFormat,
    parts: mpsc::Receiver<Exported>,
) -> impl Stream<Item = Result<String, io::Error>> + Send {
    let head = match format {
        AuditFormat::Csv => HEADER,
        AuditFormat::Jsonl => "",
    };
    futures_util::stream::unfold((Some(parts), head.to_owned()), move |(parts, mut text)| async move {
        let mut parts = parts?;
        match parts.recv().await {
            None => Some((Err(io::Error::other("the export ended early")), (None, String::new()))),
            Some(Exported::End) => Some((Ok(text), (None, String::new()))),
            Some(Exported::Rows(records)) => {
                for record in records {
                    let entry = wire(record);
                    match format {
                        AuditFormat::Csv => push_csv(&mut text, &entry),
                        AuditFormat::Jsonl => push_json(&mut text, &entry),
                    }
                }
                Some((Ok(text), (Some(parts), String::new())))
            }
        }
    })
}

fn push_json(text: &mut String, entry: &AuditEntry) {
    // Plain values become JSON always.
    text.push_str(&serde_json::to_string(entry).unwrap_or_default());
    text.push('\n');
}

fn push_csv(text: &mut String, entry: &AuditEntry) {
    let id = |id: Option<uuid::Uuid>| id.map(|id| id.to_string()).unwrap_or_default();
    let fields = [
        entry.seq.to_string(),
        entry.id.to_string(),
        entry.at.to_string(),
        id(entry.actor_id),
        id(entry.session_id),
        entry.address.clone().unwrap_or_default(),
        entry.request_id.clone(),
        entry.action.clone(),
        entry.outcome.name().to_owned(),
        id(entry.subject_id),
        entry.detail.clone().unwrap_or_default(),
        entry.hash.clone(),
    ];
    let fields = fields.map(|value| field(&value));
    text.push_str(&fields.join(","));
    text.push_str("\r\n");
}

/// Quotes where RFC 4180 says so; and disarms what a spreadsheet would run: a request's id is chosen by its client.
fn field(value: &str) -> String {
    let armed = value.starts_with(['=', '+', '-', '@', '\t', '\r', '\n']);
    let disarmed = if armed { format!("'{value}") } else { value.to_owned() };
    if disarmed.contains([',', '"', '\r', '\n']) { format!("\"{}\"", disarmed.replace('"', "\"\"")) } else { disarmed }
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;

    use super::*;

    #[tokio::test]
    async fn an_export_that_was_cut_short_does_not_pass_for_a_whole_one() {
        for ends in [true, false] {
            let (sender, parts) = mpsc::channel(2);
            sender.send(Exported::Rows(Vec::new())).await.ok();
            if ends {
                sender.send(Exported::End).await.ok();
            }
            drop(sender);
            let sent: Vec<_> = text(AuditFormat::Csv, parts).collect().await;
            assert_eq!(sent[0].as_deref().unwrap(), HEADER);
            assert_eq!(sent.last().map(Result::is_ok), Some(ends));
        }
    }

    #[test]
    fn a_field_is_quoted_where_it_must_and_is_no_formula() {
        for (value, expected) in [
            ("plain text", "plain text"),
            ("", ""),
            ("a,b", "\"a,b\""),
            ("say \"hi\"", "\"say \"\"hi\"\"\""),
            ("two\r\nlines", "\"two\r\nlines\""),
            ("=1+1", "'=1+1"),
            ("-1", "'-1"),
            ("+1", "'+1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\tx", "'\tx"),
            ("=HYPERLINK(\"a\",\"b\")", "\"'=HYPERLINK(\"\"a\"\",\"\"b\"\")\""),
            ("days: 0 -> 90", "days: 0 -> 90"),
        ] {
            assert_eq!(field(value), expected, "{value:?}");
        }
    }
}
