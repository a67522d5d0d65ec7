import { createHash } from "node:crypto";
import { JaugeError } from "../../errors.js";
import { type TensorTypeName, tensorTypes } from "../../gguf/tensor-types.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import type { QuantizeKernels } from "../../quantize/kernels.js";
import { assemble } from "../architectures/assemble.js";
import type { Blueprint } from "../architectures/blueprint.js";
import { blueprintOfModel } from "../architectures/from-metadata.js";
import { product, storedOf } from "../architectures/recipe.js";
import type { Checkpoint } from "../checkpoint.js";
import type { ConvertibleModel, ConvertibleTensor } from "../model.js";
import { BandKeeper } from "../readers/strided.js";
import type { View } from "../views/view.js";
import { FloatRows } from "./dequantised.js";
import type { LoraAdapter } from "./lora.js";
import {
  factorsOf,
  fits,
  ModulePairs,
  type ModulePart,
  nameInBlueprint,
  type Segment,
} from "./module-pairs.js";
import { addProduct, FactorCache, type Factors } from "./product.js";
import { byRows } from "./sum-rows.js";

const problems = localized(adapterProblems);

export interface MergeSettings {
  /** Times the adapter's own. */
  scale: number;
  /** Turns blocks into numbers; without them, the model can be planned, but no adapted tensor of blocks be read. */
  kernels: QuantizeKernels | undefined;
  /** The same model in finer numbers, where it has been rounded: what is added to. It is closed with the other. */
  finer?: ConvertibleModel;
}

/**
 * A model that has GGUF's names already with an adapter merged in while it is read, as `withLora` does it with stored
 * names: adapted matrices come as F32, those of blocks dequantised, and tensors that were trained as a whole replace
 * the model's. The rows of the product go where the converter puts those of the matrix.
 *
 * It owns both: closing it closes them.
 * Errors: `adapter-base-differs`, `adapter-needs-original`, `weights-shape`, `weights-missing`; those of the files while
 * reading.
 */
export function mergedInto(
  model: ConvertibleModel,
  adapter: LoraAdapter,
  { scale, kernels, finer = model }: MergeSettings,
): ConvertibleModel {
  const blueprint = blueprintOfModel(model);
  const places = new Map(model.tensors.map(({ name }, index) => [name, index]));
  const tensors = [...model.tensors];
  for (const whole of wholeTensors(model, adapter, blueprint)) {
    const place = places.get(whole.name);
    if (place === undefined) throw differs(model, adapter, whole.name, problems.notInBase());
    tensors[place] = { ...withoutBlocks(tensors[place]!), ...whole };
  }
  const pairs = new ModulePairs(adapter, blueprint);
  const factors = new FactorCache();
  const floats = new FloatRows(model.path, finer.tensors, kernels);
  let dequantised = 0;
  for (const { name, shape, recipe } of blueprint.tensors) {
    const segments = pairs.segmentsOf(recipe);
    const part = segments.find((segment) => segment.part)?.part;
    if (!part) continue;
    const place = places.get(name);
    if (place === undefined) throw differs(model, adapter, part.module, problems.notInBase());
    const known = tensors[place]!;
    const isReplaced = known !== model.tensors[place];
    const exact = isReplaced ? known : (finer.tensors[place] ?? known);
    if (tensorTypes[known.type].quantised) dequantised++;
    const sum = new Sum(model, adapter, exact, segments, shape, { scale, factors, floats });
    tensors[place] = {
      ...withoutBlocks(known),
      ...(tensorTypes[known.type].quantised && { dequantisedFrom: known.type }),
      type: "F32",
      readRows: (target, firstRow) => sum.readRows(target, firstRow),
    };
  }
  const unused = pairs.unused();
  if (unused !== undefined) throw differs(model, adapter, unused, problems.notInBase());
  const note = dequantised > 0 ? `, LoRA on ${dequantised} dequantised tensors` : ", LoRA";
  const seal = JSON.stringify([model.fingerprint, adapter.fingerprint, scale]);
  return {
    ...model,
    format: model.format + note,
    tensors,
    fingerprint: createHash("sha256").update(seal).digest("hex"),
    close: async () => {
      await Promise.all([model.close(), adapter.close(), ...(finer === model ? [] : [finer.close()])]);
    },
  };
}

