// Chromium with its own Web Bluetooth on an emulated radio, behind which a box answers.
//
// The browser's chooser, its permission rules, its GATT operations one at a time: all real. The emulation has no
// notifications, so these, and only these, are put into the page.

import { type Browser, type CDPSession, type Page, chromium } from "playwright-core";
import { SERVICE_UUID, characteristicUuid, type Channel } from "../src/protocol/gatt.ts";
import type { Home } from "./home.ts";

const ADDRESS = "09:09:09:09:09:09";
const ATT_HEADER_BYTES = 3;
const READ_NOT_PERMITTED = 2;
const INFO = 1;

export async function launch(): Promise<Browser> {
  const quiet = ["--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update", "--disable-sync"];
  // Web Bluetooth on Linux is behind this switch.
  const bluetooth = ["--enable-experimental-web-platform-features"];
  const root = process.getuid?.() === 0 ? ["--no-sandbox"] : [];
  return chromium.launch({ executablePath: process.env["CHROMIUM"] ?? "/usr/bin/chromium", args: [...quiet, ...bluetooth, ...root] });
}

interface Operation {
  characteristicId: string;
  type: "read" | "write" | "subscribe-to-notifications" | "unsubscribe-from-notifications";
  data?: string;
}

// The protocol of the developer tools is newer than Playwright's types of it.
type Send = (method: string, parameters: object) => Promise<Record<string, string>>;

// An emulated radio with one box in reach, for one page.
export class Radio {
  // Tests may make it larger: a phone that has negotiated more.
  mtu = 23;
  // Frames of the phone that were longer than the MTU allows.
  tooLong = 0;
  #peer = 0;
  #connected = false;
  #chooser: CDPSession | undefined;
  readonly #home: Home;
  readonly #page: Page;
  readonly #cdp: CDPSession;
  readonly #channels = new Map<string, number>();

  private constructor(home: Home, page: Page, cdp: CDPSession) {
    this.#home = home;
    this.#page = page;
    this.#cdp = cdp;
  }

  static async start(browser: Browser, page: Page, home: Home): Promise<Radio> {
    await page.addInitScript(shimNotifications);
    const radio = new Radio(home, page, await browser.newBrowserCDPSession());
    radio.#answer();
    await radio.powerOn();
    home.onNotify = (channel, frame) => radio.#notify(channel, frame);
    return radio;
  }

  async stop(): Promise<void> {
    await this.#send("BluetoothEmulation.disable", {});
    await this.#cdp.detach();
  }

  // Also after a page was loaded: the emulation ends with the page that it was for, as every connection does, and has to
  // be told so before it begins again.
  async powerOn(): Promise<void> {
    this.#gone();
    await this.#send("BluetoothEmulation.disable", {});
    await this.#send("BluetoothEmulation.enable", { state: "powered-on", leSupported: true });
    await this.#addBox();
    await this.#acceptChooser();
  }

  // The box goes out of reach, and comes back. With the connection the emulation forgets all that it knew of the box.
  async breakConnection(): Promise<void> {
    this.#gone();
    await this.#send("BluetoothEmulation.simulateGATTDisconnection", { address: ADDRESS });
    await this.#addBox();
  }

