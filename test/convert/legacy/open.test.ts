import { rename, truncate, unlink, writeFile } from "node:fs/promises";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { isLegacyGgml, type LegacyOptions, openLegacyGgml } from "../../../src/convert/legacy/open.js";
import { openModelSource } from "../../../src/convert/open.js";
import { isJaugeError } from "../../../src/errors.js";
import { tensorBytes } from "../../../src/gguf/tensor-types.js";
import { seeded } from "../../gguf/random.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { storiesPath } from "../../oracles/plain.js";
import { mutant } from "./mutate.js";
import { contentsOf, digestsOf, readAll } from "./rows.js";
import { tiny, tinyModel } from "./tiny.js";
import { type BlockKind, kinds, legacyBytes, type WrittenFile } from "./writer.js";

const folder = temporaryFolder();
const q4 = kinds["ggjt v1"]![0]!;

const put = (name: string, file: WrittenFile) => folder.file(name, legacyBytes(file));
const digests = async (path: string, options: LegacyOptions = {}) =>
  digestsOf(await contentsOf(await openLegacyGgml(path, options)));
const refusal = async (file: WrittenFile, name = "refused.bin") => {
  const error = await openLegacyGgml(await put(name, file)).then(
    (model) => model.close(),
    (cause) => cause,
  );
  if (!isJaugeError(error)) throw error ?? new Error("it was opened");
  return { code: error.code, ...(error.facts as { field?: string; tensor?: string }) };
};
/** The file with one tensor changed. */
const withTensor = (name: string, change: Partial<WrittenFile["tensors"][number]>) => {
  const { file } = tinyModel("ggjt v1", q4);
  return {
    ...file,
    tensors: file.tensors.map((tensor) => (tensor.name === name ? { ...tensor, ...change } : tensor)),
  };
};
const withHyperparameter = (index: number, value: number) => {
  const { file } = tinyModel("ggjt v1", q4);
  return { ...file, hyperparameters: file.hyperparameters.with(index, value) };
};

it("is recognised by its first bytes", async () => {
  for (const container of Object.keys(kinds))
    expect(isLegacyGgml(legacyBytes({ container, hyperparameters: [], tokens: [], tensors: [] }))).toBe(true);
  expect(isLegacyGgml(Buffer.from("GGUF"))).toBe(false);
  expect(isLegacyGgml(Buffer.from("lmg"))).toBe(false);
  const model = await openModelSource(
    await put("known.bin", tinyModel("ggmf v1", kinds["ggmf v1"]![0]!).file),
  );
  expect(model.format).toBe("GGML of 2023 (ggmf v1)");
  await model.close();
  const gguf = await openModelSource(storiesPath);
  expect(gguf.format).not.toContain("2023");
  await gguf.close();
});

describe("the metadata", () => {
  const metadataOf = async (path: string, options?: LegacyOptions) => {
    const model = await openLegacyGgml(path, options);
    await model.close();
    return Object.fromEntries([...model.metadata].map(([key, { value }]) => [key, value]));
  };

  it("comes from the header and the weights", async () => {
    expect(await metadataOf(await put("7B.bin", tinyModel("ggjt v1", q4).file))).toMatchObject({
      "general.architecture": "llama",
      "general.name": "7B.bin",
      "llama.context_length": 2048,
      "llama.embedding_length": 64,
      "llama.block_count": 1,
      "llama.feed_forward_length": 192,
      "llama.rope.dimension_count": 32,
      "llama.attention.head_count": 2,
      "llama.attention.head_count_kv": 2,
      "llama.attention.layer_norm_rms_epsilon": 1e-6,
    });
  });

  it("assumes LLaMA 2 where attention is grouped, and what llama.cpp did where nothing tells", async () => {
    const q8 = kinds["ggjt v3"]!.at(-1)!;
    const grouped = await put("70B.bin", tinyModel("ggjt v3", q8, { keyValueHeads: 1 }).file);
    expect(await metadataOf(grouped)).toMatchObject({
      "llama.context_length": 4096,
      "llama.attention.head_count_kv": 1,
      "llama.attention.layer_norm_rms_epsilon": 1e-5,
    });
    const plain = await put("v3.bin", tinyModel("ggjt v3", q8).file);
    expect(await metadataOf(plain)).toMatchObject({ "llama.attention.layer_norm_rms_epsilon": 5e-6 });
  });

  it("takes what is said instead", async () => {
    const path = await put("said.bin", tinyModel("ggjt v1", q4).file);
    const options = { contextLength: 16384, rmsEpsilon: 1e-5, ropeFrequencyBase: 1e6, name: "Code Llama" };
    expect(await metadataOf(path, options)).toMatchObject({
      "general.name": "Code Llama",
      "llama.context_length": 16384,
      "llama.rope.freq_base": 1e6,
      "llama.attention.layer_norm_rms_epsilon": 1e-5,
    });
  });
});

