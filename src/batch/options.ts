import { z } from "zod";
import { checkSampling } from "../engine/check-sampling.js";
import { defaultSampling } from "../engine/sampling.js";
import { JaugeError } from "../errors.js";
import { firstProblem } from "../json.js";
import { batchProblems } from "../messages/batch-problems.js";
import { localized } from "../messages/locale.js";
import type { AnswerOptions } from "./request.js";

const problems = localized(batchProblems);

export interface BatchOptions extends AnswerOptions {
  /** A prompt with places for fields of the objects: `Translate: {text}`. A text is the field `text`. */
  template?: string;
  /** The system prompt of conversations that have none. */
  system?: string;
  /** Continue prompts as they are, without the model's prompt format. */
  raw?: boolean;
  /** Results in the order of the requests; few enough are held back that memory stays bounded. */
  ordered?: boolean;
  /** Requests that are read ahead, to be put in order. */
  lookAhead?: number;
}

/** Ranges of numbers are the samplers' to check. */
const sampling = z.any().optional();
const text = z.string().optional();
const flag = z.boolean().optional();
const whole = z.int();

const shape = {
  ...{ temperature: sampling, dynamicTemperatureRange: sampling, dynamicTemperatureExponent: sampling },
  ...{ topK: sampling, topP: sampling, minP: sampling, typicalP: sampling, topNSigma: sampling },
  ...{ penaltyLastN: sampling, repeatPenalty: sampling },
  ...{ frequencyPenalty: sampling, presencePenalty: sampling },
  ...{ dryMultiplier: sampling, dryBase: sampling, dryAllowedLength: sampling, dryPenaltyLastN: sampling },
  ...{ xtcProbability: sampling, xtcThreshold: sampling },
  ...{ mirostat: sampling, mirostatTau: sampling, mirostatEta: sampling, seed: sampling },
  drySequenceBreakers: z.array(z.string()).optional(),
  // A bias may be infinite.
  logitBias: z.array(z.tuple([whole, z.custom<number>((value) => typeof value === "number")])).optional(),
  ...{ ignoreEndOfGeneration: flag, grammar: text, jsonSchema: z.unknown().optional() },
  maxTokens: whole.min(1).optional(),
  stop: z.array(z.string()).optional(),
  stopTokens: z.array(whole).optional(),
  timeLimitMs: z.number().min(0).optional(),
  priority: z.enum(["interactive", "normal", "batch"]).optional(),
  logprobs: whole.min(0).optional(),
  ...{ trimStart: flag, special: flag, raw: flag, ordered: flag },
  ...{ template: text, system: text },
  lookAhead: whole.min(1).optional(),
  signal: z.instanceof(AbortSignal).optional(),
} satisfies Record<keyof BatchOptions, z.ZodType>;
const schema = z.object(shape);

/** Holds the options of a loop of requests to what there is. Errors: `batch-options-invalid`, `sampling-invalid`. */
export function checkBatchOptions(options: BatchOptions): void {
  const unknown = Object.keys(options).find((name) => !Object.hasOwn(shape, name));
  if (unknown !== undefined) throw invalid({ field: unknown, problem: problems.unknownOption });
  const parsed = schema.safeParse(options);
  if (!parsed.success) throw invalid(firstProblem(options, parsed.error));
  const given = Object.entries(options).filter(([, value]) => value !== undefined);
  // Which tokens there are is the model's to say.
  checkSampling({ ...defaultSampling, ...Object.fromEntries(given) }, Number.POSITIVE_INFINITY);
}

/** Errors: `batch-options-invalid` where requests cannot be gone through; a text would be its characters. */
export function checkIterable(requests: unknown): void {
  const isIterable =
    typeof requests === "object" &&
    requests !== null &&
    (Symbol.asyncIterator in requests || Symbol.iterator in requests);
  if (!isIterable) throw invalid({ field: "requests", problem: problems.notIterable });
}

function invalid(facts: { field: string; problem: string }): JaugeError {
  return new JaugeError("batch-options-invalid", facts);
}
