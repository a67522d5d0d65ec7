import { readFile, writeFile } from "node:fs/promises";
import { join } from "node:path";
import fc from "fast-check";
import { beforeAll, describe, expect, it } from "vitest";
import { computeImportance, type ImportanceJob } from "../../src/compare/importance.js";
import { openForScoring, tokensOf } from "../../src/compare/scoring-model.js";
import { Windows } from "../../src/compare/windows.js";
import { isJaugeError } from "../../src/errors.js";
import { readGguf } from "../../src/gguf/reader.js";
import {
  columnWeights,
  type ImportanceMatrix,
  readImportanceMatrix,
} from "../../src/quantize/importance-matrix.js";
import { failure, hasAmx } from "../engine/harness.js";
import { temporaryFolder } from "../library/temporary.js";
import { storiesPath } from "../oracles/plain.js";
import { fixture, request, tensorValues, textPath, writeMixtureModel } from "./models.js";

let text: string;
beforeAll(async () => {
  text = await readFile(textPath, "utf8");
});

/** The windows that the fixtures were made of. */
function job(outputPath: string, changes: Partial<ImportanceJob> = {}): ImportanceJob {
  return {
    modelPath: storiesPath,
    ...{ text, dataset: "ef.txt", outputPath, format: "gguf", windowSize: 128, chunks: 6, saveEvery: 4 },
    ...{ output: false, parseSpecial: false, resume: false, inFiles: [], request },
    ...changes,
  };
}

/** The greatest relative difference between the sums of two matrices, whose names, sizes and counts are the same. */
async function difference(a: ImportanceMatrix, b: ImportanceMatrix): Promise<number> {
  expect([...a.entries.keys()]).toEqual([...b.entries.keys()]);
  let greatest = 0;
  for (const [name, entry] of a.entries) {
    const other = b.entries.get(name)!;
    expect(entry.counts, name).toEqual(other.counts);
    const [x, y] = [await entry.readSums(), await other.readSums()];
    expect(x.length, name).toBe(y.length);
    x.forEach((value, index) => {
      greatest = Math.max(greatest, Math.abs(value - y[index]!) / Math.max(1e-6, Math.abs(value)));
    });
  }
  return greatest;
}

// llama-imatrix adds up in 32 bits; over some hundred rows that is good to five digits.
const tolerance = 5e-5;
// AMX rounds activations in blocks of its own: what comes after it differs by 1.2e-3 from what other processors compute.
const tolerances = hasAmx ? { digits: 2, matrices: 3e-3 } : { digits: 4, matrices: tolerance };

describe("an importance matrix of the embedded model", () => {
  it("is that of llama-imatrix, and so is the perplexity", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out.gguf");
    const { perplexity, chunks, matrices, partial } = await computeImportance(job(path));
    expect({ chunks, matrices, partial }).toEqual({ chunks: 6, matrices: 35, partial: [] });
    expect(perplexity).toBeCloseTo(24.1732, tolerances.digits);
    const [expected, found] = [
      await readImportanceMatrix(fixture("stories.imatrix.gguf")),
      await readImportanceMatrix(path),
    ];
    expect(await difference(expected, found)).toBeLessThan(tolerances.matrices);
    const { entries: _, path: __, ...facts } = found;
    expect(facts).toEqual({ format: "gguf", datasets: ["ef.txt"], chunks: 6, chunkSize: 128 });
    const header = async (file: string) =>
      (await readFile(file)).subarray(0, (await readGguf(file)).dataOffset);
    expect(await header(path)).toEqual(await header(fixture("stories.imatrix.gguf")));
  });

  it("has for the first attention the squares of the normalised embedding", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out.gguf");
    await computeImportance(job(path, { chunks: 2 }));
    await using model = await openForScoring(storiesPath, 128, request);
    const tokens = await tokensOf(model, text);
    const windows = new Windows(tokens, 128, model.engine.info.model.tokens);
    const [embedding, norm] = [
      await tensorValues(storiesPath, "token_embd.weight"),
      await tensorValues(storiesPath, "blk.0.attn_norm.weight"),
    ];
    const epsilon = (await readGguf(storiesPath)).metadata.number("llama.attention.layer_norm_rms_epsilon")!;
    const expected = new Float64Array(64);
    for (const token of [...windows.at(0).tokens, ...windows.at(1).tokens]) {
      const row = embedding.subarray(token * 64, token * 64 + 64);
      const meanSquare = row.reduce((sum, value) => sum + value * value, 0) / 64;
      row.forEach((value, column) => {
        expected[column]! += (value * norm[column]!) ** 2 / (meanSquare + epsilon);
      });
    }
    const { entries } = await readImportanceMatrix(path);
    for (const name of ["attn_q", "attn_k", "attn_v"]) {
      const entry = entries.get(`blk.0.${name}.weight`)!;
      expect(entry.counts).toEqual([256]);
      (await entry.readSums()).forEach((sum, column) => {
        expect(Math.abs(sum / expected[column]! - 1), `${name} ${column}`).toBeLessThan(1e-5);
      });
    }
  });

  it("is the same after an interruption", async () => {
    using folder = temporaryFolder();
    const [whole, resumed] = [join(folder.path, "whole.gguf"), join(folder.path, "resumed.gguf")];
    await computeImportance(job(whole));
    const interrupt = new AbortController();
    const interrupted = job(resumed, {
      saveEvery: 2,
      request: { ...request, engine: { ...request.engine, signal: interrupt.signal } },
      // in the middle between two saves: what was computed is saved
      onProgress: ({ chunk }) => chunk === 3 && interrupt.abort(),
    });
    expect(await failure(computeImportance(interrupted))).toMatchObject({
      code: "importance-interrupted",
      facts: { path: resumed, kept: 3, total: 6, isResumable: true },
    });
    expect((await readImportanceMatrix(resumed)).chunks).toBe(3);
    const { chunks } = await computeImportance(job(resumed, { resume: true }));
    expect(chunks).toBe(6);
    expect(await readFile(resumed)).toEqual(await readFile(whole));
    // there is nothing left to do, and nothing is done
    await computeImportance(job(resumed, { resume: true }));
    expect(await readFile(resumed)).toEqual(await readFile(whole));
    expect(await failure(computeImportance(job(resumed, { resume: true, windowSize: 64 })))).toMatchObject({
      code: "importance-resume-mismatch",
      facts: { field: "imatrix.chunk_size", found: "128", expected: "64" },
    });
  });

  it("adds what other files have, legacy ones too", async () => {
    using folder = temporaryFolder();
    const path = join(folder.path, "out.gguf");
    const inFiles = [fixture("stories.imatrix.gguf"), fixture("stories.imatrix.dat")];
    const { chunks } = await computeImportance(job(path, { inFiles, chunks: 1, dataset: "more.txt" }));
    expect(chunks).toBe(13);
    const found = await readImportanceMatrix(path);
    expect(found.datasets).toEqual(["ef.txt", "more.txt"]);
    const [gguf, alone] = [await readImportanceMatrix(inFiles[0]!), join(folder.path, "alone.gguf")];
    await computeImportance(job(alone, { chunks: 1 }));
    const one = await readImportanceMatrix(alone);
    for (const [name, entry] of found.entries) {
      expect(entry.counts).toEqual([13 * 128]);
      const [sums, first, last] = [
        await entry.readSums(),
        await gguf.entries.get(name)!.readSums(),
        await one.entries.get(name)!.readSums(),
      ];
      sums.forEach((sum, column) => {
        const expected = 2 * first[column]! + last[column]!;
        expect(Math.abs(sum - expected), name).toBeLessThanOrEqual(1e-4 * Math.max(expected, 1e-3));
      });
    }
    const other = { inFiles: [fixture("mixture.imatrix.gguf")], modelPath: storiesPath };
    expect(await failure(computeImportance(job(path, other)))).toMatchObject({
      code: "importance-sizes-differ",
    });
  });
});

