import fc from "fast-check";
import { expect, test } from "vitest";
import type { Bytes } from "../src/protocol/bytes.ts";
import { FrameError, MAX_FRAME_BYTES, MAX_MESSAGE_BYTES, MIN_FRAME_BYTES, Reassembler, split } from "../src/protocol/frames.ts";

const message = (max = MAX_MESSAGE_BYTES) => fc.uint8Array({ minLength: 1, maxLength: max, size: "max" });
const frameBytes = () => fc.integer({ min: MIN_FRAME_BYTES, max: MAX_FRAME_BYTES });

function joined(frames: Uint8Array[], reassembler = new Reassembler()): Bytes | undefined {
  let whole: Bytes | undefined;
  frames.forEach((frame, at) => {
    whole = reassembler.accept(frame, 0);
    if (at < frames.length - 1) expect(whole).toBeUndefined();
  });
  return whole;
}

test("every message arrives as it was sent, in frames of the allowed size", () => {
  fc.assert(
    fc.property(message(), frameBytes(), fc.nat(255), (sent, size, id) => {
      const frames = split(sent, id, size);
      expect(frames.every((frame) => frame.length <= size && frame.length > 3)).toBe(true);
      expect(joined(frames)).toEqual(sent);
    }),
    { numRuns: 50 },
  );
});

test("the longest message takes more frames than the index has numbers", () => {
  const sent = new Uint8Array(MAX_MESSAGE_BYTES).map((_, at) => at);
  expect(joined(split(sent, 255, MIN_FRAME_BYTES))).toEqual(sent);
});

test("a lost, repeated or swapped frame never makes a message", () => {
  fc.assert(
    fc.property(message(2000), fc.nat(), fc.constantFrom("lose", "repeat", "swap"), (sent, where, how) => {
      const frames: Uint8Array[] = split(sent, 7, MIN_FRAME_BYTES);
      fc.pre(frames.length > 2);
      const at = where % (frames.length - 1);
      const [here, next] = [frames[at] as Uint8Array, frames[at + 1] as Uint8Array];
      if (how === "lose") frames.splice(at, 1);
      else if (how === "repeat") frames.splice(at, 0, here);
      else frames.splice(at, 2, next, here);
      const reassembler = new Reassembler();
      let whole: Bytes | undefined;
      expect(() => {
        for (const frame of frames) whole = reassembler.accept(frame, 0);
      }).toThrow(FrameError);
      expect(whole).toBeUndefined();
    }),
    { numRuns: 50 },
  );
});

test("whatever comes in, the next whole message arrives", () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 30, size: "max" }), { maxLength: 20 }), message(200), (noise, sent) => {
      const reassembler = new Reassembler();
      for (const frame of noise) {
        try {
          reassembler.accept(frame, 0);
        } catch (error) {
          expect(error).toBeInstanceOf(FrameError);
        }
      }
      // An abort clears what the noise has begun.
      reassembler.accept(new Uint8Array([4, 0, 0]), 0);
      expect(joined(split(sent, 1, MIN_FRAME_BYTES), reassembler)).toEqual(sent);
    }),
  );
});

test.each([
  ["an unknown flag", [0x0b, 0, 0, 0, 1, 9]],
  ["a length of 0", [0x03, 0, 0, 0, 0, 9]],
  ["a length above 8192", [0x01, 0, 0, 0x20, 0x01, 9]],
  ["a first frame with an index", [0x03, 0, 1, 0, 1, 9]],
  ["no content", [0x01, 0, 0, 0, 1]],
  ["more bytes than announced", [0x03, 0, 0, 0, 1, 9, 9]],
  ["fewer bytes than announced", [0x03, 0, 0, 0, 2, 9]],
  ["half a header", [0x03, 0]],
  ["a frame of no message", [0x00, 0, 1, 9]],
])("%s is refused", (_, frame) => {
  expect(() => new Reassembler().accept(new Uint8Array(frame), 0)).toThrow(FrameError);
});

test("a message must be complete after 30 seconds", () => {
  const [first, second] = split(new Uint8Array(20), 0, MIN_FRAME_BYTES) as [Bytes, Bytes];
  const reassembler = new Reassembler();
  reassembler.accept(first, 1000);
  expect(() => reassembler.accept(second, 31_001)).toThrow(FrameError);
});

test("an aborted message is forgotten", () => {
  const [first, second] = split(new Uint8Array(20), 0, MIN_FRAME_BYTES) as [Bytes, Bytes];
  const reassembler = new Reassembler();
  reassembler.accept(first, 0);
  expect(reassembler.accept(new Uint8Array([4, 0, 1]), 0)).toBeUndefined();
  expect(() => reassembler.accept(second, 0)).toThrow(FrameError);
});

test("a message that begins inside of another ends both", () => {
  const [first, second] = split(new Uint8Array(20), 0, MIN_FRAME_BYTES) as [Bytes, Bytes];
  const reassembler = new Reassembler();
  reassembler.accept(first, 0);
  expect(() => reassembler.accept(first, 0)).toThrow(FrameError);
  expect(() => reassembler.accept(second, 0)).toThrow(FrameError);
});

test("what is empty or too long is not sent", () => {
  expect(() => split(new Uint8Array(0), 0, 20)).toThrow(FrameError);
  expect(() => split(new Uint8Array(MAX_MESSAGE_BYTES + 1), 0, 20)).toThrow(FrameError);
});
