// What a phone asks of a box, typed (docs/ble.md, section 9). One method a request, no rules of its own.

import { Channel } from "./gatt.ts";
import {
  type Phone,
  type Registration,
  type Scan,
  type Security,
  type ServerUrl,
  type WifiStatus,
  number,
  object,
  parsePhones,
  parseRegistration,
  parseScan,
  parseServerUrl,
  parseWifiStatus,
  text,
} from "./messages.ts";
import type { Session } from "./session.ts";

const QUICK_S = 30;
// A network has 90 s to take the box in.
const CONNECT_S = 120;
// Keys are derived from passwords.
const VAULT_S = 120;
// A vault is made, and the recovery key comes in the answer and never again: longer than the box tries.
const CLAIM_S = 360;

export interface Enterprise {
  method: "peap" | "ttls";
  identity: string;
  anonymous_identity?: string;
  password: string;
  ca_certificate_pem?: string;
  server_domain?: string;
}

export interface NetworkChange {
  ssid: string;
  security?: Security;
  password?: string;
  hidden?: boolean;
  enterprise?: Enterprise;
}

export interface Claim {
  master_password: string;
  username: string;
  display_name?: string;
  password: string;
  phone_name: string;
}

export type RegistrarRequest = { registrar: string } & ({ ticket: string } | { user_token: string });

export class Client {
  readonly session: Session;

  constructor(session: Session) {
    this.session = session;
  }

  onWelcome(listener: () => void): () => void {
    return this.session.onValue(Channel.session, listener);
  }

  // With an SSID: asks for a hidden network by its name.
  scan(ssid?: string): Promise<void> {
    return this.session.send(Channel.wifiScan, ssid === undefined ? { op: "scan" } : { op: "scan", ssid });
  }

  async networks(): Promise<Scan> {
    return parseScan(await this.session.read(Channel.wifiScan));
  }

  onNetworks(listener: (scan: Scan) => void): () => void {
    return this.session.onValue(Channel.wifiScan, (value) => listener(parseScan(value)));
  }

  async connect(change: NetworkChange): Promise<WifiStatus> {
    return parseWifiStatus(await this.session.request(Channel.wifiConfig, "connect", change, CONNECT_S));
  }

  async wifiStatus(): Promise<WifiStatus> {
    return parseWifiStatus(await this.session.read(Channel.wifiStatus));
  }

  onWifiStatus(listener: (status: WifiStatus) => void): () => void {
    return this.session.onValue(Channel.wifiStatus, (value) => listener(parseWifiStatus(value)));
  }

  async register(request: RegistrarRequest): Promise<void> {
    await this.session.request(Channel.userToken, "register", request, QUICK_S);
  }

  async ownTunnel(request: { tunnel_token: string; hostname: string }): Promise<void> {
    await this.session.request(Channel.userToken, "own_tunnel", request, QUICK_S);
  }

  async localOnly(): Promise<void> {
    await this.session.request(Channel.userToken, "local_only", {}, QUICK_S);
  }

  async registration(): Promise<Registration> {
    return parseRegistration(await this.session.read(Channel.registration));
  }

  onRegistration(listener: (registration: Registration) => void): () => void {
    return this.session.onValue(Channel.registration, (value) => listener(parseRegistration(value)));
  }

  async serverUrl(): Promise<ServerUrl> {
    return parseServerUrl(await this.session.read(Channel.serverUrl));
  }

  onServerUrl(listener: (url: ServerUrl) => void): () => void {
    return this.session.onValue(Channel.serverUrl, (value) => listener(parseServerUrl(value)));
  }

  async setClock(time: Date): Promise<void> {
    await this.#control("set_clock", { time: time.toISOString() });
  }

  async setCountry(country: string): Promise<void> {
    await this.#control("set_country", { country });
  }

  async identify(): Promise<void> {
    await this.#control("identify", {});
  }

  // The recovery key, which the box shows this once.
  async claim(claim: Claim): Promise<string> {
    const reply = object(await this.#control("claim", claim, CLAIM_S));
    return text(reply["recovery_key"]) ?? "";
  }

  async enroll(phoneName: string): Promise<void> {
    await this.#control("enroll", { phone_name: phoneName });
  }

  async phones(): Promise<Phone[]> {
    return parsePhones(await this.#control("phones", {}));
  }

  async revokePhone(phone: string): Promise<void> {
    await this.#control("revoke_phone", { phone });
  }

  async issueCode(): Promise<string> {
    return text(object(await this.#control("issue_code", {}))["code"]) ?? "";
  }

  async unlock(masterPassword: string): Promise<void> {
    await this.#control("unlock", { master_password: masterPassword }, VAULT_S);
  }

  // The first of two steps: a token, good for so many seconds.
  async factoryReset(): Promise<{ token: string; expiresInS: number }> {
    const reply = object(await this.#control("factory_reset", {}));
    return { token: text(reply["token"]) ?? "", expiresInS: number(reply["expires_in_s"]) ?? 0 };
  }

  async confirmFactoryReset(token: string): Promise<void> {
    await this.#control("factory_reset_confirm", { token }, VAULT_S);
  }

  #control(op: string, fields: object, timeoutS = QUICK_S): Promise<unknown> {
    return this.session.request(Channel.control, op, fields, timeoutS);
  }
}
