// The handshakes against crypto/vectors/ble.json, message by message, and against boxes that are none.

import { expect, test } from "vitest";
import vectors from "../../../crypto/vectors/ble.json";
import { type Bytes, concat, fromHex, toHex, utf8 } from "../src/protocol/bytes.ts";
import { parseCode } from "../src/protocol/code.ts";
import { Imposter, Refused } from "../src/protocol/failure.ts";
import { Reassembler, split } from "../src/protocol/frames.ts";
import { Channel, type Characteristics } from "../src/protocol/gatt.ts";
import { Link } from "../src/protocol/link.ts";
import { keyPair } from "../src/protocol/noise.ts";
import { sessionByCode, sessionByKey } from "../src/protocol/session.ts";

interface Step {
  from: string;
  name: string;
  channel: number;
  message: string;
}

type Change = (message: Bytes) => Bytes;

// Says what the box of the vectors said, as soon as the phone has said its part of it.
class Recording implements Characteristics {
  readonly closed = new Promise<void>(() => undefined);
  // What the phone said, and what it says in the vectors.
  readonly said: [string, string][] = [];
  readonly #steps: Step[];
  readonly #changes: Record<string, Change>;
  readonly #inbound = new Map<Channel, Reassembler>();
  readonly #listeners = new Map<Channel, (frame: Bytes) => void>();
  #sent = 0;

  constructor(steps: Step[], changes: Record<string, Change> = {}) {
    this.#steps = [...steps];
    this.#changes = changes;
  }

