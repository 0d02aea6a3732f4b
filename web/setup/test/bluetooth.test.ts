// The transport on a browser that is as strict as the strictest: one operation at a time, on the whole connection.

import { beforeEach, expect, test } from "vitest";
import { connect } from "../src/bluetooth.ts";
import { ConnectionLost, NoAnswer } from "../src/protocol/failure.ts";
import { Channel, type Characteristics, NOTIFYING, characteristicUuid } from "../src/protocol/gatt.ts";

class Radio extends EventTarget {
  connected = false;
  refusals = 0;
  failure: DOMException | undefined;
  readonly characteristics = [Channel.info, ...NOTIFYING].map((channel) => new Characteristic(this, characteristicUuid(channel)));
  #busy = false;

  readonly gatt = {
    connect: async () => {
      if (this.refusals-- > 0) throw new DOMException("Connection Error", "NetworkError");
      this.connected = true;
    },
    disconnect: () => {
      this.connected = false;
      this.dispatchEvent(new Event("gattserverdisconnected"));
    },
    getPrimaryService: async () => ({ getCharacteristics: async () => this.characteristics }),
  };

  constructor() {
    super();
    Object.defineProperty(this.gatt, "connected", { get: () => this.connected });
  }

  async operation<T>(work: () => T): Promise<T> {
    if (this.#busy) throw new DOMException("GATT operation already in progress.", "NetworkError");
    this.#busy = true;
    await new Promise((resolve) => setImmediate(resolve));
    this.#busy = false;
    if (this.failure !== undefined) throw this.failure;
    return work();
  }
}

class Characteristic extends EventTarget {
  value: DataView | undefined;
  // What the next read returns, and what is notified just before and just after.
  stored = new Uint8Array([0]);
  around: [number[], number[]] | undefined;
  readonly uuid: string;
  readonly #radio: Radio;

  constructor(radio: Radio, uuid: string) {
    super();
    this.#radio = radio;
    this.uuid = uuid;
  }

  fire(bytes: Uint8Array): void {
    this.value = new DataView(bytes.slice().buffer);
    this.dispatchEvent(new Event("characteristicvaluechanged"));
  }

  readValue(): Promise<DataView> {
    return this.#radio.operation(() => {
      if (this.around !== undefined) this.fire(new Uint8Array(this.around[0]));
      this.fire(this.stored);
      const read = this.value as DataView;
      if (this.around !== undefined) this.fire(new Uint8Array(this.around[1]));
      return read;
    });
  }

  writeValueWithResponse(): Promise<void> {
    return this.#radio.operation(() => undefined);
  }

  startNotifications(): Promise<void> {
    return this.#radio.operation(() => undefined);
  }
}

let radio: Radio;

beforeEach(() => {
  radio = new Radio();
});

function open(): Promise<Characteristics> {
  return connect(radio as unknown as BluetoothDevice);
}

function at(channel: Channel): Characteristic {
  return radio.characteristics[channel - 1] as Characteristic;
}

test("operations that overlap are put in a row", async () => {
  const gatt = await open();
  const frame = new Uint8Array([1]);
  await Promise.all([
    gatt.subscribe(Channel.control, () => undefined),
    gatt.write(Channel.session, frame),
    gatt.read(Channel.wifiScan),
    gatt.write(Channel.control, frame),
  ]);
});

test("a value that is read is no notification, and notifications around it are not lost", async () => {
  const gatt = await open();
  const heard: number[][] = [];
  await gatt.subscribe(Channel.wifiScan, (frame) => heard.push([...frame]));
  at(Channel.wifiScan).stored = new Uint8Array([7]);
  at(Channel.wifiScan).around = [[1], [2]];
  expect([...(await gatt.read(Channel.wifiScan))]).toEqual([7]);
  expect(heard).toEqual([[1], [2]]);
  at(Channel.wifiScan).fire(new Uint8Array([3]));
  expect(heard).toEqual([[1], [2], [3]]);
});

test("an operation that fails does not stop the next one", async () => {
  const gatt = await open();
  radio.failure = new DOMException("GATT operation not permitted.", "NotSupportedError");
  await expect(gatt.read(Channel.wifiScan)).rejects.toBeInstanceOf(NoAnswer);
  radio.connected = false;
  await expect(gatt.read(Channel.wifiScan)).rejects.toBeInstanceOf(ConnectionLost);
  radio.failure = undefined;
  await gatt.read(Channel.wifiScan);
});

test("connecting is tried twice, and then given up", async () => {
  radio.refusals = 1;
  const gatt = await open();
  gatt.disconnect();
  await gatt.closed;
  radio.refusals = 2;
  await expect(open()).rejects.toBeInstanceOf(ConnectionLost);
});
