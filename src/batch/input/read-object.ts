import { isJaugeError, JaugeError } from "../../errors.js";
import { batchProblems } from "../../messages/batch-problems.js";
import { localized } from "../../messages/locale.js";
import type { BatchItem, BatchRequest } from "../request.js";
import { readBody } from "./body.js";
import type { Template } from "./template.js";

const problems = localized(batchProblems);

/** How lines become requests. */
export interface ReadOptions {
  /** A prompt with fields of the line in it. */
  template?: Template;
  /** The system prompt of conversations that have none. */
  system?: string;
  /** Continue prompts as they are, without the model's prompt format. */
  raw?: boolean;
}

const endpoints: Record<string, BatchRequest["kind"]> = {
  "/v1/chat/completions": "chat",
  "/v1/completions": "completion",
  "/v1/embeddings": "embedding",
};
const longestId = 1024;

/**
 * What an object asks for: a line of OpenAI's Batch API (`custom_id`, `method`, `url`, `body`), or a simpler one
 * (`prompt`, `messages` or `input`, options beside it), or the fields of a template. What is wrong with it is its
 * request: it never throws.
 */
export function readObject(object: unknown, number: number, options: ReadOptions = {}): BatchItem {
  let customId = `line-${number}`;
  try {
    if (typeof object !== "object" || object === null || Array.isArray(object))
      throw new JaugeError("line-invalid", { field: "line", problem: problems.notObject });
    const { custom_id: id, ...fields } = object as Record<string, unknown>;
    customId = idOf(id) ?? customId;
    return { number, customId, request: withSystem(requestOf(fields, options), options) };
  } catch (error) {
    if (!isJaugeError(error)) throw error;
    return { number, customId, request: error };
  }
}

/** A text that is asked as it is, or through the template as `text`. */
export function readText(text: string, number: number, options: ReadOptions = {}): BatchItem {
  return readObject(options.template ? { text } : { prompt: text }, number, options);
}

/** The identity that a line without one has. */
export function idOf(id: unknown): string | undefined {
  if (id === undefined || id === null) return undefined;
  if (typeof id !== "string" || id === "")
    throw new JaugeError("line-invalid", {
      field: "custom_id",
      problem: id === "" ? problems.empty : problems.notText,
    });
  if (id.length > longestId)
    throw new JaugeError("line-invalid", {
      field: "custom_id",
      problem: problems.tooLong({ most: longestId }),
    });
  return id;
}

function requestOf(fields: Record<string, unknown>, { template, raw }: ReadOptions): BatchRequest {
  if ("body" in fields || "url" in fields) return openaiRequest(fields);
  if (template) return promptRequest(template.fill(fields), {}, raw);
  const { prompt, ...rest } = fields;
  if ("messages" in fields) return readBody("chat", fields);
  if ("input" in fields) return readBody("embedding", fields);
  if (prompt === undefined || prompt === null)
    throw new JaugeError("line-invalid", {
      field: "line",
      problem: problems.noRequest,
    });
  return typeof prompt === "string" && !raw
    ? promptRequest(prompt, rest, raw)
    : readBody("completion", fields);
}

/** A prompt alone is a person's message, as `jauge run` takes it. */
function promptRequest(prompt: string, rest: Record<string, unknown>, raw = false): BatchRequest {
  return raw
    ? readBody("completion", { ...rest, prompt })
    : readBody("chat", { ...rest, messages: [{ role: "user", content: prompt }] });
}

function openaiRequest(fields: Record<string, unknown>): BatchRequest {
  const { method, url, body, ...others } = fields;
  const [other] = Object.keys(others);
  if (other !== undefined) throw new JaugeError("line-unsupported", { field: other });
  if (method !== undefined && method !== "POST")
    throw new JaugeError("line-invalid", { field: "method", problem: problems.notPost });
  const kind = typeof url === "string" && Object.hasOwn(endpoints, url) ? endpoints[url] : undefined;
  if (kind === undefined)
    throw new JaugeError("line-invalid", {
      field: "url",
      problem: problems.noneOf({ known: Object.keys(endpoints).join(", ") }),
    });
  if (typeof body !== "object" || body === null || Array.isArray(body))
    throw new JaugeError("line-invalid", { field: "body", problem: problems.notObject });
  return readBody(kind, body as Record<string, unknown>);
}

function withSystem(request: BatchRequest, { system }: ReadOptions): BatchRequest {
  if (system === undefined || request.kind !== "chat") return request;
  if (request.messages.some(({ role }) => role === "system")) return request;
  return { ...request, messages: [{ role: "system", content: system }, ...request.messages] };
}
