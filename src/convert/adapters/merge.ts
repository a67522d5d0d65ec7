import { createHash } from "node:crypto";
import { JaugeError } from "../../errors.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import type { Checkpoint, StoredTensor } from "../checkpoint.js";
import { asFloat32 } from "../views/decoded.js";
import { isFloat, storedView } from "../views/stored.js";
import { findInBase } from "./base-names.js";
import type { LoraAdapter, LoraPair } from "./lora.js";
import { addProduct, FactorCache, type Factors } from "./product.js";
import { byRows } from "./sum-rows.js";

const problems = localized(adapterProblems);

/**
 * A model with an adapter merged in while it is read: `scale` times the adapter's own. Adapted matrices come as F32: what
 * follows rounds once, to the type of the file; rounding to the base's type before would lose a part of what was
 * learnt. All others are the base's. Tensors that the adapter was trained on as a whole replace the base's.
 *
 * It owns both: closing it closes them. Errors: `adapter-base-differs`; those of the files while reading.
 */
export function withLora(base: Checkpoint, adapter: LoraAdapter, scale = 1): Checkpoint {
  const tensors = new Map(base.tensors);
  for (const [name, tensor] of adapter.replaced) {
    const known = findInBase(base, name);
    if (!known) throw differs(base, adapter, name, problems.notInBase());
    tensors.set(known.name, { ...tensor, name: known.name });
  }
  const factors = new FactorCache();
  for (const [module, pair] of adapter.pairs) {
    const name = `${module}.weight`;
    const known = findInBase(base, name);
    if (!known) throw differs(base, adapter, name, problems.notInBase());
    tensors.set(known.name, adapted(base, adapter, tensors.get(known.name)!, pair, scale, factors));
  }
  const seal = JSON.stringify([base.fingerprint, adapter.fingerprint, scale]);
  return {
    path: base.path,
    format: `${base.format}, LoRA`,
    tensors,
    fingerprint: createHash("sha256").update(seal).digest("hex"),
    close: async () => {
      await Promise.all([base.close(), adapter.close()]);
    },
  };
}

function adapted(
  base: Checkpoint,
  adapter: LoraAdapter,
  tensor: StoredTensor,
  pair: LoraPair,
  scale: number,
  factors: FactorCache,
): StoredTensor {
  const isTransposed = pair.isEmbedding || adapter.config.isTransposed;
  const sum = isTransposed ? [pair.a.shape[1]!, pair.b.shape[0]!] : [pair.b.shape[0]!, pair.a.shape[1]!];
  const [rows, columns] = tensor.shape;
  if (tensor.shape.length !== 2 || rows !== sum[0] || columns !== sum[1] || columns === 0) {
    const shapes = { shape: `[${sum.join(", ")}]`, base: `[${tensor.shape.join(", ")}]` };
    throw differs(base, adapter, tensor.name, problems.shape(shapes));
  }
  if (!isFloat(tensor.type))
    throw differs(base, adapter, tensor.name, problems.notFloat({ type: tensor.type }));
  const view = asFloat32(storedView(tensor, columns!));
  const read = byRows(columns!, async (block, firstRow) => {
    const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
    const [product] = await Promise.all([
      factors.of(pair, () => load(pair, isTransposed)),
      view.readRows(bytes, firstRow),
    ]);
    const place = { firstRow, columns: columns!, rank: pair.rank, scale: scale * pair.scale };
    addProduct(block, product, place);
  });
  return { name: tensor.name, type: "F32", shape: tensor.shape, read };
}

async function load({ a, b }: LoraPair, isTransposed: boolean): Promise<Factors> {
  const [down, up] = await Promise.all([floatsOf(a), floatsOf(b)]);
  if (!isTransposed) return { left: up, right: down };
  return {
    left: turned(down, a.shape as [number, number]),
    right: turned(up, b.shape as [number, number]),
  };
}

/** All of a small matrix. */
async function floatsOf(tensor: StoredTensor): Promise<Float32Array> {
  const [rows, columns] = tensor.shape as [number, number];
  const values = new Float32Array(rows * columns);
  if (values.length > 0)
    await asFloat32(storedView(tensor, columns)).readRows(new Uint8Array(values.buffer), 0);
  return values;
}

/** A matrix by columns. */
function turned(values: Float32Array, [rows, columns]: readonly [number, number]): Float32Array {
  const result = new Float32Array(values.length);
  for (let row = 0; row < rows; row++)
    for (let column = 0; column < columns; column++)
      result[column * rows + row] = values[row * columns + column]!;
  return result;
}

function differs(base: Checkpoint, adapter: LoraAdapter, tensor: string, problem: string) {
  const facts = { path: adapter.path, base: base.path, tensor, problem };
  return new JaugeError("adapter-base-differs", facts);
}
