// From a connection to sealed JSON in both directions (docs/ble.md, sections 5 to 7). Knows neither Bluetooth nor a page.

import { hkdf } from "@noble/hashes/hkdf.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, equal, fromUtf8, utf8 } from "./bytes.ts";
import type { Code } from "./code.ts";
import { ConnectionLost, Imposter, NoAnswer, Refused, SessionEnded, asFailure } from "./failure.ts";
import { Channel } from "./gatt.ts";
import { PROTOCOL_VERSION } from "./info.ts";
import type { Link } from "./link.ts";
import { type Welcome, parseWelcome } from "./messages.ts";
import { IK, KEY_BYTES, type KeyPair, NoiseError, type Split, XXpsk3, keyPair } from "./noise.ts";
import { EPHEMERAL_BYTES, INTEGER_BYTES, PROOF_BYTES, SALT_BYTES, SrpClient, SrpError } from "./srp.ts";

const Type = {
  codeStart: 0x01,
  codeChallenge: 0x02,
  codeProof: 0x03,
  codeAccepted: 0x04,
  codeFinish: 0x05,
  resume: 0x06,
  resumed: 0x07,
  refused: 0x0f,
  sealed: 0x10,
} as const;

const HANDSHAKE_TIMEOUT_S = 30;
const PROBE_TIMEOUT_S = 5;
const SEALED_HEADER_BYTES = 5;

// Randomness is a parameter, so that the vectors can fix it.
export type Random = (length: number) => Uint8Array;

export interface PhoneKeys {
  phone: KeyPair;
  // The key that the box showed before; undefined when it never did.
  boxKey: Bytes | undefined;
}

// A session by a code (section 6).
export async function sessionByCode(
  link: Link,
  options: { deviceId: Bytes; code: Code; keys: PhoneKeys; random: Random },
): Promise<Session> {
  const answers = new Answers(link);
  const srp = new SrpClient(options.random(EPHEMERAL_BYTES));
  const start = concat(new Uint8Array([Type.codeStart, PROTOCOL_VERSION]), srp.A);
  const challenge = await answers.to(start, Type.codeChallenge, SALT_BYTES + INTEGER_BYTES);
  const salt = challenge.subarray(1, 1 + SALT_BYTES);

  const who = { identity: options.deviceId, password: options.code.payload };
  const proof = honest(() => srp.prove(who, salt, challenge.subarray(1 + SALT_BYTES)));
  const noise = new XXpsk3({
    prologue: concat(utf8("coffer ble 1"), sha256(concat(start, challenge, proof.m1, proof.m2))),
    psk: new Uint8Array(hkdf(sha256, proof.sessionKey, undefined, utf8("coffer ble psk 1"), KEY_BYTES)),
    phone: options.keys.phone,
    ephemeral: keyPair(options.random(KEY_BYTES)),
  });
  const accepted = await answers.to(concat(new Uint8Array([Type.codeProof]), proof.m1, noise.message1()), Type.codeAccepted);
  if (!proof.confirm(accepted.subarray(1, 1 + PROOF_BYTES))) throw new Imposter("the box does not know the code");
  const { message3, split } = honest(() => noise.finish(accepted.subarray(1 + PROOF_BYTES)));
  const known = options.keys.boxKey;
  if (known !== undefined && !equal(known, split.boxKey)) throw new Imposter("the box shows another key than before");
  return Session.begin(link, split, concat(new Uint8Array([Type.codeFinish]), message3));
}

// A session by a key that is enrolled (section 7).
export async function sessionByKey(
  link: Link,
  options: { deviceId: Bytes; phone: KeyPair; boxKey: Bytes; random: Random },
): Promise<Session> {
  const noise = new IK({
    prologue: concat(utf8("coffer ble 1 resume"), options.deviceId),
    phone: options.phone,
    ephemeral: keyPair(options.random(KEY_BYTES)),
    boxKey: options.boxKey,
  });
  const resume = concat(new Uint8Array([Type.resume, PROTOCOL_VERSION]), honest(() => noise.message1()));
  const resumed = await new Answers(link).to(resume, Type.resumed);
  return Session.begin(link, honest(() => noise.finish(resumed.subarray(1))));
}

// What the other side got wrong in a handshake means that it is not the box.
function honest<T>(step: () => T): T {
  try {
    return step();
  } catch (error) {
    if (error instanceof SrpError || error instanceof NoiseError) throw new Imposter(error.message, { cause: error });
    throw error;
  }
}

