// What this browser remembers of boxes: the key that it made for each, and the box's own. Raw bytes in IndexedDB: whoever
// can read the browser's profile, or run a script on this page's origin, can act as this phone.

import type { Bytes } from "./protocol/bytes.ts";

export interface KnownBox {
  // Text form.
  deviceId: string;
  name: string;
  phoneSecret: Bytes;
  // Missing until a session has shown it.
  boxKey?: Bytes;
}

const DATABASE = "coffer";
const STORE = "boxes";

export async function knownBoxes(): Promise<KnownBox[]> {
  return inStore("readonly", (store) => store.getAll() as IDBRequest<KnownBox[]>);
}

export async function knownBox(deviceId: string): Promise<KnownBox | undefined> {
  return inStore("readonly", (store) => store.get(deviceId) as IDBRequest<KnownBox | undefined>);
}

export async function remember(box: KnownBox): Promise<void> {
  await inStore("readwrite", (store) => store.put(box));
  // Otherwise the browser may drop it when space is short. It is a wish, not a condition.
  await globalThis.navigator?.storage?.persist?.();
}

export async function forget(deviceId: string): Promise<void> {
  await inStore("readwrite", (store) => store.delete(deviceId));
}

async function inStore<T>(mode: IDBTransactionMode, work: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const database = await open();
  try {
    const transaction = database.transaction(STORE, mode);
    const request = work(transaction.objectStore(STORE));
    return await new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve(request.result);
      transaction.onabort = () => reject(transaction.error ?? new Error("the browser stored nothing"));
    });
  } finally {
    database.close();
  }
}

function open(): Promise<IDBDatabase> {
  const request = indexedDB.open(DATABASE, 1);
  request.onupgradeneeded = () => request.result.createObjectStore(STORE, { keyPath: "deviceId" });
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error ?? new Error("the browser's store cannot be opened"));
  });
}
