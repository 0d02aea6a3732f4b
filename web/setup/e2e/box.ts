// The real box's side of the channel, as the program crypto/examples/box.rs: frames in, frames out.

import { type ChildProcess, spawn } from "node:child_process";
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";

const TARGET = process.env["CARGO_TARGET_DIR"] ?? resolve(import.meta.dirname, "../../../target");
const PROGRAM = program("examples/box");

// One that `cargo build` has left.
export function program(name: string): string {
  return resolve(TARGET, "debug", name);
}

export type EntranceName = "setup" | "invitation" | "recovery" | "key";

interface Said {
  notify?: { peer: number; channel: number; frames: string[] };
  began?: { phone: string; entrance: EntranceName };
  request?: { channel: number; value: Request };
  read?: string | null;
  guesses?: number;
  ended?: string;
}

export interface Request {
  id?: number;
  op: string;
  [field: string]: unknown;
}

export interface Listener {
  notify(channel: number, frame: Uint8Array): void;
  began(phone: string, entrance: EntranceName): void;
  request(channel: number, request: Request): void;
  ended(why: string): void;
}

export function requireProgram(): void {
  if (!existsSync(PROGRAM)) throw new Error(`${PROGRAM} is missing: cargo build -p coffer-crypto --example box`);
}

export class BoxProgram {
  guesses = 0;
  // Every byte that went over the air, in both directions.
  readonly air: Buffer[] = [];
  readonly #process: ChildProcess;
  readonly #reads: ((frame: Uint8Array | undefined) => void)[] = [];
  #listener: Listener | undefined;

  constructor(deviceId: string, seed: number) {
    this.#process = spawn(PROGRAM, [deviceId, String(seed)], { stdio: ["pipe", "pipe", "inherit"] });
    if (this.#process.stdout === null) throw new Error("the box has no output");
    createInterface({ input: this.#process.stdout }).on("line", (line) => this.#hear(JSON.parse(line) as Said));
  }

  listen(listener: Listener): void {
    this.#listener = listener;
  }

  openCode(kind: "setup" | "invitation" | "recovery", code: string): void {
    this.#tell({ do: "open_code", kind, code });
  }

  closeCode(): void {
    this.#tell({ do: "close_code" });
  }

  enrol(phone: string): void {
    this.#tell({ do: "enrol", phone });
  }

  forget(phone: string): void {
    this.#tell({ do: "forget", phone });
  }

  frame(link: { peer: number; mtu: number }, channel: number, frame: Buffer): void {
    this.air.push(frame);
    this.#tell({ do: "frame", ...link, channel, frame: frame.toString("hex") });
  }

  read(peer: number, channel: number, latest: object): Promise<Uint8Array | undefined> {
    this.#tell({ do: "read", peer, channel, latest });
    return new Promise((resolve) => this.#reads.push(resolve));
  }

  send(channel: number, value: object): void {
    this.#tell({ do: "send", channel, value });
  }

  endSession(): void {
    this.#tell({ do: "end_session" });
  }

  gone(peer: number): void {
    this.#tell({ do: "gone", peer });
  }

  stop(): void {
    this.#process.kill();
  }

  #tell(command: object): void {
    this.#process.stdin?.write(`${JSON.stringify(command)}\n`);
  }

  #hear(said: Said): void {
    if (said.guesses !== undefined) this.guesses = said.guesses;
    if (said.read !== undefined) this.#reads.shift()?.(said.read === null ? undefined : this.#record(said.read));
    for (const frame of said.notify?.frames ?? []) this.#listener?.notify(said.notify?.channel ?? 0, this.#record(frame));
    if (said.began !== undefined) this.#listener?.began(said.began.phone, said.began.entrance);
    if (said.request !== undefined) this.#listener?.request(said.request.channel, said.request.value);
    if (said.ended !== undefined) this.#listener?.ended(said.ended);
  }

  #record(frame: string): Buffer {
    const bytes = Buffer.from(frame, "hex");
    this.air.push(bytes);
    return bytes;
  }
}