// The box's side of a handshake, message by message.
class Answers {
  readonly #link: Link;

  constructor(link: Link) {
    this.#link = link;
  }

  // Sends a message and waits for the one that answers it. `bodyBytes`: what must follow the type.
  async to(message: Bytes, type: number, bodyBytes?: number): Promise<Bytes> {
    // Listened to before it is sent: the answer may be faster than the end of the last write.
    const answered = new Promise<Bytes>((resolve) => {
      this.#link.listen((channel, answer) => {
        if (channel !== Channel.session) return;
        this.#link.hold();
        resolve(answer);
      });
    });
    await this.#link.send(Channel.session, message);
    const answer = await withTimeout(raceClosed(this.#link, answered), HANDSHAKE_TIMEOUT_S);
    if (answer[0] === Type.refused) throw new Refused(refusal(answer));
    if (answer[0] !== type || (bodyBytes !== undefined && answer.length !== 1 + bodyBytes)) {
      throw new Imposter("an answer that does not belong to this handshake");
    }
    return answer;
  }
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: Error): void;
}

type ValueListener = (value: unknown) => void;

// Sealed messages after a handshake. Once ended, for whatever reason, every call fails with that reason.
export class Session {
  readonly boxKey: Bytes;
  // Resolves with the reason.
  readonly ended: Promise<Error>;
  readonly #link: Link;
  readonly #keys: Split;
  readonly #pending = new Map<string, Pending>();
  readonly #listeners = new Map<Channel, Set<ValueListener>>();
  readonly #highest = new Map<Channel, number>();
  readonly #latest = new Map<Channel, unknown>();
  #welcome: Welcome | undefined;
  #counter = 0;
  #nextRequest = 1;
  #end: Error | undefined;
  #endNow: (reason: Error) => void = () => undefined;

