import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { JaugeError } from "../../errors.js";
import type { MetadataValue } from "../../gguf/metadata.js";
import { type TensorSource, writeGguf } from "../../gguf/writer.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import type { Blueprint } from "../architectures/blueprint.js";
import { blueprintOfModel } from "../architectures/from-metadata.js";
import { knownModel } from "../architectures/known.js";
import { openModelSource } from "../open.js";
import { readJsonFile } from "../readers/bounded-json.js";
import { FilePool } from "../readers/file-pool.js";
import { BandKeeper } from "../readers/strided.js";
import { decoded, decoders } from "../views/decoded.js";
import { transposed } from "../views/transposed.js";
import { joined, type View } from "../views/view.js";
import { type LoraAdapter, openLora } from "./lora.js";
import { factorsOf, fits, ModulePairs, type ModulePart, type Segment } from "./module-pairs.js";

const problems = localized(adapterProblems);

export interface WrittenAdapter {
  bytes: number;
  /** Matrices that are adapted. */
  pairs: number;
  architecture: string;
}

/**
 * Writes a LoRA adapter of PEFT as a GGUF adapter in F32, for the model that jauge or llama.cpp converts from `base`: the
 * folder of a Hugging Face model or its config.json, whose weights are not needed, or any other model that can be
 * converted.
 *
 * Source: convert_lora_to_gguf.py, src/llama-adapter.cpp of llama.cpp v0.5.0.
 * Errors: `adapter-…`, `weights-not-finite`; those of `knownModel`, of reading and of writing.
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
  const path = await configOf(base);
  if (path === undefined) return await blueprintOfConverted(base);
  const pool = new FilePool();
  try {
    return knownModel(await readJsonFile(await pool.add(path), "config.json"), path).blueprint;
  } finally {
    await pool.close();
  }
}

/** The config.json that a path means; undefined where it means a model that has none. */
async function configOf(base: string): Promise<string | undefined> {
  if (base.endsWith(".json")) return base;
  const names = await readdir(base).catch(() => undefined);
  return names?.includes("config.json") ? join(base, "config.json") : undefined;
}

async function blueprintOfConverted(base: string): Promise<Blueprint> {
  const model = await openModelSource(base);
  try {
    return blueprintOfModel(model);
  } finally {
    await model.close();
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
  const pairs = new ModulePairs(adapter, blueprint);
  const bands = new BandKeeper();
  const tensors = blueprint.tensors.flatMap(({ name, shape, recipe }) => {
    const part = wholePart(adapter, pairs.segmentsOf(recipe));
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

/** What adds to all of a tensor's rows; undefined where nothing adds to any. */
function wholePart({ path }: LoraAdapter, segments: readonly Segment[]): ModulePart | undefined {
  const part = segments.find((segment) => segment.part !== undefined)?.part;
  if (!part || segments.length === 1) return part;
  // parts of one matrix share their inputs; experts have matrices of their own
  if (segments.some((segment) => segment.part?.module !== part.module))
    throw new JaugeError("adapter-needs-merging", { path, tensor: part.module, reason: problems.experts() });
  return { ...part, arrange: (rows) => joined(segments.map((segment) => segment.part!.arrange(rows))) };
}

function tensorsOf(
  adapter: LoraAdapter,
  name: string,
  shape: readonly number[],
  part: ModulePart,
  base: string,
  bands: BandKeeper,
): TensorSource[] {
  const { module, pair, added, stored } = part;
  if (shape.length !== 2 || !fits(part)) {
    const shapes = { shape: `[${added.join(", ")}]`, base: `[${stored.join(", ")}]` };
    const facts = { path: adapter.path, base, tensor: module, problem: problems.shape(shapes) };
    throw new JaugeError("adapter-base-differs", facts);
  }
  // llama.cpp has one alpha for all matrices: where theirs is another, it is in the numbers
  const factor = (pair.scale * pair.rank) / alphaOf(adapter);
  const { left, right, up } = factorsOf(part, bands, (values) => multiplied(values, factor));
  // rows of the embedding are looked up, not multiplied: see build_inp_embd in src/llama-graph.cpp
  const isLookup = name === "token_embd.weight";
  const [a, b] = isLookup ? [left, part.isTransposed ? up : transposed(right, bands)] : [right, left];
  return [source(`${name}.lora_a`, a), source(`${name}.lora_b`, b)];
}

function multiplied(view: View, factor: number): View {
  if (factor === 1) return view;
  return decoded(view, decoders.F32, (values) => {
    for (let index = 0; index < values.length; index++) values[index]! *= factor;
  });
}

/** Errors: `weights-not-finite`, as where models are converted. */
function expectFinite(tensor: string, values: Float32Array, firstRow: number, rowElements: number): void {
  const found = values.findIndex((value) => !Number.isFinite(value));
  if (found < 0) return;
  const row = firstRow + Math.floor(found / rowElements);
  const facts = { tensor, row, column: found % rowElements, value: String(values[found]) };
  throw new JaugeError("weights-not-finite", facts);
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
        expectFinite(name, new Float32Array(bytes.buffer), row, view.rowBytes / 4);
        yield bytes;
      }
    },
  };
}
