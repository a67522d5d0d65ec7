import { type StoredTensor, storedBytes } from "../checkpoint.js";
import { type PooledFile, truncated } from "./file-pool.js";
import { type PickleContext, PickleEndsEarly, unpickle } from "./pickle/unpickle.js";
import { PickleDict, type PickleValue } from "./pickle/values.js";
import { malformed, problems, unsupported } from "./problems.js";
import type { BandKeeper } from "./strided.js";
import { longestPickle, type StoragePlace, storedTensors, torchContext } from "./torch.js";
import type { TorchStorage } from "./torch-globals.js";

/** What starts these files, as a pickled integer. */
const magicNumber = 0x1950a86a20f9469cfc6cn;
const protocolVersion = 1001;
const firstWindow = 1024 * 1024;

/**
 * The tensors of the stream that `torch.save` wrote before PyTorch 1.6: five pickles (magic number, version, facts of
 * the machine, the object, the keys of its storages), then for each key its number of elements and the elements.
 *
 * Source: _legacy_save in torch/serialization.py of PyTorch.
 * Errors: `checkpoint-malformed`, `checkpoint-unsupported`, `checkpoint-class-refused`, `checkpoint-truncated`,
 * `file-unreadable`.
 */
export async function readTorchStream(file: PooledFile, bands: BandKeeper): Promise<StoredTensor[]> {
  const { root, keys, storages, end } = await readPickles(file);
  const places = new Map<string, StoragePlace>();
  let position = end;
  const count = Buffer.alloc(8);
  for (const key of keys) {
    const field = `storage ${key}`;
    const storage = storages.get(key);
    if (!storage) throw malformed(file.path, field, problems.storageUnused());
    if (places.has(key)) throw malformed(file.path, field, problems.duplicate());
    await file.read(count, position, field);
    const bytes = Number(count.readBigInt64LE()) * (storage.type === "bytes" ? 1 : storedBytes[storage.type]);
    position += count.length;
    if (!(bytes >= 0)) throw malformed(file.path, field, problems.outsideFile());
    if (position + bytes > file.bytes)
      throw truncated(file.path, field, file.bytes, position + bytes - file.bytes);
    places.set(key, { position, bytes });
    position += bytes;
  }
  return storedTensors(file, root, places, bands);
}

interface Pickles {
  root: PickleValue;
  keys: string[];
  /** The first storage that the object names by each key, for its type. */
  storages: Map<string, TorchStorage>;
  /** Where the storages start. */
  end: number;
}

/** Reads on until all five pickles are there: nothing says before how long they are. */
async function readPickles(file: PooledFile): Promise<Pickles> {
  for (let window = firstWindow; ; window *= 4) {
    const bytes = Buffer.allocUnsafe(Math.min(window, file.bytes, longestPickle));
    await file.read(bytes, 0, "pickle");
    try {
      return parsePickles(file.path, bytes);
    } catch (error) {
      if (!(error instanceof PickleEndsEarly)) throw error;
      if (bytes.length === file.bytes) throw truncated(file.path, "pickle", file.bytes, 1);
      if (bytes.length === longestPickle)
        throw malformed(
          file.path,
          "pickle",
          problems.tooLong({ bytes: file.bytes, limitBytes: longestPickle }),
        );
    }
  }
}

function parsePickles(path: string, bytes: Buffer): Pickles {
  const storages = new Map<string, TorchStorage>();
  const context = torchContext(path, "pickle");
  const remembering: PickleContext = {
    ...context,
    persistent: (id) => {
      const storage = context.persistent(id) as TorchStorage;
      const known = storages.get(storage.key);
      if (known && known.type !== storage.type)
        throw malformed(path, `storage ${storage.key}`, problems.duplicate());
      storages.set(storage.key, storage);
      return storage;
    },
  };
  let end = 0;
  const next = (): PickleValue => {
    const pickle = unpickle(bytes, end, remembering);
    end = pickle.end;
    return pickle.value;
  };
  if (next() !== magicNumber) throw malformed(path, "pickle", problems.notA({ expected: "torch.save" }));
  if (next() !== protocolVersion) throw malformed(path, "pickle", problems.notA({ expected: "torch.save" }));
  const machine = next();
  if (machine instanceof PickleDict && machine.get("little_endian") === false)
    throw unsupported(path, "sys_info", problems.bigEndian());
  const root = next();
  const keys = next();
  if (!Array.isArray(keys)) throw malformed(path, "pickle", problems.notA({ expected: "list" }));
  return { root, keys: keys.map(String), storages, end };
}
