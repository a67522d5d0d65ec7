import { stat } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { isJaugeError, JaugeError } from "../../errors.js";
import { unreadable } from "../../file-errors.js";
import { checkpointLooks } from "../../messages/checkpoint.js";
import { localized } from "../../messages/locale.js";
import type { Checkpoint, StoredTensor } from "../checkpoint.js";
import { readEasyLm } from "./easylm.js";
import { FilePool, type PooledFile } from "./file-pool.js";
import { isFlaxStream } from "./flax.js";
import { type CheckpointFiles, filesInFolder, filesOf } from "./folder.js";
import { joinShards } from "./meta.js";
import { readMetaParameters } from "./meta-parameters.js";
import { malformed, problems } from "./problems.js";
import { readSafetensors } from "./safetensors.js";
import { withFloat8Scales } from "./scaled-float8.js";
import { float8ScalesBeside } from "./scaled-float8-config.js";
import { checkShardIndex, readShardIndex } from "./shard-index.js";
import { BandKeeper } from "./strided.js";
import { readTorchStream } from "./torch-stream.js";
import { readTorchZip } from "./torch-zip.js";

/**
 * Opens the weights in a file or a folder: safetensors, or what `torch.save` wrote since PyTorch 0.4, whole, in shards,
 * or in the model-parallel parts that Meta publishes; a LLaMA in one file of EasyLM's. The format of a file is recognised
 * by its content.
 *
 * Where a config.json beside them says that they are 8-bit floats with scales, they are the numbers these stand for.
 *
 * Errors: `checkpoint-…`, `file-unreadable`; `source-config-invalid` and those of `withFloat8Scales`.
 */
export async function openCheckpoint(path: string): Promise<Checkpoint> {
  const stored = await openStored(path);
  try {
    const scales = await float8ScalesBeside(path);
    return scales ? withFloat8Scales(stored, scales) : stored;
  } catch (error) {
    await stored.close();
    throw error;
  }
}

/** The weights as they are stored. */
async function openStored(path: string): Promise<Checkpoint> {
  const isFolder = (
    await stat(path).catch((cause: unknown) => Promise.reject(unreadable(path, cause)))
  ).isDirectory();
  const files = await (isFolder ? filesInFolder(path) : filesOf(path));
  const pool = new FilePool();
  const bands = new BandKeeper();
  try {
    const opening = new Opening(pool, bands);
    const { format, tensors } = await opening.open(files);
    const close = () => {
      bands.clear();
      return pool.close();
    };
    return { path, format, tensors, fingerprint: pool.fingerprint(), close };
  } catch (error) {
    await pool.close();
    throw error;
  }
}

class Opening {
  private readonly formats = new Set<string>();

  constructor(
    private readonly pool: FilePool,
    private readonly bands: BandKeeper,
  ) {}

  async open(files: CheckpointFiles): Promise<{ format: string; tensors: Map<string, StoredTensor> }> {
    const index = files.index ? await readShardIndex(await this.pool.add(files.index)) : undefined;
    const paths = index?.files ?? files.tensors;
    const tensorsIn = new Map<string, StoredTensor[]>();
    for (const path of paths) tensorsIn.set(path, await this.read(await this.add(path)));
    if (index) checkShardIndex(index, tensorsIn);
    const list =
      files.isModelParallel && paths.length > 1
        ? await this.join(tensorsIn)
        : [...tensorsIn].flatMap(([path, tensors]) => tensors.map((tensor) => ({ path, tensor })));
    const tensors = new Map<string, StoredTensor>();
    for (const { path, tensor } of list) {
      if (tensors.has(tensor.name)) throw malformed(path, tensor.name, problems.duplicate());
      tensors.set(tensor.name, tensor);
    }
    const parts = paths.length > 1 ? [`${paths.length} shards`] : [];
    return { format: [...this.formats, ...parts].join(", "), tensors };
  }

  /** A file that an index or the names of others promise. */
  private async add(path: string): Promise<PooledFile> {
    try {
      return await this.pool.add(path);
    } catch (error) {
      const isMissing =
        isJaugeError(error, "file-unreadable") && (error.cause as NodeJS.ErrnoException)?.code === "ENOENT";
      if (!isMissing) throw error;
      const facts = { path: dirname(path), file: basename(path) };
      throw new JaugeError("checkpoint-file-missing", facts, { cause: error });
    }
  }

  private async read(file: PooledFile): Promise<StoredTensor[]> {
    const start = Buffer.alloc(Math.min(16, file.bytes));
    await file.read(start, 0, "start");
    if (start.toString("latin1", 0, 4) === "PK\x03\x04") {
      this.formats.add("torch");
      return readTorchZip(file, this.bands);
    }
    // PROTO of protocols 2 to 5
    if (start[0] === 0x80 && start[1]! >= 2 && start[1]! <= 5) {
      this.formats.add("torch");
      return readTorchStream(file, this.bands);
    }
    // a length below 4 GiB, and JSON
    if (start.length > 8 && start.readUInt32LE(4) === 0 && start[8] === 0x7b) {
      this.formats.add("safetensors");
      return readSafetensors(file);
    }
    if (isFlaxStream(start)) {
      this.formats.add("EasyLM");
      return readEasyLm(file, this.bands);
    }
    const looks = localized(checkpointLooks);
    const looksLike =
      start.length === 0 ? looks.empty() : looks.unknown({ start: start.toString("hex", 0, 8) });
    throw new JaugeError("checkpoint-unrecognised", { path: file.path, looksLike });
  }

  private async join(tensorsIn: Map<string, StoredTensor[]>) {
    const shards = [...tensorsIn].map(([path, tensors]) => ({ path, tensors }));
    const path = shards[0]!.path;
    const parameters = await readMetaParameters(await this.add(join(dirname(path), "params.json")));
    return joinShards(shards, parameters).map((tensor) => ({ path, tensor }));
  }
}
