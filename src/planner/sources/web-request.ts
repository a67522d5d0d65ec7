import { JaugeError } from "../../errors.js";
import { huggingFace, type WebAddress } from "./web-address.js";

export interface WebOptions {
  signal?: AbortSignal;
  /** Told after every piece that arrives: bytes so far, of all files together. */
  onProgress?: (read: { bytes: number }) => void;
  /** Longest silence of a server in ms; 30 s where absent. */
  silenceMs?: number;
}

/** The head of an answer, and a way to its bytes. */
export interface WebAnswer {
  status: number;
  headers: Headers;
  /** All bytes; `source-incomplete` after `most`, or where the answer ends before its own length. */
  body(most: number): Promise<Buffer>;
  /** Ends it without reading. */
  cancel(): Promise<void>;
}

const usualSilenceMs = 30_000;
const attempts = 3;
const pauseMs = 250;

/**
 * Asks for a file and gives `use` the answer, once more or twice where the connection or the server fails. Redirects
 * are followed. HF_TOKEN goes to Hugging Face, and fetch drops it when it is redirected elsewhere.
 *
 * Errors: those of `use`, `source-not-found`, `source-forbidden`, `source-http`, `source-unreachable`,
 * `source-timeout`, `source-incomplete`, `cancelled`.
 */
export async function webRequest<T>(
  address: WebAddress,
  headers: Record<string, string>,
  options: WebOptions,
  use: (answer: WebAnswer) => Promise<T>,
): Promise<T> {
  for (let attempt = 1; ; attempt++) {
    try {
      return await once(address, headers, options, use);
    } catch (error) {
      const isPassing = error instanceof JaugeError && passing(error);
      if (!isPassing || attempt === attempts || options.signal?.aborted) throw error;
      await new Promise((resolve) => setTimeout(resolve, pauseMs * attempt));
    }
  }
}

async function once<T>(
  address: WebAddress,
  headers: Record<string, string>,
  options: WebOptions,
  use: (answer: WebAnswer) => Promise<T>,
): Promise<T> {
  const silenceMs = options.silenceMs ?? usualSilenceMs;
  const controller = new AbortController();
  const cancel = () => controller.abort(new JaugeError("cancelled", {}));
  if (options.signal?.aborted) throw new JaugeError("cancelled", {});
  options.signal?.addEventListener("abort", cancel);
  const timer = setTimeout(
    () =>
      controller.abort(
        new JaugeError("source-timeout", { path: address.path, seconds: Math.ceil(silenceMs / 1000) }),
      ),
    silenceMs,
  );
  try {
    const response = await fetch(withoutUser(address.url), {
      // parts of a compressed answer are no parts of the file
      headers: { "Accept-Encoding": "identity", ...authorization(address.url), ...headers },
      signal: controller.signal,
    });
    timer.refresh();
    const { status } = response;
    if (status >= 400 && status !== 416) {
      await response.body?.cancel();
      throw refusal(address, status);
    }
    return await use({
      status,
      headers: response.headers,
      body: (most) => readBody(address, response, most, () => timer.refresh()),
      cancel: async () => response.body?.cancel(),
    });
  } catch (error) {
    if (controller.signal.aborted) throw controller.signal.reason;
    if (error instanceof JaugeError) throw error;
    throw new JaugeError(
      "source-unreachable",
      { path: address.path, reason: reasonOf(error) },
      { cause: error },
    );
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener("abort", cancel);
    // what is left of an answer that nobody wants
    controller.abort();
  }
}

async function readBody(
  { path }: WebAddress,
  response: Response,
  most: number,
  onPiece: () => void,
): Promise<Buffer> {
  const said = Number(response.headers.get("content-length") ?? Number.NaN);
  const pieces: Uint8Array[] = [];
  let received = 0;
  try {
    for await (const piece of response.body ?? []) {
      onPiece();
      pieces.push(piece as Uint8Array);
      received += (piece as Uint8Array).byteLength;
      if (received > most) break;
    }
  } catch (cause) {
    // a connection that closes in the middle of an answer
    if ((cause as Error)?.name === "AbortError" || cause instanceof JaugeError) throw cause;
    const expectedBytes = Number.isFinite(said) ? said : received;
    throw new JaugeError("source-incomplete", { path, expectedBytes, receivedBytes: received }, { cause });
  }
  return Buffer.concat(pieces, received);
}

function refusal({ path }: WebAddress, status: number): JaugeError {
  if (status === 404 || status === 410) return new JaugeError("source-not-found", { path });
  if (status === 401 || status === 403) return new JaugeError("source-forbidden", { path, status });
  return new JaugeError("source-http", { path, status });
}

/** Whether trying again may help. */
function passing(error: JaugeError): boolean {
  if (error.code === "source-http") {
    const { status } = (error as JaugeError<"source-http">).facts;
    return status === 429 || status >= 500;
  }
  return error.code === "source-incomplete" || error.code === "source-unreachable";
}

/** fetch takes no user name in an address. */
function withoutUser(url: URL): URL {
  const plain = new URL(url);
  plain.username = "";
  plain.password = "";
  return plain;
}

function authorization(url: URL): Record<string, string> {
  if (url.username || url.password) {
    const pair = `${decodeURIComponent(url.username)}:${decodeURIComponent(url.password)}`;
    return { Authorization: `Basic ${Buffer.from(pair).toString("base64")}` };
  }
  const token = process.env.HF_TOKEN;
  return token && url.origin === huggingFace().origin ? { Authorization: `Bearer ${token}` } : {};
}

/** fetch says "fetch failed" and hides why. */
function reasonOf(error: unknown): string {
  const cause = (error as { cause?: { code?: string; message?: string } })?.cause;
  return cause?.code ?? cause?.message ?? (error as Error)?.message ?? String(error);
}
