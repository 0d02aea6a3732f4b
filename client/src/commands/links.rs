//! One-time links.

use coffer_client::secrets::{failure::Failure, handouts, line::Line};
use jiff::SignedDuration;
use serde_json::json;

use super::{Machine, ask::Question, find, show};
use crate::cli::Link;

pub(super) fn run(machine: &Machine, command: Link) -> Result<(), Failure> {
    match command {
        Link::Create { vault, item, field, views, hours, out } => {
            let mut device = machine.device()?;
            let vault = find::vault(&mut device, &vault)?;
            let item = find::item(&mut device, &vault, &item)?;
            let part = handouts::part(&item.content, &field)?;
            let life = SignedDuration::from_hours(hours.into());
            let made = handouts::create(&Line::new(&device)?, &part, views, life)?;
            let told =
                json!({ "id": made.id, "link": made.link.expose(), "views": views, "expires_at": made.expires_at });
            show::done(&out, made.link.expose(), &told);
            if !out.json {
                let times = if views == 1 { "once".to_owned() } else { format!("{views} times") };
                show::note(&format!(
                    "It opens {times}, until {}. Everything is in the link: send it by a way that only its reader sees.",
                    made.expires_at
                ));
            }
        }
        Link::List(out) => {
            let device = machine.device()?;
            for link in handouts::list(&Line::new(&device)?)? {
                let text =
                    format!("{}  {} of {} left, until {}", link.id, link.views_left, link.views, link.expires_at);
                show::done(&out, &text, &json!(link));
            }
        }
        Link::Rm { id, out } => {
            let device = machine.device()?;
            handouts::take_back(&Line::new(&device)?, id)?;
            show::done(&out, "Nobody can open it any more.", &json!({ "id": id }));
        }
        Link::Open { link_file, out } => {
            let question =
                Question { what: "The link", flag: "--link-file", file: link_file.as_deref(), is_new: false };
            let opened = handouts::open(question.ask()?.expose())?;
            show::handed_out(&opened, &out);
        }
    }
    Ok(())
}
