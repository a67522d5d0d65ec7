import { madeUpVocabulary } from "../../../bench/vocabulary.js";
import { assemble } from "../../../src/convert/architectures/assemble.js";
import type { Blueprint } from "../../../src/convert/architectures/blueprint.js";
import { type Recipe, type Stored, storedOf } from "../../../src/convert/architectures/recipe.js";
import type { Checkpoint } from "../../../src/convert/checkpoint.js";
import { generalMetadata } from "../../../src/convert/general-metadata.js";
import type { ConvertibleTensor } from "../../../src/convert/model.js";
import type { WritableValue } from "../../../src/gguf/encode.js";
import { tensorBytes } from "../../../src/gguf/tensor-types.js";
import { writeGguf } from "../../../src/gguf/writer.js";
import { seeded } from "../../gguf/random.js";
import { type MemoryTensor, memoryCheckpoint } from "../memory-checkpoint.js";

/** Weights as a model has them when its training begins, by their stored names; the same for the same seed. */
export function randomWeights(blueprint: Blueprint, seed = 1): Map<string, MemoryTensor> {
  const random = seeded(seed);
  const stored = new Map<string, Stored>();
  for (const { recipe } of blueprint.tensors)
    for (const each of storedOf(firstChoice(recipe))) stored.set(each.name, each);
  return new Map(Array.from(stored.values(), (each) => [each.name, randomTensor(each, random)]));
}

/** The same weights as a checkpoint, with what its kind puts before the names. */
export function randomCheckpoint(blueprint: Blueprint, seed = 1): Checkpoint {
  const { prefix = "" } = blueprint;
  const weights = randomWeights(blueprint, seed);
  return memoryCheckpoint(Array.from(weights, ([name, tensor]) => [prefix + name, tensor]));
}

/** Converts a checkpoint in memory to a GGUF with a vocabulary of made-up words. */
export async function writeConverted(
  path: string,
  blueprint: Blueprint,
  checkpoint: Checkpoint,
): Promise<void> {
  const { metadata, tensors } = converted(blueprint, checkpoint, "tiny");
  const rows = tensors.find(({ name }) => name === "token_embd.weight")!.shape[1]!;
  for (const [key, value] of madeUpVocabulary(rows)) metadata.set(key, value);
  await writeGguf(path, {
    metadata,
    tensors: tensors.map((tensor) => ({ ...tensor, data: () => rowsOf(tensor) })),
  });
}

/** What a checkpoint becomes, but for the vocabulary. */
export function converted(
  blueprint: Blueprint,
  checkpoint: Checkpoint,
  identifier: string,
): { metadata: Map<string, WritableValue>; tensors: ConvertibleTensor[] } {
  const { architecture, hyperparameters } = blueprint;
  const tensors = assemble(blueprint, checkpoint);
  const metadata = new Map<string, WritableValue>([
    ...generalMetadata({ architecture, identifiers: [identifier], tensors }),
    ...Array.from(hyperparameters, ([key, value]) => [`${architecture}.${key}`, value] as const),
  ]);
  return { metadata, tensors };
}

/** The bytes of a tensor, a few rows at a time: wherever a read begins, it gives the same. */
export async function* rowsOf({ type, shape, readRows }: ConvertibleTensor): AsyncGenerator<Uint8Array> {
  const rows = shape.slice(1).reduce((product, size) => product * size, 1);
  const rowBytes = tensorBytes(type, shape)! / rows;
  const atOnce = Math.max(1, Math.floor(rows / 3));
  for (let row = 0; row < rows; row += atOnce) {
    const target = new Uint8Array(Math.min(atOnce, rows - row) * rowBytes);
    await readRows(target, row);
    yield target;
  }
}

function firstChoice(recipe: Recipe): Recipe {
  return recipe.kind === "either" ? firstChoice(recipe.choices[0]!) : recipe;
}

function randomTensor({ name, shape }: Stored, random: () => number): MemoryTensor {
  const elements = shape.reduce((product, size) => product * size, 1);
  if (/_(blocks|scales)$/.test(name)) {
    // powers of two around a tenth
    const byte = name.endsWith("_blocks") ? () => random() * 256 : () => 121 + random() * 4;
    return { type: "U8", shape, bytes: Uint8Array.from({ length: elements }, byte) };
  }
  const isNorm = /norm|ln_|layernorm/.test(name) && name.endsWith(".weight");
  const scale = shape.length > 1 ? Math.sqrt(3 / shape.at(-1)!) : 0.2;
  const values = Float32Array.from(
    { length: elements },
    () => (isNorm ? 1 : 0) + (random() - 0.5) * 2 * scale,
  );
  return { type: "F32", shape, bytes: new Uint8Array(values.buffer) };
}