/** Tensors that were trained as a whole, as the GGUF has them. */
function wholeTensors(
  model: ConvertibleModel,
  adapter: LoraAdapter,
  blueprint: Blueprint,
): ConvertibleTensor[] {
  const replaced = new Map(
    Array.from(adapter.replaced, ([name, tensor]) => [nameInBlueprint(name, blueprint), tensor]),
  );
  const isWhole = (name: string) => replaced.has(name);
  const tensors = blueprint.tensors.filter(({ recipe }) =>
    storedOf(recipe).some(({ name }) => isWhole(name)),
  );
  const known = new Set(tensors.flatMap(({ recipe }) => storedOf(recipe).map(({ name }) => name)));
  for (const name of replaced.keys())
    if (!known.has(name)) throw differs(model, adapter, name, problems.notInBase());
  const checkpoint: Checkpoint = {
    path: adapter.path,
    format: "",
    tensors: new Map(Array.from(replaced, ([name, tensor]) => [name, { ...tensor, name }])),
    fingerprint: "",
    close: async () => {},
  };
  return assemble({ ...blueprint, tensors }, checkpoint);
}

/** Blocks that pass through as they are do so no more once something is added to them. */
function withoutBlocks({ keepAs, ...tensor }: ConvertibleTensor): ConvertibleTensor {
  const passes: TensorTypeName | undefined = keepAs && !tensorTypes[keepAs].quantised ? keepAs : undefined;
  return passes ? { ...tensor, keepAs: passes } : tensor;
}

interface Adding {
  scale: number;
  factors: FactorCache;
  floats: FloatRows;
}

/** A segment with its place among the rows. */
interface Placed {
  part: ModulePart;
  firstRow: number;
  rows: number;
}

/** The rows of a tensor with those of products added. */
class Sum {
  readonly readRows: (target: Uint8Array, firstRow: number) => Promise<void>;
  private readonly placed: Placed[] = [];
  private readonly base: View;

  constructor(
    model: ConvertibleModel,
    adapter: LoraAdapter,
    tensor: ConvertibleTensor,
    segments: readonly Segment[],
    /** As the blueprint has it, row length first. */
    shape: readonly number[],
    private readonly adding: Adding,
  ) {
    const columns = tensor.shape[0] ?? 1;
    let rows = 0;
    for (const segment of segments) {
      const { part } = segment;
      if (part && !fits(part)) {
        const shapes = { shape: `[${part.added.join(", ")}]`, base: `[${part.stored.join(", ")}]` };
        throw differs(model, adapter, part.module, problems.shape(shapes));
      }
      if (part) this.placed.push({ part, firstRow: rows, rows: segment.rows });
      rows += segment.rows;
    }
    const found = [product(tensor.shape.slice(1)), columns];
    if (rows !== found[0] || shape[0] !== columns) {
      const shapes = { shape: `[${rows}, ${shape[0]}]`, base: `[${found.join(", ")}]` };
      throw differs(model, adapter, this.placed[0]!.part.module, problems.shape(shapes));
    }
    this.base = adding.floats.of(tensor, adapter.path);
    const read = byRows(columns, (block, firstRow) => this.fill(block, firstRow, columns));
    this.readRows = (target, firstRow) => read(target, firstRow * columns);
  }

  private async fill(block: Float32Array, firstRow: number, columns: number): Promise<void> {
    const bytes = new Uint8Array(block.buffer, block.byteOffset, block.byteLength);
    const end = firstRow + block.length / columns;
    await this.base.readRows(bytes, firstRow);
    for (const placed of this.placed) {
      const from = Math.max(firstRow, placed.firstRow);
      const to = Math.min(end, placed.firstRow + placed.rows);
      if (from >= to) continue;
      const { pair } = placed.part;
      const factors = await this.adding.factors.of(placed.part, () => loaded(placed.part));
      const rows = block.subarray((from - firstRow) * columns, (to - firstRow) * columns);
      const scale = this.adding.scale * pair.scale;
      addProduct(rows, factors, { firstRow: from - placed.firstRow, columns, rank: pair.rank, scale });
    }
  }
}

async function loaded(part: ModulePart): Promise<Factors> {
  const { left, right } = factorsOf(part, new BandKeeper());
  const [down, up] = await Promise.all([allOf(left), allOf(right)]);
  return { left: down, right: up };
}

async function allOf(view: View): Promise<Float32Array> {
  const values = new Float32Array((view.rows * view.rowBytes) / 4);
  if (values.length > 0) await view.readRows(new Uint8Array(values.buffer), 0);
  return values;
}

function differs(model: ConvertibleModel, adapter: LoraAdapter, tensor: string, problem: string) {
  const facts = { path: adapter.path, base: model.path, tensor, problem };
  return new JaugeError("adapter-base-differs", facts);
}
