import { mkdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import type { WritableValue } from "../../../src/gguf/encode.js";
import { readGguf } from "../../../src/gguf/reader.js";
import { writeGguf } from "../../../src/gguf/writer.js";

/** Splits a model into parts of about equal numbers of tensors, as gguf-split does. Returns their paths. */
export async function writeParts(path: string, folder: string, count: number): Promise<string[]> {
  await mkdir(folder, { recursive: true });
  const { metadata, tensors } = await readGguf(path);
  const file = await readFile(path);
  const perPart = Math.ceil(tensors.length / count);
  const paths: string[] = [];
  for (let part = 0; part < count; part++) {
    const keys = new Map<string, WritableValue>(part === 0 ? metadata.entries() : []);
    keys.set("split.no", { type: "uint16", value: part });
    keys.set("split.count", { type: "uint16", value: count });
    keys.set("split.tensors.count", { type: "int32", value: tensors.length });
    const number = (value: number) => String(value).padStart(5, "0");
    const partPath = join(folder, `model-${number(part + 1)}-of-${number(count)}.gguf`);
    const own = tensors.slice(part * perPart, (part + 1) * perPart);
    await writeGguf(partPath, {
      metadata: keys,
      tensors: own.map(({ name, type, shape, fileOffset, bytes }) => ({
        name,
        type,
        shape,
        data: () => [file.subarray(fileOffset, fileOffset + bytes)],
      })),
    });
    paths.push(partPath);
  }
  return paths;
}
