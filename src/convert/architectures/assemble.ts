import { JaugeError } from "../../errors.js";
import type { Checkpoint, StoredTensor } from "../checkpoint.js";
import type { ConvertibleTensor } from "../model.js";
import { BandKeeper } from "../readers/strided.js";
import { arranged } from "../views/arranged.js";
import { asFloat32, plusOne } from "../views/decoded.js";
import { mxfp4 } from "../views/mxfp4.js";
import { isFloat, storedView } from "../views/stored.js";
import { transposed } from "../views/transposed.js";
import { grouped, joined, type View } from "../views/view.js";
import { type Blueprint, type BlueprintTensor, unquantisedType } from "./blueprint.js";
import { product, type Recipe, type Stored, storedOf } from "./recipe.js";

/**
 * The tensors of a blueprint, each a view of stored ones.
 * Errors: `weights-missing`, `weights-unexpected`, `weights-shape`, `weights-type`.
 */
export function assemble(blueprint: Blueprint, checkpoint: Checkpoint): ConvertibleTensor[] {
  const source = new NamedTensors(blueprint, checkpoint);
  const tensors = blueprint.tensors
    .filter(({ isOptional, recipe }) => !isOptional || storedOf(recipe).every(({ name }) => source.has(name)))
    .map((tensor) => convertible(tensor, source));
  source.expectAllUsed();
  return tensors;
}

function convertible(tensor: BlueprintTensor, source: NamedTensors): ConvertibleTensor {
  const { name, shape, recipe } = tensor;
  const view = viewOf(recipe, shape[0]!, source);
  const dequantisedFrom = source.blocksOf(recipe);
  if (view.rows !== product(shape.slice(1)))
    throw new RangeError(`${name}: its recipe gives ${view.rows} rows`);
  if (view.type === "U8") throw new RangeError(`${name}: its recipe gives bytes`);
  return {
    name,
    shape,
    type: view.type,
    ...(view.type === "MXFP4" ? { keepAs: "MXFP4" } : unquantisedType(tensor) === "F32" && { keepAs: "F32" }),
    ...(dequantisedFrom && { dequantisedFrom }),
    readRows: (target, firstRow) => view.readRows(target, firstRow),
  };
}

type Content = "numbers" | "bytes";

/** Carries out a recipe, in rows of `rowElements`. */
function viewOf(recipe: Recipe, rowElements: number, source: NamedTensors, holds: Content = "numbers"): View {
  switch (recipe.kind) {
    case "stored":
      return storedView(source.take(recipe, holds), rowElements);
    case "arranged": {
      const rows = viewOf(recipe.of, recipe.rowElements, source, holds);
      return grouped(arranged(rows, recipe.first, recipe.axes), rowElements / recipe.rowElements);
    }
    case "transposed":
      return transposed(viewOf(recipe.of, recipe.columns, source), source.bands);
    case "plusOne":
      return plusOne(viewOf(recipe.of, rowElements, source));
    case "joined": {
      const parts = recipe.parts.map((part) => viewOf(part, rowElements, source));
      return joined(parts.every(({ type }) => type === parts[0]!.type) ? parts : parts.map(asFloat32));
    }
    case "mxfp4":
      // a byte of values has two elements, a byte of scales 32
      return mxfp4(
        viewOf(recipe.blocks, rowElements / 2, source, "bytes"),
        viewOf(recipe.scales, rowElements / 32, source, "bytes"),
      );
    case "either": {
      const choice = recipe.choices.find((each) => storedOf(each).every(({ name }) => source.has(name)));
      // where none is whole, the first says what is missing
      return viewOf(choice ?? recipe.choices[0]!, rowElements, source);
    }
    case "numbers":
      return numbersView(recipe.values, rowElements);
  }
}

function numbersView(values: readonly number[], rowElements: number): View {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  const rowBytes = rowElements * 4;
  return {
    type: "F32",
    rows: bytes.length / rowBytes,
    rowBytes,
    async readRows(target, firstRow) {
      const from = firstRow * rowBytes;
      target.set(bytes.subarray(from, from + target.byteLength));
    },
  };
}

/**
 * What checkpoints hold beside weights that llama.cpp wants: tables that are computed, masks, the parts that see and
 * hear, and the output matrix where the configuration says that it is the embedding.
 */
const ignored = [
  /\.rotary_emb\.inv_freq$/,
  /^rope\.freqs$/,
  /\.(attn|attention)\.(bias|masked_bias)$/,
  /(^|\.)(vision_tower|vision_model|visual|multi_modal_projector|audio_tower)\./,
  /^lm_head\.weight$|^embed_out\.weight$/,
];

/** A checkpoint's tensors by the names that recipes use; remembers which were asked for. */
class NamedTensors {
  /** For all that is transposed on the way. */
  readonly bands = new BandKeeper();
  private readonly byName = new Map<string, StoredTensor>();
  private readonly used = new Set<string>();

  constructor(
    private readonly blueprint: Blueprint,
    private readonly checkpoint: Checkpoint,
  ) {
    const { prefix = "" } = blueprint;
    for (const tensor of checkpoint.tensors.values()) {
      // models that see keep their text model inside
      const name = tensor.name.replace("language_model.", "");
      this.byName.set(name.startsWith(prefix) ? name.slice(prefix.length) : name, tensor);
    }
  }

  has(name: string): boolean {
    return this.byName.has(name);
  }

  /** The tensor of this name, of the shape that the configuration promises. */
  take({ name, shape }: Stored, holds: Content): StoredTensor {
    const { architecture } = this.blueprint;
    const tensor = this.byName.get(name);
    if (!tensor)
      throw new JaugeError("weights-missing", { path: this.checkpoint.path, tensor: name, architecture });
    const [found, expected] = [tensor.shape.join(", "), shape.join(", ")];
    if (found !== expected) throw new JaugeError("weights-shape", this.facts(tensor, { found, expected }));
    const fits = holds === "bytes" ? tensor.type === "U8" : isFloat(tensor.type);
    if (!fits) throw new JaugeError("weights-type", this.facts(tensor, { type: tensor.type }));
    this.used.add(name);
    return tensor;
  }

  /** What blocks the numbers were that a recipe reads; undefined where none of them was one. */
  blocksOf(recipe: Recipe): StoredTensor["dequantisedFrom"] {
    const blocks = storedOf(recipe).map(({ name }) => this.byName.get(name)?.dequantisedFrom);
    return blocks.find((type) => type !== undefined);
  }

  expectAllUsed(): void {
    const unused = [...this.byName].filter(
      ([name]) => !this.used.has(name) && !ignored.some((pattern) => pattern.test(name)),
    );
    if (unused.length === 0) return;
    const [, tensor] = unused[0]!;
    const { architecture } = this.blueprint;
    throw new JaugeError(
      "weights-unexpected",
      this.facts(tensor, { others: unused.length - 1, architecture }),
    );
  }

  private facts<Rest extends object>(tensor: StoredTensor, rest: Rest) {
    return { path: this.checkpoint.path, tensor: tensor.name, ...rest };
  }
}
