import { JaugeError } from "../../errors.js";
import type { Checkpoint, StoredTensor } from "../checkpoint.js";
import { asFloat32 } from "../views/decoded.js";
import { withScratch } from "../views/scratch.js";
import { isFloat, storedView } from "../views/stored.js";
import { inBands } from "../views/view.js";
import type { Float8Scales } from "./scaled-float8-config.js";

/** A matrix's scales: one for each block of so many rows and columns. */
interface Blocks {
  rows: number;
  columns: number;
}

/** What runs of 8-bit activations and caches need, and weights do not. */
const unused = /(\.|_)(activation_scale|input_scale|output_scale)$|\.[qkv]_scale$/;
/** What a scale's name has behind its weight's. Both are factors, whatever the first says. */
const suffixes = ["_scale_inv", "_scale"];

/**
 * A checkpoint of 8-bit floats with the weights that they stand for: each is an element times its scale, in F32, while it
 * is read. A scale is of the whole tensor, of a row, or of a block, as its shape says. What is stored in 16 bits stays.
 *
 * It owns the other: closing it closes that.
 * Source: `dequant_model` of llama.cpp's converter. Errors: `weights-missing`, `weights-shape`, `weights-type`.
 */
export function withFloat8Scales(stored: Checkpoint, { block }: Float8Scales): Checkpoint {
  const tensors = new Map<string, StoredTensor>();
  const scales = new Set<string>();
  for (const tensor of stored.tensors.values()) {
    if (!tensor.type.startsWith("F8_") || tensor.shape.includes(0)) continue;
    const scale = suffixes.map((suffix) => stored.tensors.get(tensor.name + suffix)).find(Boolean);
    if (!scale) throw missing(stored, `${tensor.name}${suffixes[block ? 0 : 1]}`);
    scales.add(scale.name);
    tensors.set(tensor.name, scaled(stored, tensor, scale, block));
  }
  for (const [name, tensor] of stored.tensors)
    if (!tensors.has(name) && !scales.has(name) && !unused.test(name)) tensors.set(name, tensor);
  return {
    path: stored.path,
    format: `${stored.format}, FP8`,
    tensors,
    fingerprint: stored.fingerprint,
    close: () => stored.close(),
  };
}

function scaled(
  { path }: Checkpoint,
  tensor: StoredTensor,
  scale: StoredTensor,
  block: Float8Scales["block"],
): StoredTensor {
  const { name, shape } = tensor;
  if (!isFloat(scale.type))
    throw new JaugeError("weights-type", { path, tensor: scale.name, type: scale.type });
  const rows = shape[0] ?? 1;
  const columns = shape.slice(1).reduce((product, size) => product * size, 1);
  const blocks = blocksOf(path, tensor, scale, block);
  const perRow = Math.ceil(columns / blocks.columns);
  const factors = asFloat32(storedView(scale, perRow));
  const elements = storedView(tensor, 1);
  const read = inBands(4, (target, firstElement) => {
    if (target.byteOffset % 4 === 0) return fill(target, firstElement);
    return withScratch(target.byteLength, async (scratch) => {
      await fill(scratch, firstElement);
      target.set(scratch);
    });
  });
  return {
    ...({ name, shape, type: "F32" } as const),
    async read(target, firstElement) {
      if (firstElement < 0 || firstElement + target.byteLength / 4 > rows * columns)
        throw new RangeError(`${name}: no ${target.byteLength / 4} elements at ${firstElement}`);
      await read(target, firstElement);
    },
  };

  async function fill(target: Uint8Array, firstElement: number): Promise<void> {
    const values = new Float32Array(target.buffer, target.byteOffset, target.byteLength / 4);
    const firstBlock = Math.floor(Math.floor(firstElement / columns) / blocks.rows);
    const lastRow = Math.floor((firstElement + values.length - 1) / columns);
    const count = Math.floor(lastRow / blocks.rows) - firstBlock + 1;
    await withScratch(count * factors.rowBytes, async (scratch) => {
      await Promise.all([elements.readRows(target, firstElement), factors.readRows(scratch, firstBlock)]);
      const used = new Float32Array(scratch.buffer, 0, count * perRow);
      multiply(values, firstElement, used, firstBlock);
    });
  }

  /** Multiplies consecutive elements by the factors of their blocks, given from a row of blocks on. */
  function multiply(values: Float32Array, first: number, used: Float32Array, firstBlock: number): void {
    for (let done = 0; done < values.length; ) {
      const row = Math.floor((first + done) / columns);
      const column = first + done - row * columns;
      const block = Math.floor(column / blocks.columns);
      const factor = used[(Math.floor(row / blocks.rows) - firstBlock) * perRow + block]!;
      const width = Math.min(columns, (block + 1) * blocks.columns) - column;
      const end = Math.min(values.length, done + width);
      for (; done < end; done++) values[done]! *= factor;
    }
  }
}

/** Errors: `weights-shape`. */
function blocksOf(
  path: string,
  { shape }: StoredTensor,
  scale: StoredTensor,
  block: Float8Scales["block"],
): Blocks {
  const rows = shape[0] ?? 1;
  const columns = shape.slice(1).reduce((product, size) => product * size, 1);
  const found = scale.shape.join(", ");
  const inBlocks = block && [Math.ceil(rows / block[0]), Math.ceil(columns / block[1])].join(", ");
  if (block && shape.length === 2 && found === inBlocks) return { rows: block[0], columns: block[1] };
  if (scale.shape.every((size) => size === 1)) return { rows, columns };
  if (found === `${rows}` || found === `${rows}, 1`) return { rows: 1, columns };
  throw new JaugeError("weights-shape", {
    path,
    tensor: scale.name,
    found,
    expected: inBlocks ?? `${rows}, 1`,
  });
}

function missing({ path }: Checkpoint, tensor: string): JaugeError<"weights-missing"> {
  return new JaugeError("weights-missing", { path, tensor, architecture: "FP8" });
}
