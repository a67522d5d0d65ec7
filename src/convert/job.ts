import { fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCode, JaugeError } from "../errors.js";
import { LogTail } from "../log-tail.js";
import type { ConversionRequest, CopyRequest } from "./conversion.js";
import type {
  ConversionResult,
  FromConvertHost,
  LibraryChoice,
  PlannedSummary,
  ToConvertHost,
} from "./host-messages.js";
import type { ConversionProgress } from "./make-model.js";
import type { Measurement, MeasureProgress, MeasureRequest } from "./measure-types.js";

export type { ConversionResult, LibraryChoice, PlannedSummary } from "./host-messages.js";

export interface JobOptions {
  libraries?: LibraryChoice;
  /** jauge's version: an unfinished conversion of another is not continued. */
  version: string;
  /** Ends the conversion in a state that can be continued. */
  signal?: AbortSignal;
  onPlanned?: (plan: PlannedSummary) => void;
  onProgress?: (progress: ConversionProgress) => void;
  onVerifying?: () => void;
  onMeasuring?: (progress: MeasureProgress) => void;
  /** Lines of the native library's log. */
  onLog?: (line: string) => void;
}

/** libuv's threads beside those that compute: they read and write. */
const fileThreads = 4;

/**
 * Does a conversion in a process of its own, which owns all native memory. Errors: those of `convertModel`;
 * `conversion-interrupted`, `conversion-crashed`.
 */
export function runConversion(
  request: ConversionRequest | CopyRequest,
  options: JobOptions,
): Promise<ConversionResult> {
  return inHost(request, request.output ?? request.source, options);
}

/**
 * Measures what each type would cost a model's tensors, in a process of its own. Errors: those of `measureTypes`;
 * `conversion-crashed`.
 */
export function runMeasurement(request: MeasureRequest, options: JobOptions): Promise<Measurement> {
  return inHost(request, request.source, options);
}

function inHost<Result extends ConversionResult | Measurement>(
  request: ConversionRequest | CopyRequest | MeasureRequest,
  path: string,
  options: JobOptions,
): Promise<Result> {
  const { libraries = {}, version, signal } = options;
  const log = new LogTail(options.onLog);
  const child = fork(hostEntry(), [], {
    serialization: "advanced",
    stdio: ["ignore", "ignore", "pipe", "ipc"],
    env: { ...process.env, UV_THREADPOOL_SIZE: String(Math.min(1024, request.threads + fileThreads)) },
    execArgv: [],
    // Ctrl-C in a terminal reaches every process of its group; this one is told to stop by us
    detached: process.platform !== "win32",
  });
  child.stderr?.setEncoding("utf8").on("data", (text: string) => log.add(text));
  const send = (message: ToConvertHost) => child.connected && child.send(message, () => {});
  const onAbort = () => send({ cancel: true });
  return new Promise<Result>((resolve, reject) => {
    let outcome: Extract<FromConvertHost, { done: unknown } | { error: unknown }> | undefined;
    child.on("message", (message: FromConvertHost) => {
      if ("progress" in message) options.onProgress?.(message.progress);
      else if ("planned" in message) options.onPlanned?.(message.planned);
      else if ("verifying" in message) options.onVerifying?.();
      else if ("measuring" in message) options.onMeasuring?.(message.measuring);
      else outcome = message;
    });
    child.once("error", (error) => {
      reject(
        new JaugeError("conversion-crashed", { path, signal: error.message, log: "" }, { cause: error }),
      );
    });
    // `close` comes after stderr is read to its end: the log says why the process ended
    child.once("close", (code, killer) => {
      if (outcome === undefined) {
        const reason = killer ?? `exit code ${code}`;
        reject(new JaugeError("conversion-crashed", { path, signal: reason, log: log.errors }));
      } else if ("done" in outcome) resolve(outcome.done as Result);
      else reject(restoreError(outcome.error, log.errors));
    });
    signal?.addEventListener("abort", onAbort, { once: true });
    send({ start: { request, libraries, version } });
    if (signal?.aborted) onAbort();
  }).finally(() => signal?.removeEventListener("abort", onAbort));
}

function restoreError(error: Extract<FromConvertHost, { error: unknown }>["error"], log: string): Error {
  if ("code" in error) {
    const facts = error.facts as Record<string, unknown>;
    return new JaugeError(error.code as ErrorCode, ("log" in facts ? { ...facts, log } : facts) as never);
  }
  const unexpected = new Error(error.message);
  unexpected.stack = error.stack;
  return unexpected;
}

/** The compiled entry. Run from sources (in tests), it is the one that the build put in dist/. */
function hostEntry(): string {
  const here = import.meta.url;
  const entry = here.endsWith(".ts")
    ? new URL("../../dist/convert/host/main.js", here)
    : new URL("./host/main.js", here);
  return fileURLToPath(entry);
}
