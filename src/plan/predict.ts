import type { HardwareFacts } from "../hardware/facts.js";
import { localized } from "../messages/locale.js";
import { planTexts } from "../messages/plan-texts.js";
import { formatBytes } from "../units.js";
import { type Cost, CostModel, type Load, type Placement } from "./cost.js";
import { type JobProfile, usualDepth, usualTurn } from "./job.js";
import type { ModelLayout } from "./layout.js";
import type { Prediction } from "./model-plan.js";
import { isMapped, type Plan } from "./plan.js";
import type { HostMode } from "./speed.js";

const texts = localized(planTexts);

/** The two graphs that a plan computes again and again, and the tokens of a request that go through each. */
export interface Models {
  prefill: CostModel;
  decode: CostModel;
  promptTokens: number;
  answerTokens: number;
}

/** What of a plan its graphs depend on, beside its placement. */
type GraphSettings = Pick<
  Plan,
  "sequences" | "microBatch" | "contextLength" | "kvLayout" | "embeddings" | "loadMode"
>;

export function costModels(
  layout: ModelLayout,
  facts: HardwareFacts,
  plan: GraphSettings,
  mode: HostMode,
  kvBytesPerCell: readonly number[],
  job?: JobProfile,
): Models {
  const { promptTokens } = job ?? usualTurn;
  // In a unified cache a token is held against the cells of all sequences, most of them masked.
  const spread = plan.kvLayout === "unified" ? plan.sequences : 1;
  const depthOf = (tokens: number) => Math.min(tokens, plan.contextLength) * spread;
  const depth = depthOf(usualDepth(job));
  // Texts are embedded many at once, in a cache that is empty before.
  const rows = Math.min(
    plan.microBatch,
    (plan.embeddings ? promptTokens : plan.contextLength) * plan.sequences,
  );
  const prefillDepth = plan.embeddings ? Math.min(rows, depth) : depthOf(promptTokens) / 2;
  const mapped = isMapped(plan);
  const model = (load: Load) => new CostModel(layout, facts, { ...load, mapped }, mode, kvBytesPerCell);
  return {
    prefill: model({ rows, sequences: 1, outputs: 1, depth: prefillDepth }),
    decode: model({ rows: plan.sequences, sequences: plan.sequences, outputs: plan.sequences, depth }),
    ...(job ?? usualTurn),
  };
}

/** Seconds for a usual request, which placements are judged by: its prompt and its answer. */
export function scored(models: Models): { model: CostModel; weight: number }[] {
  const { prefill, decode, promptTokens, answerTokens } = models;
  return [
    { model: prefill, weight: promptTokens / prefill.load.rows },
    { model: decode, weight: answerTokens / decode.load.rows },
  ];
}

/** What a placement's speed will be; `diskBytes` are read from the disk for each decoded token. */
export function predict(
  models: Models,
  placement: Placement,
  facts: HardwareFacts,
  diskBytes = 0,
): Prediction {
  const prefill = models.prefill.cost(placement);
  const decode = models.decode.cost(placement);
  const disk = diskBytes === 0 ? 0 : diskBytes / (facts.host.diskBytesPerSecond ?? 500e6);
  const byPlace = (cost: Cost) =>
    [
      ...cost.places.map((place, index) => ({
        place: placeName(facts, index),
        seconds: place.seconds,
        bytesRead: place.bytesRead,
      })),
      { place: "crossings", seconds: cost.crossingSeconds, bytesRead: 0 },
      { place: "link", seconds: cost.streamSeconds, bytesRead: cost.streamedBytes },
      { place: "disk", seconds: disk, bytesRead: diskBytes },
    ].filter(({ seconds }) => seconds > 0);
  const decodeSeconds = byPlace(decode);
  const total = decode.seconds + disk;
  const { rows } = models.prefill.load;
  const prefillTokensPerSecond = rows / (prefill.seconds + disk);
  return {
    prefillTokensPerSecond,
    decodeTokensPerSecond: models.decode.load.rows / total,
    timeToFirstTokenMs: 1000 * (usualTurn.promptTokens / prefillTokensPerSecond),
    // Nothing is decoded where nothing is answered.
    ...(models.answerTokens === 0
      ? limit(prefill, byPlace(prefill), facts, rows)
      : limit(decode, decodeSeconds, facts, models.decode.load.rows)),
    decodeSeconds,
  };
}

function placeName(facts: HardwareFacts, index: number): string {
  return index === 0 ? "host" : facts.devices[index - 1]!.name;
}

/** Where most of the time goes, and whether memory or arithmetic holds it up there. */
function limit(
  cost: Cost,
  seconds: Prediction["decodeSeconds"],
  facts: HardwareFacts,
  tokens: number,
): Pick<Prediction, "limitedBy" | "explanation"> {
  const most = seconds.reduce((best, next) => (next.seconds > best.seconds ? next : best));
  const { place, bytesRead } = most;
  const bytes = formatBytes(bytesRead);
  const rate = formatBytes(bytesRead / most.seconds);
  const per = texts.per({ tokens });
  if (place === "crossings")
    return { limitedBy: place, explanation: texts.crossings({ count: cost.crossings, per }) };
  if (place === "disk") return { limitedBy: place, explanation: texts.disk({ bytes, rate, per }) };
  if (place === "link") return { limitedBy: place, explanation: texts.link({ bytes, rate, per }) };
  const index = place === "host" ? 0 : facts.devices.findIndex(({ name }) => name === place) + 1;
  const isMemory = cost.places[index]!.memorySeconds > 0.6 * most.seconds;
  const name = place === "host" ? "RAM" : place;
  return {
    limitedBy: `${place}-${isMemory ? "memory" : "compute"}`,
    explanation: isMemory
      ? texts.bandwidth({ place: name, bytes, rate, per })
      : texts.arithmetic({ place: place === "host" ? "CPU" : place, bytes, rate, per }),
  };
}
