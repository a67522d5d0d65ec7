import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { openCheckpoint } from "../../../src/convert/readers/open-checkpoint.js";
import { temporaryFolder } from "../../gguf/temporary.js";
import { counting, elementsOf, safetensorsFile, type WrittenTensor } from "./checkpoint-files.js";

const temporary = temporaryFolder();
const parameters = { dim: 8, n_layers: 1, n_heads: 4, n_kv_heads: 2, vocab_size: -1, norm_eps: 1e-5 };

/** The tensors of a small Llama, counting up so that every element says where it belongs. */
const whole: Record<string, { shape: [number] | [number, number]; cut?: "rows" | "columns" }> = {
  "layers.0.attention.wq.weight": { shape: [8, 8], cut: "rows" },
  "layers.0.attention.wk.weight": { shape: [4, 8], cut: "rows" },
  "layers.0.attention.wv.weight": { shape: [4, 8], cut: "rows" },
  "layers.0.attention.wo.weight": { shape: [8, 8], cut: "columns" },
  "layers.0.feed_forward.w1.weight": { shape: [12, 8], cut: "rows" },
  "layers.0.feed_forward.w2.weight": { shape: [8, 12], cut: "columns" },
  "layers.0.feed_forward.w3.weight": { shape: [12, 8], cut: "rows" },
  "layers.0.attention_norm.weight": { shape: [8] },
  "layers.0.ffn_norm.weight": { shape: [8] },
  "norm.weight": { shape: [8] },
  "rope.freqs": { shape: [1] },
  "output.weight": { shape: [10, 8], cut: "rows" },
};

function part(shape: number[], cut: "rows" | "columns" | undefined, index: number): WrittenTensor {
  if (!cut) return counting(shape);
  const [rows, columns] = shape as [number, number];
  const values: number[] = [];
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++) {
      const owner = cut === "rows" ? Math.floor(row / (rows / 2)) : Math.floor(column / (columns / 2));
      if (owner === index) values.push(row * columns + column);
    }
  const half = cut === "rows" ? [rows / 2, columns] : [rows, columns / 2];
  return { ...counting(half), data: Buffer.from(Float32Array.from(values).buffer) };
}

/** A folder with two parts, as safetensors: what a file is counts by its content. */
async function metaFolder(name: string, embedding: "rows" | "columns", change: object = {}, removed = "") {
  const path = temporary.path(name);
  await mkdir(path, { recursive: true });
  const tensors = {
    ...whole,
    "tok_embeddings.weight": { shape: [10, 8] as [number, number], cut: embedding },
  };
  for (const index of [0, 1]) {
    const parts = Object.entries(tensors).map(([name, { shape, cut }]) => [name, part(shape, cut, index)]);
    const file = safetensorsFile(
      Object.fromEntries(index === 1 ? parts.filter(([name]) => name !== removed) : parts),
    );
    await writeFile(join(path, `consolidated.0${index}.pth`), file);
  }
  await writeFile(join(path, "params.json"), JSON.stringify({ ...parameters, ...change }));
  return path;
}

describe.each(["rows", "columns"] as const)("two parts, the embedding cut along its %s", (embedding) => {
  it("are joined", async () => {
    const checkpoint = await openCheckpoint(await metaFolder(embedding, embedding));
    for (const [name, { shape }] of [
      ...Object.entries(whole),
      ["tok_embeddings.weight", { shape: [10, 8] }] as const,
    ]) {
      const tensor = checkpoint.tensors.get(name)!;
      const count = shape.reduce((product, size) => product * size, 1);
      const values = Array.from({ length: count }, (_, index) => index);
      expect([name, tensor.shape]).toEqual([name, shape]);
      expect(await elementsOf(tensor), name).toEqual(values);
      for (let first = 0; first < count; first += 3)
        for (const length of [1, 5, 9, 17])
          if (first + length <= count)
            expect(await elementsOf(tensor, first, length)).toEqual(values.slice(first, first + length));
    }
    await checkpoint.close();
  });
});

it.each([
  ["of another model", "other", { dim: 16 }, "", "tok_embeddings.weight"],
  ["with other heads", "heads", { n_kv_heads: 4 }, "", "layers.0.attention.wk.weight"],
  ["that lack a tensor", "lacking", {}, "output.weight", "output.weight"],
])("parts %s are refused", async (_, name, change, removed, field) => {
  await expect(openCheckpoint(await metaFolder(name, "rows", change, removed))).rejects.toMatchObject({
    code: "checkpoint-shards-differ",
    facts: { field: expect.stringMatching(field === "tok_embeddings.weight" ? /weight/ : field) },
  });
});

it("parameters that are none are refused by name", async () => {
  const path = await metaFolder("parameters", "rows", { n_heads: "four" });
  await expect(openCheckpoint(path)).rejects.toMatchObject({
    code: "checkpoint-malformed",
    facts: { field: "n_heads" },
  });
});

it("a tensor that nobody knows how to join is refused by name", async () => {
  const path = temporary.path("unknown");
  await mkdir(path, { recursive: true });
  for (const index of [0, 1])
    await writeFile(
      join(path, `consolidated.0${index}.pth`),
      safetensorsFile({ "layers.0.new": counting([4]) }),
    );
  await writeFile(join(path, "params.json"), JSON.stringify(parameters));
  await expect(openCheckpoint(path)).rejects.toMatchObject({
    code: "checkpoint-shards-differ",
    facts: { field: "layers.0.new" },
  });
});
