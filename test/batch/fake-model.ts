import type { BatchModel } from "../../src/batch/model.js";
import { defaultSampling } from "../../src/engine/sampling.js";
import { JaugeError } from "../../src/errors.js";
import type { Generation, GenerationRequest, GenerationResult } from "../../src/executor/request.js";

/**
 * A model that is a little arithmetic: each answer depends on its prompt and seed alone and takes as many turns of the
 * event loop as it has tokens. It counts what runs, and can go on from what was there before.
 */
export class FakeModel implements BatchModel {
  readonly path = "/models/fake.gguf";
  readonly outline = { name: "fake" };
  readonly contextLength = 1000;
  /** The prompts, in the order in which they were submitted. */
  readonly submitted: string[] = [];
  /** What they drew by. */
  readonly seeds: (number | undefined)[] = [];
  /** Tokens that were really computed. */
  computed = 0;
  running = 0;
  mostRunning = 0;
  /** Says how a prompt fails, where it does. */
  failure: (prompt: string) => Error | undefined = () => undefined;
  /** No more tokens are computed than this until it is stopped. */
  mostComputed = Number.POSITIVE_INFINITY;
  /** Answers wait for it. */
  gate: Promise<void> = Promise.resolve();

  constructor(readonly plan = { sequences: 4 }) {}

  async prepare(
    prompt: Parameters<BatchModel["prepare"]>[0],
    options: Parameters<BatchModel["prepare"]>[1],
  ): Promise<GenerationRequest> {
    await undefined;
    const text =
      typeof prompt === "string"
        ? prompt
        : prompt instanceof Int32Array
          ? String.fromCodePoint(...prompt)
          : prompt.map(({ content }) => content).join("|");
    const { jsonSchema: _, maxTokens = 5, stop, logprobs, seed, temperature = 0 } = options;
    if (temperature > 2) throw new JaugeError("sampling-invalid", { field: "temperature", problem: "hot" });
    return {
      tokens: Int32Array.from([...text].map((character) => character.codePointAt(0)!)),
      sampling: { ...defaultSampling, temperature, ...(seed !== undefined && { seed }) },
      ...{ maxTokens, ...(stop && { stop }), ...(logprobs !== undefined && { logprobs }) },
    };
  }

  submit(request: GenerationRequest): Generation {
    const prompt = String.fromCodePoint(...request.tokens);
    this.submitted.push(prompt);
    this.seeds.push(request.sampling.seed);
    this.running++;
    this.mostRunning = Math.max(this.mostRunning, this.running);
    const tokens = [...(request.continueFrom?.tokens ?? [])];
    let isCancelled = false;
    const result = this.generate(request, prompt, tokens, () => isCancelled).finally(() => {
      this.running--;
    });
    result.catch(() => {});
    return {
      result,
      get soFar() {
        return { tokens: Int32Array.from(tokens) };
      },
      cancel: () => {
        isCancelled = true;
      },
      async *[Symbol.asyncIterator]() {
        yield (await result).text;
      },
    };
  }

  async tokenize(text: string): Promise<Int32Array> {
    await undefined;
    return Int32Array.from([...text].map((character) => character.codePointAt(0)!));
  }

  async embed(texts: (string | Int32Array)[]): Promise<Float32Array[]> {
    await undefined;
    if (texts.some((text) => text.length === 0))
      throw new JaugeError("embeddings-unsupported", { reason: "a text has no tokens" });
    return texts.map((text) => Float32Array.of(text.length, 0.5));
  }

  async tokenBytes(tokens: number[]): Promise<Uint8Array[]> {
    await undefined;
    return tokens.map((token) => Buffer.from(String.fromCodePoint(token)));
  }

  private async generate(
    request: GenerationRequest,
    prompt: string,
    tokens: number[],
    isCancelled: () => boolean,
  ): Promise<GenerationResult> {
    const failure = this.failure(prompt);
    if (failure) throw failure;
    await this.gate;
    const wanted = request.maxTokens ?? 5;
    while (tokens.length < wanted && !isCancelled()) {
      await new Promise((resolve) => setImmediate(resolve));
      if (this.computed >= this.mostComputed) continue;
      this.computed++;
      tokens.push(97 + ((request.tokens.reduce((sum, token) => sum + token, tokens.length) * 7) % 26));
    }
    return {
      text: String.fromCodePoint(...tokens),
      tokens,
      finishReason: isCancelled() ? "cancelled" : "length",
      stats: {
        ...{ promptTokens: request.tokens.length, cachedPromptTokens: 0, promptTokensPerSecond: null },
        ...{ generatedTokens: tokens.length, generationTokensPerSecond: null, timeToFirstTokenMs: 1 },
        ...{ speculatedTokens: 0, acceptedTokens: 0 },
      },
    };
  }
}