describe("parts", () => {
  const kind: BlockKind = kinds.ggml![0]!;
  const float: BlockKind = {
    ...{ name: "F32", number: 0, elements: 1, range: [-9, 9], zero: 0, minimum: false, halfScale: true },
    encode: ({ scale, quants }) => Buffer.from(Float32Array.of(scale * quants[0]!).buffer),
  };
  const columns = /tok_embeddings|attention\.wo|feed_forward\.w2/;

  /** The parts as Meta's model parallelism cut them. */
  function cut(file: WrittenFile, count: number): WrittenFile[] {
    return Array.from({ length: count }, (_, part) => ({
      ...file,
      tensors: file.tensors.map((tensor) => {
        const [row, rows] = [tensor.shape[0]!, tensor.shape[1]];
        if (rows === undefined) return tensor;
        const rowBytes = tensor.data.length / rows;
        if (!columns.test(tensor.name)) {
          const start = (rows / count) * part * rowBytes;
          const data = tensor.data.subarray(start, start + (rows / count) * rowBytes);
          return { ...tensor, shape: [row, rows / count], data };
        }
        const data = Array.from({ length: rows }, (_, index) => {
          const start = index * rowBytes + (rowBytes / count) * part;
          return tensor.data.subarray(start, start + rowBytes / count);
        });
        return { ...tensor, shape: [row / count, rows], data: Buffer.concat(data) };
      }),
    }));
  }
  async function putParts(parts: readonly WrittenFile[], name: string): Promise<string> {
    for (const [index, part] of parts.entries()) await put(index === 0 ? name : `${name}.${index}`, part);
    return folder.path(name);
  }

  it.each([
    ["Q4_0", "ggml", kind, false],
    ["Q4_0, exact", "ggmf v1", kind, true],
    ["F32", "ggml", float, false],
  ] as const)("of %s join to the whole", async (_, container, of, exact) => {
    const { file } = tinyModel(container, of);
    const path = await putParts(cut(file, 2), "parts.bin");
    expect(await digests(path, { exact })).toEqual(await digests(await put("whole.bin", file), { exact }));
  });

  it("that are missing or do not belong together are named", async () => {
    const [first, second] = cut(tinyModel("ggml", kind).file, 2);
    const path = await putParts([first!, second!], "odd.bin");
    await rename(`${path}.1`, `${path}.2`);
    await expect(openLegacyGgml(path)).rejects.toMatchObject({
      code: "legacy-part-missing",
      facts: { path: `${path}.1`, part: 2, count: 2 },
    });
    await expect(openLegacyGgml(`${path}.2`)).rejects.toMatchObject({ code: "legacy-part-missing" });
    await rename(`${path}.2`, `${path}.1`);
    await expect(openLegacyGgml(`${path}.1`)).rejects.toMatchObject({
      code: "legacy-part-later",
      facts: { first: path },
    });
    await put("odd.bin.1", { ...second!, hyperparameters: second!.hyperparameters.with(6, 3) });
    await expect(openLegacyGgml(path)).rejects.toMatchObject({
      facts: { path: `${path}.1`, field: "header" },
    });
    await put("odd.bin.1", { ...second!, tensors: second!.tensors.slice(1) });
    await expect(openLegacyGgml(path)).rejects.toMatchObject({ facts: { field: "tok_embeddings.weight" } });
  });
});