describe("an importance matrix of experts", () => {
  it("counts each expert's rows, as llama-imatrix does", async () => {
    using folder = temporaryFolder();
    const [modelPath, path] = [join(folder.path, "mixture.gguf"), join(folder.path, "out.gguf")];
    await writeMixtureModel(modelPath);
    await computeImportance(job(path, { modelPath }));
    const found = await readImportanceMatrix(path);
    expect(await difference(await readImportanceMatrix(fixture("mixture.imatrix.gguf")), found)).toBeLessThan(
      tolerance,
    );
    const { counts } = found.entries.get("blk.0.ffn_down_exps.weight")!;
    expect(counts.length).toBe(4);
    expect(counts.reduce((sum, count) => sum + count, 0)).toBe(6 * 128 * 2);
  });

  it("is written in the legacy format as llama-imatrix does", async () => {
    using folder = temporaryFolder();
    const [modelPath, path] = [join(folder.path, "mixture.gguf"), join(folder.path, "out.dat")];
    await writeMixtureModel(modelPath);
    await computeImportance(job(path, { modelPath, format: "legacy" }));
    const [expected, found] = [
      await readImportanceMatrix(fixture("mixture.imatrix.dat")),
      await readImportanceMatrix(path),
    ];
    expect(found).toMatchObject({ format: "legacy", chunks: 6, datasets: ["ef.txt"] });
    expect(await difference(expected, found)).toBeLessThan(tolerance);
    expect((await readFile(path)).length).toBe((await readFile(fixture("mixture.imatrix.dat"))).length);
  });
});

describe("reading an importance matrix", () => {
  it("gives the same weights from both formats", async () => {
    const [gguf, legacy] = [
      await readImportanceMatrix(fixture("stories.imatrix.gguf")),
      await readImportanceMatrix(fixture("stories.imatrix.dat")),
    ];
    expect([...legacy.entries.keys()]).toEqual([...gguf.entries.keys()]);
    for (const [name, entry] of gguf.entries) {
      const [a, b] = [
        await columnWeights(gguf, entry),
        await columnWeights(legacy, legacy.entries.get(name)!),
      ];
      a.forEach((weight, index) => {
        expect(Math.abs(weight - b[index]!)).toBeLessThanOrEqual(1e-6 * Math.max(1e-3, weight));
      });
    }
  });

  it.each(["stories.imatrix.gguf", "mixture.imatrix.dat"])(
    "refuses or reads any change of %s",
    async (name) => {
      using folder = temporaryFolder();
      const whole = await readFile(fixture(name));
      const path = join(folder.path, name);
      const change = fc.record({
        at: fc.nat(whole.length - 1),
        byte: fc.nat(255),
        end: fc.nat(whole.length),
      });
      await fc.assert(
        fc.asyncProperty(change, fc.boolean(), async ({ at, byte, end }, cut) => {
          const changed = Buffer.from(cut ? whole.subarray(0, end) : whole);
          // most of the file are sums, of which any value is one
          const place = at % Math.min(4096, changed.length || 1);
          if (changed.length > 0) changed[place] = byte;
          await writeFile(path, changed);
          try {
            const matrix = await readImportanceMatrix(path);
            for (const entry of matrix.entries.values()) await columnWeights(matrix, entry);
          } catch (error) {
            expect(isJaugeError(error), String(error)).toBe(true);
          }
        }),
        { numRuns: 60 },
      );
    },
  );
});
