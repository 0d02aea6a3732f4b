// One box from its connection to its session, and again after the connection broke. Knows no page.

import type { KnownBox } from "./keys.ts";
import { type Bytes, uuidOf } from "./protocol/bytes.ts";
import { Client } from "./protocol/client.ts";
import type { Code } from "./protocol/code.ts";
import { Channel, type Characteristics } from "./protocol/gatt.ts";
import { type Info, advertisedName, deviceIdIsKnown, parseInfo } from "./protocol/info.ts";
import { Link } from "./protocol/link.ts";
import { KEY_BYTES, keyPair } from "./protocol/noise.ts";
import { type Random, type Session, sessionByCode, sessionByKey } from "./protocol/session.ts";

// Where keys of boxes are kept.
export interface KeyStore {
  knownBox(deviceId: string): Promise<KnownBox | undefined>;
  remember(box: KnownBox): Promise<void>;
}

// What to do with the box that was found.
export type Entrance =
  | { way: "update_page" }
  // Starting, or in trouble: look again later.
  | { way: "not_ready" }
  | { way: "key"; known: KnownBox & { boxKey: Bytes } }
  | { way: "code" }
  | { way: "owned" };

export class Box {
  info: Info | undefined;
  readonly #open: () => Promise<Characteristics>;
  readonly #keys: KeyStore;
  readonly #random: Random;
  #gatt: Characteristics | undefined;
  #link: Link | undefined;

  constructor(options: { open: () => Promise<Characteristics>; keys: KeyStore; random: Random }) {
    this.#open = options.open;
    this.#keys = options.keys;
    this.#random = options.random;
  }

  get deviceId(): string {
    return uuidOf(this.#known().deviceId);
  }

  get name(): string {
    return advertisedName(this.#known().deviceId);
  }

  // Connects where there is no connection, and looks who it is. `refused`: the box has just said that it does not know our key.
  async look(refused = false): Promise<Entrance> {
    const gatt = (this.#gatt ??= await this.#connect());
    this.info = parseInfo(await gatt.read(Channel.info));
    const { info } = this;
    if (!info.speaksOurVersion) return { way: "update_page" };
    if (!info.daemonReachable || !deviceIdIsKnown(info)) return { way: "not_ready" };
    const known = await this.#keys.knownBox(this.deviceId);
    // Also when we do not know that it is enrolled: the reply to `claim` may have been lost.
    if (info.claimed && known?.boxKey !== undefined && !refused) {
      return { way: "key", known: { ...known, boxKey: known.boxKey } };
    }
    return info.claimed && !info.codesAccepted ? { way: "owned" } : { way: "code" };
  }

  async enterByCode(code: Code): Promise<Client> {
    const deviceId = this.#known().deviceId;
    // Kept before it is shown: a key that the box has enrolled must not be lost with the page.
    const known = (await this.#keys.knownBox(this.deviceId)) ?? this.#newKey();
    await this.#keys.remember(known);
    const keys = { phone: keyPair(known.phoneSecret), boxKey: known.boxKey };
    const session = await sessionByCode(await this.#messages(), { deviceId, code, keys, random: this.#random });
    return this.#entered(session, known);
  }

  async enterByKey(known: KnownBox & { boxKey: Bytes }): Promise<Client> {
    const deviceId = this.#known().deviceId;
    const phone = keyPair(known.phoneSecret);
    const options = { deviceId, phone, boxKey: known.boxKey, random: this.#random };
    return this.#entered(await sessionByKey(await this.#messages(), options), known);
  }

  leave(): void {
    this.#gatt?.disconnect();
    this.#gatt = undefined;
    this.#link = undefined;
  }

  async #connect(): Promise<Characteristics> {
    const gatt = await this.#open();
    void gatt.closed.then(() => {
      if (this.#gatt !== gatt) return;
      this.#gatt = undefined;
      this.#link = undefined;
    });
    return gatt;
  }

  async #messages(): Promise<Link> {
    this.#gatt ??= await this.#connect();
    this.#link ??= await Link.open(this.#gatt);
    return this.#link;
  }

  async #entered(session: Session, known: KnownBox): Promise<Client> {
    await this.#keys.remember({ ...known, boxKey: session.boxKey, name: session.welcome.deviceName });
    return new Client(session);
  }

  #newKey(): KnownBox {
    const phoneSecret = new Uint8Array(this.#random(KEY_BYTES));
    return { deviceId: this.deviceId, name: this.name, phoneSecret };
  }

  #known(): Info {
    if (this.info === undefined) throw new Error("look at the box first");
    return this.info;
  }
}
