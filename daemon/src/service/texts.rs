//! Files that people write as texts.

use bytes::Bytes;
use futures_util::StreamExt;
use uuid::Uuid;

use super::Error;
use super::caller::Caller;
use super::files::{Files, Saved, Target, Upload};
use super::transfer::Piece;
use crate::model::file::File;
use crate::model::precondition::Precondition;
use crate::model::role::Action;

/// Longest text that is read and written at once.
pub(crate) const MAX_TEXT_BYTES: usize = 1024 * 1024;

impl Files {
    /// Stores a text as it is.
    pub(crate) async fn store_text(
        &self,
        caller: &Caller,
        target: Target,
        precondition: Precondition,
        text: String,
    ) -> Result<Saved, Error> {
        if text.len() > MAX_TEXT_BYTES {
            return Err(Error::field("text", format!("at most {MAX_TEXT_BYTES} bytes; upload it as a file instead")));
        }
        let upload = Upload {
            target,
            announced_bytes: Some(text.len() as u64),
            sha256: None,
            precondition,
            client_sealed: false,
        };
        let body = futures_util::stream::once(std::future::ready(Ok(Bytes::from(text))));
        self.store(caller, upload, body).await
    }

    /// Gives a file another text. Whoever does not say what they saw is refused.
    pub(crate) async fn edit_text(
        &self,
        caller: &Caller,
        id: Uuid,
        precondition: Precondition,
        text: String,
    ) -> Result<Saved, Error> {
        caller.require(Action::Add).await?;
        if precondition.one_of.is_none() {
            // Nobody learns by this whether there is such a file.
            self.get(caller, id).await?;
            return Err(Error::PreconditionNeeded);
        }
        self.store_text(caller, Target::File(id), precondition, text).await
    }

    /// A file as a text.
    pub(crate) async fn text(&self, caller: &Caller, id: Uuid) -> Result<(File, String), Error> {
        let file = self.get(caller, id).await?;
        if file.size_bytes > MAX_TEXT_BYTES as u64 {
            return Err(Error::NotAText);
        }
        let content = self.read(caller, &file, vec![Piece::Part(0..file.size_bytes)]).await?;
        let mut blocks = std::pin::pin!(content.into_stream());
        let mut bytes = Vec::new();
        while let Some(block) = blocks.next().await {
            bytes.extend_from_slice(&block.map_err(Error::content)?);
        }
        // Locking ends the stream early.
        if (bytes.len() as u64) < file.size_bytes {
            return Err(Error::Locked);
        }
        let text = String::from_utf8(bytes).map_err(|_| Error::NotAText)?;
        Ok((file, text))
    }
}
