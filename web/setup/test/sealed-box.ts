// A box in the middle of a session, as a transport: the handshake is over, both sides hold keys. What it says is up to the test.

import { type Bytes, concat, fromUtf8, utf8 } from "../src/protocol/bytes.ts";
import { MIN_FRAME_BYTES, Reassembler, split } from "../src/protocol/frames.ts";
import { Channel, type Characteristics } from "../src/protocol/gatt.ts";
import { Link } from "../src/protocol/link.ts";
import { Cipher, type Split } from "../src/protocol/noise.ts";
import { Session } from "../src/protocol/session.ts";

export const WELCOME = {
  type: "welcome",
  access: "setup",
  device_id: "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506",
  device_name: "coffer",
  claimed: false,
  vault: "absent",
  model: 1,
  version: "0.1.0",
  enrolled: false,
  clock_is_set: true,
  country: null,
};

interface Request {
  channel: Channel;
  value: { id?: number; op: string; [field: string]: unknown };
}

export class SealedBox implements Characteristics {
  readonly closed: Promise<void>;
  // The sizes of all frames that the phone has written.
  readonly frameSizes: number[] = [];
  frameBytes = MIN_FRAME_BYTES;
  onRequest: (request: Request) => void = () => undefined;
  readonly #toPhone = new Cipher(new Uint8Array(32).fill(1));
  readonly #toBox = new Cipher(new Uint8Array(32).fill(2));
  readonly #inbound = new Map<Channel, Reassembler>();
  readonly #listeners = new Map<Channel, (frame: Bytes) => void>();
  readonly #reading: Bytes[] = [];
  #counter = 0;
  #messages = 0;
  #close: () => void = () => undefined;

  constructor() {
    this.closed = new Promise((resolve) => (this.#close = resolve));
  }

  // The phone's session with it, welcomed.
  async session(): Promise<Session> {
    const link = await Link.open(this);
    const split: Split = { send: this.#toBox, receive: this.#toPhone, boxKey: new Uint8Array(32) };
    const session = Session.begin(link, split);
    this.notify(Channel.session, WELCOME);
    return session;
  }

  // The next number, or one that was there before.
  seal(channel: Channel, value: unknown, counter = this.#counter++): Bytes {
    const header = new Uint8Array([0x10, 0, 0, counter >> 8, counter & 0xff]);
    const plaintext = typeof value === "string" ? utf8(value) : utf8(JSON.stringify(value));
    return concat(header, this.#toPhone.seal(counter, new Uint8Array([channel]), plaintext));
  }

  notify(channel: Channel, value: unknown): void {
    this.say(channel, this.seal(channel, value));
  }

  // Any message, in clear or not.
  say(channel: Channel, message: Bytes): void {
    for (const frame of split(message, this.#messages++, this.frameBytes)) this.#listeners.get(channel)?.(frame);
  }

  // What reads return from now on, frame by frame.
  willRead(message: Bytes): void {
    this.#reading.push(...split(message, this.#messages++, this.frameBytes));
  }

  // Runs before a frame is read.
  onRead: (left: number) => void = () => undefined;

  async read(): Promise<Bytes> {
    this.onRead(this.#reading.length);
    return this.#reading.shift() ?? new Uint8Array(0);
  }

  async write(channel: Channel, frame: Bytes): Promise<void> {
    this.frameSizes.push(frame.length);
    const reassembler = this.#inbound.get(channel) ?? new Reassembler();
    this.#inbound.set(channel, reassembler);
    const message = reassembler.accept(frame, 0);
    if (message === undefined) return;
    const counter = new DataView(message.buffer).getUint32(1);
    const plaintext = this.#toBox.open(counter, new Uint8Array([channel]), message.subarray(5));
    this.onRequest({ channel, value: JSON.parse(fromUtf8(plaintext)) as Request["value"] });
  }

  async subscribe(channel: Channel, listener: (frame: Bytes) => void): Promise<void> {
    this.#listeners.set(channel, listener);
  }

  disconnect(): void {
    this.#close();
  }
}
