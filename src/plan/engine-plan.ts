import { host, type Placement } from "./cost.js";
import type { ModelLayout } from "./layout.js";
import type { Plan, TensorOverride } from "./plan.js";

/** The part of an engine plan that says where things are. */
export type PlacementFields = Pick<Plan, "gpuLayers" | "devices" | "tensorSplit" | "tensorOverrides">;

/**
 * A placement as llama.cpp can be told: so many of the last layers on devices, shared out as counted, and what differs
 * from its layer by name patterns. Devices without anything are left out, so that no buffer is made on them.
 * `deviceNames` are in the order of the hardware facts. Given overrides come first: the first match wins.
 */
export function placementFields(
  layout: ModelLayout,
  placement: Placement,
  deviceNames: readonly string[],
  given: readonly TensorOverride[] = [],
): PlacementFields {
  const { layers } = placement;
  const firstOnDevice = layers.findIndex(({ on }) => on !== host);
  const gpuLayers = firstOnDevice < 0 ? 0 : layers.length - firstOnDevice;
  const order: number[] = [];
  for (const { on } of layers) if (on !== host && !order.includes(on)) order.push(on);
  for (const { parts } of layers) {
    for (const place of parts) if (place !== host && !order.includes(place)) order.push(place);
  }
  const counts = order.map((device) => layers.filter(({ on }) => on === device).length);
  return {
    gpuLayers,
    devices: order.map((device) => deviceNames[device]!),
    ...(order.length > 1 && { tensorSplit: counts }),
    tensorOverrides: [...given, ...overridesOf(layout, placement, deviceNames)],
  };
}

/** What is elsewhere than its layer, as few patterns as possible. */
function overridesOf(
  layout: ModelLayout,
  placement: Placement,
  deviceNames: readonly string[],
): TensorOverride[] {
  /** By place, then by tensor name within a layer: the layers. */
  const moved = new Map<number, Map<string, number[]>>();
  const loose: TensorOverride[] = [];
  const nameOf = (place: number) => (place === host ? "host" : deviceNames[place]!);
  for (const [layer, { on, parts }] of placement.layers.entries()) {
    for (const [index, place] of parts.entries()) {
      if (place === on) continue;
      const { name } = layout.layers[layer]![index]!;
      const suffix = /^blk\.\d+\.(.+)$/.exec(name)?.[1];
      if (suffix === undefined) {
        // The name of a tied output is that of the token embedding, which stays where it is.
        if (name !== "token_embd.weight")
          loose.push({ pattern: `^${escaped(name)}$`, placement: nameOf(place) });
        continue;
      }
      const bySuffix = moved.get(place) ?? new Map<string, number[]>();
      moved.set(place, bySuffix);
      bySuffix.set(suffix, [...(bySuffix.get(suffix) ?? []), layer]);
    }
  }
  const overrides = [...moved].flatMap(([place, bySuffix]) => {
    const byLayers = new Map<string, string[]>();
    for (const [suffix, layers] of bySuffix) {
      const key = layers.join("|");
      byLayers.set(key, [...(byLayers.get(key) ?? []), suffix]);
    }
    return [...byLayers].map(([layers, suffixes]) => ({
      pattern: `^blk\\.(${numberPattern(layers.split("|").map(Number))})\\.(${suffixes.map(escaped).join("|")})$`,
      placement: nameOf(place),
    }));
  });
  return [...loose, ...overrides];
}

/** Numbers as alternatives of digits: `0|1|2|…|73` is `[0-9]|[1-6][0-9]|7[0-3]`. */
export function numberPattern(numbers: readonly number[]): string {
  /** Last digits by what stands before them. */
  const endings = new Map<string, number[]>();
  for (const number of numbers) {
    const before = number < 10 ? "" : String(Math.floor(number / 10));
    endings.set(before, [...(endings.get(before) ?? []), number % 10]);
  }
  /** What stands before, by the class of last digits. */
  const classes = new Map<string, string[]>();
  for (const [before, digits] of endings) {
    // One digit alone and a tens digit are different lengths: they do not share a class.
    const key = `${before.length} ${digitClass(digits)}`;
    classes.set(key, [...(classes.get(key) ?? []), before]);
  }
  return [...classes]
    .map(([key, befores]) => {
      const last = key.slice(key.indexOf(" ") + 1);
      if (befores[0] === "") return last;
      const isOneDigit = befores.every((before) => before.length === 1);
      const first = isOneDigit
        ? digitClass(befores.map(Number))
        : befores.length > 1
          ? `(${befores.join("|")})`
          : befores[0];
      return `${first}${last}`;
    })
    .join("|");
}

function digitClass(digits: readonly number[]): string {
  const sorted = [...new Set(digits)].sort((a, b) => a - b);
  if (sorted.length === 1) return `${sorted[0]}`;
  const ranges: string[] = [];
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (sorted[end + 1] === sorted[end]! + 1) end++;
    const [low, high] = [sorted[start]!, sorted[end]!];
    ranges.push(high - low > 1 ? `${low}-${high}` : high > low ? `${low}${high}` : `${low}`);
    start = end + 1;
  }
  return `[${ranges.join("")}]`;
}

function escaped(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\]/g, "\\$&");
}
