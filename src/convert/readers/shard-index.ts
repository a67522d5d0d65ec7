import { basename, dirname, join } from "node:path";
import { JaugeError } from "../../errors.js";
import type { StoredTensor } from "../checkpoint.js";
import { isObject, readJsonFile } from "./bounded-json.js";
import type { PooledFile } from "./file-pool.js";
import { malformed, printable, problems } from "./problems.js";

const mostFiles = 10_000;

/** Which file holds which tensor, by `model.safetensors.index.json` and its like. */
export interface ShardIndex {
  path: string;
  /** File name by tensor. */
  fileOf: ReadonlyMap<string, string>;
  /** Paths of all files, each once, sorted. */
  files: string[];
}

/** Errors: `checkpoint-malformed`, `file-unreadable`. */
export async function readShardIndex(file: PooledFile): Promise<ShardIndex> {
  const json = await readJsonFile(file, "index");
  const map = isObject(json) ? json.weight_map : undefined;
  if (!isObject(map)) throw malformed(file.path, "weight_map", problems.notA({ expected: "object" }));
  const fileOf = new Map<string, string>();
  for (const [tensor, name] of Object.entries(map)) {
    if (typeof name !== "string" || !isPlainName(name))
      throw malformed(file.path, tensor, problems.notBesideIndex({ file: printable(String(name)) }));
    fileOf.set(tensor, name);
  }
  const names = [...new Set(fileOf.values())].sort();
  if (names.length === 0) throw malformed(file.path, "weight_map", problems.noTensors());
  if (names.length > mostFiles)
    throw malformed(file.path, "weight_map", problems.tooMany({ limit: mostFiles }));
  return { path: file.path, fileOf, files: names.map((name) => join(dirname(file.path), name)) };
}

/** A file beside the index, and nowhere else. */
function isPlainName(name: string): boolean {
  return name !== "" && name !== "." && name !== ".." && !/[/\\\0:]/.test(name) && name.length <= 255;
}

/** Holds an index against what its files hold. Errors: `checkpoint-tensor-missing`. */
export function checkShardIndex(
  index: ShardIndex,
  tensorsIn: ReadonlyMap<string, readonly StoredTensor[]>,
): void {
  const held = new Map<string, Set<string>>();
  for (const [path, tensors] of tensorsIn) held.set(basename(path), new Set(tensors.map(({ name }) => name)));
  for (const [tensor, file] of index.fileOf)
    if (!held.get(file)?.has(tensor))
      throw new JaugeError("checkpoint-tensor-missing", {
        path: index.path,
        tensor: printable(tensor),
        file,
      });
}
