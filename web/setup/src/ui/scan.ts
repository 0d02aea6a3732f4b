// Reads a QR code with the camera, where the browser can. The picture never leaves this page.

import { strings } from "../strings.ts";
import { h, on } from "./dom.ts";
import { failurePanel, secondaryButton } from "./parts.ts";

interface Detector {
  detect(source: HTMLVideoElement): Promise<{ rawValue: string }[]>;
}

interface DetectorClass {
  new (options: { formats: string[] }): Detector;
  getSupportedFormats(): Promise<string[]>;
}

const LOOK_EVERY_MS = 200;

function detectorClass(): DetectorClass | undefined {
  return (globalThis as { BarcodeDetector?: DetectorClass }).BarcodeDetector;
}

export async function canScan(): Promise<boolean> {
  const formats = (await detectorClass()?.getSupportedFormats()) ?? [];
  return formats.includes("qr_code") && navigator.mediaDevices !== undefined;
}

// The text of the first QR code in sight; undefined when the person has stopped. Gives the focus back to `opener`.
export async function scanLabel(opener: HTMLElement): Promise<string | undefined> {
  const words = strings.scan;
  const video = h("video", { playsinline: true, muted: true });
  const place = h("div", {}, video);
  const stop = secondaryButton(words.stop, () => dialog.close());
  const dialog = h("dialog", { "aria-label": words.title }, h("h2", {}, words.title), h("p", {}, words.text), place, stop);
  document.body.append(dialog);
  const closed = new Promise<undefined>((resolve) => on(dialog, { close: () => resolve(undefined) }));
  dialog.showModal();
  let camera: MediaStream | undefined;
  try {
    camera = await navigator.mediaDevices.getUserMedia({ video: { facingMode: "environment" } });
    video.srcObject = camera;
    await video.play();
    return await Promise.race([closed, firstCode(video, dialog)]);
  } catch (error) {
    place.replaceChildren(failurePanel(error));
    return await closed;
  } finally {
    camera?.getTracks().forEach((track) => track.stop());
    dialog.remove();
    opener.focus();
  }
}

async function firstCode(video: HTMLVideoElement, dialog: HTMLDialogElement): Promise<string | undefined> {
  const Detector = detectorClass();
  if (Detector === undefined) return undefined;
  const detector = new Detector({ formats: ["qr_code"] });
  while (dialog.open) {
    const [found] = await detector.detect(video);
    if (found !== undefined) return found.rawValue;
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return undefined;
}
