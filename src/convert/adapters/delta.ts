import { createHash } from "node:crypto";
import { JaugeError } from "../../errors.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import { type Checkpoint, type StoredTensor, type StoredType, storedBytes } from "../checkpoint.js";
import { asFloat32 } from "../views/decoded.js";
import { withScratch } from "../views/scratch.js";
import { isFloat, storedView } from "../views/stored.js";
import { type Rounding, roundToBf16, roundToF16 } from "./rounding.js";

const problems = localized(adapterProblems);
/** Tables that are computed anew from the configuration; versions of transformers differ in whether they save them. */
const computed = /\.rotary_emb\.inv_freq$|\.masked_bias$|^rope\.freqs$/;
const chunkElements = 1024 * 1024;

/**
 * A model published as what it adds to another: each tensor is the sum of the two. Where the delta's first dimension is
 * longer (a vocabulary with tokens added), the rest is the delta's alone, since the base was resized with zeros. Two
 * tensors of one 16-bit type give that type, rounded as the original tools do, so that the published weights come
 * out to the bit; other types give F32. Both must have the same tensors, but for tables that are computed.
 *
 * It owns both: closing it closes them.
 * Source: fastchat/model/apply_delta.py of FastChat (Vicuna), EasyLM/scripts/diff_checkpoint.py of EasyLM (Koala).
 * Errors: `delta-differs`; those of the files while reading.
 */
export function withDelta(base: Checkpoint, delta: Checkpoint): Checkpoint {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of delta.tensors) {
    if (computed.test(name)) continue;
    const known = base.tensors.get(name);
    if (!known) throw differs(base, delta, name, problems.notInBase());
    tensors.set(name, summed(base, delta, known, tensor));
  }
  for (const name of base.tensors.keys())
    if (!tensors.has(name) && !computed.test(name)) throw differs(base, delta, name, problems.notInDelta());
  const seal = JSON.stringify([base.fingerprint, delta.fingerprint]);
  return {
    path: delta.path,
    format: `${delta.format}, delta`,
    tensors,
    fingerprint: createHash("sha256").update(seal).digest("hex"),
    close: async () => {
      await Promise.all([base.close(), delta.close()]);
    },
  };
}

const roundings: Partial<Record<StoredType, Rounding>> = { F16: roundToF16, BF16: roundToBf16 };

function summed(base: Checkpoint, delta: Checkpoint, from: StoredTensor, change: StoredTensor): StoredTensor {
  const { name, shape } = change;
  const [rows = 1, ...rest] = shape;
  const [baseRows = 1, ...baseRest] = from.shape;
  if (shape.length !== from.shape.length || rest.join() !== baseRest.join() || baseRows > rows) {
    const shapes = { shape: `[${shape.join(", ")}]`, base: `[${from.shape.join(", ")}]` };
    throw differs(base, delta, name, problems.shape(shapes));
  }
  for (const { type } of [from, change])
    if (!isFloat(type)) throw differs(base, delta, name, problems.notFloat({ type }));
  const type = from.type === change.type && roundings[from.type] ? from.type : "F32";
  const count = from.shape.reduce((product, size) => product * size, 1);
  const bytes = storedBytes[type];
  const read = async (target: Uint8Array, firstElement: number) => {
    const elements = target.byteLength / bytes;
    for (let done = 0; done < elements; done += chunkElements) {
      const part = Math.min(chunkElements, elements - done);
      const into = target.subarray(done * bytes, (done + part) * bytes);
      await sum(from, change, count, into, type, firstElement + done, part);
    }
  };
  return { name, type, shape, read };
}

/** Sums `count` elements; the base has `baseCount` in all. */
function sum(
  base: StoredTensor,
  delta: StoredTensor,
  baseCount: number,
  target: Uint8Array,
  type: StoredType,
  first: number,
  count: number,
): Promise<void> {
  const shared = Math.max(0, Math.min(count, baseCount - first));
  return withScratch(12 * count, async (scratch) => {
    const at = scratch.byteOffset;
    const [total, change] = [0, 1].map(
      (part) => new Float32Array(scratch.buffer, at + part * 4 * count, count),
    );
    await Promise.all([
      elementsOf(delta, total!, first),
      ...(shared > 0 ? [elementsOf(base, change!.subarray(0, shared), first)] : []),
    ]);
    for (let index = 0; index < shared; index++) total![index]! += change![index]!;
    const rounding = type === "F32" ? undefined : roundings[type];
    const rounded = new Uint16Array(scratch.buffer, at + 8 * count, count);
    rounding?.(total!, rounded);
    const result = rounding ? rounded : total!;
    target.set(new Uint8Array(result.buffer, result.byteOffset, result.byteLength));
  });
}

async function elementsOf(tensor: StoredTensor, values: Float32Array, first: number): Promise<void> {
  const view = asFloat32(storedView(tensor, 1));
  await view.readRows(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), first);
}

function differs(base: Checkpoint, delta: Checkpoint, tensor: string, problem: string) {
  return new JaugeError("delta-differs", { path: delta.path, base: base.path, tensor, problem });
}
