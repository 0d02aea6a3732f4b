//! What a file on the boot partition asks for, done as if a phone had asked.

use coffer_api::SetupErrorCode as Code;

use super::Desk;
use crate::{
    card::{Applied, Card, Failure},
    errors::{self, SetupErrorFrom},
};

impl Desk {
    /// Does all of it that works, unless somebody owns the box.
    pub(crate) async fn apply(&self, card: Card) -> Applied {
        let mut applied = Applied { claimed: false, failures: Vec::new() };
        match self.is_claimed().await {
            Ok(false) if self.is_resetting() => {
                let what = "The box is being reset.";
                applied.note("the file", Err(errors::error(Code::Busy, what, "Wait for its end, and try again.")));
            }
            Ok(false) => self.apply_parts(card, &mut applied).await,
            Ok(true) => applied.claimed = true,
            Err(SetupErrorFrom(error)) => applied.note("the file", Err(error)),
        }
        // A phone may have claimed it meanwhile.
        applied.claimed |= !applied.failures.is_empty() && self.is_claimed().await.unwrap_or(false);
        applied
    }

    /// The country first: the radio is not used before.
    async fn apply_parts(&self, Card { name, country, wifi, reach }: Card, applied: &mut Applied) {
        if let Some(country) = country {
            let outcome = self.network.set_country(&country).await;
            applied.note("country", outcome.map_err(|error| SetupErrorFrom::from(error).0));
        }
        if let Some(name) = name {
            applied.note("name", self.set_name(name).await.map(drop).map_err(|SetupErrorFrom(error)| error));
        }
        if let Some(wifi) = wifi {
            applied.note("[wifi]", self.wifi(wifi).await.map(drop));
        }
        if let Some(reach) = reach {
            applied.note("[registrar] or [tunnel]", self.register(reach).await.map(drop));
        }
    }
}

impl Applied {
    fn note(&mut self, part: &str, outcome: Result<(), coffer_api::SetupError>) {
        if let Err(error) = outcome {
            self.failures.push(Failure { part: part.to_owned(), error });
        }
    }
}
