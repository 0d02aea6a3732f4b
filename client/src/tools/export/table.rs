//! A table as Bitwarden writes and reads it: logins and notes, with a column for everything else.

use zeroize::Zeroizing;

use super::tell_what_no_other_vault_takes;
use crate::{
    secrets::{
        content::{Content, Field, FieldKind, Kind},
        store::Item,
    },
    tools::{
        csv::{self, Row},
        losses::Losses,
    },
};

const COLUMNS: [&str; 11] = [
    "folder",
    "favorite",
    "type",
    "name",
    "notes",
    "fields",
    "reprompt",
    "login_uri",
    "login_username",
    "login_password",
    "login_totp",
];

pub(super) fn write(items: &[Item], losses: &mut Losses) -> Zeroizing<String> {
    let header = COLUMNS.map(|name| Zeroizing::new(name.to_owned())).to_vec();
    let rows: Vec<Row> = [header].into_iter().chain(items.iter().map(|item| row(&item.content, losses))).collect();
    csv::write(&rows)
}

fn row(content: &Content, losses: &mut Losses) -> Row {
    let mut fields: Vec<&Field> = content.fields.iter().collect();
    let mut take = |is_it: &dyn Fn(&Field) -> bool| {
        let index = fields.iter().position(|field| is_it(field))?;
        Some(fields.remove(index).value.clone())
    };
    let username = take(&|field| field.name == "username").unwrap_or_default();
    let password = take(&|field| field.name == "password").unwrap_or_default();
    let otp = take(&|field| field.kind == FieldKind::Otp).unwrap_or_default();
    let mut urls = Zeroizing::new(String::new());
    while let Some(url) = take(&|field| field.kind == FieldKind::Url) {
        let comma = if urls.is_empty() { "" } else { "," };
        urls = Zeroizing::new(format!("{}{comma}{}", *urls, *url));
    }
    let is_login = ![&username, &password, &otp, &urls].into_iter().all(|value| value.is_empty());
    let mut lines = Zeroizing::new(String::with_capacity(
        fields.iter().map(|field| field.name.len() + field.value.len() + 3).sum(),
    ));
    for field in fields {
        if field.name.contains(['\n', ':']) || field.value.contains(['\n', '\r']) {
            losses.add(
                "fields of several lines, or with a colon in their names: they do not read back as they were",
                &content.title,
            );
        }
        for part in [field.name.as_str(), ": ", &field.value, "\n"] {
            lines.push_str(part);
        }
    }
    let length = lines.trim_end_matches('\n').len();
    lines.truncate(length);
    tell(content, is_login, losses);
    let plain = |text: &str| Zeroizing::new(text.to_owned());
    vec![
        plain(content.tags.first().map_or("", String::as_str)),
        plain(if content.favorite { "1" } else { "" }),
        plain(if is_login { "login" } else { "note" }),
        plain(&content.title),
        content.notes.clone(),
        lines,
        plain("0"),
        urls,
        username,
        password,
        otp,
    ]
}

fn tell(content: &Content, is_login: bool, losses: &mut Losses) {
    let is_same = matches!((&content.kind, is_login), (Kind::Login, true) | (Kind::Note, false));
    if !is_same {
        losses.add("the type of the item: a table has logins and notes", &content.title);
    }
    if content.tags.len() > 1 {
        losses.add("all tags but the first, which is the folder there", &content.title);
    }
    let known = [("username", FieldKind::Text), ("password", FieldKind::Secret)];
    let in_columns = |field: &Field| {
        matches!(field.kind, FieldKind::Url | FieldKind::Otp)
            || known.iter().any(|(name, kind)| field.name == *name && field.kind == *kind)
    };
    if !content.fields.iter().all(in_columns) {
        losses.add("which fields are hidden: a table does not say it", &content.title);
    }
    // It knows nothing that another vault had brought.
    tell_what_no_other_vault_takes(content, "", losses);
}