  #send: Send = (method, parameters) =>
    (this.#cdp.send as unknown as (method: string, parameters: object) => ReturnType<Send>).call(this.#cdp, method, parameters);

  #on(event: string, listener: (value: never) => unknown): void {
    (this.#cdp.on as unknown as (event: string, listener: (value: never) => unknown) => void).call(this.#cdp, event, listener);
  }

  #answer(): void {
    this.#on("BluetoothEmulation.gattOperationReceived", (event: { type: string }) => {
      if (event.type === "connection") {
        this.#peer += 1;
        this.#connected = true;
      }
      if (event.type === "disconnection") this.#gone();
      const response = { address: ADDRESS, type: event.type, code: 0 };
      // The radio may be off by now: the last connection ends with its page.
      void this.#send("BluetoothEmulation.simulateGATTOperationResponse", response).catch(() => undefined);
    });
    this.#on("BluetoothEmulation.characteristicOperationReceived", (operation: Operation) => void this.#operate(operation));
  }

  async #addBox(): Promise<void> {
    const box = { address: ADDRESS, name: "Coffer-F506", manufacturerData: [], knownServiceUuids: [SERVICE_UUID] };
    await this.#send("BluetoothEmulation.simulatePreconnectedPeripheral", box);
    const { serviceId } = await this.#send("BluetoothEmulation.addService", { address: ADDRESS, serviceUuid: SERVICE_UUID });
    for (let channel = 1; channel <= 9; channel++) {
      const properties = { read: [1, 3, 5, 7, 8].includes(channel), write: [2, 3, 4, 6, 9].includes(channel), notify: channel !== INFO };
      const uuid = characteristicUuid(channel as Channel);
      const added = await this.#send("BluetoothEmulation.addCharacteristic", { serviceId, characteristicUuid: uuid, properties });
      const id = added["characteristicId"] ?? "";
      this.#channels.set(id, channel);
      // Client characteristic configuration: without it the browser subscribes to nothing.
      const configuration = { characteristicId: id, descriptorUuid: "00002902-0000-1000-8000-00805f9b34fb" };
      if (channel !== INFO) await this.#send("BluetoothEmulation.addDescriptor", configuration);
    }
  }

  // Picks the box in the browser's dialog, as a person would.
  async #acceptChooser(): Promise<void> {
    await this.#chooser?.detach();
    const page = await this.#page.context().newCDPSession(this.#page);
    this.#chooser = page;
    await page.send("DeviceAccess.enable");
    const picked = new Set<string>();
    page.on("DeviceAccess.deviceRequestPrompted", ({ id, devices }) => {
      const [device] = devices;
      if (device === undefined || picked.has(id)) return;
      picked.add(id);
      void page.send("DeviceAccess.selectPrompt", { id, deviceId: device.id });
    });
  }

  async #operate({ characteristicId, type, data }: Operation): Promise<void> {
    const channel = this.#channels.get(characteristicId) ?? 0;
    const response: Record<string, unknown> = { characteristicId, type, code: 0 };
    if (type === "write") {
      const frame = Buffer.from(data ?? "", "base64");
      if (frame.length > this.mtu - ATT_HEADER_BYTES) this.tooLong += 1;
      this.#home.box.frame({ peer: this.#peer, mtu: this.mtu }, channel, frame);
    }
    if (type === "read") {
      const value = channel === INFO ? this.#home.info() : await this.#home.box.read(this.#peer, channel, this.#home.latest(channel));
      if (value === undefined) response["code"] = READ_NOT_PERMITTED;
      else response["data"] = Buffer.from(value).toString("base64");
    }
    // The phone may be gone by now.
    await this.#send("BluetoothEmulation.simulateCharacteristicOperationResponse", response).catch(() => undefined);
  }

  #gone(): void {
    if (this.#connected) this.#home.box.gone(this.#peer);
    this.#connected = false;
  }

  #notify(channel: number, frame: Uint8Array): void {
    const script = `notifyFromTest(${JSON.stringify(characteristicUuid(channel as Channel))}, ${JSON.stringify([...frame])})`;
    // In order: the developer tools run one script after the other.
    void this.#page.evaluate(script).catch(() => undefined);
  }
}

// Runs in the page, before its own scripts.
function shimNotifications(): void {
  const subscribed = new Map<string, BluetoothRemoteGATTCharacteristic>();
  const { prototype } = (globalThis as unknown as { BluetoothRemoteGATTCharacteristic: { prototype: BluetoothRemoteGATTCharacteristic } })
    .BluetoothRemoteGATTCharacteristic;
  const start = prototype.startNotifications;
  prototype.startNotifications = function (this: BluetoothRemoteGATTCharacteristic) {
    subscribed.set(this.uuid, this);
    return start.call(this);
  };
  Object.assign(globalThis, {
    notifyFromTest: (uuid: string, frame: number[]) => {
      const characteristic = subscribed.get(uuid);
      if (characteristic === undefined) return;
      const value = new DataView(new Uint8Array(frame).buffer);
      // The event's own value, as long as the event is delivered.
      Object.defineProperty(characteristic, "value", { value, configurable: true });
      characteristic.dispatchEvent(new Event("characteristicvaluechanged", { bubbles: true }));
      Reflect.deleteProperty(characteristic, "value");
    },
  });
}
