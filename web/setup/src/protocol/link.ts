// Whole messages over a connection's characteristics, in both directions. Knows frames, not what messages mean.

import type { Bytes } from "./bytes.ts";
import { ConnectionLost, NoAnswer } from "./failure.ts";
import { FrameError, MAX_FRAME_BYTES, MIN_FRAME_BYTES, Reassembler, split } from "./frames.ts";
import { type Channel, type Characteristics, NOTIFYING } from "./gatt.ts";

export type MessageListener = (channel: Channel, message: Bytes) => void;

export class Link {
  readonly closed: Promise<void>;
  readonly #gatt: Characteristics;
  readonly #notified = new Map<Channel, Reassembler>();
  readonly #nextId = new Map<Channel, number>();
  readonly #queues = new Map<string, Promise<unknown>>();
  // Without one, messages are of no interest, or wait for the next one.
  #listener: MessageListener | undefined;
  #held: { channel: Channel; message: Bytes }[] | undefined;
  // Nothing tells a web page the MTU. But a frame of n bytes from the box proves one of n + 3 or more, and the box's
  // first long message comes before the second of ours.
  #frameBytes = MIN_FRAME_BYTES;

  private constructor(gatt: Characteristics) {
    this.#gatt = gatt;
    this.closed = gatt.closed;
  }

  // Subscribes to all that notifies, so that nothing the box says is missed.
  static async open(gatt: Characteristics): Promise<Link> {
    const link = new Link(gatt);
    for (const channel of NOTIFYING) {
      link.#notified.set(channel, new Reassembler());
      await gatt.subscribe(channel, (frame) => link.#receive(channel, frame));
    }
    return link;
  }

  // One listener at a time: the steps of a handshake, then the session. What was held comes first.
  listen(listener: MessageListener): void {
    const held = this.#held ?? [];
    this.#held = undefined;
    this.#listener = listener;
    for (const { channel, message } of held) this.#deliver(channel, message);
  }

  // Keeps what comes until somebody listens again: the box does not wait between the last step and its welcome.
  hold(): void {
    this.#held = [];
  }

  // Resolves when the box has the whole message.
  send(channel: Channel, message: Bytes): Promise<void> {
    return this.#inTurn(`write ${channel}`, async () => {
      const id = this.#nextId.get(channel) ?? 0;
      this.#nextId.set(channel, (id + 1) & 0xff);
      for (const frame of split(message, id, this.#frameBytes)) {
        await this.#gatt.write(channel, frame);
      }
    });
  }

  // The latest value of a characteristic. Reading starts anew when the frames do not belong together: an earlier read
  // that was given up leaves the box in the middle of a message.
  read(channel: Channel): Promise<Bytes> {
    return this.#inTurn(`read ${channel}`, async () => {
      let reassembler = new Reassembler();
      let attempts = 0;
      for (;;) {
        const frame = await this.#gatt.read(channel);
        this.#learnFrameSize(frame);
        try {
          const message = reassembler.accept(frame, performance.now());
          if (message !== undefined) return message;
        } catch (error) {
          attempts += 1;
          if (attempts > MAX_MISFITS) throw new NoAnswer("what is read makes no message", { cause: error });
          reassembler = new Reassembler();
        }
      }
    });
  }

  disconnect(): void {
    this.#gatt.disconnect();
  }

  #receive(channel: Channel, frame: Bytes): void {
    this.#learnFrameSize(frame);
    try {
      const message = this.#notified.get(channel)?.accept(frame, performance.now());
      if (message !== undefined) this.#deliver(channel, message);
    } catch (error) {
      // The message is lost, and whoever waits for it runs into a time-out. Reads repair what is only a value.
      if (!(error instanceof FrameError)) throw error;
    }
  }

  #deliver(channel: Channel, message: Bytes): void {
    if (this.#held === undefined) this.#listener?.(channel, message);
    else this.#held.push({ channel, message });
  }

  #learnFrameSize(frame: Bytes): void {
    this.#frameBytes = Math.min(MAX_FRAME_BYTES, Math.max(this.#frameBytes, frame.length));
  }

  // The frames of a message follow each other on their characteristic.
  #inTurn<T>(queue: string, work: () => Promise<T>): Promise<T> {
    const lost = this.closed.then(() => {
      throw new ConnectionLost("the connection to the box is gone");
    });
    const before = this.#queues.get(queue) ?? Promise.resolve();
    const result = before.then(work);
    this.#queues.set(queue, result.catch(() => undefined));
    return Promise.race([result, lost]);
  }
}

// A message has at most 8192 bytes, so that the rest of one that was given up is this many frames of the smallest size.
const MAX_MISFITS = 512;
