// `info`, the one value that is readable in clear (docs/ble.md, section 3). Nothing in it is authenticated.

import { type Bytes, uuidOf } from "./bytes.ts";

export const PROTOCOL_VERSION = 1;
const LAYOUT = 1;
const LENGTH = 21;

export interface Info {
  speaksOurVersion: boolean;
  // What follows means nothing when the layout is not ours.
  claimed: boolean;
  codesAccepted: boolean;
  daemonReachable: boolean;
  // All zero while it is not known.
  deviceId: Bytes;
}

export class InfoError extends Error {}

export function parseInfo(value: Uint8Array): Info {
  const [layout, lowest = 0, highest = 0, flags = 0] = value;
  if (layout === undefined || value.length < 3) throw new InfoError("an info without content");
  const known = layout === LAYOUT;
  if (known && value.length < LENGTH) throw new InfoError("an info that is too short");
  return {
    speaksOurVersion: known && lowest <= PROTOCOL_VERSION && PROTOCOL_VERSION <= highest,
    claimed: known && (flags & 0x01) !== 0,
    codesAccepted: known && (flags & 0x04) !== 0,
    daemonReachable: known && (flags & 0x80) === 0,
    deviceId: known ? new Uint8Array(value.slice(5, LENGTH)) : new Uint8Array(16),
  };
}

export function deviceIdIsKnown(info: Info): boolean {
  return info.deviceId.some((byte) => byte !== 0);
}

// As the box is called while it is searched: Coffer-XXXX.
export function advertisedName(deviceId: Uint8Array): string {
  return `Coffer-${uuidOf(deviceId).slice(-4).toUpperCase()}`;
}
