import { copyFile, mkdir, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openLora } from "../../../src/convert/adapters/lora.js";
import { withLora } from "../../../src/convert/adapters/merge.js";
import { assemble } from "../../../src/convert/architectures/assemble.js";
import { knownModel } from "../../../src/convert/architectures/known.js";
import { openModelSource, type SourceOptions } from "../../../src/convert/open.js";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import type { QuantizeKernels } from "../../../src/quantize/kernels.js";
import { storiesPath, temporaryFolder } from "../../gguf/temporary.js";
import {
  converted,
  randomCheckpoint,
  randomWeights,
  rowsOf,
  writeConverted,
} from "../architectures/random-model.js";
import { tinyConfigs } from "../architectures/tiny-configs.js";
import type { MemoryTensor } from "../memory-checkpoint.js";
import { safetensorsFile } from "../readers/checkpoint-files.js";
import { type FlaxTensor, flaxStream } from "../readers/flax-files.js";
import { randomTensor, writeLora } from "./lora-files.js";
import { asMeta } from "./meta-names.js";

const temporary = temporaryFolder();
const tokenizerModel = fileURLToPath(new URL("../../fixtures/tokenizers/bpe.model", import.meta.url));
const config: Record<string, unknown> = { ...tinyConfigs.llama, vocab_size: 560 };
const { blueprint } = knownModel(config, "llama");

async function writeFolder(
  name: string,
  weights: Iterable<[string, MemoryTensor]>,
  [weightsName, settingsName, settings] = ["model.safetensors", "config.json", config],
): Promise<string> {
  const folder = temporary.path(name);
  await mkdir(folder, { recursive: true });
  const tensors = Array.from(weights, ([name, { type, shape, bytes }]) => [
    name,
    { dtype: type, shape: [...shape], data: bytes },
  ]);
  await writeFile(join(folder, weightsName), safetensorsFile(Object.fromEntries(tensors)));
  await writeFile(join(folder, settingsName), JSON.stringify(settings));
  await copyFile(tokenizerModel, join(folder, "tokenizer.model"));
  return folder;
}

/** Rows of every tensor of the GGUF that a source becomes: the first, and two in the middle. */
async function firstRows(folder: string, options: SourceOptions): Promise<Record<string, number[]>> {
  const model = await openModelSource(folder, options);
  const rows: [string, number[]][] = [];
  for (const tensor of model.tensors) {
    const bytes = new Uint8Array(
      tensor.shape[0]! * (tensor.type === "F32" ? 4 : 2) * (tensor.shape[1] ? 3 : 1),
    );
    const first = bytes.subarray(0, tensor.shape[1] ? bytes.length / 3 : bytes.length);
    await tensor.readRows(first, 0);
    if (tensor.shape[1])
      await tensor.readRows(bytes.subarray(first.length), Math.floor(tensor.shape[1] / 2) - 1);
    rows.push([tensor.name, [...(tensor.type === "F32" ? new Float32Array(bytes.buffer) : bytes)]]);
  }
  await model.close();
  return Object.fromEntries(rows);
}

describe("a folder of Hugging Face's", () => {
  it("opens with adapters merged in, one after the other", async () => {
    const folder = await writeFolder("plain", randomWeights(blueprint));
    const name = "model.layers.0.self_attn.q_proj";
    const [rows, columns] = (await openShape(folder, `${name}.weight`)) as [number, number];
    const loras = [];
    for (const [at, scale] of [1, -0.5].entries()) {
      const path = await writeLora(
        temporary.path(`lora-${at}`),
        { r: 4, lora_alpha: 8 },
        {
          [`base_model.model.${name}.lora_A.weight`]: randomTensor([4, columns], 50 + at),
          [`base_model.model.${name}.lora_B.weight`]: randomTensor([rows, 4], 60 + at),
        },
      );
      loras.push({ path, scale });
    }
    const [plain, merged] = [await firstRows(folder, {}), await firstRows(folder, { loras })];
    const changed = Object.keys(plain).filter((each) => String(plain[each]) !== String(merged[each]));
    expect(changed).toEqual(["blk.0.attn_q.weight"]);

    let checkpoint = await openCheckpoint(folder);
    for (const { path, scale } of loras) checkpoint = withLora(checkpoint, await openLora(path), scale);
    const expected = assemble(blueprint, checkpoint).find((tensor) => tensor.name === "blk.0.attn_q.weight")!;
    const row = new Float32Array(columns);
    await expected.readRows(new Uint8Array(row.buffer), 0);
    expect(merged["blk.0.attn_q.weight"]!.slice(0, columns)).toEqual([...row]);
    await checkpoint.close();
  });

  it("opens as a delta of another", async () => {
    const weights = [...randomWeights(blueprint)];
    const base = await writeFolder("base", weights);
    const zeros = weights.map(([name, tensor]): [string, MemoryTensor] => [
      name,
      { ...tensor, bytes: new Uint8Array(tensor.bytes.length) },
    ]);
    const delta = await writeFolder("delta", zeros);
    expect(await firstRows(delta, { base })).toEqual(await firstRows(base, {}));
    const [first, ...rest] = zeros;
    const lacking = await writeFolder("lacking", rest);
    await expect(openModelSource(lacking, { base })).rejects.toMatchObject({
      code: "delta-differs",
      facts: { tensor: first![0] },
    });
  });
});

