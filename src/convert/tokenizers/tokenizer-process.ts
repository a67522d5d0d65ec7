import { spawn } from "node:child_process";
import { createRequire } from "node:module";
import { JaugeError } from "../../errors.js";
import { isRecord, type JsonRecord } from "./json.js";

export interface TokenizerTask {
  /** A whole tokenizer.json. */
  document: JsonRecord;
  /** tokenizer_config.json. */
  settings: JsonRecord;
  checkText: string;
  /** Texts to encode and decode again. */
  texts: readonly string[];
}

export interface TokenizerAnswers {
  /** Ids of the check text, special tokens that are added to every text included. */
  ids: number[];
  /** The same without them. */
  bareIds: number[];
  spellings: string[];
}

/** The largest known (Gemma 3: 262,000 tokens, 515,000 merges) needs 5 s and 500 MB on a slow machine. */
const usualTimeLimitMs = 90_000;
const memoryLimitMegabytes = 768;
const longestAnswer = 64 * 2 ** 20;

/**
 * Runs a tokenizer with `@huggingface/tokenizers` in a process of its own: it comes from others, and its regular
 * expressions may take for ever.
 *
 * Errors: `tokenizer-unusable`.
 */
export function runTokenizer(
  path: string,
  task: TokenizerTask,
  timeLimitMs = usualTimeLimitMs,
): Promise<TokenizerAnswers> {
  const unusable = (reason: string) => new JaugeError("tokenizer-unusable", { path, reason });
  return new Promise((resolve, reject) => {
    let input: string;
    try {
      input = JSON.stringify(task);
    } catch (error) {
      reject(unusable(String((error as Error).message)));
      return;
    }
    const library = createRequire(import.meta.url).resolve("@huggingface/tokenizers");
    const child = spawn(
      process.execPath,
      [`--max-old-space-size=${memoryLimitMegabytes}`, "--input-type=commonjs", "-e", childSource, library],
      { stdio: ["pipe", "pipe", "ignore"], env: { ...process.env, NODE_OPTIONS: "" }, windowsHide: true },
    );
    const chunks: Buffer[] = [];
    let received = 0;
    const timer = setTimeout(() => finish(`not finished after ${timeLimitMs / 1000} s`), timeLimitMs);
    const finish = (problem: string | undefined) => {
      clearTimeout(timer);
      child.removeAllListeners();
      child.on("error", () => {});
      child.kill("SIGKILL");
      const answers = problem === undefined ? parseAnswers(Buffer.concat(chunks)) : problem;
      if (typeof answers === "string") reject(unusable(answers));
      else resolve(answers);
    };
    child.stdout.on("data", (chunk: Buffer) => {
      received += chunk.length;
      if (received <= longestAnswer) chunks.push(chunk);
      else finish(`its answer is longer than ${longestAnswer} bytes`);
    });
    child.on("error", (error) => finish(error.message));
    child.on("close", (code) =>
      finish(code === 0 ? undefined : `needs more than ${memoryLimitMegabytes} MB`),
    );
    child.stdin.on("error", () => {});
    child.stdin.end(input);
  });
}

/** The answers, or why there are none. */
function parseAnswers(content: Buffer): TokenizerAnswers | string {
  let value: unknown;
  try {
    value = JSON.parse(content.toString("utf8"));
  } catch {
    return "no answer";
  }
  if (!isRecord(value) || value.problem !== undefined) return String(isRecord(value) ? value.problem : value);
  return value as unknown as TokenizerAnswers;
}

/** Source text and not a file, so that it runs the same from sources and from a build. */
const childSource = `
const { Tokenizer } = require(process.argv[1]);
const chunks = [];
process.stdin.on("data", (chunk) => chunks.push(chunk));
process.stdin.on("end", () => process.stdout.write(JSON.stringify(answer(JSON.parse(Buffer.concat(chunks).toString("utf8"))))));

function answer({ document, settings, checkText, texts }) {
  try {
    const parts = { normalizer: null, pre_tokenizer: null, post_processor: null, decoder: null };
    const tokenizer = new Tokenizer({ ...parts, ...document }, settings);
    const { ids } = tokenizer.encode(checkText);
    if (!ids.every((id) => Number.isInteger(id))) return { problem: "a part of the check text has no token" };
    const bareIds = tokenizer.encode(checkText, { add_special_tokens: false }).ids;
    const spellings = texts.map((text) => {
      const { ids } = tokenizer.encode(text, { add_special_tokens: false });
      return ids.length > 0 ? tokenizer.decode(ids) : text;
    });
    return { ids, bareIds, spellings };
  } catch (error) {
    return { problem: String(error && error.message).slice(0, 500) };
  }
}
`;
