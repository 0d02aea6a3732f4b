// A box in a home, around the real channel: what it answers, and what changes when it is asked. Tests turn its knobs.

import { BoxProgram, type EntranceName, type Request } from "./box.ts";

export const DEVICE_ID = "0192f3a4-5b6c-7d8e-9fa0-b1c2d3e4f506";
export const CODE = "7K3M-9QXT-AC6W";
export const RECOVERY_KEY = "7K3M-9QXT-ACDE-F012-3456-789A-BCDE";

const Ch = { session: 2, scan: 3, config: 4, status: 5, token: 6, url: 7, registration: 8, control: 9 } as const;

export interface Failure {
  code: string;
  happened: string;
  try: string;
  retry_after_s?: number;
}

type Outcome = { ok: object } | { error: Failure };

export const WRONG_PASSWORD: Failure = {
  code: "wrong_password",
  happened: "The network refused the password. The box is back in the network it had.",
  try: "Type the password again; case matters.",
};

const b64 = (text: string) => Buffer.from(text).toString("base64url");
const network = (name: string, signal_percent: number, security: string, bands = ["2.4"]) => ({
  ssid: b64(name),
  ssid_text: name,
  signal_percent,
  security,
  bands,
  known: false,
});

export class Home {
  readonly box: BoxProgram;
  readonly requests: Request[] = [];
  claimed = false;
  vault = "absent";
  daemon = true;
  country: string | null = null;
  codesAccepted = true;
  phones = new Map<string, string>();
  networks = [
    network("Home", 82, "wpa2_wpa3", ["2.4", "5"]),
    network("Café de la Gare", 61, "open"),
    network("Office", 44, "enterprise", ["5"]),
    network("Old router with quite a long name", 18, "wep"),
  ];
  status: Record<string, unknown> = { state: "disconnected", ssid: null, ssid_text: null, addresses: [], connectivity: "none", wired: false };
  registration: Record<string, unknown> = { state: "none", step: null, attempt: 0, retry_after_s: null, error: null };
  serverUrl: Record<string, unknown> = { server_url: null, tunnel: "none" };
  // The outcomes of the next requests, by `op`; without one a request succeeds.
  readonly next = new Map<string, Outcome[]>();
  // What requests wait for before they are answered, by `op`.
  readonly hold = new Map<string, Promise<void>>();
  onNotify: (channel: number, frame: Uint8Array) => void = () => undefined;
  #access: EntranceName = "setup";
  #phone = "";

  constructor() {
    this.box = new BoxProgram(DEVICE_ID, 1);
    this.box.openCode("setup", CODE);
    this.box.listen({
      notify: (channel, frame) => this.onNotify(channel, frame),
      began: (phone, entrance) => {
        this.#phone = phone;
        this.#access = entrance;
        this.welcome();
      },
      request: (channel, request) => void this.#answer(channel, request),
      ended: () => undefined,
    });
  }

  // The next time `op` is asked for, it goes like this.
  willFail(op: string, error: Failure): void {
    this.next.set(op, [...(this.next.get(op) ?? []), { error }]);
  }

  info(): Buffer {
    const flags = this.daemon
      ? (this.claimed ? 1 : 0) | (this.vault === "unlocked" ? 2 : 0) | (this.codesAccepted ? 4 : 0)
      : 0x80;
    return Buffer.concat([Buffer.from([1, 1, 1, flags, 1]), Buffer.from(DEVICE_ID.replaceAll("-", ""), "hex")]);
  }

  latest(channel: number): object {
    switch (channel) {
      case Ch.scan:
        return { age_s: 3, scanning: false, networks: this.networks };
      case Ch.status:
        return this.status;
      case Ch.url:
        return this.serverUrl;
      case Ch.registration:
        return this.registration;
      default:
        throw new Error(`nothing to read on ${channel}`);
    }
  }

  // Says that something has changed.
  notify(channel: "scan" | "status" | "url" | "registration"): void {
    this.box.send(Ch[channel], this.latest(Ch[channel]));
  }

  welcome(): void {
    const enrolled = this.phones.has(this.#phone);
    const access = this.#access === "setup" || this.#access === "recovery" ? this.#access : "owner";
    this.box.send(Ch.session, {
      type: "welcome",
      access,
      device_id: DEVICE_ID,
      device_name: "coffer",
      claimed: this.claimed,
      vault: this.vault,
      model: 1,
      version: "0.1.0",
      enrolled,
      clock_is_set: true,
      country: this.country,
    });
  }

  // The vault is made, but the phone does not hear of it.
  claimBehindTheBack(): void {
    const [claim] = this.asked("claim");
    if (claim !== undefined) this.#do(claim);
  }

  asked(op: string): Request[] {
    return this.requests.filter((request) => request.op === op);
  }

  async #answer(channel: number, request: Request): Promise<void> {
    this.requests.push(request);
    await this.hold.get(request.op);
    if (channel === Ch.scan) return this.notify("scan");
    const outcome = this.next.get(request.op)?.shift() ?? { ok: this.#do(request) };
    this.box.send(channel, { id: request.id, ...outcome });
  }

  #do(request: Request): object {
    switch (request.op) {
      case "connect": {
        const name = Buffer.from(String(request["ssid"]), "base64url").toString();
        this.status = { state: "connected", ssid: request["ssid"], ssid_text: name, addresses: ["192.168.1.20/24"], connectivity: "full", wired: false };
        return this.status;
      }
      case "register":
        this.registration = { state: "registering", step: "asking", attempt: 1, retry_after_s: null, error: null };
        return {};
      case "own_tunnel":
        this.registration = { state: "own_tunnel", step: null, attempt: 0, retry_after_s: null, error: null };
        this.serverUrl = { server_url: `https://${String(request["hostname"])}`, tunnel: "starting" };
        return {};
      case "local_only":
        this.registration = { state: "local_only", step: null, attempt: 0, retry_after_s: null, error: null };
        return {};
      case "set_country":
        this.country = String(request["country"]);
        return {};
      case "claim":
        this.#enrol(String(request["phone_name"]));
        this.claimed = true;
        this.vault = "unlocked";
        this.codesAccepted = false;
        this.box.closeCode();
        return { recovery_key: RECOVERY_KEY, vault_id: "v", user_id: "u" };
      case "enroll":
        this.#enrol(String(request["phone_name"]));
        return { phone: this.#phone };
      case "phones":
        return { phones: [...this.phones].map(([id, name]) => ({ id, name, enrolled_at: "2026-11-01T08:00:00Z", last_seen_at: "2026-11-02T08:00:00Z", this: id === this.#phone })) };
      case "revoke_phone":
        this.phones.delete(String(request["phone"]));
        this.box.forget(String(request["phone"]));
        return {};
      case "issue_code":
        return { code: "0000-0000-ZZ02", expires_at: "2026-11-02T08:10:00Z" };
      case "unlock":
        this.vault = "unlocked";
        setImmediate(() => this.welcome());
        return {};
      case "factory_reset":
        return { token: "reset-token", expires_in_s: 60 };
      default:
        return {};
    }
  }

  #enrol(name: string): void {
    this.phones.set(this.#phone, name);
    this.box.enrol(this.#phone);
  }
}
