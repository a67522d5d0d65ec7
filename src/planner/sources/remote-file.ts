import { JaugeError } from "../../errors.js";
import type { ByteOrigin, ByteSource } from "../../gguf/byte-source.js";
import type { WebAddress } from "./web-address.js";
import { type WebAnswer, type WebOptions, webRequest } from "./web-request.js";

const firstBytes = 256 * 1024;
const mostBytesAtOnce = 8 * 1024 * 1024;
/** The longest headers known are 40 MB: a tokenizer in a key beside a big vocabulary. */
const longestHeader = 256 * 1024 * 1024;

/**
 * A file on the web as an origin of bytes. Its start is fetched once, however often it is opened.
 *
 * Errors of `open`: `source-no-ranges` where the server sends whole files only, and those of `webRequest`.
 */
export function remoteOrigin(address: WebAddress, options: WebOptions): ByteOrigin {
  let start: Promise<Part> | undefined;
  const fetchStart = async () => {
    const part = await fetchRange(address, options, 0, firstBytes);
    options.onProgress?.({ bytes: part.data.length });
    return part;
  };
  return {
    path: address.path,
    open: async () => {
      start ??= fetchStart();
      return new RemoteFile(address, options, await start);
    },
  };
}

/**
 * A file on the web, read by range requests: 256 KiB first, then each as long as all before, to 8 MiB. Two answers are
 * kept, so that a reader may step back a little.
 */
class RemoteFile implements ByteSource {
  readonly bytes: number;
  private readonly tag: string;
  private readonly blocks: Block[];
  private fetched: number;

  constructor(
    private readonly address: WebAddress,
    private readonly options: WebOptions,
    { data, total, tag }: Part,
  ) {
    this.bytes = total;
    this.tag = tag;
    this.blocks = [{ start: 0, data }];
    this.fetched = data.length;
  }

  get path(): string {
    return this.address.path;
  }

  async read(target: Uint8Array, position: number): Promise<number> {
    if (position >= this.bytes || target.byteLength === 0) return 0;
    const holds = ({ start, data }: Block) => position >= start && position < start + data.length;
    const block = this.blocks.find(holds) ?? (await this.fetch(position));
    return block.data.copy(target, 0, position - block.start);
  }

  async close(): Promise<void> {
    this.blocks.length = 0;
  }

  private async fetch(position: number): Promise<Block> {
    if (this.fetched >= longestHeader)
      throw new JaugeError("source-header-long", { path: this.path, limitBytes: longestHeader });
    const wished = Math.min(mostBytesAtOnce, Math.max(firstBytes, this.fetched));
    const length = Math.min(wished, this.bytes - position);
    const { data, total, tag } = await fetchRange(this.address, this.options, position, length);
    if (total !== this.bytes || tag !== this.tag) throw new JaugeError("source-changed", { path: this.path });
    const block = { start: position, data };
    this.blocks.push(block);
    if (this.blocks.length > 2) this.blocks.shift();
    this.fetched += data.length;
    this.options.onProgress?.({ bytes: data.length });
    return block;
  }
}

interface Block {
  start: number;
  data: Buffer;
}

interface Part {
  data: Buffer;
  /** Size of the whole file. */
  total: number;
  /** Changes when the file does; empty where the server has none. */
  tag: string;
}

function fetchRange(address: WebAddress, options: WebOptions, start: number, length: number): Promise<Part> {
  const range = { Range: `bytes=${start}-${start + length - 1}` };
  return webRequest(address, range, options, (answer) => readPart(address, answer, start, length));
}

async function readPart(
  address: WebAddress,
  answer: WebAnswer,
  start: number,
  length: number,
): Promise<Part> {
  const { path } = address;
  const tag = answer.headers.get("etag") ?? "";
  const range = answer.headers.get("content-range") ?? "";
  if (answer.status === 416) {
    await answer.cancel();
    // nothing can be asked of an empty file
    if (start === 0 && /^bytes \*\/0$/.test(range)) return { data: Buffer.alloc(0), total: 0, tag };
    throw new JaugeError("source-changed", { path });
  }
  const match = /^bytes (\d+)-(\d+)\/(\d+)$/.exec(range);
  const [first, last, total] = match?.slice(1).map(Number) ?? [];
  if (answer.status !== 206 || first !== start || last === undefined || !Number.isSafeInteger(total)) {
    await answer.cancel();
    throw new JaugeError("source-no-ranges", { path });
  }
  const expectedBytes = Math.min(length, last - start + 1);
  const data = await answer.body(expectedBytes);
  if (data.length < expectedBytes || expectedBytes < 1)
    throw new JaugeError("source-incomplete", { path, expectedBytes, receivedBytes: data.length });
  return { data: data.subarray(0, expectedBytes), total: total!, tag };
}
