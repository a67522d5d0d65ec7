import { fork } from "node:child_process";
import { once } from "node:events";
import { readFile, rm } from "node:fs/promises";
import type { ConversionRequest } from "../../src/convert/conversion.js";
import type { TypeWishes } from "../../src/convert/target-types.js";
import { findLibraries } from "../../src/engine/native/libraries.js";
import { readGguf } from "../../src/gguf/reader.js";
import { tensorTypes } from "../../src/gguf/tensor-types.js";
import { writeGguf } from "../../src/gguf/writer.js";
import { fileTypeOf, type MixName } from "../../src/quantize/mixes.js";
import { seeded } from "../gguf/random.js";
import { nativeLogs, scriptPath } from "./native.js";

export interface EqualityCase {
  input: string;
  mix: MixName;
  wishes?: Omit<TypeWishes, "type">;
  /** A file with the matrix, and what it says after normalisation. */
  importance?: { path: string; values: { name: string; values: number[] }[] };
}

/**
 * Quantises each case by us and by `llama_model_quantize`, and says where they differ: one text for each case, empty
 * where all bytes are the same. Beside an importance matrix, whose origin we state in the file, data are compared.
 */
export async function differencesFromNative(
  folder: (name: string) => string,
  cases: readonly EqualityCase[],
): Promise<string[]> {
  const outputs = cases.map((_, at) => ({
    ours: folder(`ours-${at}.gguf`),
    native: folder(`native-${at}.gguf`),
  }));
  await convertAll(
    cases.map(({ input, mix, wishes, importance }, at) => ({
      source: input,
      output: outputs[at]!.ours,
      wishes: { type: mix, ...wishes },
      division: { kind: "whole", order: "layers" },
      threads: 2,
      overwrite: true,
      ...(importance ? { importance: importance.path } : {}),
    })),
  );
  await nativeLogs(
    folder("native.log"),
    cases.map(({ input, mix, wishes, importance }, at) => ({
      input,
      output: outputs[at]!.native,
      fileType: fileTypeOf(mix),
      dry: false,
      ...(importance ? { importance: importance.values } : {}),
      ...(wishes?.tensorTypes
        ? {
            tensorTypes: wishes.tensorTypes.map(({ pattern, type }) => ({
              pattern,
              type: tensorTypes[type].id,
            })),
          }
        : {}),
      params: {
        ...(wishes?.pure ? { pure: true } : {}),
        ...(wishes?.outputType ? { output_tensor_type: tensorTypes[wishes.outputType].id } : {}),
        ...(wishes?.embeddingType ? { token_embedding_type: tensorTypes[wishes.embeddingType].id } : {}),
      },
    })),
  );
  const found: string[] = [];
  for (const [at, { importance }] of cases.entries()) {
    const { ours, native } = outputs[at]!;
    found.push(await differenceOf(ours, native, importance === undefined));
    await Promise.all([rm(ours), rm(native)]);
  }
  return found;
}

async function differenceOf(ours: string, native: string, whole: boolean): Promise<string> {
  const [a, b] = [await readFile(ours), await readFile(native)];
  if (a.equals(b)) return "";
  const [found, expected] = [await readGguf(ours), await readGguf(native)];
  if (found.tensors.length !== expected.tensors.length) return "number of tensors";
  for (const [index, tensor] of found.tensors.entries()) {
    const other = expected.tensors[index]!;
    if (tensor.name !== other.name || tensor.type !== other.type)
      return `${tensor.name} ${tensor.type} where native has ${other.name} ${other.type}`;
    const data = a.subarray(tensor.fileOffset, tensor.fileOffset + tensor.bytes);
    if (!data.equals(b.subarray(other.fileOffset, other.fileOffset + other.bytes)))
      return `data of ${tensor.name} (${tensor.type})`;
  }
  return whole ? "the header" : "";
}

/** Converts with the process's own kernels. Errors: of the first that fails. */
async function convertAll(requests: readonly ConversionRequest[]): Promise<void> {
  const child = fork(scriptPath("convert-child.mjs"), [], { execArgv: [] });
  child.send({ libraries: findLibraries({ backend: "cpu" }), requests });
  const [results] = (await once(child, "message")) as [(number | string)[]];
  const at = results.findIndex((result) => typeof result === "string");
  if (at >= 0) throw new Error(`${JSON.stringify(requests[at])}: ${results[at]}`);
}

/** Writes an importance matrix as a GGUF file. */
export async function writeImportance(
  path: string,
  entries: readonly { name: string; sums: Float32Array; counts: Float32Array }[],
): Promise<void> {
  await writeGguf(path, {
    metadata: new Map([
      ["general.type", { type: "string", value: "imatrix" }],
      ["imatrix.datasets", { type: "array", value: { elementType: "string", items: ["some text"] } }],
      ["imatrix.chunk_count", { type: "uint32", value: 3 }],
      ["imatrix.chunk_size", { type: "uint32", value: 512 }],
    ]),
    tensors: entries.flatMap(({ name, sums, counts }) => [
      {
        name: `${name}.in_sum2`,
        type: "F32" as const,
        shape: [sums.length / counts.length, counts.length],
        data: () => [new Uint8Array(sums.buffer)],
      },
      {
        name: `${name}.counts`,
        type: "F32" as const,
        shape: [1, counts.length],
        data: () => [new Uint8Array(counts.buffer)],
      },
    ]),
  });
}

/** Importance of all matrices but a few, with experts that no text has reached. */
export async function madeUpImportance(
  path: string,
  tensors: readonly { name: string; shape: readonly number[] }[],
): Promise<NonNullable<EqualityCase["importance"]>> {
  const random = seeded(7);
  const entries = tensors
    .filter(({ name, shape }) => shape.length > 1 && !/token_embd|ffn_gate_inp/.test(name))
    .map(({ name, shape }) => ({
      name,
      sums: Float32Array.from({ length: shape[0]! * (shape[2] ?? 1) }, () => random() ** 4 * 50),
      counts: Float32Array.from({ length: shape[2] ?? 1 }, (_, expert) => (expert === 1 ? 0 : 3 + expert)),
    }));
  await writeImportance(path, entries);
  const values = entries.map(({ name, sums, counts }) => ({
    name,
    values: Array.from(sums, (sum, at) => {
      const count = counts[Math.floor(at / (sums.length / counts.length))]!;
      return count > 0 ? Math.fround(sum / count) : 1;
    }),
  }));
  return { path, values };
}
