import { createHash } from "node:crypto";
import type { ConvertibleModel, ConvertibleTensor } from "../../../src/convert/model.js";
import { tensorBytes } from "../../../src/gguf/tensor-types.js";
import { writeGguf } from "../../../src/gguf/writer.js";

/** All rows of a tensor. */
export async function readAll(tensor: ConvertibleTensor): Promise<Buffer> {
  const bytes = Buffer.alloc(tensorBytes(tensor.type, tensor.shape)!);
  await tensor.readRows(bytes, 0);
  return bytes;
}

/** All tensors by name, then the model is closed. */
export async function contentsOf(
  model: ConvertibleModel,
): Promise<Map<string, { type: string; shape: readonly number[]; bytes: Buffer }>> {
  const contents = new Map<string, { type: string; shape: readonly number[]; bytes: Buffer }>();
  try {
    for (const tensor of model.tensors)
      contents.set(tensor.name, { type: tensor.type, shape: tensor.shape, bytes: await readAll(tensor) });
  } finally {
    await model.close();
  }
  return contents;
}

/** Writes a model as it is into a GGUF, and closes it. */
export async function writeAsGguf(model: ConvertibleModel, path: string): Promise<void> {
  try {
    const tensors = model.tensors.map((tensor) => ({
      ...{ name: tensor.name, type: tensor.type, shape: tensor.shape },
      data: async function* () {
        yield await readAll(tensor);
      },
    }));
    await writeGguf(path, { metadata: model.metadata, tensors });
  } finally {
    await model.close();
  }
}

export function floatsOf(bytes: Buffer): Float32Array {
  return new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.byteLength));
}

/** What tells contents apart, short enough to be compared in a blink. */
export function digestsOf(contents: Awaited<ReturnType<typeof contentsOf>>): Record<string, string> {
  return Object.fromEntries(
    [...contents].map(([name, { type, shape, bytes }]) => [
      name,
      `${type} [${shape.join(", ")}] ${createHash("sha1").update(bytes).digest("hex")}`,
    ]),
  );
}