describe("rows", () => {
  it("are the same in any pieces, in any order, at the same time, wherever they are put", async () => {
    const { file } = tinyModel("ggjt v1", q4);
    const model = await openLegacyGgml(await put("pieces.bin", file));
    const tensor = model.tensors.find(({ name }) => name === "token_embd.weight")!;
    const whole = await readAll(tensor);
    const rowBytes = tensorBytes(tensor.type, [tiny.hidden])!;
    await fc.assert(
      fc.asyncProperty(fc.nat(tiny.vocabulary - 1), fc.nat(40), fc.nat(5), async (first, count, offset) => {
        const rows = Math.min(count, tiny.vocabulary - first);
        const target = new Uint8Array(rows * rowBytes + offset).subarray(offset);
        await Promise.all([tensor.readRows(target, first), tensor.readRows(new Uint8Array(rowBytes), 0)]);
        expect(Buffer.from(target).equals(whole.subarray(first * rowBytes, (first + rows) * rowBytes))).toBe(
          true,
        );
      }),
      { numRuns: 50 },
    );
    await expect(tensor.readRows(new Uint8Array(rowBytes), tiny.vocabulary)).rejects.toThrow(RangeError);
    await model.close();
  });

  it("of a file that shrank meanwhile are refused", async () => {
    const path = await put("shrunk.bin", tinyModel("ggjt v1", q4).file);
    const model = await openLegacyGgml(path);
    await truncate(path, 20_000);
    await expect(contentsOf(model)).rejects.toMatchObject({ code: "legacy-truncated" });
  });
});

describe("files that are not right", () => {
  it.each([
    [
      "an unknown version",
      { ...tinyModel("ggjt v1", q4).file, container: "ggjt v4" },
      { code: "legacy-version" },
    ],
    ["no tokens", withHyperparameter(0, 0), { field: "n_vocab" }],
    ["absurd layers", withHyperparameter(4, 1 << 20), { field: "n_layer" }],
    ["more layers than it has", withHyperparameter(4, 2), { field: "layers.1.attention_norm.weight" }],
    ["heads that do not divide", withHyperparameter(3, 3), { field: "n_head" }],
    ["another rotation", withHyperparameter(5, 16), { field: "n_rot" }],
    ["another feed-forward rule", withHyperparameter(2, 100), { field: "layers.0.feed_forward.w1.weight" }],
    [
      "a tensor of another model",
      withTensor("norm.weight", { name: "encoder.conv1.weight" }),
      { field: '"encoder.conv1.weight"' },
    ],
    [
      "a tensor twice",
      withTensor("layers.0.ffn_norm.weight", { name: "norm.weight" }),
      { field: "norm.weight" },
    ],
    [
      "an unknown type",
      withTensor("output.weight", { number: 12 }),
      { code: "legacy-type", tensor: "output.weight" },
    ],
    [
      "a quantised norm",
      withTensor("norm.weight", { number: 2, data: Buffer.alloc(40) }),
      { field: "norm.weight" },
    ],
    ["half a block", withTensor("output.weight", { shape: [48, 400] }), { field: "output.weight" }],
    [
      "another shape",
      withTensor("layers.0.attention.wq.weight", { shape: [32, 128] }),
      { field: "layers.0.attention.wq.weight" },
    ],
  ])("with %s", async (_, file, facts) => {
    expect(await refusal(file)).toMatchObject(facts);
  });

  it("made for super-blocks of 64 are told so", async () => {
    const { file } = tinyModel("ggjt v3", kinds["ggjt v3"]![0]!);
    const [first, ...rest] = file.tensors;
    const tensors = [{ ...first!, number: 12 }, ...rest];
    expect(JSON.stringify(await refusal({ ...file, tensors }))).toContain("64");
  });

  it("that end early name the tensor", async () => {
    const bytes = legacyBytes(tinyModel("ggjt v1", q4).file);
    const path = await folder.file("short.bin", bytes.subarray(0, bytes.length - 1));
    await expect(openLegacyGgml(path)).rejects.toMatchObject({
      code: "legacy-truncated",
      facts: { field: "layers.0.ffn_norm.weight", missingBytes: 1 },
    });
  });

  it("that go on behind the last tensor say by how much", async () => {
    const bytes = legacyBytes(tinyModel("ggjt v1", q4).file);
    for (const surplusBytes of [2, 100]) {
      const path = await folder.file("long.bin", Buffer.concat([bytes, Buffer.alloc(surplusBytes)]));
      await expect(openLegacyGgml(path)).rejects.toMatchObject({
        code: "legacy-surplus",
        facts: { surplusBytes },
      });
    }
  });

  it("in any way are refused with a typed error, or read", async () => {
    const originals = (["ggml", "ggmf v1", "ggjt v1", "ggjt v3"] as const).map((container) =>
      legacyBytes(tinyModel(container, kinds[container]![0]!).file),
    );
    const path = folder.path("mutant.bin");
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.nat(3), async (seed, which) => {
        await writeFile(path, mutant(originals[which]!, seeded(seed)));
        try {
          await contentsOf(await openLegacyGgml(path));
        } catch (error) {
          if (!isJaugeError(error)) throw error;
        }
      }),
      { numRuns: 150 },
    );
    await unlink(path);
  });
});
