// Cuts messages into frames and puts them together again (docs/ble.md, section 5). Knows nothing of what they say.

import { type Bytes, concat } from "./bytes.ts";

export const MAX_MESSAGE_BYTES = 8192;
export const MAX_FRAME_BYTES = 244;
// What fits with the smallest MTU, 23.
export const MIN_FRAME_BYTES = 20;
const MESSAGE_TIMEOUT_MS = 30_000;

const FIRST = 1;
const LAST = 2;
const ABORT = 4;
const HEADER_BYTES = 3;
const FIRST_HEADER_BYTES = 5;

export class FrameError extends Error {}

export function split(message: Uint8Array, messageId: number, frameBytes: number): Bytes[] {
  if (message.length === 0 || message.length > MAX_MESSAGE_BYTES) {
    throw new FrameError(`a message has 1 to ${MAX_MESSAGE_BYTES} bytes, not ${message.length}`);
  }
  const frames: Bytes[] = [];
  for (let sent = 0; sent < message.length; ) {
    const first = sent === 0;
    const end = Math.min(message.length, sent + frameBytes - (first ? FIRST_HEADER_BYTES : HEADER_BYTES));
    const flags = (first ? FIRST : 0) | (end === message.length ? LAST : 0);
    const header = [flags, messageId & 0xff, frames.length & 0xff];
    if (first) header.push(message.length >> 8, message.length & 0xff);
    frames.push(concat(new Uint8Array(header), message.subarray(sent, end)));
    sent = end;
  }
  return frames;
}

interface Partial {
  id: number;
  nextIndex: number;
  missing: number;
  parts: Uint8Array[];
  deadline: number;
}

// Puts together what comes in on one characteristic. After an error it waits for the first frame of a message.
export class Reassembler {
  #partial: Partial | undefined;

  // The whole message when this frame completes one. `nowMs` is any clock that only goes forward.
  accept(frame: Uint8Array, nowMs: number): Bytes | undefined {
    const partial = this.#partial;
    this.#partial = undefined;
    const [flags = 0, id = 0, index = 0] = frame;
    if (frame.length < HEADER_BYTES) throw new FrameError("a frame without a whole header");
    if (flags === ABORT) return undefined;
    if ((flags & ~(FIRST | LAST)) !== 0) throw new FrameError("a frame with an unknown flag");

    const next = (flags & FIRST) !== 0 ? begin(frame, id, index, nowMs, partial) : continued(partial, id, index, nowMs);
    const data = frame.slice((flags & FIRST) !== 0 ? FIRST_HEADER_BYTES : HEADER_BYTES);
    if (data.length === 0) throw new FrameError("a frame without content");
    next.missing -= data.length;
    next.nextIndex = (index + 1) & 0xff;
    next.parts.push(data);
    const last = (flags & LAST) !== 0;
    if (next.missing < 0 || last !== (next.missing === 0)) {
      throw new FrameError("more or fewer bytes than announced");
    }
    if (last) return concat(...next.parts);
    this.#partial = next;
    return undefined;
  }
}

function begin(frame: Uint8Array, id: number, index: number, nowMs: number, before: Partial | undefined): Partial {
  if (before !== undefined) throw new FrameError("a message began inside of another");
  const missing = ((frame[3] ?? 0) << 8) | (frame[4] ?? 0);
  if (index !== 0 || missing === 0 || missing > MAX_MESSAGE_BYTES) throw new FrameError("a message of a wrong length");
  return { id, nextIndex: 0, missing, parts: [], deadline: nowMs + MESSAGE_TIMEOUT_MS };
}

function continued(partial: Partial | undefined, id: number, index: number, nowMs: number): Partial {
  if (partial === undefined) throw new FrameError("a frame of no message");
  if (partial.id !== id || partial.nextIndex !== index) throw new FrameError("a frame that does not continue its message");
  if (nowMs > partial.deadline) throw new FrameError("a message that took too long");
  return partial;
}
