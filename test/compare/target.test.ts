import { readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { compareModels } from "../../src/compare/compare.js";
import { runConversion, runMeasurement } from "../../src/convert/job.js";
import type { Measurement, MeasureProgress } from "../../src/convert/measure-types.js";
import { readGguf } from "../../src/gguf/reader.js";
import type { TensorTypeName } from "../../src/gguf/tensor-types.js";
import type { MixName } from "../../src/quantize/mixes.js";
import { sizesOf, typesWithin } from "../../src/quantize/target-types.js";
import { jauge } from "../cli/harness.js";
import { failure } from "../engine/harness.js";
import { writeRandomModel } from "../engine/models.js";
import { temporaryFolder } from "../library/temporary.js";
import { request, tensorValues, textPath } from "./models.js";

const libraries = { backend: "cpu" } as const;
const types = ["Q3_K", "Q4_K", "Q5_K", "Q6_K", "Q8_0", "BF16"] as const;

let folder: ReturnType<typeof temporaryFolder>;
let source: string;
let measured: Measurement;
const progress: MeasureProgress[] = [];
beforeAll(async () => {
  folder = temporaryFolder();
  source = join(folder.path, "model.gguf");
  await writeRandomModel(source, { layers: 2, hidden: 256 });
  measured = await measure(65_536);
});
afterAll(() => folder[Symbol.dispose]());

function measure(sampledElements: number, importance?: string): Promise<Measurement> {
  return runMeasurement(
    { measure: true, source, types, threads: 1, sampledElements, ...(importance && { importance }) },
    { libraries, version: "test", onMeasuring: (each) => progress.push(each) },
  );
}

async function quantise(
  name: string,
  type: MixName,
  tensorTypes: { pattern: string; type: TensorTypeName }[] = [],
): Promise<string> {
  const output = join(folder.path, name);
  const division = { kind: "whole", order: "layers" } as const;
  await runConversion(
    { source, output, wishes: { type, tensorTypes, pure: tensorTypes.length === 0 }, division, threads: 1 },
    { libraries, version: "test" },
  );
  return output;
}

/** Quantises the model to the best mix within a size. */
async function fitted(name: string, size: number): Promise<{ path: string; bytes: number }> {
  const mix = typesWithin(measured.tensors, measured.fixedBytes, size)!;
  const wishes = measured.tensors.map(({ name: tensor }, index) => ({
    pattern: `^${tensor.replaceAll(".", "\\.")}$`,
    type: mix.types[index]!,
  }));
  return { path: await quantise(name, "Q8_0", wishes), bytes: mix.bytes };
}

describe("what a type costs a tensor", () => {
  it("is the relative error of the file that is written", async () => {
    const path = await quantise("uniform.gguf", "Q4_K_S");
    // all rows: the sample is the whole tensor
    const whole = await measure(2 ** 20);
    for (const name of ["blk.0.attn_q.weight", "blk.1.ffn_down.weight"]) {
      const { types: found } = whole.tensors.find((tensor) => tensor.name === name)!;
      const original = await tensorValues(source, name);
      const restored = await dequantised(path, name);
      let [error, sum] = [0, 0];
      original.forEach((value, index) => {
        error += (value - restored[index]!) ** 2;
        sum += value ** 2;
      });
      expect(found.find(({ type }) => type === "Q4_K")!.error / (error / sum)).toBeCloseTo(1, 4);
      // what is as it was has lost nothing
      expect(found.find(({ type }) => type === "BF16")!.error).toBeLessThan(1e-5);
    }
  });

  it("is told one by one while they are measured", () => {
    const last = progress.find(({ done, total }) => done === total)!;
    expect(last.total).toBe(measured.tensors.reduce((sum, tensor) => sum + tensor.types.length, 0));
    expect(progress.slice(0, last.total + 1).map(({ done }) => done)).toEqual(
      Array.from({ length: last.total + 1 }, (_, done) => done),
    );
    expect(last.tensors).toBe(measured.tensors.length);
    expect(last.types.toSorted()).toEqual(types.toSorted());
  });

  it("is seen in a sample of the rows", async () => {
    const sample = await measure(4096);
    for (const [index, { types: found }] of sample.tensors.entries())
      for (const [at, { error, type }] of found.entries())
        expect(error / measured.tensors[index]!.types[at]!.error, type).toBeGreaterThan(0.8);
  });
});

describe("a file of a given size", () => {
  it("has that size, and the types that were chosen", async () => {
    const { least, most } = sizesOf(measured.tensors, measured.fixedBytes);
    for (const size of [Math.round(1.2 * least), Math.round(0.3 * most)]) {
      const { path, bytes } = await fitted(`fitted-${size}.gguf`, size);
      expect((await stat(path)).size).toBe(bytes);
      expect(bytes).toBeLessThanOrEqual(size);
      expect(bytes).toBeGreaterThan(0.995 * size);
    }
    expect(typesWithin(measured.tensors, measured.fixedBytes, least - 1)).toBeUndefined();
    expect(typesWithin(measured.tensors, measured.fixedBytes, least)!.bytes).toBe(least);
  });

  it("predicts better than files of one type that are larger", async () => {
    const text = await readFile(textPath, "utf8");
    const uniform = await quantise("q4.gguf", "Q4_K_S");
    const { size } = await stat(uniform);
    const { path } = await fitted("better.gguf", size);
    expect((await stat(path)).size).toBeLessThanOrEqual(size);
    const job = { paths: [source, uniform, path], text, windowSize: 128, chunks: 4, request };
    const { models } = await compareModels(job);
    expect(models[2]!.divergence!.mean).toBeLessThan(models[1]!.divergence!.mean);
    expect(models[2]!.bytes).toBeLessThanOrEqual(models[1]!.bytes);
  });
});

describe("jauge target", () => {
  it("shows what it chooses, writes it, and refuses what is too small", async () => {
    const output = join(folder.path, "cli.gguf");
    const given = ["target", source, "--size", "700kB", "--types", types.join(","), "-t", "1"];
    const shown = jauge([...given, "--dry-run"]);
    expect(shown).toMatchObject({ status: 0 });
    expect(shown.stdout).toMatch(/blk\.0\.attn_q\.weight +256×256 +F32 +Q\d_K +[\d.]+ kB +[\d.]+ %/);
    expect(shown.stdout).toMatch(/(699\.\d|700\.0) kB of 700\.0 kB: [\d.]+ bits\/weight/);
    const written = jauge([...given, "-o", output, "--json"]);
    expect(written).toMatchObject({ status: 0 });
    const events = written.stdout
      .trim()
      .split("\n")
      .map((line) => JSON.parse(line));
    expect(events.at(0)).toMatchObject({ event: "target", size: 700_000 });
    expect(events.at(-1)).toMatchObject({ event: "done" });
    expect((await stat(output)).size).toBe(events[0].bytes);
    const header = await readGguf(output);
    for (const { name, type } of events[0].tensors)
      expect(header.tensors.find((tensor) => tensor.name === name)!.type, name).toBe(type);
    const small = jauge(["target", source, "--size", "100kB", "--types", "Q4_K", "--dry-run", "--json"]);
    expect(JSON.parse(small.stdout).error).toMatchObject({ code: "target-too-small" });
    expect(small.status).not.toBe(0);
  });

  it("takes the types that are named and no others, and says which it cannot have", async () => {
    const asked = { measure: true, source, threads: 1, sampledElements: 256 } as const;
    const job = { libraries, version: "test" };
    const one = await runMeasurement({ ...asked, types: ["Q4_K"] }, job);
    expect(new Set(one.tensors.flatMap((tensor) => tensor.types.map(({ type }) => type)))).toEqual(
      new Set(["Q4_K"]),
    );
    const few = ["target", source, "--size", "1MB", "--types", "Q4_K,IQ2_XXS", "--dry-run", "--json"];
    const refused = jauge(few);
    expect(refused.status).toBe(2);
    expect(JSON.parse(refused.stdout).error).toMatchObject({
      code: "target-type-unweighted",
      facts: { type: "IQ2_XXS" },
    });
  });

  it("names no option that it has not, and refuses an output without a name", async () => {
    const quantised = await quantise("again.gguf", "Q4_K_S");
    const again = jauge(["target", quantised, "--size", "700kB", "--dry-run", "--json"]);
    const { error } = JSON.parse(again.stdout);
    expect(error.code).toBe("requantise-refused");
    expect(error.fix).toContain("--allow-requantize");
    expect(error.fix).not.toContain("--type ");
    expect(jauge(["target", source, "--size", "700kB", "-o", ""]).status).toBe(2);
  });

  it("ends with the error of its process", async () => {
    const missing = {
      measure: true,
      source: join(folder.path, "none.gguf"),
      threads: 1,
      sampledElements: 1,
    } as const;
    expect(await failure(runMeasurement(missing, { libraries, version: "test" }))).toMatchObject({
      code: "file-unreadable",
    });
  });
});

/** Q4_K by its definition: ggml's block of 256 has 8 scales and minima of 6 bits, and 4 bits for each value. */
async function dequantised(path: string, name: string): Promise<Float32Array> {
  const { tensors } = await readGguf(path);
  const { type, fileOffset, bytes } = tensors.find((tensor) => tensor.name === name)!;
  expect(type).toBe("Q4_K");
  const data = (await readFile(path)).subarray(fileOffset, fileOffset + bytes);
  const values = new Float32Array((bytes / 144) * 256);
  for (let block = 0; block < bytes / 144; block++) {
    const at = block * 144;
    const [scale, minimum] = [half(data.readUInt16LE(at)), half(data.readUInt16LE(at + 2))];
    const packed = data.subarray(at + 4, at + 16);
    for (let group = 0; group < 8; group++) {
      const s =
        group < 4 ? packed[group]! & 63 : (packed[group + 4]! & 15) | ((packed[group - 4]! >> 6) << 4);
      const m =
        group < 4 ? packed[group + 4]! & 63 : (packed[group + 4]! >> 4) | ((packed[group]! >> 6) << 4);
      for (let index = 0; index < 32; index++) {
        const byte = data[at + 16 + (group >> 1) * 32 + index]!;
        const quant = group % 2 === 0 ? byte & 15 : byte >> 4;
        values[block * 256 + group * 32 + index] = scale * s * quant - minimum * m;
      }
    }
  }
  return values;
}

function half(bits: number): number {
  const exponent = (bits >> 10) & 31;
  const fraction = bits & 1023;
  const sign = bits >> 15 ? -1 : 1;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
