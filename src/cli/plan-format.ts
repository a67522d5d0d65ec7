import { locale, localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import { type ModelPlan, type PlannedDevice, ramBytes } from "../plan/model-plan.js";
import { sizeUnit } from "../units.js";

const texts = localized(planViewMessages);

/**
 * A plan in one line: `11.47 of 11.50 GB VRAM · 38.9 of 56.0 GB RAM · 8,192 tokens · about 4.1 tokens/s`. Devices that
 * stay empty are not in it; several are named.
 */
export function oneLine(plan: ModelPlan): string {
  const { predicted, engine } = plan;
  // Nothing is decoded for embeddings.
  const speed = engine.embeddings ? predicted.prefillTokensPerSecond : predicted.decodeTokensPerSecond;
  const used = plan.devices.filter(({ plannedBytes }) => plannedBytes > 0);
  const name = (device: PlannedDevice) => (used.length === 1 ? texts.vram : device.name);
  return [
    ...used.map((device) => `${usedBytes(device)} ${name(device)}`),
    `${usedBytes({ ...plan.host, plannedBytes: ramBytes(plan) })} ${texts.ram}`,
    texts.tokens({
      tokens: formatNumber(plan.settings.contextLength),
      sequences: formatNumber(plan.settings.sequences),
    }),
    texts.predicted.about(formatSpeed(speed)),
  ].join(" · ");
}

/** `11.47 of 11.50 GB`: both in the unit of the larger one. */
export function usedBytes({
  plannedBytes,
  budgetBytes,
}: Pick<PlannedDevice, "plannedBytes" | "budgetBytes">): string {
  const largest = Math.max(plannedBytes, budgetBytes);
  const unit = sizeUnit(largest);
  const digits = unit.bytes === 1 ? 0 : largest < 20 * unit.bytes ? 2 : 1;
  const format = (bytes: number) => formatNumber(bytes / unit.bytes, digits);
  return texts.used({ used: format(plannedBytes), budget: format(budgetBytes), unit: unit.name });
}

/** A number of tokens per second, with as many digits as a prediction deserves. */
export function formatSpeed(tokensPerSecond: number): string {
  return formatNumber(tokensPerSecond, tokensPerSecond >= 99.95 ? 0 : tokensPerSecond >= 0.995 ? 1 : 2);
}

export function formatDuration(ms: number): string {
  if (ms < 999.5) return `${formatNumber(ms)} ms`;
  const seconds = ms / 1000;
  return `${formatNumber(seconds, seconds < 99.95 ? 1 : 0)} s`;
}

/** A number as this language writes it: `8,192.5`, `8 192,5`. */
export function formatNumber(value: number, digits = 0): string {
  return new Intl.NumberFormat(locale, {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  }).format(value);
}

/** A text from a file or an address, without what could steer a terminal. */
export function visible(text: string): string {
  return text.replace(/\p{C}/gu, "�");
}

/** Where a tensor or cache is, for people: a device's name, or RAM. */
export function placeName(place: string): string {
  return place === "host" ? texts.ram : place;
}
