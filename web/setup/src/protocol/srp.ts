// The client of SRP-6a as in docs/srp.md: the 4096-bit group of RFC 5054, SHA-256, all integers at 512 bytes.
//
// The arithmetic is BigInt's, whose time depends on its values: a box sees one attempt at a time, over a radio, and each
// ephemeral value once.

import { pow } from "@noble/curves/abstract/modular.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { type Bytes, concat, equal, fromHex, toHex, utf8 } from "./bytes.ts";

export const INTEGER_BYTES = 512;
export const SALT_BYTES = 16;
export const PROOF_BYTES = 32;
export const EPHEMERAL_BYTES = 32;

// RFC 5054, appendix A, the same prime as RFC 3526's group 16.
const N = BigInt(
  "0x" +
    "ffffffffffffffffc90fdaa22168c234c4c6628b80dc1cd129024e088a67cc74020bbea63b139b22514a08798e3404dd" +
    "ef9519b3cd3a431b302b0a6df25f14374fe1356d6d51c245e485b576625e7ec6f44c42e9a637ed6b0bff5cb6f406b7ed" +
    "ee386bfb5a899fa5ae9f24117c4b1fe649286651ece45b3dc2007cb8a163bf0598da48361c55d39a69163fa8fd24cf5f" +
    "83655d23dca3ad961c62f356208552bb9ed529077096966d670c354e4abc9804f1746c08ca18217c32905e462e36ce3b" +
    "e39e772c180e86039b2783a2ec07a28fb5c55df06f4c52c9de2bcbf6955817183995497cea956ae515d2261898fa0510" +
    "15728e5a8aaac42dad33170d04507a33a85521abdf1cba64ecfb850458dbef0a8aea71575d060c7db3970f85a6e1e4c7" +
    "abf5ae8cdb0933d71e8c94e04a25619dcee3d2261ad2ee6bf12ffa06d98a0864d87602733ec86a64521f2b18177b200c" +
    "bbe117577a615d6c770988c0bad946e208e24fa074e5ab3143db5bfce0fd108e4b82d120a92108011a723c12a787e6d7" +
    "88719a10bdba5b2699c327186af4e23c1a946834b6150bda2583e9ca2ad44ce8dbbbc2db04de8ef92e8efc141fbecaa6" +
    "287c59474e6bc05d99b2964fa090c3a2233ba186515be7ed1f612970cee2d7afb81bdd762170481cd0069127d5b05aa9" +
    "93b4ea988d8fddc186ffb7dc90a6c08f4df435c934063199ffffffffffffffff",
);
const G = 5n;

// The other side does not follow the protocol, or attacks it.
export class SrpError extends Error {}

export interface Credentials {
  identity: Uint8Array;
  password: Uint8Array;
}

// What a client has after the challenge. Trust nothing before `confirm` said yes.
export interface Proof {
  m1: Bytes;
  // K
  sessionKey: Bytes;
  // The only right M2.
  m2: Bytes;
  confirm(m2: Uint8Array): boolean;
}

export class SrpClient {
  readonly A: Bytes;
  readonly #a: bigint;

  // `ephemeral`: 32 random bytes, used this once.
  constructor(ephemeral: Uint8Array) {
    this.#a = toInteger(ephemeral);
    this.A = pad(pow(G, this.#a, N));
  }

  prove(who: Credentials, salt: Uint8Array, B: Uint8Array): Proof {
    const b = publicValue(B);
    const u = toInteger(hash(this.A, B));
    if (u === 0n) throw new SrpError("A and B must not be used together");
    const x = toInteger(hash(salt, hash(who.identity, utf8(":"), who.password)));
    const k = toInteger(hash(pad(N), pad(G)));
    const base = (b + N - ((k * pow(G, x, N)) % N)) % N;
    const sessionKey = hash(pad(pow(base, this.#a + u * x, N)));
    const m1 = hash(groupHash(), hash(who.identity), salt, this.A, B, sessionKey);
    const m2 = hash(this.A, m1, sessionKey);
    return { m1, m2, sessionKey, confirm: (theirs) => equal(theirs, m2) };
  }
}

function publicValue(bytes: Uint8Array): bigint {
  const value = toInteger(bytes);
  if (bytes.length !== INTEGER_BYTES || value >= N || value === 0n) throw new SrpError("B is not a number of the group");
  return value;
}

// H(N) xor H(g); g as its one byte.
function groupHash(): Bytes {
  const generator = hash(new Uint8Array([Number(G)]));
  return hash(pad(N)).map((byte, at) => byte ^ (generator[at] ?? 0));
}

function hash(...parts: Uint8Array[]): Bytes {
  return new Uint8Array(sha256(concat(...parts)));
}

function toInteger(bytes: Uint8Array): bigint {
  return bytes.length === 0 ? 0n : BigInt(`0x${toHex(bytes)}`);
}

function pad(value: bigint): Bytes {
  return fromHex(value.toString(16).padStart(2 * INTEGER_BYTES, "0"));
}
