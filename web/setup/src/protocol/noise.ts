// The two handshakes of Noise (revision 34) that a phone runs, both as the initiator, with empty payloads:
// XXpsk3 for a session by a code, IK for one by an enrolled key. 25519, ChaChaPoly, BLAKE2s.

import { chacha20poly1305 } from "@noble/ciphers/chacha.js";
import { x25519 } from "@noble/curves/ed25519.js";
import { blake2s } from "@noble/hashes/blake2.js";
import { hkdf } from "@noble/hashes/hkdf.js";
import { type Bytes, concat, utf8 } from "./bytes.ts";

export const KEY_BYTES = 32;
const TAG_BYTES = 16;
const EMPTY = new Uint8Array(0);

// The other side's message is not what the protocol says, or somebody changed it.
export class NoiseError extends Error {}

export interface KeyPair {
  secret: Bytes;
  public: Bytes;
}

export function keyPair(secret: Uint8Array): KeyPair {
  return { secret: new Uint8Array(secret), public: new Uint8Array(x25519.getPublicKey(secret)) };
}

// One direction after the handshake. The caller numbers the messages.
export class Cipher {
  readonly #key: Bytes;

  constructor(key: Bytes) {
    this.#key = key;
  }

  seal(counter: number, associated: Uint8Array, plaintext: Uint8Array): Bytes {
    return new Uint8Array(chacha20poly1305(this.#key, nonce(counter), associated).encrypt(plaintext));
  }

  open(counter: number, associated: Uint8Array, ciphertext: Uint8Array): Bytes {
    try {
      return new Uint8Array(chacha20poly1305(this.#key, nonce(counter), associated).decrypt(ciphertext));
    } catch (cause) {
      throw new NoiseError("a message that does not authenticate", { cause });
    }
  }
}

// What both handshakes end in.
export interface Split {
  // From the phone to the box.
  send: Cipher;
  receive: Cipher;
  // The static key that the box has proved to hold.
  boxKey: Bytes;
}

// Messages 1 and 3 are ours, 2 is the box's.
export class XXpsk3 {
  readonly #state: SymmetricState;
  readonly #static: KeyPair;
  readonly #ephemeral: KeyPair;
  readonly #psk: Bytes;

  constructor(options: { prologue: Uint8Array; psk: Bytes; phone: KeyPair; ephemeral: KeyPair }) {
    this.#state = new SymmetricState("Noise_XXpsk3_25519_ChaChaPoly_BLAKE2s", options.prologue);
    this.#static = options.phone;
    this.#ephemeral = options.ephemeral;
    this.#psk = options.psk;
  }

  // -> e. With a pre-shared key every ephemeral key is mixed in as well.
  message1(): Bytes {
    this.#state.mixHash(this.#ephemeral.public);
    this.#state.mixKey(this.#ephemeral.public);
    return concat(this.#ephemeral.public, this.#state.encryptAndHash(EMPTY));
  }

  // <- e, ee, s, es, and then -> s, se, psk.
  finish(message2: Uint8Array): { message3: Bytes; split: Split } {
    const [e, s, payload] = cut(message2, KEY_BYTES, KEY_BYTES + TAG_BYTES, TAG_BYTES);
    const state = this.#state;
    state.mixHash(e);
    state.mixKey(e);
    state.mixKey(agree(this.#ephemeral, e));
    const boxKey = state.decryptAndHash(s);
    state.mixKey(agree(this.#ephemeral, boxKey));
    state.decryptAndHash(payload);

    const sealedStatic = state.encryptAndHash(this.#static.public);
    state.mixKey(agree(this.#static, e));
    state.mixKeyAndHash(this.#psk);
    const message3 = concat(sealedStatic, state.encryptAndHash(EMPTY));
    return { message3, split: { ...state.split(), boxKey } };
  }
}

// Message 1 is ours, 2 is the box's, whose static key we know.
export class IK {
  readonly #state: SymmetricState;
  readonly #static: KeyPair;
  readonly #ephemeral: KeyPair;
  readonly #boxKey: Bytes;

  constructor(options: { prologue: Uint8Array; phone: KeyPair; ephemeral: KeyPair; boxKey: Bytes }) {
    this.#state = new SymmetricState("Noise_IK_25519_ChaChaPoly_BLAKE2s", options.prologue);
    this.#state.mixHash(options.boxKey);
    this.#static = options.phone;
    this.#ephemeral = options.ephemeral;
    this.#boxKey = options.boxKey;
  }

  // -> e, es, s, ss
  message1(): Bytes {
    const state = this.#state;
    state.mixHash(this.#ephemeral.public);
    state.mixKey(agree(this.#ephemeral, this.#boxKey));
    const sealedStatic = state.encryptAndHash(this.#static.public);
    state.mixKey(agree(this.#static, this.#boxKey));
    return concat(this.#ephemeral.public, sealedStatic, state.encryptAndHash(EMPTY));
  }

  // <- e, ee, se
  finish(message2: Uint8Array): Split {
    const [e, payload] = cut(message2, KEY_BYTES, TAG_BYTES);
    const state = this.#state;
    state.mixHash(e);
    state.mixKey(agree(this.#ephemeral, e));
    state.mixKey(agree(this.#static, e));
    state.decryptAndHash(payload);
    return { ...state.split(), boxKey: this.#boxKey };
  }
}

// Section 5.2 of the specification, with the cipher state inside: keys here never encrypt more than a few messages.
class SymmetricState {
  #chainingKey: Bytes;
  #hash: Bytes;
  #key: Cipher | undefined;
  #counter = 0;

  constructor(protocol: string, prologue: Uint8Array) {
    const name = utf8(protocol);
    this.#hash = name.length <= KEY_BYTES ? concat(name, new Uint8Array(KEY_BYTES - name.length)) : hash(name);
    this.#chainingKey = this.#hash;
    this.mixHash(prologue);
  }

  mixHash(data: Uint8Array): void {
    this.#hash = hash(this.#hash, data);
  }

  mixKey(material: Uint8Array): void {
    const [chainingKey, key] = this.#derive(material, 2);
    this.#chainingKey = chainingKey;
    this.#useKey(key);
  }

  mixKeyAndHash(material: Uint8Array): void {
    const [chainingKey, extra, key] = this.#derive(material, 3);
    this.#chainingKey = chainingKey;
    this.mixHash(extra);
    this.#useKey(key);
  }

  encryptAndHash(plaintext: Uint8Array): Bytes {
    const ciphertext = this.#cipher().seal(this.#counter++, this.#hash, plaintext);
    this.mixHash(ciphertext);
    return ciphertext;
  }

  decryptAndHash(ciphertext: Uint8Array): Bytes {
    const plaintext = this.#cipher().open(this.#counter++, this.#hash, ciphertext);
    this.mixHash(ciphertext);
    return plaintext;
  }

  split(): { send: Cipher; receive: Cipher } {
    const [send, receive] = this.#derive(EMPTY, 2);
    return { send: new Cipher(send), receive: new Cipher(receive) };
  }

  #useKey(key: Bytes): void {
    this.#key = new Cipher(key);
    this.#counter = 0;
  }

  // In neither pattern is anything encrypted before a key was mixed in.
  #cipher(): Cipher {
    if (this.#key === undefined) throw new NoiseError("nothing to encrypt with yet");
    return this.#key;
  }

  // Noise's HKDF is RFC 5869's, with the chaining key as salt and without info.
  #derive(material: Uint8Array, outputs: 2 | 3): [Bytes, Bytes, Bytes] {
    const all = hkdf(blake2s, material, this.#chainingKey, undefined, outputs * KEY_BYTES);
    return [all.slice(0, 32), all.slice(32, 64), all.slice(64)] as [Bytes, Bytes, Bytes];
  }
}

function hash(...parts: Uint8Array[]): Bytes {
  return new Uint8Array(blake2s(concat(...parts)));
}

// Throws for a key of the other side that makes the result the same for every secret.
function agree(ours: KeyPair, theirs: Uint8Array): Uint8Array {
  try {
    return x25519.getSharedSecret(ours.secret, theirs);
  } catch (cause) {
    throw new NoiseError("a public key that nobody may use", { cause });
  }
}

// 32 zero bits, then the counter, little-endian.
function nonce(counter: number): Uint8Array {
  const bytes = new Uint8Array(12);
  new DataView(bytes.buffer).setBigUint64(4, BigInt(counter), true);
  return bytes;
}

function cut<const L extends number[]>(message: Uint8Array, ...lengths: L): { [I in keyof L]: Uint8Array } {
  if (message.length !== lengths.reduce((sum, length) => sum + length, 0)) {
    throw new NoiseError("a handshake message of a wrong length");
  }
  let at = 0;
  return lengths.map((length) => message.subarray(at, (at += length))) as { [I in keyof L]: Uint8Array };
}