describe("a delta of a model that is converted already", () => {
  const change = [...randomWeights(blueprint, 2)];
  const checkpoint = randomCheckpoint(blueprint, 1);
  const parts = converted(blueprint, checkpoint, "base");

  it("is that of the original", async () => {
    const folder = await writeFolder("original", randomWeights(blueprint, 1));
    const delta = await writeFolder("change", change);
    const gguf = temporary.path("original.gguf");
    await writeConverted(gguf, blueprint, checkpoint);
    const expected = await firstRows(delta, { base: folder });
    expect(await firstRows(delta, { base: gguf })).toEqual(expected);
  });

  it("is added to what blocks stand for, and tells what they were", async () => {
    const delta = await writeFolder("change-of-blocks", change);
    const gguf = temporary.path("blocks.gguf");
    const of = "blk.0.attn_q.weight";
    const tensors = parts.tensors.map((tensor) => {
      if (tensor.name !== of) return { ...tensor, data: () => rowsOf(tensor) };
      const [columns = 0, rows = 0] = tensor.shape;
      return {
        ...tensor,
        type: "Q8_0" as const,
        data: async function* () {
          yield new Uint8Array(rows * (columns / 32) * 34);
        },
      };
    });
    await writeGguf(gguf, { metadata: new Map(parts.metadata), tensors });
    const asked: string[] = [];
    // blocks of zeros
    const kernels: QuantizeKernels = {
      version: "test",
      prepare: async () => {},
      lane: ({ sourceBytes, targetBytes }) => ({
        source: new Uint8Array(sourceBytes),
        importance: new Float32Array(0),
        async convert({ tensor, from, to, rows, rowElements }) {
          asked.push(`${tensor} ${from} ${to}`);
          return new Uint8Array(targetBytes).subarray(0, 4 * rows * rowElements);
        },
      }),
    };
    const model = await openModelSource(delta, { base: gguf }, kernels);
    const marked = model.tensors.filter(({ dequantisedFrom }) => dequantisedFrom);
    expect(marked.map(({ name, type, dequantisedFrom }) => [name, type, dequantisedFrom])).toEqual([
      [of, "F32", "Q8_0"],
    ]);
    const alone = await openModelSource(delta);
    const expected = alone.tensors.find(({ name }) => name === of)!;
    const bytes = () => new Uint8Array(4 * expected.shape[0]! * expected.shape[1]!);
    const [found, wanted] = [bytes(), bytes()];
    await marked[0]!.readRows(found, 0);
    await expected.readRows(wanted, 0);
    expect(found).toEqual(wanted);
    expect(new Set(asked)).toEqual(new Set([`${of} Q8_0 F32`]));
    await Promise.all([model.close(), alone.close()]);
  });

  it("is refused by name where it is no LLaMA", async () => {
    const delta = await writeFolder("change-of-another", change);
    const gguf = temporary.path("qwen.gguf");
    const { blueprint: other } = knownModel(tinyConfigs.qwen3!, "qwen3");
    await writeConverted(gguf, other, randomCheckpoint(other, 1));
    await expect(openModelSource(delta, { base: gguf })).rejects.toMatchObject({
      code: "delta-base-converted",
      facts: { architecture: "qwen3", base: gguf },
    });
  });
});

