import type { Message } from "../executor/prompts/prompt.js";
import type { FinishReason, GenerationResult } from "../executor/request.js";
import { cliMessages } from "../messages/cli.js";
import { localized } from "../messages/locale.js";
import type { ChatGeneration, GenerateOptions, Model } from "../model.js";
import { exitCodes } from "./errors.js";
import type { RunValues } from "./options.js";
import { memoryLines, reportedStats, speedLines } from "./stats.js";
import { note, print } from "./terminal.js";

const { run: texts } = localized(cliMessages);

/** One answer to one prompt, printed as it comes, or as JSON when it is there. */
export async function answerOnce(
  model: Model,
  asked: {
    prompt: string;
    system?: string;
    options: GenerateOptions;
    values: RunValues;
    signal: AbortSignal;
  },
): Promise<void> {
  const { values, signal } = asked;
  const generation = begin(model, asked);
  signal.addEventListener("abort", () => generation.cancel(), { once: true });
  if (signal.aborted) generation.cancel();

  if (!values.json) await streamAnswer(generation);
  const result = await generation.result;
  const memory = values.json || values.stats ? await model.memory() : [];
  if (values.json)
    await print(
      `${JSON.stringify(contract(result, reportedStats(result.stats, memory, model.modelPlan, await model.peakMemory())))}\n`,
    );
  else noteEnd(result);
  if (values.stats)
    for (const line of [...speedLines(result.stats), ...memoryLines(memory, model.modelPlan)]) note(line);
  if (signal.aborted) process.exitCode = exitCodes.interrupted;
}

/** Prints the text as it comes, and ends it with a newline. */
export async function streamAnswer(generation: ChatGeneration): Promise<void> {
  let last = "\n";
  for await (const piece of generation) {
    if (piece === "") continue;
    await print(piece);
    last = piece;
  }
  if (!last.endsWith("\n")) await print("\n");
}

/** Says what a reader would otherwise not know: turns left out, an answer that was cut. */
export function noteEnd(result: { finishReason: FinishReason; droppedTurns: number }): void {
  if (result.droppedTurns > 0) note(`(${texts.droppedTurns({ turns: result.droppedTurns })})`);
  if (result.finishReason !== "stop") note(`(${texts.ended[result.finishReason]})`);
}

function begin(
  model: Model,
  asked: { prompt: string; system?: string; options: GenerateOptions; values: RunValues },
): ChatGeneration {
  if (asked.values.conversation === false) return model.complete(asked.prompt, asked.options);
  const system: Message[] = asked.system ? [{ role: "system", content: asked.system }] : [];
  return model.chat([...system, { role: "user", content: asked.prompt }], asked.options);
}

/** The object that `--json` prints: a public contract. `logprobs` is there where it was asked for. */
function contract(result: GenerationResult, stats: ReturnType<typeof reportedStats>) {
  const { text, tokens, finishReason, logprobs } = result;
  return { text, tokens: [...tokens], finishReason, stats, ...(logprobs ? { logprobs } : {}) };
}
