import { z } from "zod";
import type { SamplingSettings } from "../../engine/sampling.js";
import { isJaugeError, JaugeError } from "../../errors.js";
import type { Message } from "../../executor/prompts/prompt.js";
import { firstProblem } from "../../json.js";
import { batchProblems } from "../../messages/batch-problems.js";
import { localized } from "../../messages/locale.js";
import type { AnswerOptions, BatchRequest } from "../request.js";

const problems = localized(batchProblems);

/**
 * Reads the body of a request to one of OpenAI's endpoints (API reference of 2025: chat/completions, completions,
 * embeddings), with llama.cpp's sampling settings beside OpenAI's. What cannot be honoured is refused by name, never
 * ignored. Errors: `line-invalid`, `line-unsupported`.
 */
export function readBody(kind: BatchRequest["kind"], given: Record<string, unknown>): BatchRequest {
  const body = supported(kind, given);
  if (kind === "embedding") return embedding(body);
  if (kind === "chat") {
    const { messages, logprobs, top_logprobs, n, ...rest } = checked(chatBody, body);
    if (top_logprobs !== undefined && logprobs !== true)
      throw invalid("top_logprobs", problems.needsLogprobs);
    const options = answerOptions(rest);
    if (logprobs) options.logprobs = top_logprobs ?? 0;
    return { kind, messages: messages.map(message), options, ...choicesOf(n) };
  }
  const { prompt, logprobs, n, ...rest } = checked(completionBody, body);
  const options = answerOptions(rest);
  if (logprobs !== undefined) options.logprobs = logprobs;
  return { kind, prompt: typeof prompt === "string" ? prompt : promptOf(prompt), options, ...choicesOf(n) };
}

function choicesOf(n: number | undefined): { choices?: number } {
  return n === undefined || n === 1 ? {} : { choices: n };
}

/** Fields that say nothing about the answer of a model that is here. */
const withoutEffect = new Set([
  ...["model", "user", "metadata", "store", "service_tier", "safety_identifier", "prompt_cache_key"],
  ...["prompt_cache_retention", "stream_options"],
]);

/** Fields that jauge cannot honour, with the values that ask for nothing. */
const askingNothing: Record<string, (value: unknown) => boolean> = {
  n: (value) => value === 1,
  best_of: (value) => value === 1,
  stream: (value) => value === false,
  echo: (value) => value === false,
  suffix: (value) => value === "",
  tools: isEmpty,
  functions: isEmpty,
  tool_choice: (value) => value === "none" || value === "auto",
  function_call: (value) => value === "none" || value === "auto",
  parallel_tool_calls: () => true,
  modalities: (value) => Array.isArray(value) && value.every((one) => one === "text"),
};

function isEmpty(value: unknown): boolean {
  return Array.isArray(value) && value.length === 0;
}

/** The fields that mean something; `null` is the default, as in the API. */
function supported(kind: BatchRequest["kind"], given: Record<string, unknown>): Record<string, unknown> {
  const known = bodies[kind].shape as Record<string, unknown>;
  const body: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(given)) {
    if (value === null || withoutEffect.has(name)) continue;
    if (Object.hasOwn(known, name)) body[name] = value;
    else if (!Object.hasOwn(askingNothing, name) || !askingNothing[name]!(value))
      throw new JaugeError("line-unsupported", { field: name });
  }
  return body;
}

const number = z.number();
const whole = z.int();
/** Sampling settings by their names in a request: OpenAI's, then llama.cpp's. Ranges are the samplers' to check. */
const samplingNames = {
  temperature: "temperature",
  top_p: "topP",
  frequency_penalty: "frequencyPenalty",
  presence_penalty: "presencePenalty",
  top_k: "topK",
  min_p: "minP",
  typical_p: "typicalP",
  top_n_sigma: "topNSigma",
  repeat_penalty: "repeatPenalty",
  repeat_last_n: "penaltyLastN",
  dynatemp_range: "dynamicTemperatureRange",
  dynatemp_exponent: "dynamicTemperatureExponent",
  dry_multiplier: "dryMultiplier",
  dry_base: "dryBase",
  dry_allowed_length: "dryAllowedLength",
  dry_penalty_last_n: "dryPenaltyLastN",
  xtc_probability: "xtcProbability",
  xtc_threshold: "xtcThreshold",
  mirostat: "mirostat",
  mirostat_tau: "mirostatTau",
  mirostat_eta: "mirostatEta",
} as const satisfies Record<string, keyof SamplingSettings>;

