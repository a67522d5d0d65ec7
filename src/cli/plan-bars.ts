import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import { type ModelPlan, type PlannedDevice, ramBytes } from "../plan/model-plan.js";
import { formatBytes } from "../units.js";
import { placeName, usedBytes } from "./plan-format.js";
import { columns, type styled } from "./terminal.js";

const { kinds: names } = localized(planViewMessages);

/** How a picture is drawn: `width` in columns, and in colours where `colours` says so. */
export interface Canvas {
  width: number;
  /** Blocks in colours; letters otherwise. */
  colours: boolean;
  paint: Paint;
}
export type Paint = (...args: Parameters<typeof styled>) => string;

type Style = Parameters<Paint>[0];

/** What memory is taken by, in the order of the bar: a letter, and a colour. */
const kinds = {
  attention: { letter: "a", style: "blue" },
  feedForward: { letter: "f", style: "green" },
  experts: { letter: "e", style: "greenBright" },
  output: { letter: "o", style: "cyan" },
  embedding: { letter: "t", style: "cyanBright" },
  other: { letter: "w", style: "white" },
  kv: { letter: "k", style: "yellow" },
  compute: { letter: "c", style: "magenta" },
  runtime: { letter: "r", style: "red" },
  shared: { letter: "s", style: "gray" },
} as const satisfies Record<string, { letter: string; style: Style }>;
type Kind = keyof typeof kinds;
const kindNames = Object.keys(kinds) as Kind[];

/**
 * A bar for each device and for RAM, as long as its budget, and a table of what it is made of, which is the legend. What
 * is over the budget is right of a `|`.
 */
export function memoryBars(plan: ModelPlan, canvas: Canvas): string[] {
  const plannedBytes = ramBytes(plan);
  const sharedBytes = plannedBytes - plan.host.plannedBytes;
  const places: Place[] = [...plan.devices, { ...plan.host, plannedBytes, sharedBytes }];
  return [...places.flatMap((place) => bar(place, canvas)), ...table(places, canvas)];
}

/** What a bar is drawn of; of RAM, `sharedBytes` are what devices take that share it. */
type Place = PlannedDevice & { sharedBytes?: number };

function bar(device: Place, { width, colours, paint }: Canvas): string[] {
  const over = device.plannedBytes > device.budgetBytes;
  const name = placeName(device.name);
  const used = usedBytes(device);
  const title = fitted(`${name}  ${device.description}`, width - used.length - 2);
  const inside = width - (over ? 3 : 2);
  const sizes = kindNames.map((kind) => bytesOf(device, kind));
  const cells = shares(sizes, Math.max(device.plannedBytes, device.budgetBytes), inside);
  const drawn = kindNames.flatMap((kind, index) => {
    const { letter, style } = kinds[kind];
    return new Array<string>(cells[index]!).fill(colours ? paint(style, "█") : letter);
  });
  const free = new Array<string>(inside - drawn.length).fill(colours ? paint("dim", "░") : ".");
  const all = [...drawn, ...free];
  if (over) {
    const limit = Math.floor((device.budgetBytes / device.plannedBytes) * inside);
    all.splice(limit, 0, paint(["bold", "red"], "|"));
  }
  const heading = `${paint("bold", name)}${title.slice(name.length)}`;
  const gap = " ".repeat(Math.max(2, width - title.length - used.length));
  return [`${heading}${gap}${over ? paint("red", used) : used}`, `[${all.join("")}]`];
}

/**
 * Cells for each part of `total`, which `count` cells stand for: at least one for what is there at all, and the rest by
 * largest remainder.
 */
export function shares(sizes: readonly number[], total: number, count: number): number[] {
  if (total <= 0) return sizes.map(() => 0);
  const exact = sizes.map((size) => (size / total) * count);
  const cells = exact.map((share, index) => (sizes[index]! > 0 ? Math.max(1, Math.floor(share)) : 0));
  const wanted = Math.min(count, Math.round(exact.reduce((sum, share) => sum + share, 0)));
  const sum = () => cells.reduce((all, one) => all + one, 0);
  const most = (score: (index: number) => number) =>
    cells.reduce((best, _, index) => (score(index) > score(best) ? index : best), 0);
  while (sum() < wanted) cells[most((index) => exact[index]! - cells[index]!)]!++;
  // Parts that are too small for a cell of their own took it from the largest.
  while (sum() > count) cells[most((index) => cells[index]!)]!--;
  return cells;
}

/** Kinds by places; in the last line what is left of each budget. */
function table(places: readonly Place[], { width, colours, paint }: Canvas): string[] {
  const present = kindNames.filter((kind) => places.some((place) => bytesOf(place, kind) > 0));
  const cell = (bytes: number) => (bytes === 0 ? "-" : formatBytes(bytes));
  const rows = [
    ["", "", ...places.map(({ name }) => placeName(name))],
    ...present.map((kind) => [
      kinds[kind].letter,
      names[kind],
      ...places.map((place) => cell(bytesOf(place, kind))),
    ]),
    [".", names.free, ...places.map((place) => cell(Math.max(0, place.budgetBytes - place.plannedBytes)))],
  ];
  const lines = columns(
    rows,
    places.map((_, index) => index + 2),
  ).map((line) => fitted(`  ${line}`, width));
  return colours ? lines.map((line, index) => withColour(line, present[index - 1], index, paint)) : lines;
}

/** A line of the table with the letter of its kind as a block in its colour. */
function withColour(line: string, kind: Kind | undefined, index: number, paint: Paint): string {
  if (index === 0) return paint("dim", line);
  const block = kind ? paint(kinds[kind].style, "█") : paint("dim", "░");
  return `  ${block}${line.slice(3)}`;
}

function bytesOf(device: Place, kind: Kind): number {
  switch (kind) {
    case "kv":
    case "compute":
    case "runtime":
      return device.breakdown[kind];
    case "shared":
      return device.sharedBytes ?? 0;
    default:
      return device.weights[kind];
  }
}

/** A text in at most so many columns. */
export function fitted(text: string, width: number): string {
  return text.length > width ? `${text.slice(0, Math.max(0, width - 1))}…` : text;
}
