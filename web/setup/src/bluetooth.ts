// The transport over Web Bluetooth. Knows characteristics and frames as bytes, nothing of the protocol in them.

import { type Bytes, equal } from "./protocol/bytes.ts";
import { ConnectionLost, NoAnswer } from "./protocol/failure.ts";
import { type Channel, type Characteristics, SERVICE_UUID, characteristicUuid } from "./protocol/gatt.ts";

// `gatt.connect()` waits for ever for a box that has gone out of reach.
const CONNECT_TIMEOUT_MS = 30_000;
// Android's first attempt often fails at once, for reasons of its own.
const CONNECT_ATTEMPTS = 2;

export async function bluetoothState(): Promise<"ready" | "off" | "unsupported"> {
  if (!("bluetooth" in navigator)) return "unsupported";
  // Not everywhere; without it, trying tells.
  const available = (await navigator.bluetooth.getAvailability?.()) ?? true;
  return available ? "ready" : "off";
}

// Lets a person pick a box in the browser's own dialog; undefined when they picked none. Needs a click just before.
export async function chooseBox(): Promise<BluetoothDevice | undefined> {
  try {
    return await navigator.bluetooth.requestDevice({ filters: [{ services: [SERVICE_UUID] }] });
  } catch (error) {
    if (error instanceof DOMException && error.name === "NotFoundError") return undefined;
    throw error;
  }
}

export async function connect(device: BluetoothDevice): Promise<Characteristics> {
  if (device.gatt === undefined) throw new ConnectionLost("this device has no GATT server");
  for (let attempt = 1; ; attempt++) {
    try {
      return await WebBluetooth.open(device, device.gatt);
    } catch (error) {
      device.gatt.disconnect();
      if (attempt === CONNECT_ATTEMPTS || error instanceof NoAnswer) throw translated(error, false);
    }
  }
}

class WebBluetooth implements Characteristics {
  readonly closed: Promise<void>;
  readonly #gatt: BluetoothRemoteGATTServer;
  readonly #characteristics = new Map<string, BluetoothRemoteGATTCharacteristic>();
  // Events that came while a characteristic is being read; see `read`.
  readonly #held = new Map<Channel, Bytes[]>();
  readonly #listeners = new Map<Channel, (frame: Bytes) => void>();
  // Browsers refuse an operation while another one is under way.
  #last: Promise<unknown> = Promise.resolve();

  private constructor(device: BluetoothDevice, gatt: BluetoothRemoteGATTServer) {
    this.#gatt = gatt;
    this.closed = new Promise((resolve) => {
      device.addEventListener("gattserverdisconnected", () => resolve(), { once: true });
    });
  }

  static async open(device: BluetoothDevice, gatt: BluetoothRemoteGATTServer): Promise<WebBluetooth> {
    await limited(gatt.connect());
    const transport = new WebBluetooth(device, gatt);
    const service = await gatt.getPrimaryService(SERVICE_UUID);
    for (const characteristic of await service.getCharacteristics()) {
      transport.#characteristics.set(characteristic.uuid, characteristic);
    }
    return transport;
  }

  // Reading fires the same event as a notification does, with the value read. Whatever else has come meanwhile is a
  // notification, and goes on to its listener.
  read(channel: Channel): Promise<Bytes> {
    return this.#inTurn(async () => {
      const held: Bytes[] = [];
      this.#held.set(channel, held);
      let value: Bytes | undefined;
      try {
        value = bytesOf(await this.#characteristic(channel).readValue());
        return value;
      } finally {
        this.#held.delete(channel);
        const own = value === undefined ? -1 : held.findLastIndex((frame) => equal(frame, value as Bytes));
        held.forEach((frame, at) => at !== own && this.#listeners.get(channel)?.(frame));
      }
    });
  }

  write(channel: Channel, frame: Bytes): Promise<void> {
    return this.#inTurn(() => this.#characteristic(channel).writeValueWithResponse(frame));
  }

  async subscribe(channel: Channel, listener: (frame: Bytes) => void): Promise<void> {
    const characteristic = this.#characteristic(channel);
    this.#listeners.set(channel, listener);
    characteristic.addEventListener("characteristicvaluechanged", () => {
      if (characteristic.value === undefined) return;
      const frame = bytesOf(characteristic.value);
      const held = this.#held.get(channel);
      if (held === undefined) listener(frame);
      else held.push(frame);
    });
    await this.#inTurn(() => characteristic.startNotifications());
  }

  disconnect(): void {
    this.#gatt.disconnect();
  }

  #characteristic(channel: Channel): BluetoothRemoteGATTCharacteristic {
    const found = this.#characteristics.get(characteristicUuid(channel));
    if (found === undefined) throw new ConnectionLost("the box has another attribute table than it should");
    return found;
  }

  #inTurn<T>(operation: () => Promise<T>): Promise<T> {
    const result = this.#last.then(operation).catch((error: unknown) => {
      throw translated(error, this.#gatt.connected);
    });
    this.#last = result.catch(() => undefined);
    return result;
  }
}

function bytesOf(view: DataView): Bytes {
  return new Uint8Array(view.buffer as ArrayBuffer, view.byteOffset, view.byteLength).slice();
}

// What a browser reports of the radio: the box is gone, or does not want this operation now.
function translated(error: unknown, connected: boolean): unknown {
  if (!(error instanceof DOMException)) return error;
  const { message } = error;
  return connected ? new NoAnswer(message, { cause: error }) : new ConnectionLost(message, { cause: error });
}

function limited<T>(connecting: Promise<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new NoAnswer("the box does not answer")), CONNECT_TIMEOUT_MS);
    connecting.then(resolve, reject).finally(() => clearTimeout(timer));
  });
}