const samplingFields = Object.entries(samplingNames);
/** Names in a request by those of the settings. */
const fieldNames = new Map<string, string>([
  ...samplingFields.map(([name, setting]) => [setting, name] as const),
  ["logitBias", "logit_bias"],
  ["ignoreEndOfGeneration", "ignore_eos"],
]);

/** An error of a sampling setting by the name that the line gave it. */
export function inFieldNames(error: unknown): unknown {
  if (!isJaugeError(error, "sampling-invalid")) return error;
  const { field, problem } = error.facts;
  return new JaugeError("sampling-invalid", { field: fieldNames.get(field) ?? field, problem });
}

const samplingShape = Object.fromEntries(
  Object.keys(samplingNames).map((name) => [name, number.optional()]),
) as Record<keyof typeof samplingNames, z.ZodOptional<z.ZodNumber>>;

const mostStops = 16;
const answerForms = "text, json_object, json_schema";
/** As in the API. */
const mostChoices = 128;
const answerShape = {
  ...samplingShape,
  max_tokens: whole.min(1).optional(),
  max_completion_tokens: whole.min(1).optional(),
  seed: whole.optional(),
  n: whole.min(1).max(mostChoices).optional(),
  stop: z.union([z.string(), z.array(z.string()).max(mostStops)], { error: problems.notTexts }).optional(),
  logit_bias: z.record(z.string().regex(/^\d+$/), number.min(-100).max(100)).optional(),
  ignore_eos: z.boolean().optional(),
  grammar: z.string().optional(),
  json_schema: z.unknown().optional(),
  response_format: z
    .discriminatedUnion(
      "type",
      [
        z.object({ type: z.literal("text") }),
        z.object({ type: z.literal("json_object") }),
        z.object({ type: z.literal("json_schema"), json_schema: z.looseObject({ schema: z.unknown() }) }),
      ],
      {
        error: ({ code }) =>
          code === "invalid_union"
            ? problems.noneOf({ known: answerForms })
            : problems.notObjectOf({ known: answerForms }),
      },
    )
    .optional(),
};

const textPart = z.strictObject({ type: z.literal("text"), text: z.string() });
const messageShape = z.strictObject({
  role: z.enum(["system", "developer", "user", "assistant"]),
  content: z.union([z.string(), z.array(textPart)], { error: problems.notContent }),
});

const chatBody = z.object({
  ...answerShape,
  messages: z.array(messageShape).min(1),
  logprobs: z.boolean().optional(),
  top_logprobs: whole.min(0).max(20).optional(),
});
const tokenIds = z.array(whole.min(0).max(0x7fff_ffff)).min(1);
const completionBody = z.object({
  ...answerShape,
  prompt: z.union([z.string(), z.array(z.string()), tokenIds], { error: problems.notPrompt }),
  logprobs: whole.min(0).max(20).optional(),
});
const embeddingBody = z.object({
  input: z.union(
    [z.string(), z.array(z.string()).min(1).max(2048), tokenIds, z.array(tokenIds).min(1).max(2048)],
    { error: problems.notPrompt },
  ),
  encoding_format: z.enum(["float", "base64"]).optional(),
});
const bodies = { chat: chatBody, completion: completionBody, embedding: embeddingBody };

/** Whether a request for a text may have a field of this name. */
export function isField(name: string): boolean {
  return Object.hasOwn(chatBody.shape, name) || Object.hasOwn(completionBody.shape, name);
}

function checked<Schema extends z.ZodType>(schema: Schema, body: unknown): z.output<Schema> {
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data;
  const { field, problem } = firstProblem(body, new z.ZodError([deepest(parsed.error.issues[0]!)]));
  throw invalid(field, problem);
}

