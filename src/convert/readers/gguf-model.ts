import { createHash } from "node:crypto";
import { stat } from "node:fs/promises";
import { basename } from "node:path";
import { JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { type ByteSource, openBytes } from "../../gguf/byte-source.js";
import type { WritableValue } from "../../gguf/encode.js";
import { type ModelFile, type ModelTensor, readModel } from "../../gguf/model-file.js";
import { fileTypes } from "../../gguf/outline.js";
import { isQuantisable } from "../../quantize/quantisable.js";
import type { ConvertibleModel, ConvertibleTensor } from "../model.js";

/** Keys that speak of the file, not of the model: the writer states its own. */
const ofTheFile = /^(general\.alignment|split\.(no|count|tensors\.count))$/;
/** And those that speak of the types in it. */
const ofTheTypes = /^general\.(file_type|quantization_version)$/;

/**
 * A GGUF file, or all parts of a split one, as the source of a conversion. Its metadata pass on unseen: arrays are
 * copied from the file. What no mix may change keeps its type. `asIs` keeps what is said of the types as well, for a
 * copy that changes none.
 *
 * Errors: those of `readModel`; `file-unreadable`.
 */
export async function openGgufModel(path: string, { asIs = false } = {}): Promise<ConvertibleModel> {
  const model = await readModel(path);
  const files: ByteSource[] = [];
  const close = async () => {
    await Promise.all(files.map((file) => file.close()));
  };
  try {
    const fingerprint = createHash("sha256");
    for (const { path: part } of model.shards) {
      files.push(await openBytes(part));
      const { size, mtimeMs } = await stat(part).catch((cause) => {
        throw unreadable(part, cause);
      });
      fingerprint.update(`${basename(part)}\0${size}\0${mtimeMs}\0`);
    }
    const metadata = new Map<string, WritableValue>(
      [...model.metadata.entries()].filter(
        ([key]) => !ofTheFile.test(key) && (asIs || !ofTheTypes.test(key)),
      ),
    );
    return {
      path: model.path,
      files: model.shards.map((shard) => shard.path),
      format: formatOf(model),
      metadata,
      tensors: model.tensors.map((tensor) => convertible(model, tensor, files[tensor.shard]!)),
      fingerprint: `gguf ${fingerprint.digest("hex")}`,
      hasTokenizer: true,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

function convertible(model: ModelFile, tensor: ModelTensor, file: ByteSource): ConvertibleTensor {
  const { name, type, shape, bytes, fileOffset } = tensor;
  const rows = shape.slice(1).reduce((product, dimension) => product * dimension, 1);
  const rowBytes = bytes / rows;
  const { path } = model.shards[tensor.shard]!;
  return {
    name,
    type,
    shape,
    ...(model.shards.length > 1 ? { part: tensor.shard } : {}),
    ...(isQuantisable(tensor) ? {} : { keepAs: type }),
    async readRows(target, firstRow) {
      const start = firstRow * rowBytes;
      if (start + target.byteLength > bytes)
        throw new RangeError(`${name}: no ${target.byteLength} bytes at row ${firstRow}`);
      for (let done = 0; done < target.byteLength; ) {
        const bytesRead = await file.read(target.subarray(done), fileOffset + start + done);
        if (bytesRead === 0) {
          // its size was checked when it was opened: somebody cut it since
          const missingBytes = target.byteLength - done;
          throw new JaugeError("gguf-truncated", { path, field: name, missingBytes, fileBytes: file.bytes });
        }
        done += bytesRead;
      }
    },
  };
}

/** `GGUF, llama, Q4_K_M, 3 parts` */
function formatOf({ metadata, shards }: ModelFile): string {
  const architecture = metadata.get("general.architecture");
  const fileType = metadata.get("general.file_type");
  return [
    "GGUF",
    architecture?.type === "string" ? architecture.value : undefined,
    typeof fileType?.value === "number" ? fileTypes[fileType.value] : undefined,
    shards.length > 1 ? `${shards.length} parts` : undefined,
  ]
    .filter((part) => part !== undefined)
    .join(", ");
}