describe("Koala's delta, in a file of EasyLM's", () => {
  const base = [...randomWeights(blueprint, 1)];
  const change = [...randomWeights(blueprint, 2)];
  // what params.json says of this model
  const parameters = {
    ...{ dim: 64, n_layers: 2, n_heads: 4, n_kv_heads: 2, norm_eps: 1e-5, vocab_size: -1 },
    ...{ rope_theta: 500_000, use_scaled_rope: true },
  };

  /** EasyLM's names; matrices as inputs by outputs, rows of Q and K as Meta has them. */
  function asEasyLm(weights: [string, MemoryTensor][]): Buffer {
    return flaxStream(
      Array.from(asMeta(weights, 4, 2), ([name, { type, shape, bytes }]) => {
        const path = name.replace(/^layers/, "transformer.h").replace(/weight$/, "kernel");
        const plain = { type, shape, data: bytes };
        const names = (text: string) => ["params", "params", ...text.split(".")];
        if (name === "tok_embeddings.weight") return [names("transformer.wte.embedding"), plain] as const;
        if (name === "norm.weight") return [names("transformer.ln_f.kernel"), plain] as const;
        const own = name === "output.weight" ? "lm_head.kernel" : path;
        return [names(own), shape.length === 2 ? transposed(plain) : plain] as const;
      }).map(([names, tensor]) => [
        names,
        // in seven parts at most
        { ...tensor, chunkBytes: 4 * Math.ceil(tensor.data.length / 28) },
      ]),
    );
  }

  function transposed({ type, shape, data }: FlaxTensor): FlaxTensor {
    const [rows = 0, columns = 0] = shape;
    const values = new Float32Array(Uint8Array.from(data).buffer);
    const turned = Float32Array.from(
      values,
      (_, index) => values[(index % rows) * columns + Math.floor(index / rows)]!,
    );
    return { type, shape: [columns, rows], data: new Uint8Array(turned.buffer) };
  }

  it("is added to the original of Hugging Face or of Meta", async () => {
    const folder = await writeFolder("llama-hf", base);
    const meta = asMeta(base, 4, 2);
    const metaFolder = await writeFolder("7B", meta, ["consolidated.00.pth", "params.json", parameters]);
    const koala = await temporary.file("koala_7b_diff", asEasyLm(change));
    const expected = await firstRows(await writeFolder("koala-hf", change), { base: folder });
    expect(await firstRows(koala, { base: folder })).toEqual(expected);
    // what params.json says of RoPE is of another size of model
    const rope = { "rope_freqs.weight": expect.anything() };
    expect(await firstRows(koala, { base: metaFolder })).toEqual({ ...expected, ...rope });
    // deltas of Hugging Face's take Meta's original as well
    expect(await firstRows(temporary.path("koala-hf"), { base: metaFolder })).toEqual(expected);
  });

  it("takes a tokenizer that is named where none lies beside it", async () => {
    const koala = await temporary.file("koala_no_tokenizer", asEasyLm(change));
    const folder = await writeFolder("no-tokenizer", base);
    await rm(join(folder, "tokenizer.model"));
    await expect(openModelSource(koala, { base: folder })).rejects.toMatchObject({
      code: "tokenizer-missing",
    });
    const model = await openModelSource(koala, { base: folder, tokenizer: tokenizerModel });
    expect(model.metadata.get("tokenizer.ggml.model")).toMatchObject({ value: "llama" });
    await model.close();
  });

  it("is a model where there is a configuration beside it", async () => {
    const folder = await writeFolder("open-llama", base);
    await writeFile(join(folder, "open_llama_easylm"), asEasyLm(base));
    const path = join(folder, "open_llama_easylm");
    expect(await firstRows(path, {})).toEqual(await firstRows(folder, {}));
    const alone = await temporary.file("koala_alone", asEasyLm(change));
    await expect(openModelSource(alone)).rejects.toMatchObject({ code: "checkpoint-alone" });
  });
});

it("what is no delta takes no base", async () => {
  await expect(openModelSource(storiesPath, { base: "base" })).rejects.toMatchObject({
    code: "delta-unrecognised",
  });
});

async function openShape(folder: string, name: string): Promise<readonly number[]> {
  const checkpoint = await openCheckpoint(folder);
  await checkpoint.close();
  return checkpoint.tensors.get(name)!.shape;
}
