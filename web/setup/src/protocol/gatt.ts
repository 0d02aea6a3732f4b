// The attribute table (docs/ble.md, section 1), and what the protocol asks of a transport.

import type { Bytes } from "./bytes.ts";

export const Channel = {
  info: 0x01,
  session: 0x02,
  wifiScan: 0x03,
  wifiConfig: 0x04,
  wifiStatus: 0x05,
  userToken: 0x06,
  serverUrl: 0x07,
  registration: 0x08,
  control: 0x09,
} as const;

export type Channel = (typeof Channel)[keyof typeof Channel];

// All but `info`.
export const NOTIFYING: readonly Channel[] = Object.values(Channel).filter((channel) => channel !== Channel.info);

export const SERVICE_UUID = uuid(0);

export function characteristicUuid(channel: Channel): string {
  return uuid(channel);
}

function uuid(number: number): string {
  return `c0ffe7${number.toString(16).padStart(2, "0")}-5a1e-4b8e-9c3d-6f2b1d8a4e01`;
}

// A connection to one box, by whatever radio or wire. Calls may overlap; the transport puts them in a row.
export interface Characteristics {
  read(channel: Channel): Promise<Bytes>;
  write(channel: Channel, frame: Bytes): Promise<void>;
  subscribe(channel: Channel, listener: (frame: Bytes) => void): Promise<void>;
  disconnect(): void;
  // Resolves when the connection is gone, whoever ended it.
  readonly closed: Promise<void>;
}
