import { copyFile, mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { openLora } from "../../../src/convert/adapters/lora.js";
import { withLora } from "../../../src/convert/adapters/merge.js";
import { assemble } from "../../../src/convert/architectures/assemble.js";
import { knownModel } from "../../../src/convert/architectures/known.js";
import { openModelSource, type SourceOptions } from "../../../src/convert/open.js";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { storiesPath, temporaryFolder } from "../../gguf/temporary.js";
import { randomWeights } from "../architectures/random-model.js";
import { tinyConfigs } from "../architectures/tiny-configs.js";
import type { MemoryTensor } from "../memory-checkpoint.js";
import { safetensorsFile } from "../readers/checkpoint-files.js";
import { randomTensor, writeLora } from "./lora-files.js";

const temporary = temporaryFolder();
const tokenizerModel = fileURLToPath(new URL("../../fixtures/tokenizers/bpe.model", import.meta.url));
const config: Record<string, unknown> = { ...tinyConfigs.llama, vocab_size: 560 };
const { blueprint } = knownModel(config, "llama");

async function writeFolder(name: string, weights: Iterable<[string, MemoryTensor]>): Promise<string> {
  const folder = temporary.path(name);
  await mkdir(folder, { recursive: true });
  const tensors = Array.from(weights, ([name, { type, shape, bytes }]) => [
    name,
    { dtype: type, shape: [...shape], data: bytes },
  ]);
  await writeFile(join(folder, "model.safetensors"), safetensorsFile(Object.fromEntries(tensors)));
  await writeFile(join(folder, "config.json"), JSON.stringify(config));
  await copyFile(tokenizerModel, join(folder, "tokenizer.model"));
  return folder;
}

/** The first row of every tensor of the GGUF that a source becomes. */
async function firstRows(folder: string, options: SourceOptions): Promise<Record<string, number[]>> {
  const model = await openModelSource(folder, options);
  const rows: [string, number[]][] = [];
  for (const tensor of model.tensors) {
    const bytes = new Uint8Array(tensor.shape[0]! * (tensor.type === "F32" ? 4 : 2));
    await tensor.readRows(bytes, 0);
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
    expect(merged["blk.0.attn_q.weight"]).toEqual([...row]);
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

it("what is no folder of Hugging Face's takes neither", async () => {
  for (const options of [{ base: "base" }, { loras: [{ path: "lora", scale: 1 }] }])
    await expect(openModelSource(storiesPath, options)).rejects.toMatchObject({
      code: "adapter-needs-original",
    });
});

async function openShape(folder: string, name: string): Promise<readonly number[]> {
  const checkpoint = await openCheckpoint(folder);
  await checkpoint.close();
  return checkpoint.tensors.get(name)!.shape;
}
