// The values that a box sends, and what is read from them (docs/ble.md, sections 7 and 9). A box is authenticated, yet may
// be newer than this page: what is missing or of another type reads as "not known", what is new is ignored.

import { type Failure, asFailure } from "./failure.ts";

export interface Welcome {
  access: "setup" | "owner" | "recovery";
  deviceId: string;
  deviceName: string;
  claimed: boolean;
  vault: "absent" | "locked" | "unlocking" | "unlocked" | "locking" | "unknown";
  enrolled: boolean;
  country: string | undefined;
}

export type Security = "open" | "owe" | "wep" | "wpa2" | "wpa3" | "wpa2_wpa3" | "enterprise";

export interface Network {
  // base64url, as the box names it.
  ssid: string;
  name: string;
  signalPercent: number;
  security: Security;
  bands: string[];
  known: boolean;
}

export interface Scan {
  scanning: boolean;
  // Null before the first one.
  ageS: number | null;
  networks: Network[];
  error: Failure | undefined;
}

export interface WifiStatus {
  state: "unavailable" | "disconnected" | "connecting" | "connected";
  ssid: string | undefined;
  name: string | undefined;
  addresses: string[];
  connectivity: "unknown" | "none" | "portal" | "limited" | "full";
  wired: boolean;
}

export interface Registration {
  state: "none" | "registering" | "registered" | "own_tunnel" | "local_only" | "failed";
  step: "stored" | "asking" | "received" | undefined;
  attempt: number;
  retryAfterS: number | undefined;
  error: Failure | undefined;
}

export interface ServerUrl {
  url: string | undefined;
  tunnel: "none" | "starting" | "connected" | "disconnected";
}

export interface Phone {
  id: string;
  name: string;
  lastSeenAt: string | undefined;
  isThis: boolean;
}

const ACCESS = ["setup", "owner", "recovery"] as const;
const VAULT = ["unknown", "absent", "locked", "unlocking", "unlocked", "locking"] as const;
const SECURITY = ["open", "owe", "wep", "wpa2", "wpa3", "wpa2_wpa3", "enterprise"] as const;
const WIFI_STATE = ["disconnected", "unavailable", "connecting", "connected"] as const;
const CONNECTIVITY = ["unknown", "none", "portal", "limited", "full"] as const;
const REGISTRATION = ["none", "registering", "registered", "own_tunnel", "local_only", "failed"] as const;
const STEP = ["stored", "asking", "received"] as const;
const TUNNEL = ["none", "starting", "connected", "disconnected"] as const;

// Undefined for anything that is not a welcome with an access that we know.
export function parseWelcome(value: unknown): Welcome | undefined {
  const fields = object(value);
  const access = ACCESS.find((known) => known === fields["access"]);
  if (fields["type"] !== "welcome" || access === undefined) return undefined;
  return {
    access,
    deviceId: text(fields["device_id"]) ?? "",
    deviceName: text(fields["device_name"]) ?? "coffer",
    claimed: fields["claimed"] === true,
    vault: oneOf(VAULT, fields["vault"], "unknown"),
    enrolled: fields["enrolled"] === true,
    country: text(fields["country"]),
  };
}

export function parseScan(value: unknown): Scan {
  const fields = object(value);
  return {
    scanning: fields["scanning"] === true,
    ageS: number(fields["age_s"]) ?? null,
    networks: list(fields["networks"]).flatMap(parseNetwork),
    error: asFailure(fields["error"]),
  };
}

// Empty for a network that cannot be joined because the box did not say enough of it.
function parseNetwork(value: unknown): Network[] {
  const fields = object(value);
  const ssid = text(fields["ssid"]);
  const security = SECURITY.find((known) => known === fields["security"]);
  if (ssid === undefined || security === undefined) return [];
  return [
    {
      ssid,
      name: text(fields["ssid_text"]) ?? ssid,
      signalPercent: number(fields["signal_percent"]) ?? 0,
      security,
      bands: list(fields["bands"]).flatMap((band) => text(band) ?? []),
      known: fields["known"] === true,
    },
  ];
}

export function parseWifiStatus(value: unknown): WifiStatus {
  const fields = object(value);
  return {
    state: oneOf(WIFI_STATE, fields["state"], "disconnected"),
    ssid: text(fields["ssid"]),
    name: text(fields["ssid_text"]),
    addresses: list(fields["addresses"]).flatMap((address) => text(address) ?? []),
    connectivity: oneOf(CONNECTIVITY, fields["connectivity"], "unknown"),
    wired: fields["wired"] === true,
  };
}

export function parseRegistration(value: unknown): Registration {
  const fields = object(value);
  return {
    state: oneOf(REGISTRATION, fields["state"], "none"),
    step: STEP.find((step) => step === fields["step"]),
    attempt: number(fields["attempt"]) ?? 0,
    retryAfterS: number(fields["retry_after_s"]),
    error: asFailure(fields["error"]),
  };
}

export function parseServerUrl(value: unknown): ServerUrl {
  const fields = object(value);
  const url = text(fields["server_url"]);
  return {
    // It becomes a link: nothing but the web's addresses.
    url: url !== undefined && /^https?:\/\//i.test(url) && URL.canParse(url) ? url : undefined,
    tunnel: oneOf(TUNNEL, fields["tunnel"], "none"),
  };
}

export function parsePhones(value: unknown): Phone[] {
  return list(object(value)["phones"]).flatMap((each) => {
    const fields = object(each);
    const id = text(fields["id"]);
    if (id === undefined) return [];
    return [{ id, name: text(fields["name"]) ?? id, lastSeenAt: text(fields["last_seen_at"]), isThis: fields["this"] === true }];
  });
}

export function parseFailures(value: unknown): Failure[] {
  return list(object(value)["problems"]).flatMap((problem) => asFailure(problem) ?? []);
}

export function object(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

export function text(value: unknown): string | undefined {
  return typeof value === "string" ? value : undefined;
}

export function number(value: unknown): number | undefined {
  return typeof value === "number" && Number.isFinite(value) ? value : undefined;
}

function list(value: unknown): unknown[] {
  return Array.isArray(value) ? value : [];
}

function oneOf<T extends string>(known: readonly T[], value: unknown, otherwise: T): T {
  return known.find((each) => each === value) ?? otherwise;
}
