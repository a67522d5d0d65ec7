import { readdir } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { checkpointLooks } from "../../messages/checkpoint.js";
import { localized } from "../../messages/locale.js";

const looks = localized(checkpointLooks);

/** The files that make a checkpoint. */
export interface CheckpointFiles {
  /** Where the tensors are, in order. */
  tensors: string[];
  /** The list of which file holds which tensor. */
  index?: string;
  /** Whether they are parts of each tensor, as Meta published them, with `params.json` beside them. */
  isModelParallel: boolean;
}

const shardName = /^(.*)-(\d{5})-of-(\d{5})(\.safetensors|\.bin|\.pt|\.pth)$/;
const metaName = /^consolidated\.(\d\d)\.pth$/;

/**
 * The files of the checkpoint in a folder: those of Hugging Face first, then Meta's, then the only one there is.
 * Errors: `checkpoint-unrecognised`, `checkpoint-file-missing`, `file-unreadable`.
 */
export async function filesInFolder(folder: string): Promise<CheckpointFiles> {
  const names = (await list(folder)).sort();
  for (const name of ["model.safetensors", "pytorch_model.bin"]) {
    const index = `${name}.index.json`;
    if (names.includes(index)) return { tensors: [], index: join(folder, index), isModelParallel: false };
    if (names.includes(name)) return only(join(folder, name));
    const stem = name.slice(0, name.lastIndexOf("."));
    const shard = names.find((each) => {
      const parts = shardName.exec(each);
      return parts?.[1] === stem && name === stem + parts[4];
    });
    if (shard) return filesBeside(join(folder, shard), names);
  }
  if (names.some((name) => metaName.test(name))) return metaFiles(folder, names);
  const looseNames = [/\.safetensors$/, /\.(bin|pt|pth)$/].map((ending) =>
    names.filter(
      (name) => ending.test(name) && !/^(adapter_model|training_args|optimizer|scheduler)\b/.test(name),
    ),
  );
  const found = looseNames.find((each) => each.length > 0) ?? [];
  const shard = found.find((name) => shardName.test(name));
  if (shard) {
    const files = filesBeside(join(folder, shard), names);
    if (files.tensors.length === found.length) return files;
  }
  if (found.length === 1) return only(join(folder, found[0]!));
  const looksLike =
    found.length === 0 ? looks.noneInFolder() : looks.severalInFolder({ files: found.join(", ") });
  throw new JaugeError("checkpoint-unrecognised", { path: folder, looksLike });
}

/** The files of the checkpoint that a file belongs to: any part of it may be named, or its index. */
export async function filesOf(path: string): Promise<CheckpointFiles> {
  const name = basename(path);
  if (name.endsWith(".index.json")) return { tensors: [], index: path, isModelParallel: false };
  if (metaName.test(name)) return metaFiles(dirname(path), await list(dirname(path)));
  return shardName.test(name) ? filesBeside(path, await list(dirname(path))) : only(path);
}

function only(path: string): CheckpointFiles {
  return { tensors: [path], isModelParallel: false };
}

/** All `NAME-00001-of-00003.safetensors` by the name of one. */
function filesBeside(path: string, names: readonly string[]): CheckpointFiles {
  const folder = dirname(path);
  const [, stem, , total, ending] = shardName.exec(basename(path))!;
  const tensors: string[] = [];
  for (let number = 1; number <= Number(total); number++) {
    const file = `${stem}-${String(number).padStart(5, "0")}-of-${total}${ending}`;
    if (!names.includes(file)) throw new JaugeError("checkpoint-file-missing", { path: folder, file });
    tensors.push(join(folder, file));
  }
  if (tensors.length === 0) return only(path);
  const index = `${stem}${ending}.index.json`;
  if (names.includes(index)) return { tensors: [], index: join(folder, index), isModelParallel: false };
  return { tensors, isModelParallel: false };
}

function metaFiles(folder: string, names: readonly string[]): CheckpointFiles {
  const found = names.filter((name) => metaName.test(name)).sort();
  for (const [index, name] of found.entries()) {
    const file = `consolidated.${String(index).padStart(2, "0")}.pth`;
    if (name !== file) throw new JaugeError("checkpoint-file-missing", { path: folder, file });
  }
  if (found.length > 1 && !names.includes("params.json"))
    throw new JaugeError("checkpoint-file-missing", { path: folder, file: "params.json" });
  return { tensors: found.map((name) => join(folder, name)), isModelParallel: true };
}

async function list(folder: string): Promise<string[]> {
  try {
    return await readdir(folder);
  } catch (cause) {
    throw unreadable(folder, cause);
  }
}
