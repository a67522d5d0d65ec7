import { localized } from "../messages/locale.js";
import { planViewMessages } from "../messages/plan-view.js";
import type { ModelPlan } from "../plan/model-plan.js";
import { formatBytes } from "../units.js";
import { formatNumber, formatSpeed } from "./plan-format.js";
import { columns } from "./terminal.js";

const { whatIf: texts } = localized(planViewMessages);

/** One way to run the model. What is absent is as the model or the machine is. */
export interface Cell {
  mix?: string;
  contextLength?: number;
  cardBytes?: number;
}

/** What `jauge plan --what-if --json` prints: a public contract. Sizes are bytes. */
export interface WhatIfRow {
  type: string;
  contextLength: number;
  /** Of the card that was asked for; null on the machine as it is. */
  cardBytes: number | null;
  modelBytes: number;
  fits: boolean;
  /** What is missing in all, 0 where it fits. */
  missingBytes: number;
  /** Part of the weights' bytes that is on devices, 0 to 1. */
  deviceShare: number;
  devices: { name: string; plannedBytes: number; budgetBytes: number }[];
  host: { plannedBytes: number; budgetBytes: number };
  /** Null where it does not fit. */
  prefillTokensPerSecond: number | null;
  decodeTokensPerSecond: number | null;
  limitedBy: string | null;
}

/** What the table is about; what is absent has defaults. */
export interface WhatIfQuestion {
  type?: string;
  contextLength?: number;
  cards?: readonly number[];
}

/** From the smallest useful to the best; a model's own type comes beside them. */
const defaultTypes = ["Q2_K", "Q3_K_M", "Q4_K_M", "Q5_K_M", "Q6_K", "Q8_0"];
const defaultContexts = [2048, 8192, 32_768];

/**
 * Plans a model for every type, context length and card in question, one after the other: by card, then by size, then by
 * context. The first plan, of the model as it is, says its type and the context it was trained for. A `contextLength`
 * of 0 is the model's own. Errors: those of `planCell`.
 */
export async function whatIf(
  question: WhatIfQuestion,
  planCell: (cell: Cell) => Promise<ModelPlan>,
  onProgress: (done: number, all: number, cell: string) => void = () => {},
): Promise<WhatIfRow[]> {
  const cards: (number | undefined)[] = question.cards ? [...question.cards] : [undefined];
  onProgress(0, 1, "");
  const firstCell = { contextLength: question.contextLength ?? defaultContexts[0]!, cardBytes: cards[0] };
  const first = await planCell(firstCell);
  const own = first.model;
  const contexts = contextsOf(question, own.trainedContextLength);
  const types = question.type ? [question.type] : [...new Set([...defaultTypes, own.fileType])];
  const rows: WhatIfRow[] = [];
  const all = cards.length * types.length * contexts.length;
  for (const cardBytes of cards) {
    const ofCard: WhatIfRow[] = [];
    for (const type of types) {
      for (const contextLength of contexts) {
        const name = `${type}, ${texts.tokens(formatNumber(contextLength))}`;
        onProgress(rows.length + ofCard.length, all, name);
        const mix = type === own.fileType ? undefined : type;
        const isFirst =
          mix === undefined && contextLength === firstCell.contextLength && cardBytes === firstCell.cardBytes;
        const plan = isFirst ? first : await planCell({ mix, contextLength, cardBytes });
        ofCard.push(rowOf(plan, { type, contextLength, cardBytes: cardBytes ?? null }));
      }
    }
    rows.push(...ofCard.toSorted((a, b) => a.modelBytes - b.modelBytes || a.contextLength - b.contextLength));
  }
  return rows;
}

/**
 * The rows as tables for people, types down: context lengths across, in a table for each card; or cards across where
 * there is only one context length.
 */
export function whatIfTables(rows: readonly WhatIfRow[]): string[] {
  const legend = rows.some(({ devices }) => devices.length > 0) ? texts.legend : texts.legendWithoutDevices;
  const cards = [...new Set(rows.map(({ cardBytes }) => cardBytes))];
  const contexts = [...new Set(rows.map(({ contextLength }) => contextLength))];
  const contextName = (row: WhatIfRow) => texts.tokens(formatNumber(row.contextLength));
  if (contexts.length === 1 && cards.length > 1) {
    const title = texts.cards({ tokens: contextName(rows[0]!), device: deviceName(rows) });
    return [title, ...table(rows, (row) => formatBytes(row.cardBytes ?? 0)), "", legend];
  }
  const tables = cards.flatMap((card) => {
    const ofCard = rows.filter(({ cardBytes }) => cardBytes === card);
    const title = card === null ? [] : [texts.card({ size: formatBytes(card), device: deviceName(ofCard) })];
    return [...title, ...table(ofCard, contextName), ""];
  });
  return [...tables, legend];
}

function deviceName(rows: readonly WhatIfRow[]): string {
  return rows[0]?.devices[0]?.name ?? "";
}

function contextsOf({ contextLength }: WhatIfQuestion, trained: number): number[] {
  if (contextLength !== undefined) return [contextLength === 0 ? trained : contextLength];
  // A model's own length is asked for most, where it is none of these.
  const longest = trained > 0 ? Math.min(trained, defaultContexts.at(-1)!) : defaultContexts.at(-1)!;
  return [...defaultContexts.filter((length) => length < longest), longest];
}

function rowOf(plan: ModelPlan, cell: Pick<WhatIfRow, "type" | "contextLength" | "cardBytes">): WhatIfRow {
  const { fits, predicted, devices, host } = plan;
  const weights = (places: readonly { breakdown: { weights: number } }[]) =>
    places.reduce((sum, { breakdown }) => sum + breakdown.weights, 0);
  return {
    ...cell,
    modelBytes: plan.model.bytes,
    fits,
    missingBytes: plan.shortfalls.reduce((sum, { missingBytes }) => sum + missingBytes, 0),
    deviceShare: weights(devices) / Math.max(1, weights([...devices, host])),
    devices: devices.map(({ name, plannedBytes, budgetBytes }) => ({ name, plannedBytes, budgetBytes })),
    host: { plannedBytes: host.plannedBytes, budgetBytes: host.budgetBytes },
    prefillTokensPerSecond: fits ? predicted.prefillTokensPerSecond : null,
    decodeTokensPerSecond: fits ? predicted.decodeTokensPerSecond : null,
    limitedBy: fits ? predicted.limitedBy : null,
  };
}

function table(rows: readonly WhatIfRow[], columnOf: (row: WhatIfRow) => string): string[] {
  const across = [...new Set(rows.map(columnOf))];
  const types = [...new Set(rows.map(({ type }) => type))];
  const lines = types.map((type) => {
    const ofType = rows.filter((row) => row.type === type);
    const cells = across.map((name) => cellText(ofType.find((row) => columnOf(row) === name)));
    return [type, formatBytes(ofType[0]!.modelBytes), ...cells];
  });
  const header = ["", "", ...across];
  return columns([header, ...lines], header.map((_, index) => index).slice(1));
}

function cellText(row: WhatIfRow | undefined): string {
  if (!row) return "";
  if (!row.fits) return texts.missing(formatBytes(row.missingBytes));
  const speed = formatSpeed(row.decodeTokensPerSecond ?? 0);
  if (row.devices.length === 0) return speed;
  return texts.fits({ share: formatNumber(row.deviceShare * 100), speed });
}
