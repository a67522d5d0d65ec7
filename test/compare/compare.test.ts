import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { compareModels } from "../../src/compare/compare.js";
import { openForScoring, tokensOf } from "../../src/compare/scoring-model.js";
import { Windows } from "../../src/compare/windows.js";
import type { WritableValue } from "../../src/gguf/encode.js";
import { readGguf } from "../../src/gguf/reader.js";
import { writeGguf } from "../../src/gguf/writer.js";
import { failure, hasAmx } from "../engine/harness.js";
import { temporaryFolder } from "../library/temporary.js";
import { storiesPath } from "../oracles/plain.js";
import { request, tensorValues, textPath, writeNoisyStories } from "./models.js";

let text: string;
beforeAll(async () => {
  text = await readFile(textPath, "utf8");
});

/** All predictions of a model that count, by the engine's raw logits: ln p of every token at every scored position. */
async function predictions(path: string, windowSize: number, chunks: number) {
  await using model = await openForScoring(path, windowSize, request);
  const { engine } = model;
  const windows = new Windows(await tokensOf(model, text), windowSize, engine.info.model.tokens, chunks);
  const rows: { logProbabilities: Float64Array; next: number }[] = [];
  for (let index = 0; index < windows.count; index++) {
    const { tokens, firstScored } = windows.at(index);
    const outputs = tokens.length - firstScored;
    const memory = [{ kind: "clear" as const }];
    const run = { sequence: 0, position: 0, tokens, outputs, mode: "replay" as const, logits: true };
    const { logits } = await engine.step({ memory, freeSamplers: [], runs: [run] });
    logits![0]!.slice(0, -1).forEach((values, row) => {
      const greatest = Math.max(...values);
      const normalizer =
        greatest + Math.log(values.reduce((sum, value) => sum + Math.exp(value - greatest), 0));
      const logProbabilities = Float64Array.from(values, (value) => value - normalizer);
      rows.push({ logProbabilities, next: tokens[firstScored + row + 1]! });
    });
  }
  return rows;
}

const mean = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length;

/**
 * D = Σ p·(ln p − ln q) in nats, and what rounding may change it by: predictions are kept in steps of 24/65534 nats, so
 * each ln p is wrong by half a step at most, which the sum takes with the weight p·(ln p − ln q − D).
 */
function divergence(p: Float64Array, q: Float64Array): { value: number; rounding: number } {
  const value = p.reduce((sum, logP, token) => sum + Math.exp(logP) * (logP - q[token]!), 0);
  const weight = p.reduce((sum, logP, token) => sum + Math.exp(logP) * Math.abs(logP - q[token]! - value), 0);
  return { value, rounding: (weight * 24) / 65_534 / 2 };
}

describe("a comparison", () => {
  it("gives what the raw logits give", async () => {
    using folder = temporaryFolder();
    const noisy = join(folder.path, "noisy.gguf");
    await writeNoisyStories(noisy, 0.3);
    const { models, ...facts } = await compareModels({
      ...{ paths: [storiesPath, noisy, storiesPath], text, windowSize: 64, chunks: 3, request },
      temporaryFolder: folder.path,
    });
    expect(facts).toEqual({ windowSize: 64, windows: 3, scoredTokens: 93 });
    const [base, other] = [await predictions(storiesPath, 64, 3), await predictions(noisy, 64, 3)];
    const surprise = (rows: typeof base) =>
      mean(rows.map(({ logProbabilities, next }) => -logProbabilities[next]!));
    expect(models[0]!.perplexity).toBeCloseTo(Math.exp(surprise(base)), 6);
    expect(models[1]!.perplexity).toBeCloseTo(Math.exp(surprise(other)), 6);

    const rows = base.map(({ logProbabilities: p }, row) => divergence(p, other[row]!.logProbabilities));
    const found = models[1]!.divergence!;
    expect(found.mean).toBeGreaterThan(0.01);
    const isWithin = (figure: number, wanted: number, rounding: number) =>
      expect(Math.abs(figure - wanted)).toBeLessThan(1.01 * rounding + 1e-6);
    isWithin(found.mean, mean(rows.map(({ value }) => value)), mean(rows.map(({ rounding }) => rounding)));
    const greatest = rows.reduce((most, row) => (row.value > most.value ? row : most));
    isWithin(found.greatest, greatest.value, greatest.rounding);
    const top = (values: Float64Array) => values.indexOf(Math.max(...values));
    const same = base.map(
      ({ logProbabilities }, row) => top(logProbabilities) === top(other[row]!.logProbabilities),
    );
    expect(found.topAgreement).toBeCloseTo(same.filter(Boolean).length / same.length, 10);
    expect(found.topAgreement).toBeLessThan(1);

    const itself = models[2]!.divergence!;
    expect(itself.greatest).toBeLessThan(1e-7);
    expect(itself).toMatchObject({ topAgreement: 1, perplexityRatio: 1 });
    expect(models[0]!.divergence).toBeUndefined();
    for (const { promptTokensPerSecond, generationTokensPerSecond } of models) {
      expect(promptTokensPerSecond).toBeGreaterThan(0);
      expect(generationTokensPerSecond).toBeGreaterThan(0);
    }
    const { bytes, parameters, bitsPerWeight } = models[0]!;
    expect({ bytes, parameters, bitsPerWeight }).toEqual({
      bytes: 1040128,
      parameters: 260032,
      bitsPerWeight: 32,
    });
    // the predictions are gone
    expect(await readdir(folder.path)).toEqual(["noisy.gguf"]);
  });

  it("has the perplexity of llama-perplexity", async () => {
    const { models } = await compareModels({
      paths: [storiesPath],
      text,
      windowSize: 128,
      chunks: 6,
      request,
    });
    // llama-imatrix and llama-perplexity v0.5.0 print PPL = 24.1732 +/- 3.30236 for these windows
    // AMX rounds activations in blocks of its own: 24.1742.
    const digits = hasAmx ? 2 : 4;
    expect(models[0]!.perplexity).toBeCloseTo(24.1732, digits);
    expect(models[0]!.perplexityError).toBeCloseTo(3.30236, digits);
  });

  it("computes windows in micro-batches that are smaller than they are", async () => {
    const wishes = { ...request.wishes, microBatch: 48 };
    const job = { paths: [storiesPath], text, windowSize: 128, chunks: 2 };
    const [small, large] = [
      await compareModels({ ...job, request: { ...request, wishes } }),
      await compareModels({ ...job, request }),
    ];
    expect(small.models[0]!.perplexity / large.models[0]!.perplexity).toBeCloseTo(1, 3);
  });

  it("refuses other vocabularies before it computes anything", async () => {
    using folder = temporaryFolder();
    const other = join(folder.path, "other.gguf");
    const { metadata, tensors } = await readGguf(storiesPath);
    const tokens = metadata.array("tokenizer.ggml.tokens")!;
    const items = Array.from({ length: tokens.count }, (_, index) => `t${index}`);
    const changed = new Map<string, WritableValue>([
      ...metadata.entries(),
      [
        "tokenizer.ggml.tokens",
        { type: "array" as const, value: { elementType: "string" as const, items } },
      ] as const,
    ]);
    await writeGguf(other, {
      metadata: changed,
      tensors: tensors.map(({ name, type, shape }) => ({
        ...{ name, type, shape },
        data: async function* () {
          yield new Uint8Array((await tensorValues(storiesPath, name)).buffer);
        },
      })),
    });
    const job = { paths: [storiesPath, other], text, windowSize: 64, request };
    expect(await failure(compareModels(job))).toMatchObject({
      code: "compare-vocabulary",
      facts: { path: storiesPath, other },
    });
  });
});
