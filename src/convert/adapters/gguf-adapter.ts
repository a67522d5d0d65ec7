import { stat } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { JaugeError } from "../../errors.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import { type TensorSource, writeGguf } from "../../gguf/writer.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import type { Blueprint } from "../architectures/blueprint.js";
import { knownModel } from "../architectures/known.js";
import type { Recipe } from "../architectures/recipe.js";
import { readJsonFile } from "../readers/bounded-json.js";
import { FilePool } from "../readers/file-pool.js";
import { BandKeeper } from "../readers/strided.js";
import { arranged } from "../views/arranged.js";
import { asFloat32, decoded, decoders } from "../views/decoded.js";
import { storedView } from "../views/stored.js";
import { transposed } from "../views/transposed.js";
import { joined, type View } from "../views/view.js";
import { type LoraAdapter, type LoraPair, openLora } from "./lora.js";

const problems = localized(adapterProblems);

export interface WrittenAdapter {
  bytes: number;
  /** Matrices that are adapted. */
  pairs: number;
  architecture: string;
}

/**
 * Writes a LoRA adapter of PEFT as a GGUF adapter in F32, for the model that jauge or llama.cpp converts from `base`: the
 * folder of a Hugging Face model or its config.json, whose weights are not needed.
 *
 * Source: convert_lora_to_gguf.py, src/llama-adapter.cpp of llama.cpp v0.5.0.
 * Errors: `adapter-…`; those of `knownModel`, of reading and of writing.
 */
export async function writeGgufAdapter(
  folder: string,
  base: string,
  output: string,
): Promise<WrittenAdapter> {
  const blueprint = await blueprintOf(base);
  const adapter = await openLora(folder);
  try {
    const tensors = adapterTensors(adapter, blueprint, base);
    const metadata = adapterMetadata(adapter, blueprint, basename(resolve(folder)));
    const bytes = await writeGguf(output, { metadata, tensors });
    return { bytes, pairs: adapter.pairs.size, architecture: blueprint.architecture };
  } finally {
    await adapter.close();
  }
}

async function blueprintOf(base: string): Promise<Blueprint> {
  const isFolder = await stat(base).then(
    (facts) => facts.isDirectory(),
    () => false,
  );
  const path = isFolder ? join(base, "config.json") : base;
  const pool = new FilePool();
  try {
    return knownModel(await readJsonFile(await pool.add(path), "config.json"), path).blueprint;
  } finally {
    await pool.close();
  }
}

/** llama.cpp reads an alpha of 0 as "no scale at all". */
function alphaOf({ config }: LoraAdapter): number {
  return config.alpha === 0 ? 1 : config.alpha;
}

function adapterMetadata(adapter: LoraAdapter, blueprint: Blueprint, name: string) {
  const text = (value: string): MetadataValue => ({ type: "string", value });
  return new Map<string, MetadataValue>([
    ["general.architecture", text(blueprint.architecture)],
    ["general.type", text("adapter")],
    ["general.name", text(name)],
    ["adapter.type", text("lora")],
    ["adapter.lora.alpha", { type: "float32", value: alphaOf(adapter) }],
    ["general.file_type", { type: "uint32", value: 0 }],
    ["general.quantization_version", { type: "uint32", value: 2 }],
  ]);
}

function adapterTensors(adapter: LoraAdapter, blueprint: Blueprint, base: string): TensorSource[] {
  const { path } = adapter;
  const [whole] = adapter.replaced.keys();
  if (whole !== undefined)
    throw new JaugeError("adapter-needs-merging", { path, tensor: whole, reason: problems.replaces() });
  const isTied = !blueprint.tensors.some(({ name }) => name === "output.weight");
  const pairs = new NamedPairs(adapter, blueprint);
  const bands = new BandKeeper();
  const tensors = blueprint.tensors.flatMap(({ name, shape, recipe }) => {
    const part = pairs.partOf(recipe);
    if (!part) return [];
    // where it is the output matrix too, llama.cpp would multiply with matrices that are made for looking up rows
    if (name === "token_embd.weight" && isTied)
      throw new JaugeError("adapter-needs-merging", {
        path,
        tensor: part.module,
        reason: problems.replaces(),
      });
    return tensorsOf(adapter, name, shape, part, base, bands);
  });
  const unused = pairs.unused();
  if (unused !== undefined)
    throw new JaugeError("adapter-base-differs", {
      path,
      base,
      tensor: unused,
      problem: problems.notConverted(),
    });
  return tensors;
}

