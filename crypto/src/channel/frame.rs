//! Frames: a message is cut into what one write, notification or read carries, and put together again.
//!
//! Knows nothing of what a message says. One [`Splitter`] and one [`Reassembler`] belong to one characteristic and one
//! direction; the bytes come from anybody in radio range.

use std::time::Duration;

use super::MESSAGE_TIME;

/// The largest message.
pub(super) const MAX_MESSAGE_BYTES: usize = 8192;

/// The largest frame, however large the MTU is: some stacks lose what is longer.
pub(super) const MAX_FRAME_BYTES: usize = 244;

const FIRST: u8 = 1;
const LAST: u8 = 2;
const ABORT: u8 = 4;
/// The smallest MTU of Bluetooth LE, less what ATT needs of it.
const LEAST_FRAME_BYTES: usize = 20;
const ATT_HEADER_BYTES: usize = 3;

/// How long frames may be at this MTU; an MTU that Bluetooth does not allow counts as the smallest.
pub(super) fn frame_bytes(mtu: u16) -> usize {
    usize::from(mtu).saturating_sub(ATT_HEADER_BYTES).clamp(LEAST_FRAME_BYTES, MAX_FRAME_BYTES)
}

/// A message that cannot be sent: it is empty, or longer than [`MAX_MESSAGE_BYTES`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a message has 1 to {MAX_MESSAGE_BYTES} bytes, not {0}")]
pub(super) struct LengthError(pub(super) usize);

/// Cuts messages into frames and numbers them.
#[derive(Default)]
pub(super) struct Splitter {
    next_id: u8,
}

impl Splitter {
    /// The frames of a message, each at most `frame_bytes` long (see [`frame_bytes`]).
    pub(super) fn split(&mut self, message: &[u8], frame_bytes: usize) -> Result<Vec<Vec<u8>>, LengthError> {
        let length = Some(message.len()).filter(|length| (1..=MAX_MESSAGE_BYTES).contains(length));
        let length = length.and_then(|length| u16::try_from(length).ok()).ok_or(LengthError(message.len()))?;
        let id = self.next_id;
        self.next_id = id.wrapping_add(1);
        let frame_bytes = frame_bytes.clamp(LEAST_FRAME_BYTES, MAX_FRAME_BYTES);
        let mut frames = Vec::new();
        let mut rest = message;
        let mut index = 0_u8;
        while !rest.is_empty() {
            let first = frames.is_empty();
            let mut frame = vec![if first { FIRST } else { 0 }, id, index];
            if first {
                frame.extend(length.to_be_bytes());
            }
            let (now, later) = rest.split_at(rest.len().min(frame_bytes - frame.len()));
            frame.extend(now);
            if later.is_empty() {
                frame[0] |= LAST;
            }
            frames.push(frame);
            rest = later;
            index = index.wrapping_add(1);
        }
        Ok(frames)
    }
}

/// Why a frame, and the message that it came into, was dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FrameError {
    /// Shorter than a header and a byte, or longer than [`MAX_FRAME_BYTES`].
    #[error("a frame has a wrong length")]
    FrameLength,
    /// Flags that do not exist.
    #[error("a frame has unknown flags")]
    Flags,
    /// A message of no or of too many bytes was announced.
    #[error("a message has a wrong length")]
    MessageLength,
    /// It does not continue what came before: another message, a repeated or a missing frame, a message too late.
    #[error("a frame does not continue the message")]
    Order,
    /// More or fewer bytes than announced.
    #[error("a message is not as long as announced")]
    Announced,
}

/// Puts the frames of messages together, as they arrive.
#[derive(Default)]
pub(super) struct Reassembler {
    partial: Option<Partial>,
    /// The id of a message that was dropped. The rest of it is on its way, and one error is enough for all of it.
    dropped: Option<u8>,
}

struct Partial {
    id: u8,
    next_index: u8,
    length: usize,
    bytes: Vec<u8>,
    started: Duration,
}

impl Reassembler {
    /// Takes a frame; returns the message that it completes. `now` is the time since any fixed moment.
    pub(super) fn push(&mut self, frame: &[u8], now: Duration) -> Result<Option<Vec<u8>>, FrameError> {
        self.expire(now);
        let pushed = self.try_push(frame, now);
        if pushed.is_err() {
            self.partial = None;
            self.dropped = frame.get(1).copied();
        }
        pushed
    }

    /// Forgets a message that was not completed in time. A frame of it that still comes is an error.
    pub(super) fn expire(&mut self, now: Duration) {
        if self.deadline().is_some_and(|deadline| now >= deadline) {
            self.partial = None;
        }
    }

    /// When the message that is under way is forgotten; none when there is none.
    pub(super) fn deadline(&self) -> Option<Duration> {
        self.partial.as_ref().map(|partial| partial.started.saturating_add(MESSAGE_TIME))
    }

    fn try_push(&mut self, frame: &[u8], now: Duration) -> Result<Option<Vec<u8>>, FrameError> {
        let [flags, id, index, rest @ ..] = frame else { return Err(FrameError::FrameLength) };
        if *flags == ABORT {
            *self = Self::default();
            return Ok(None);
        }
        if flags & !(FIRST | LAST) != 0 {
            return Err(FrameError::Flags);
        }
        if frame.len() > MAX_FRAME_BYTES {
            return Err(FrameError::FrameLength);
        }
        let rest = if flags & FIRST != 0 { self.begin(*id, rest, now)? } else { rest };
        if self.partial.is_none() && self.dropped == Some(*id) {
            return Ok(None);
        }
        let partial = self.partial.as_mut().filter(|partial| partial.id == *id && partial.next_index == *index);
        let partial = partial.ok_or(FrameError::Order)?;
        if rest.is_empty() {
            return Err(FrameError::FrameLength);
        }
        partial.bytes.extend(rest);
        partial.next_index = partial.next_index.wrapping_add(1);
        let complete = partial.bytes.len() == partial.length;
        if partial.bytes.len() > partial.length || complete != (flags & LAST != 0) {
            return Err(FrameError::Announced);
        }
        Ok(if complete { self.partial.take().map(|partial| partial.bytes) } else { None })
    }

    /// Reads what only a first frame has; returns what follows.
    fn begin<'a>(&mut self, id: u8, rest: &'a [u8], now: Duration) -> Result<&'a [u8], FrameError> {
        if self.partial.is_some() {
            return Err(FrameError::Order);
        }
        let [high, low, rest @ ..] = rest else { return Err(FrameError::FrameLength) };
        let length = usize::from(u16::from_be_bytes([*high, *low]));
        if !(1..=MAX_MESSAGE_BYTES).contains(&length) {
            return Err(FrameError::MessageLength);
        }
        self.dropped = None;
        // Not as many bytes as announced: who announces much and sends little shall not make us reserve it.
        self.partial = Some(Partial { id, next_index: 0, length, bytes: Vec::new(), started: now });
        Ok(rest)
    }
}

/// Whether a message begins with this frame.
pub(super) fn begins(frame: &[u8]) -> bool {
    frame.first().is_some_and(|flags| flags & FIRST != 0)
}

#[cfg(test)]
#[path = "frame_tests.rs"]
mod tests;