/** Of a union's issue, that of the alternative that came farthest: the one that was meant. */
function deepest(issue: z.core.$ZodIssue): z.core.$ZodIssue {
  if (issue.code === "invalid_key") return { ...issue, message: problems.noTokenNumber };
  if (issue.code !== "invalid_union") return issue;
  const inner = issue.errors.flatMap((issues) => issues.slice(0, 1).map(deepest));
  const best = inner.toSorted((a, b) => b.path.length - a.path.length)[0];
  return best && best.path.length > 0 ? { ...best, path: [...issue.path, ...best.path] } : issue;
}

function answerOptions(body: Partial<z.output<z.ZodObject<typeof answerShape>>>): AnswerOptions {
  const { max_tokens, max_completion_tokens, stop, seed, logit_bias, ignore_eos, grammar } = body;
  const options: AnswerOptions = { priority: "batch" };
  for (const [name, field] of samplingFields) {
    const value = body[name as keyof typeof samplingNames];
    if (value !== undefined) Object.assign(options, { [field]: value });
  }
  if (max_tokens !== undefined && max_completion_tokens !== undefined && max_tokens !== max_completion_tokens)
    throw invalid("max_tokens", problems.differs({ other: "max_completion_tokens" }));
  const maxTokens = max_completion_tokens ?? max_tokens;
  if (maxTokens !== undefined) options.maxTokens = maxTokens;
  if (stop !== undefined) options.stop = typeof stop === "string" ? [stop] : stop;
  // The API takes seeds of 64 bits and negative ones; the samplers 32 bits, of which the last means "at random".
  if (seed !== undefined) options.seed = (((seed % 0xffff_ffff) + 0xffff_ffff) % 0xffff_ffff) >>> 0;
  if (logit_bias)
    options.logitBias = Object.entries(logit_bias).map(([token, bias]) => [Number(token), bias]);
  if (ignore_eos !== undefined) options.ignoreEndOfGeneration = ignore_eos;
  const forms = formsOf(body);
  if (forms.length > 1) throw invalid(forms[1]!, problems.excludes({ other: forms[0]! }));
  if (grammar !== undefined) options.grammar = grammar;
  const schema = schemaOf(body);
  if (schema !== undefined) options.jsonSchema = schema;
  return options;
}

function formsOf({
  grammar,
  json_schema,
  response_format: format,
}: Partial<z.output<z.ZodObject<typeof answerShape>>>): string[] {
  return [
    ...(grammar !== undefined ? ["grammar"] : []),
    ...(json_schema !== undefined ? ["json_schema"] : []),
    ...(format && format.type !== "text" ? ["response_format"] : []),
  ];
}

function schemaOf({
  json_schema,
  response_format: format,
}: Partial<z.output<z.ZodObject<typeof answerShape>>>): unknown {
  if (format?.type === "json_object") return { type: "object" };
  if (format?.type !== "json_schema") return json_schema;
  if (format.json_schema.schema === undefined)
    throw invalid("response_format.json_schema.schema", problems.missing);
  return format.json_schema.schema;
}

function message({ role, content }: z.output<typeof messageShape>): Message {
  const text = typeof content === "string" ? content : content.map((part) => part.text).join("");
  return { role: role === "developer" ? "system" : role, content: text };
}

function promptOf(prompt: (string | number)[]): string | Int32Array {
  if (prompt.every((part) => typeof part === "number")) return Int32Array.from(prompt as number[]);
  if (prompt.length === 1) return String(prompt[0]);
  throw invalid("prompt", problems.manyTexts({ count: prompt.length }));
}

function embedding(body: Record<string, unknown>): BatchRequest {
  const { input, encoding_format = "float" } = checked(embeddingBody, body);
  const items = typeof input === "string" ? [input] : input;
  const isOneText = typeof items[0] === "number";
  const texts = isOneText ? [items as number[]] : (items as (string | number[])[]);
  return {
    kind: "embedding",
    input: texts.map((text) => (typeof text === "string" ? text : Int32Array.from(text))),
    encoding: encoding_format,
  };
}

function invalid(field: string, problem: string): JaugeError {
  return new JaugeError("line-invalid", { field: field || "body", problem });
}
