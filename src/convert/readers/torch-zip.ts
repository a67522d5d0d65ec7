import yauzl from "yauzl";
import { isJaugeError, JaugeError } from "../../errors.js";
import type { StoredTensor } from "../checkpoint.js";
import type { PooledFile } from "./file-pool.js";
import { malformed, problems, unsupported } from "./problems.js";
import type { BandKeeper } from "./strided.js";
import { longestPickle, type StoragePlace, storedTensors, torchContext, unpickleWhole } from "./torch.js";

/** Each storage is a file of the archive. */
const mostEntries = 1_000_000;
const pickleName = "data.pkl";

/**
 * The tensors of a zip archive of `torch.save` (PyTorch 1.6 and later): `NAME/data.pkl` and a file `NAME/data/KEY` for
 * each storage, none compressed.
 *
 * Source: torch/serialization.py, caffe2/serialize/inline_container.h of PyTorch.
 * Errors: `checkpoint-malformed`, `checkpoint-unsupported`, `checkpoint-class-refused`, `checkpoint-truncated`,
 * `checkpoint-cut-short`, `file-unreadable`.
 */
export async function readTorchZip(file: PooledFile, bands: BandKeeper): Promise<StoredTensor[]> {
  const archive = await Archive.open(file);
  const folder = archive.folderOf(pickleName);
  const byteOrder = archive.find(`${folder}byteorder`);
  if (byteOrder && (await archive.content(byteOrder, 16)).toString("latin1").trim() === "big")
    throw unsupported(file.path, `${folder}byteorder`, problems.bigEndian());
  if (archive.find(`${folder}constants.pkl`))
    throw unsupported(file.path, `${folder}constants.pkl`, problems.program());

  const name = `${folder}${pickleName}`;
  const pickle = await archive.content(archive.find(name)!, longestPickle);
  const { value } = unpickleWhole(pickle, 0, torchContext(file.path, name));
  const places = new Map<string, StoragePlace>();
  const data = `${folder}data/`;
  for (const entry of archive.entries.values())
    if (entry.fileName.startsWith(data))
      places.set(entry.fileName.slice(data.length), await archive.place(entry));
  return storedTensors(file, value, places, bands);
}

/** The directory of a zip archive. */
class Archive {
  private constructor(
    private readonly file: PooledFile,
    private readonly zip: yauzl.ZipFile,
    readonly entries: ReadonlyMap<string, yauzl.Entry>,
  ) {}

  static async open(file: PooledFile): Promise<Archive> {
    const entries = new Map<string, yauzl.Entry>();
    try {
      const options = { autoClose: false, lazyEntries: true };
      const zip = await yauzl.fromRandomAccessReaderPromise(new Reader(file), file.bytes, options);
      if (zip.entryCount > mostEntries)
        throw malformed(file.path, "zip", problems.tooMany({ limit: mostEntries }));
      for await (const entry of zip.eachEntry()) {
        if (entries.has(entry.fileName)) throw malformed(file.path, entry.fileName, problems.duplicate());
        entries.set(entry.fileName, entry);
      }
      return new Archive(file, zip, entries);
    } catch (cause) {
      throw zipError(file, "zip", cause);
    }
  }

  find(name: string): yauzl.Entry | undefined {
    return this.entries.get(name);
  }

  /** The folder, with its slash, that a file of this name lies in; the archive's one top folder. */
  folderOf(name: string): string {
    for (const path of this.entries.keys()) {
      const folder = path.slice(0, -name.length);
      if (path.endsWith(`/${name}`) && folder.indexOf("/") === folder.length - 1) return folder;
    }
    throw malformed(this.file.path, name, problems.missing());
  }

  /** Where the bytes of an entry lie, by its local header. Errors: where it is compressed or does not fit the file. */
  async place(entry: yauzl.Entry): Promise<StoragePlace> {
    const { fileName, compressionMethod: method, uncompressedSize: bytes } = entry;
    if (entry.isEncrypted()) throw unsupported(this.file.path, fileName, problems.encrypted());
    if (method !== 0) throw unsupported(this.file.path, fileName, problems.compressed({ method }));
    if (entry.compressedSize !== bytes) throw malformed(this.file.path, fileName, problems.outsideFile());
    try {
      const { fileDataStart: position } = await this.zip.readLocalFileHeaderPromise(entry, { minimal: true });
      if (position + bytes > this.file.bytes)
        throw malformed(this.file.path, fileName, problems.outsideFile());
      return { position, bytes };
    } catch (cause) {
      throw zipError(this.file, fileName, cause);
    }
  }

  /** The bytes of an entry of at most `limitBytes`. */
  async content(entry: yauzl.Entry, limitBytes: number): Promise<Buffer> {
    const { position, bytes } = await this.place(entry);
    if (bytes > limitBytes)
      throw malformed(this.file.path, entry.fileName, problems.tooLong({ bytes, limitBytes }));
    const content = Buffer.allocUnsafe(bytes);
    await this.file.read(content, position, entry.fileName);
    return content;
  }
}

/** Lets the zip library read through the pool. */
class Reader extends yauzl.RandomAccessReader {
  constructor(private readonly file: PooledFile) {
    super();
  }

  override read(
    buffer: Buffer,
    offset: number,
    length: number,
    position: number,
    callback: (error: Error | null) => void,
  ): void {
    this.file.read(buffer.subarray(offset, offset + length), position, "zip").then(
      () => callback(null),
      (error: Error) => callback(error),
    );
  }
}

function zipError(file: PooledFile, field: string, cause: unknown): unknown {
  if (isJaugeError(cause)) return cause;
  // the directory stands at the end
  if (field === "zip" && /^end of central directory/i.test((cause as Error).message))
    return new JaugeError("checkpoint-cut-short", { path: file.path, fileBytes: file.bytes }, { cause });
  return malformed(file.path, field, problems.zip({ reason: (cause as Error).message }));
}
