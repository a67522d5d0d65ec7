import { JaugeError } from "../errors.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import { parseBytes } from "../units.js";
import type { BudgetWish, VramWish } from "./budget.js";

const { expected } = localized(planViewMessages);

/**
 * Reads `11.5GB`, `90%`, `free-512MiB`, or one of these for each device: `0=11.5GB,Vulkan1=8GiB`. A decimal comma is
 * taken for one where it can be nothing else: `11,5GB`. Errors: `budget-invalid`.
 */
export function parseVramBudget(text: string, option = "--vram"): VramWish {
  const items = itemsOf(text);
  const invalid = () => new JaugeError("budget-invalid", { option, value: text, expected: expected.vram });
  if (!items.some((item) => item.includes("="))) {
    const wish = items.length === 1 ? parseWish(items[0]!) : undefined;
    if (!wish) throw items.length > 1 ? severalSizes(text, option) : invalid();
    return wish;
  }
  const wishes = items.map((item) => {
    const [device = "", size = "", ...others] = item.split("=").map((part) => part.trim());
    const wish = parseWish(size);
    if (device === "" || !wish || others.length > 0) throw invalid();
    return { device, wish };
  });
  return { kind: "by-device", wishes };
}

/** Reads `56GiB`, `90%` or `free-2GiB`. Errors: `budget-invalid`. */
export function parseRamBudget(text: string, option = "--ram"): BudgetWish {
  const items = itemsOf(text);
  const wish = items.length === 1 ? parseWish(items[0]!) : undefined;
  if (!wish) throw new JaugeError("budget-invalid", { option, value: text, expected: expected.ram });
  return wish;
}

/**
 * Reads the sizes of cards, `8GB,12GB,24GB`; undefined where the text is a budget instead: one size, or sizes for
 * devices. Errors: `budget-invalid`, naming the one of several that is no card's size.
 */
export function parseCardSizes(text: string, option = "--vram"): number[] | undefined {
  const items = itemsOf(text);
  if (items.length < 2 || items.some((item) => item.includes("="))) return undefined;
  return items.map((item) => {
    const size = parseSize(item);
    if (size) return size;
    throw new JaugeError("budget-invalid", { option, value: text, expected: expected.cards({ item }) });
  });
}

/** What a wish is written as; `parseVramBudget` reads it back. */
export function wishText(wish: VramWish): string {
  switch (wish.kind) {
    case "bytes":
      return `${wish.bytes}B`;
    case "share":
      return `${wish.share * 100}%`;
    case "free-less":
      return `free-${wish.bytes}B`;
    case "by-device":
      return wish.wishes.map((entry) => `${entry.device}=${wishText(entry.wish)}`).join(",");
  }
}

/** Fewer bytes than this without a unit are more likely a forgotten unit: `--vram 11`. */
const leastBareBytes = 1_000_000;

/**
 * The parts between commas. A comma stays inside a number where its left side is a few bare digits, which no budget
 * is, and its right side goes on with digits and a unit: `0=11,5GB,1=8GiB` has two parts.
 */
function itemsOf(text: string): string[] {
  const items: string[] = [];
  let joined = false;
  for (const part of text.split(",")) {
    const before = items.at(-1);
    const continues: boolean =
      before !== undefined &&
      !joined &&
      /(^|=|-)\s*\d{1,6}$/.test(before) &&
      // Three digits may be thousands: `12,000MB` is refused rather than read as 12 MB.
      /^(?!\d{3}(?!\d))\d+\s*([kmgt]?i?[bo]|%)\s*$/i.test(part);
    if (continues) items[items.length - 1] = `${before}.${part}`;
    else items.push(part.trim());
    joined = continues;
  }
  return items;
}

function parseWish(text: string): BudgetWish | undefined {
  const percent = /^(\d{1,3}(?:\.\d+)?)\s*%$/.exec(text);
  if (percent) {
    const share = Number(percent[1]) / 100;
    return share <= 1 ? { kind: "share", share } : undefined;
  }
  const less = /^free\s*-(.*)$/is.exec(text);
  const bytes = parseSize((less?.[1] ?? text).trim());
  if (bytes === undefined) return undefined;
  return { kind: less ? "free-less" : "bytes", bytes };
}

/** Bytes of a size with its unit; without one, of a whole number that can be nothing but bytes. */
function parseSize(text: string): number | undefined {
  const bytes = parseBytes(text);
  const hasUnit = /[bo]\s*$/i.test(text);
  if (bytes === undefined || hasUnit || text === "0") return bytes;
  return /^\d+$/.test(text) && bytes >= leastBareBytes ? bytes : undefined;
}

function severalSizes(value: string, option: string): JaugeError {
  return new JaugeError("budget-invalid", { option, value, expected: expected.oneSize });
}