  private constructor(link: Link, keys: Split) {
    this.#link = link;
    this.#keys = keys;
    this.boxKey = keys.boxKey;
    this.ended = new Promise((resolve) => {
      this.#endNow = resolve;
    });
    link.listen((channel, message) => this.#receive(channel, message));
    void link.closed.then(() => this.#close(new ConnectionLost("the connection to the box is gone")));
  }

  // Resolves with the box's first welcome; until then nothing may be taken for granted.
  static async begin(link: Link, keys: Split, finish?: Bytes): Promise<Session> {
    const session = new Session(link, keys);
    const welcomed = new Promise<void>((resolve) => {
      // It may have been there before we listened.
      if (session.#welcome !== undefined) resolve();
      session.onValue(Channel.session, () => resolve());
    });
    if (finish !== undefined) await link.send(Channel.session, finish);
    const ended = session.ended.then((reason) => {
      throw reason;
    });
    await withTimeout(Promise.race([welcomed, ended]), HANDSHAKE_TIMEOUT_S);
    return session;
  }

  // The latest that the box has sent.
  get welcome(): Welcome {
    if (this.#welcome === undefined) throw new Error("there is no session before welcome");
    return this.#welcome;
  }

  // What the box sends by itself on a characteristic. Returns how to stop listening.
  onValue(channel: Channel, listener: ValueListener): () => void {
    const listeners = this.#listeners.get(channel) ?? new Set();
    this.#listeners.set(channel, listeners.add(listener));
    return () => listeners.delete(listener);
  }

  // Resolves with the reply's `ok`; rejects with Refused for its `error`.
  async request(channel: Channel, op: string, fields: object, timeoutS: number): Promise<unknown> {
    const id = this.#nextRequest++;
    const key = `${channel} ${id}`;
    const reply = new Promise<unknown>((resolve, reject) => {
      this.#pending.set(key, { resolve, reject });
    });
    // It may be rejected while the request is still being sent, when nobody looks at it yet.
    reply.catch(() => undefined);
    try {
      await this.send(channel, { id, op, ...fields });
      return await withTimeout(reply, timeoutS);
    } finally {
      this.#pending.delete(key);
    }
  }

  // Without a reply: the outcome is a new value of the characteristic.
  async send(channel: Channel, value: object): Promise<void> {
    if (this.#end !== undefined) throw this.#end;
    const counter = this.#counter++;
    const ciphertext = this.#keys.send.seal(counter, new Uint8Array([channel]), utf8(JSON.stringify(value)));
    await this.#link.send(channel, concat(sealedHeader(counter), ciphertext));
  }

  async read(channel: Channel): Promise<unknown> {
    if (this.#end !== undefined) throw this.#end;
    const message = await this.#link.read(channel);
    const counter = counterOf(message);
    // A notification has overtaken this value while its frames were read, and is newer.
    if (counter !== undefined && counter <= (this.#highest.get(channel) ?? -1) && this.#latest.has(channel)) {
      return this.#latest.get(channel);
    }
    const value = this.#open(channel, message);
    if (value === undefined) throw this.#end ?? new NoAnswer("nothing to read");
    this.#latest.set(channel, value);
    return value;
  }

  // Whether the box still takes part. It ends idle sessions, so ask now and then while a person thinks.
  async probe(): Promise<void> {
    try {
      await this.request(Channel.control, "set_clock", { time: new Date().toISOString() }, PROBE_TIMEOUT_S);
    } catch (error) {
      if (error instanceof NoAnswer) this.#close(new SessionEnded("the box has ended the session"));
    }
  }

  // Leaves the box to others.
  leave(): void {
    this.#close(new SessionEnded("left"));
    this.#link.disconnect();
  }

  #receive(channel: Channel, message: Bytes): void {
    if (message[0] === Type.refused) {
      // It may be meant for somebody else, or be nobody's word at all: ask the box itself.
      if (channel === Channel.session && refusal(message).code === "session_ended") void this.probe();
      return;
    }
    const value = this.#open(channel, message);
    if (value === undefined) return;
    const pending = this.#pending.get(`${channel} ${String((value as { id?: unknown }).id)}`);
    if (pending !== undefined) {
      answer(pending, value);
      return;
    }
    if (channel === Channel.session) {
      const welcome = parseWelcome(value);
      if (welcome === undefined) return;
      this.#welcome = welcome;
    }
    this.#latest.set(channel, value);
    for (const listener of this.#listeners.get(channel) ?? []) listener(value);
  }

  // Undefined, with the session ended, for what does not authenticate, repeats, falls behind or is no JSON object.
  #open(channel: Channel, message: Bytes): object | undefined {
    const counter = counterOf(message);
    if (counter === undefined || counter <= (this.#highest.get(channel) ?? -1)) {
      this.#close(new Imposter("a message out of order"));
      return undefined;
    }
    try {
      const associated = new Uint8Array([channel]);
      const plaintext = this.#keys.receive.open(counter, associated, message.subarray(SEALED_HEADER_BYTES));
      const value: unknown = JSON.parse(fromUtf8(plaintext));
      if (typeof value !== "object" || value === null) throw new TypeError("not an object");
      this.#highest.set(channel, counter);
      return value;
    } catch (cause) {
      this.#close(new Imposter("a message that is not the box's", { cause }));
      return undefined;
    }
  }

  #close(reason: Error): void {
    if (this.#end !== undefined) return;
    this.#end = reason;
    for (const pending of this.#pending.values()) pending.reject(reason);
    this.#endNow(reason);
  }
}

function answer(pending: Pending, reply: object): void {
  const { ok, error } = reply as { ok?: unknown; error?: unknown };
  if (error === undefined) pending.resolve(ok);
  else pending.reject(new Refused(asFailure(error) ?? unreadable()));
}

function sealedHeader(counter: number): Bytes {
  const header = new Uint8Array(SEALED_HEADER_BYTES);
  header[0] = Type.sealed;
  new DataView(header.buffer).setUint32(1, counter);
  return header;
}

// Undefined when the message is not a sealed one.
function counterOf(message: Bytes): number | undefined {
  if (message[0] !== Type.sealed || message.length < SEALED_HEADER_BYTES) return undefined;
  return new DataView(message.buffer, message.byteOffset).getUint32(1);
}

function refusal(message: Bytes) {
  try {
    return asFailure(JSON.parse(fromUtf8(message.subarray(1)))) ?? unreadable();
  } catch {
    return unreadable();
  }
}

function unreadable() {
  return { code: "malformed_message", happened: "The box gave an answer that cannot be read.", try: "Connect again." };
}

function raceClosed<T>(link: Link, promise: Promise<T>): Promise<T> {
  const lost = link.closed.then(() => {
    throw new ConnectionLost("the connection to the box is gone");
  });
  return Promise.race([promise, lost]);
}

function withTimeout<T>(promise: Promise<T>, seconds: number): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new NoAnswer(`no answer in ${seconds} s`)), seconds * 1000);
    promise.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
