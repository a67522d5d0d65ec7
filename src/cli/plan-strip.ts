import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import type { ModelPlan, PlacedTensor } from "../plan/model-plan.js";
import type { Canvas } from "./plan-bars.js";
import { placeName } from "./plan-format.js";

const { strip: texts, headings, kinds } = localized(planViewMessages);

/** The cell of RAM, of a device by its index, and of what lies on more than one. */
const hostCell = ".";
const mixedCell = "~";
/** A part of a layer is where all but this share of its bytes are: norms and biases weigh nothing. */
const negligible = 0.01;

/**
 * What of each layer is where: a cell for each layer, in a line for each part of the layers that is placed in its own
 * way. Wrapped in rows of a whole number of tens.
 */
export function layerStrip(plan: ModelPlan, canvas: Canvas): string[] {
  const parts = distinct(partsOf(plan));
  const [first] = parts;
  if (!first) return [];
  const labelWidth = Math.max(...parts.map(({ name }) => name.length));
  const perRow = Math.max(10, Math.floor((canvas.width - labelWidth - 4) / 10) * 10);
  const lines: string[] = [];
  for (let from = 0; from < first.places.length; from += perRow) {
    const to = Math.min(from + perRow, first.places.length);
    if (perRow < first.places.length) lines.push(canvas.paint("dim", `  ${headings.rows(from, to - 1)}`));
    for (const { name, places } of parts) {
      const cells = places.slice(from, to).map((place) => cell(place, plan, canvas));
      lines.push(`  ${name.padEnd(labelWidth)}  ${cells.join("")}`);
    }
  }
  return [...lines, ...legend(plan, parts, canvas)];
}

interface Part {
  name: string;
  /** By layer; undefined where a layer has no such part, `mixed` where it is in several places. */
  places: (string | undefined)[];
}

type LayerPart = "attention" | "feedForward" | "experts";

function partsOf({ model, placement, settings }: ModelPlan): Part[] {
  const bytes = new Map<LayerPart, Map<string, number>[]>();
  for (const { tensor, bytes: size, on } of placement) {
    const match = /^blk\.(\d+)\.(.+)$/.exec(tensor);
    const layer = Number(match?.[1]);
    if (!match || layer >= model.layers) continue;
    const part = layerPart(match[2]!);
    const layers = bytes.get(part) ?? Array.from({ length: model.layers }, () => new Map<string, number>());
    bytes.set(part, layers);
    layers[layer]!.set(on, (layers[layer]!.get(on) ?? 0) + size);
  }
  // Beside experts, the router alone is no part worth a line.
  if (bytes.has("experts") && total(bytes.get("feedForward")) < negligible * total(bytes.get("experts")))
    bytes.delete("feedForward");
  const order: LayerPart[] = ["attention", "feedForward", "experts"];
  const weights = order
    .filter((part) => bytes.has(part))
    .map((part) => ({ name: kinds[part], places: bytes.get(part)!.map(mainPlace) }));
  const kv = Array.from({ length: model.layers }, (_, layer) => settings.kvOn[layer] || undefined);
  return kv.some(Boolean) ? [...weights, { name: kinds.kv, places: kv }] : weights;
}

function layerPart(name: string): LayerPart {
  if (/_(ch)?exps\b/.test(name)) return "experts";
  return name.startsWith("ffn_") ? "feedForward" : "attention";
}

function mainPlace(bytes: ReadonlyMap<string, number>): string | undefined {
  const sum = [...bytes.values()].reduce((all, one) => all + one, 0);
  if (sum === 0) return undefined;
  return [...bytes].find(([, size]) => size >= (1 - negligible) * sum)?.[0] ?? "mixed";
}

function total(layers: readonly ReadonlyMap<string, number>[] | undefined): number {
  return (layers ?? []).flatMap((layer) => [...layer.values()]).reduce((sum, size) => sum + size, 0);
}

/** Parts that are everywhere in the same place share a line; where all are, it is that of all. */
function distinct(parts: readonly Part[]): Part[] {
  const lines: Part[] = [];
  for (const part of parts) {
    const same = lines.find(({ places }) =>
      places.every((place, layer) => place === part.places[layer] || part.places[layer] === undefined),
    );
    if (same) same.name = `${same.name}, ${part.name}`;
    else lines.push({ ...part });
  }
  return lines.length === 1 ? [{ ...lines[0]!, name: texts.all }] : lines;
}

function cell(place: string | undefined, plan: ModelPlan, { colours, paint }: Canvas): string {
  if (place === undefined) return " ";
  if (place === "mixed") return colours ? paint("yellow", "▒") : mixedCell;
  const index = plan.devices.findIndex(({ name }) => name === place);
  if (index < 0) return colours ? paint("dim", "░") : hostCell;
  const text = index < 10 ? `${index}` : "+";
  return colours ? paint(deviceStyles[index % deviceStyles.length]!, text) : text;
}

const deviceStyles = [
  ["bgGreen", "black"],
  ["bgCyan", "black"],
  ["bgMagenta", "black"],
  ["bgBlue", "white"],
] as const satisfies Parameters<Canvas["paint"]>[0][];

/** What the cells mean, and where what belongs to no layer is. */
function legend(plan: ModelPlan, parts: readonly Part[], canvas: Canvas): string[] {
  const seen = new Set(parts.flatMap(({ places }) => places));
  const cells = [...plan.devices.map(({ name }) => name), "host", "mixed"]
    .filter((place) => seen.has(place))
    .map((place) => `${cell(place, plan, canvas)} ${place === "mixed" ? texts.split : placeName(place)}`);
  const outside = [
    { kind: kinds.embedding, places: placesOf(plan.placement, /^(token_embd|position_embd|token_types)/) },
    { kind: kinds.output, places: placesOf(plan.placement, /^output\b/) },
  ].filter(({ places }) => places !== "");
  const outer = outside.map(({ kind, places }) => texts.at({ kind, place: places })).join(", ");
  return [`  ${cells.join("   ")}`, ...(outer ? [`  ${texts.other(outer)}`] : [])];
}

function placesOf(placement: readonly PlacedTensor[], pattern: RegExp): string {
  const places = placement.filter(({ tensor }) => pattern.test(tensor)).map(({ on }) => placeName(on));
  return [...new Set(places)].join(" + ");
}
