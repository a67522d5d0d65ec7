import { thisMachine } from "../hardware/facts.js";
import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import type { ModelPlan } from "../plan/model-plan.js";
import { formatBytes, formatCount } from "../units.js";
import { type Canvas, fitted, memoryBars } from "./plan-bars.js";
import { formatDuration, formatNumber, formatSpeed, placeName, visible } from "./plan-format.js";
import { layerStrip } from "./plan-strip.js";
import { columns, styled } from "./terminal.js";

const texts = localized(planViewMessages);
const { headings, between } = texts;

const leastWidth = 60;
const mostWidth = 120;

/** The canvas that standard output is: its width, at least 60 columns, and 80 where it is no terminal. */
export function terminalCanvas(stream: NodeJS.WriteStream = process.stdout): Canvas {
  const width = Math.min(mostWidth, Math.max(leastWidth, stream.columns || 80));
  const paint: Canvas["paint"] = (style, text) => styled(style, text, stream);
  return { width, colours: paint("red", "x") !== "x", paint };
}

/** A plan for people: bars, the layers, settings, speeds and reasons; where it does not fit, what is missing and what would. */
export function planPicture(plan: ModelPlan, canvas: Canvas): string[] {
  const section = (heading: string, lines: readonly string[]) =>
    lines.length > 0 ? ["", canvas.paint("bold", heading), ...lines] : [];
  const items = (lines: readonly string[]) =>
    lines.flatMap((line) => wrapped(line, canvas.width, "  - ", "    "));
  return [
    ...head(plan, canvas),
    ...section(headings.memory, memoryBars(plan, canvas)),
    ...section(headings.layers(0, plan.model.layers - 1), layerStrip(plan, canvas)),
    ...section(headings.settings, settings(plan, canvas)),
    ...(plan.fits ? section(headings.predicted, predicted(plan, canvas)) : []),
    ...section(headings.notes, items([...plan.warnings, ...plan.notes])),
    ...(plan.fits
      ? section(headings.flags, flagLines(plan.llamaCppFlags, canvas.width))
      : [
          ...section(canvas.paint("red", headings.misfit), items(shortfalls(plan))),
          ...section(headings.alternatives, items(alternatives(plan))),
        ]),
  ];
}

function head({ model, objective, hardware, exactness }: ModelPlan, { width, paint }: Canvas): string[] {
  const facts = [
    visible(model.architecture),
    texts.modelLine.parameters(formatCount(model.parameters)),
    visible(model.fileType),
    formatBytes(model.bytes),
    texts.modelLine.layers(model.layers),
    ...(model.experts > 0
      ? [texts.modelLine.experts({ used: model.expertsUsed, count: model.experts })]
      : []),
  ];
  const about = [
    texts.objectives[objective],
    texts.hardware({
      name: hardware.name === thisMachine ? texts.thisMachine : hardware.name,
      origin: texts.origins[hardware.origin],
    }),
    texts.exactness[exactness],
  ];
  return [
    paint("bold", fitted(visible(model.source), width)),
    ...joined(facts, between.facts, width, ""),
    ...joined(about, between.clauses, width, ""),
  ];
}

function settings({ settings: s }: ModelPlan, { width }: Canvas): string[] {
  const { settings: words } = texts;
  const parts = [
    words.context(formatNumber(s.contextLength)),
    words.sequences(formatNumber(s.sequences)),
    words.microBatch(formatNumber(s.microBatch)),
    words.kv({ k: s.kvTypeK, v: s.kvTypeV }),
    words.flashAttention[s.flashAttention],
    words.loadMode[s.loadMode],
    words.threads({ one: formatNumber(s.threads), batch: formatNumber(s.threadsBatch) }),
  ];
  return joined(parts, between.facts, width);
}

/** The prompt whose time `timeToFirstTokenMs` is. */
const promptTokens = 512;

function predicted({ predicted: p }: ModelPlan, { width }: Canvas): string[] {
  const { predicted: words } = texts;
  const time = { time: formatDuration(p.timeToFirstTokenMs), tokens: formatNumber(promptTokens) };
  const rows = columns([
    [words.prefill, words.speed(formatSpeed(p.prefillTokensPerSecond))],
    [words.decode, words.speed(formatSpeed(p.decodeTokensPerSecond))],
    [words.firstToken, words.forPrompt(time)],
  ]);
  return [...rows.map((row) => `  ${row}`), ...wrapped(p.explanation, width, "  ", "  ")];
}

function shortfalls(plan: ModelPlan): string[] {
  return plan.shortfalls.map(({ device, neededBytes, budgetBytes, missingBytes }) =>
    texts.shortfall({
      device: placeName(device),
      needed: formatBytes(neededBytes),
      budget: formatBytes(budgetBytes),
      missing: formatBytes(missingBytes),
      bytes: formatNumber(missingBytes),
    }),
  );
}

function alternatives(plan: ModelPlan): string[] {
  return plan.alternatives.map(({ text, flags }) => (flags ? texts.withFlags({ text, flags }) : text));
}

/**
 * Options as lines to copy into a POSIX shell: broken between options only, with a backslash. A single option that is
 * longer than a line stays whole.
 */
export function flagLines(flags: string, width: number): string[] {
  const words = flags.match(/(?:'[^']*'|\\.|[^\s'\\])+/g) ?? [];
  const options: string[] = [];
  for (const word of words) {
    if (/^-{1,2}[a-z]/i.test(word) || options.length === 0) options.push(word);
    else options[options.length - 1] += ` ${word}`;
  }
  const lines = pack(options, " ", width - 4);
  return lines.map((line, index) => `  ${line}${index < lines.length - 1 ? " \\" : ""}`);
}

/** Parts in as few lines as they need, none of them broken. */
function joined(parts: readonly string[], separator: string, width: number, indent = "  "): string[] {
  return pack(parts, separator, width - indent.length - separator.length).map((line) => `${indent}${line}`);
}

function pack(parts: readonly string[], separator: string, width: number): string[] {
  const lines: string[] = [];
  for (const part of parts) {
    const last = lines.at(-1);
    if (last !== undefined && last.length + separator.length + part.length <= width)
      lines[lines.length - 1] = `${last}${separator}${part}`;
    else lines.push(part);
  }
  return lines;
}

function wrapped(text: string, width: number, first: string, others: string): string[] {
  return pack(text.split(" "), " ", width - first.length).map(
    (line, index) => `${index === 0 ? first : others}${line}`,
  );
}
