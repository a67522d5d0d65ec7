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
/** Of a matrix that rows are added to: the hidden sizes of known models are a hundredth of it. */
const longestRow = 2 ** 20;

/** What those who made a delta gave the base where their model has more rows: tokens that were added. */
export const newRowRules = ["zeros", "mean"] as const;
export type NewRows = (typeof newRowRules)[number];

/**
 * A model published as what it adds to another: each tensor is the sum of the two. Where the delta's first dimension is
 * longer (a vocabulary with tokens added), the base has been resized before the subtraction: with zeros, so that the
 * rest is the delta's alone (Vicuna), or with the mean of its rows (Stanford Alpaca), computed in F32. Two tensors of one
 * 16-bit type give that type, rounded as the original tools do, so that the published weights come out to the bit; other
 * types give F32. Both must have the same tensors, but for tables that are computed.
 *
 * It owns both: closing it closes them.
 * Source: fastchat/model/apply_delta.py of FastChat (Vicuna), weight_diff.py and train.py of stanford_alpaca,
 * EasyLM/scripts/diff_checkpoint.py of EasyLM (Koala).
 * Errors: `delta-differs`, `delta-new-rows`; those of the files while reading.
 */
export function withDelta(base: Checkpoint, delta: Checkpoint, newRows?: NewRows): Checkpoint {
  const tensors = new Map<string, StoredTensor>();
  for (const [name, tensor] of delta.tensors) {
    if (computed.test(name)) continue;
    const known = base.tensors.get(name);
    if (!known) throw differs(base, delta, name, problems.notInBase());
    tensors.set(name, summed(base, delta, known, tensor, newRows));
  }
  for (const name of base.tensors.keys())
    if (!tensors.has(name) && !computed.test(name)) throw differs(base, delta, name, problems.notInDelta());
  const isLonger = [...tensors].some(([name, { shape }]) => shape[0] !== base.tensors.get(name)!.shape[0]);
  const note = !isLonger ? "" : newRows === "mean" ? ", new rows from the mean" : ", new rows from zeros";
  const seal = JSON.stringify([base.fingerprint, delta.fingerprint, newRows]);
  return {
    path: delta.path,
    format: `${delta.format}, delta${note}`,
    tensors,
    fingerprint: createHash("sha256").update(seal).digest("hex"),
    close: async () => {
      await Promise.all([base.close(), delta.close()]);
    },
  };
}

const roundings: Partial<Record<StoredType, Rounding>> = { F16: roundToF16, BF16: roundToBf16 };

function summed(
  base: Checkpoint,
  delta: Checkpoint,
  from: StoredTensor,
  change: StoredTensor,
  newRows: NewRows | undefined,
): StoredTensor {
  const { name, shape } = change;
  const [rows = 1, ...rest] = shape;
  const [baseRows = 1, ...baseRest] = from.shape;
  const columns = rest.reduce((product, size) => product * size, 1);
  const isLonger = baseRows < rows;
  const isResized = isLonger && (baseRows === 0 || columns > longestRow);
  if (shape.length !== from.shape.length || rest.join() !== baseRest.join() || baseRows > rows || isResized) {
    const shapes = { shape: `[${shape.join(", ")}]`, base: `[${from.shape.join(", ")}]` };
    throw differs(base, delta, name, problems.shape(shapes));
  }
  for (const { type } of [from, change])
    if (!isFloat(type)) throw differs(base, delta, name, problems.notFloat({ type }));
  if (isLonger && newRows === undefined)
    throw new JaugeError("delta-new-rows", {
      path: delta.path,
      base: base.path,
      tensor: name,
      rows: rows - baseRows,
    });
  const mean = isLonger && newRows === "mean" ? new MeanRow(from) : undefined;
  const type = from.type === change.type && roundings[from.type] ? from.type : "F32";
  const count = from.shape.reduce((product, size) => product * size, 1);
  const bytes = storedBytes[type];
  const read = async (target: Uint8Array, firstElement: number) => {
    const elements = target.byteLength / bytes;
    for (let done = 0; done < elements; done += chunkElements) {
      const part = Math.min(chunkElements, elements - done);
      const into = target.subarray(done * bytes, (done + part) * bytes);
      await sum(from, change, count, mean, into, type, firstElement + done, part);
    }
  };
  const { dequantisedFrom } = from;
  return { name, type, shape, ...(dequantisedFrom && { dequantisedFrom }), read };
}

/** Sums `count` elements; the base has `baseCount` in all, and behind them what `mean` gives. */
function sum(
  base: StoredTensor,
  delta: StoredTensor,
  baseCount: number,
  mean: MeanRow | undefined,
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
    if (mean && shared < count) {
      const row = await mean.values();
      for (let index = shared; index < count; index++) total![index]! += row[(first + index) % row.length]!;
    }
    const rounding = type === "F32" ? undefined : roundings[type];
    const rounded = new Uint16Array(scratch.buffer, at + 8 * count, count);
    rounding?.(total!, rounded);
    const result = rounding ? rounded : total!;
    target.set(new Uint8Array(result.buffer, result.byteOffset, result.byteLength));
  });
}

/** The mean of a matrix's rows; they are read when it is first asked for. */
class MeanRow {
  private found: Promise<Float32Array> | undefined;

  constructor(private readonly tensor: StoredTensor) {}

  values(): Promise<Float32Array> {
    this.found ??= this.compute();
    // a read that failed is tried again
    this.found.catch(() => {
      this.found = undefined;
    });
    return this.found;
  }

  private async compute(): Promise<Float32Array> {
    const [rows = 1, ...rest] = this.tensor.shape;
    const columns = rest.reduce((product, size) => product * size, 1);
    const sums = new Float64Array(columns);
    const atOnce = Math.max(1, Math.floor(chunkElements / columns));
    for (let row = 0; row < rows; row += atOnce) {
      const count = Math.min(atOnce, rows - row) * columns;
      await withScratch(4 * count, async (scratch) => {
        const values = new Float32Array(scratch.buffer, scratch.byteOffset, count);
        await elementsOf(this.tensor, values, row * columns);
        for (let from = 0; from < count; from += columns)
          for (let column = 0; column < columns; column++) sums[column]! += values[from + column]!;
      });
    }
    return Float32Array.from(sums, (sum) => sum / rows);
  }
}

async function elementsOf(tensor: StoredTensor, values: Float32Array, first: number): Promise<void> {
  const view = asFloat32(storedView(tensor, 1));
  await view.readRows(new Uint8Array(values.buffer, values.byteOffset, values.byteLength), first);
}

function differs(base: Checkpoint, delta: Checkpoint, tensor: string, problem: string) {
  return new JaugeError("delta-differs", { path: delta.path, base: base.path, tensor, problem });
}
