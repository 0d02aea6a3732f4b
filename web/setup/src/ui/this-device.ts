// What this browser may be called in the box's list of phones.

import { strings } from "../strings.ts";

interface UserAgentData {
  brands: { brand: string }[];
  platform: string;
}

// The last is what all of them are made of.
const BROWSERS = ["Microsoft Edge", "Samsung Internet", "Opera", "Google Chrome", "Chromium"];

export function thisDevice(): string {
  const data = (navigator as { userAgentData?: UserAgentData }).userAgentData;
  const brand = BROWSERS.find((name) => data?.brands.some((each) => each.brand === name)) ?? "Browser";
  return strings.thisDevice(brand.replace(/^(Google|Microsoft) /, ""), data?.platform || "this device");
}
