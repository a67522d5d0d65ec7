import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { Config, limits } from "../architectures/config.js";
import { isObject, readJsonFile } from "./bounded-json.js";
import { FilePool } from "./file-pool.js";

/** How the scales of 8-bit weights are laid out. */
export interface Float8Scales {
  /** Rows and columns that share a scale, where scales are of blocks. */
  block?: readonly [rows: number, columns: number];
}

/**
 * What `quantization_config` of a config.json says of weights stored as 8-bit floats with scales: as DeepSeek and Qwen
 * publish theirs (`fp8`), as LLM Compressor writes them (`compressed-tensors`) or NVIDIA's ModelOpt (`modelopt`). Undefined
 * for every other way of quantising. Errors: `source-config-invalid`.
 */
export function float8Scales(quantisation: Config): Float8Scales | undefined {
  switch (quantisation.string("quant_method")) {
    case "fp8":
      return withBlock(quantisation, "weight_block_size");
    case "modelopt":
      return quantisation.string("quant_algo") === "FP8" ? {} : undefined;
    case "compressed-tensors":
      return compressedScales(quantisation);
    default:
      return undefined;
  }
}

/**
 * What the config.json in a folder of weights, or beside a file of them, says; undefined where there is none.
 * Errors: `checkpoint-malformed`, `file-unreadable`, `source-config-invalid`.
 */
export async function float8ScalesBeside(path: string): Promise<Float8Scales | undefined> {
  const isFolder = (await stat(path)).isDirectory();
  const file = join(isFolder ? path : dirname(path), "config.json");
  const isThere = await stat(file).then(
    (entry) => entry.isFile(),
    () => false,
  );
  if (!isThere) return undefined;
  const pool = new FilePool();
  try {
    const values = await readJsonFile(await pool.add(file), basename(file));
    if (!isObject(values)) return undefined;
    const config = new Config(file, values);
    const quantised = config.has("quantization_config") ? config : config.object("text_config");
    return float8Scales(quantised.object("quantization_config"));
  } finally {
    await pool.close();
  }
}

/** All groups of layers are quantised alike, or this is another kind. */
function compressedScales(quantisation: Config): Float8Scales | undefined {
  const format = quantisation.string("format");
  if (format !== "float-quantized" && format !== "naive-quantized") return undefined;
  const groups = quantisation.object("config_groups");
  const all = groups.names().map((name) => {
    const weights = groups.object(name).object("weights");
    const isFloat8 = weights.string("type") === "float" && weights.integer("num_bits", 64, 0) === 8;
    const isGrouped = weights.has("group_size");
    return isFloat8 && !isGrouped ? withBlock(weights, "block_structure") : undefined;
  });
  const [first] = all;
  const isAlike = all.every((each) => each && JSON.stringify(each) === JSON.stringify(first));
  return isAlike ? first : undefined;
}

function withBlock(config: Config, name: string): Float8Scales {
  if (!config.has(name)) return {};
  const [rows, columns] = config.numbers(name, 2) as [number, number];
  for (const size of [rows, columns])
    config.expect(Number.isInteger(size) && size >= 1 && size <= limits.hidden, name);
  return { block: [rows, columns] };
}
