// Bytes and their text forms, as far as the protocol needs them.

import { bytesToHex, concatBytes, hexToBytes } from "@noble/hashes/utils.js";

// Lives in an ArrayBuffer of its own, which is what browsers' interfaces take.
export type Bytes = Uint8Array<ArrayBuffer>;

export { bytesToHex as toHex };

export function fromHex(text: string): Bytes {
  return new Uint8Array(hexToBytes(text));
}

export function concat(...parts: Uint8Array[]): Bytes {
  return new Uint8Array(concatBytes(...parts));
}

export function utf8(text: string): Bytes {
  return new Uint8Array(new TextEncoder().encode(text));
}

// Throws on what is not UTF-8.
export function fromUtf8(bytes: Uint8Array): string {
  return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
}

// Takes the same time for any two values of one length.
export function equal(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  let difference = 0;
  a.forEach((byte, at) => {
    difference |= byte ^ (b[at] ?? 0);
  });
  return difference === 0;
}

export function toBase64url(bytes: Uint8Array): string {
  return btoa(String.fromCharCode(...bytes))
    .replaceAll("+", "-")
    .replaceAll("/", "_")
    .replace(/=+$/, "");
}

export function fromBase64url(text: string): Bytes {
  const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
  return Uint8Array.from(binary, (character) => character.charCodeAt(0));
}

// The text form of a UUID of 16 bytes.
export function uuidOf(bytes: Uint8Array): string {
  return bytesToHex(bytes).replace(/^(.{8})(.{4})(.{4})(.{4})(.{12})$/, "$1-$2-$3-$4-$5");
}

// The 16 bytes of a UUID's text form; undefined when it is none.
export function parseUuid(text: string): Bytes | undefined {
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(text)) return undefined;
  return fromHex(text.replaceAll("-", "").toLowerCase());
}