  async write(channel: Channel, frame: Bytes): Promise<void> {
    const reassembler = this.#inbound.get(channel) ?? new Reassembler();
    this.#inbound.set(channel, reassembler);
    const message = reassembler.accept(frame, 0);
    if (message === undefined) return;
    const expected = this.#steps.shift();
    this.said.push([`${channel} ${toHex(message)}`, `${expected?.channel} ${expected?.message}`]);
    while (this.#steps[0]?.from === "box") this.#answer(this.#steps.shift() as Step);
  }

  #answer(step: Step): void {
    const change = this.#changes[step.name] ?? ((message) => message);
    for (const frame of split(change(fromHex(step.message)), this.#sent++, 185)) {
      this.#listeners.get(step.channel as Channel)?.(frame);
    }
  }

  async subscribe(channel: Channel, listener: (frame: Bytes) => void): Promise<void> {
    this.#listeners.set(channel, listener);
  }

  async read(): Promise<Bytes> {
    throw new Error("there is nothing to read in a handshake");
  }

  disconnect(): void {}
}

const phone = keyPair(fromHex(vectors.keys.phone_static));
const boxKey = fromHex(vectors.keys.box_static_public);
const deviceId = fromHex(vectors.device_id);

function randomOf(...values: string[]) {
  return () => fromHex(values.shift() ?? "");
}

async function byCode(changes: Record<string, Change> = {}, known: Bytes | undefined = undefined) {
  const box = new Recording(vectors.by_code.messages, changes);
  const typed = parseCode(vectors.code);
  if (typed.state !== "complete") throw new Error("the vectors' code is none");
  const random = randomOf(vectors.by_code.a, vectors.keys.phone_ephemeral);
  const keys = { phone, boxKey: known };
  const session = await sessionByCode(await Link.open(box), { deviceId, code: typed.code, keys, random });
  return { box, session };
}

async function byKey(changes: Record<string, Change> = {}) {
  const box = new Recording(vectors.by_key.messages, changes);
  const random = randomOf(vectors.keys.phone_ephemeral);
  const session = await sessionByKey(await Link.open(box), { deviceId, phone, boxKey, random });
  return { box, session };
}

test("keys are derived as in the vectors", () => {
  expect(toHex(phone.public)).toBe(vectors.keys.phone_static_public);
});

test.each([
  ["by a code", byCode],
  ["by a key", byKey],
])("a session %s is the one of the vectors, byte by byte", async (_, handshake) => {
  const { box, session } = await handshake();
  expect(toHex(session.boxKey)).toBe(vectors.keys.box_static_public);
  expect(session.welcome).toMatchObject({ access: "setup", deviceName: "coffer" });
  await session.send(Channel.control, { id: 7, op: "set_country", country: "NO" });
  expect(box.said.length).toBe(handshake === byCode ? 4 : 2);
  for (const [ours, theirs] of box.said) expect(ours).toBe(theirs);
});

test("frames are those of the vectors", () => {
  for (const { mtu, id, message, frames } of vectors.frames) {
    expect(split(fromHex(message), id, Math.min(mtu - 3, 244)).map(toHex)).toEqual(frames);
  }
});

const flip = (at: number): Change => (message) => message.map((byte, index) => (index === at ? byte ^ 1 : byte));
const refuse = (code: string): Change => () => concat(new Uint8Array([0x0f]), utf8(JSON.stringify({ code, happened: "a", try: "b" })));

test.each<[string, Record<string, Change>]>([
  ["another salt", { code_challenge: flip(1) }],
  ["another B", { code_challenge: flip(500) }],
  ["a B of zero", { code_challenge: (message) => concat(message.subarray(0, 17), new Uint8Array(512)) }],
  ["a challenge that is too short", { code_challenge: (message) => message.slice(0, -1) }],
  ["a wrong M2", { code_accepted: flip(1) }],
  ["another ephemeral key", { code_accepted: flip(40) }],
  ["another static key", { code_accepted: flip(70) }],
  ["a low-order ephemeral key", { code_accepted: (message) => concat(message.subarray(0, 33), new Uint8Array(32), message.subarray(65)) }],
  ["an answer of another step", { code_accepted: () => fromHex(vectors.by_code.messages[1]?.message ?? "") }],
  ["a welcome that does not authenticate", { welcome: flip(20) }],
])("by code, a box with %s is an imposter", async (_, changes) => {
  await expect(byCode(changes)).rejects.toBeInstanceOf(Imposter);
});

test("nothing but A and the proof is sent to a box that cannot make M2", async () => {
  const box = new Recording(vectors.by_code.messages, { code_accepted: flip(1) });
  const typed = parseCode(vectors.code);
  if (typed.state !== "complete") throw new Error("the vectors' code is none");
  const random = randomOf(vectors.by_code.a, vectors.keys.phone_ephemeral);
  const options = { deviceId, code: typed.code, keys: { phone, boxKey: undefined }, random };
  await expect(sessionByCode(await Link.open(box), options)).rejects.toBeInstanceOf(Imposter);
  expect(box.said).toHaveLength(2);
});

test("a box that is known by another key is an imposter, although it knows the code", async () => {
  await expect(byCode({}, boxKey)).resolves.toBeDefined();
  await expect(byCode({}, new Uint8Array(32).fill(9))).rejects.toBeInstanceOf(Imposter);
});

test.each([
  ["another ephemeral key", { resumed: flip(1) }],
  ["a changed tag", { resumed: flip(40) }],
  ["a wrong length", { resumed: (message: Bytes) => message.slice(0, -1) }],
  ["a welcome in clear", { welcome: () => utf8("{}") }],
])("by key, a box with %s is an imposter", async (_, changes) => {
  await expect(byKey(changes)).rejects.toBeInstanceOf(Imposter);
});

test("what a box refuses in a handshake is told as it says it", async () => {
  for (const [attempt, code] of [
    [byCode({ code_challenge: refuse("already_claimed") }), "already_claimed"],
    [byCode({ code_accepted: refuse("wrong_code") }), "wrong_code"],
    [byKey({ resumed: refuse("not_enrolled") }), "not_enrolled"],
  ] as const) {
    const error = await attempt.catch((reason: unknown) => reason);
    expect(error).toBeInstanceOf(Refused);
    expect((error as Refused).failure.code).toBe(code);
  }
});

test("a refusal that cannot be read is still a refusal", async () => {
  const error = await byKey({ resumed: () => new Uint8Array([0x0f, 0xff, 0xfe]) }).catch((reason: unknown) => reason);
  expect((error as Refused).failure.code).toBe("malformed_message");
});