/** The pair that belongs to a tensor of the GGUF, and what happens to the rows of its product. */
interface Part {
  module: string;
  pair: LoraPair;
  /** The tensor is the transpose of `b × a`. */
  isTransposed: boolean;
  arrange: (rows: View) => View;
}

/** Finds the pairs of an adapter by what a blueprint calls their matrices. */
class NamedPairs {
  private readonly byName = new Map<string, { module: string; pair: LoraPair }>();
  private readonly used = new Set<string>();

  constructor(
    private readonly adapter: LoraAdapter,
    { prefix = "" }: Blueprint,
  ) {
    for (const [module, pair] of adapter.pairs) {
      const name = `${module.replace("language_model.", "")}.weight`;
      this.byName.set(name.startsWith(prefix) ? name.slice(prefix.length) : name, { module, pair });
    }
  }

  partOf(recipe: Recipe): Part | undefined {
    switch (recipe.kind) {
      case "stored": {
        const found = this.byName.get(recipe.name);
        if (!found) return undefined;
        this.used.add(found.module);
        const isTransposed = found.pair.isEmbedding || this.adapter.config.isTransposed;
        return { ...found, isTransposed, arrange: (rows) => rows };
      }
      case "arranged": {
        const part = this.partOf(recipe.of);
        return (
          part && { ...part, arrange: (rows) => arranged(part.arrange(rows), recipe.first, recipe.axes) }
        );
      }
      case "transposed": {
        const part = this.partOf(recipe.of);
        return part && { ...part, isTransposed: !part.isTransposed };
      }
      case "joined": {
        const parts = recipe.parts.map((each) => this.partOf(each));
        const part = parts.find((each) => each !== undefined);
        if (!part) return undefined;
        // parts of one matrix share their inputs; experts have matrices of their own
        if (parts.some((each) => each?.module !== part.module)) {
          const facts = { path: this.adapter.path, tensor: part.module, reason: problems.experts() };
          throw new JaugeError("adapter-needs-merging", facts);
        }
        return { ...part, arrange: (rows) => joined(parts.map((each) => each!.arrange(rows))) };
      }
      case "either":
        return recipe.choices.map((choice) => this.partOf(choice)).find((part) => part !== undefined);
      default:
        return undefined;
    }
  }

  /** A module that no tensor is made from. */
  unused(): string | undefined {
    return [...this.adapter.pairs.keys()].find((module) => !this.used.has(module));
  }
}

function tensorsOf(
  adapter: LoraAdapter,
  name: string,
  shape: readonly number[],
  { module, pair, isTransposed, arrange }: Part,
  base: string,
  bands: BandKeeper,
): TensorSource[] {
  const rank = pair.rank;
  const down = asFloat32(storedView(pair.a, pair.a.shape[1]!));
  // llama.cpp has one alpha for all matrices: where theirs is another, it is in the numbers
  const up = multiplied(asFloat32(storedView(pair.b, rank)), (pair.scale * rank) / alphaOf(adapter));
  const left = arrange(isTransposed ? transposed(down, bands) : up);
  const right = isTransposed ? transposed(up, bands) : down;
  const [columns = 0, rows = 0] = shape;
  if (shape.length !== 2 || right.rowBytes !== 4 * columns || left.rows !== rows) {
    const shapes = { shape: `[${left.rows}, ${right.rowBytes / 4}]`, base: `[${rows}, ${columns}]` };
    const facts = { path: adapter.path, base, tensor: module, problem: problems.shape(shapes) };
    throw new JaugeError("adapter-base-differs", facts);
  }
  // rows of the embedding are looked up, not multiplied: see build_inp_embd in src/llama-graph.cpp
  const isLookup = name === "token_embd.weight";
  const [a, b] = isLookup ? [left, isTransposed ? up : transposed(right, bands)] : [right, left];
  return [source(`${name}.lora_a`, a), source(`${name}.lora_b`, b)];
}

function multiplied(view: View, factor: number): View {
  if (factor === 1) return view;
  return decoded(view, decoders.F32, (values) => {
    for (let index = 0; index < values.length; index++) values[index]! *= factor;
  });
}

const chunkBytes = 4 * 1024 * 1024;

function source(name: string, view: View): TensorSource {
  const rowsAtOnce = Math.max(1, Math.floor(chunkBytes / view.rowBytes));
  return {
    name,
    type: "F32",
    shape: [view.rowBytes / 4, view.rows],
    async *data() {
      for (let row = 0; row < view.rows; row += rowsAtOnce) {
        const bytes = new Uint8Array(Math.min(rowsAtOnce, view.rows - row) * view.rowBytes);
        await view.readRows(bytes, row);
        yield bytes;
      }
    },
  };
}
