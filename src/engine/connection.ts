import { type ChildProcess, fork } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type ErrorCode, JaugeError } from "../errors.js";
import { LogTail } from "../log-tail.js";
import { streamFromRows } from "../plan/plan.js";
import type { Answers, Asks, FromHost, RequestName } from "./protocol.js";

export interface ConnectionOptions {
  onProgress?: (fraction: number) => void;
  /** Lines of the native libraries' own log. */
  onLog?: (line: string) => void;
  /** Another program to run as the host, which speaks the same protocol; for tests. */
  hostEntry?: string;
  /** Rows from which on batches are streamed; a process reads it once. `streamFromRows` where absent. */
  streamsFrom?: number;
}

type HostError = Extract<FromHost, { error: unknown }>["error"];

interface Pending {
  resolve: (answer: never) => void;
  reject: (error: Error) => void;
}

/**
 * One engine host and the conversation with it. When the host's process ends, by itself or by a signal, every
 * pending request fails with `host-crashed` (or `host-closed` where we ended it) and `closed` resolves.
 */
export class Connection {
  /** Resolves when the host's process has ended. */
  readonly closed: Promise<void>;
  onProgress: ((fraction: number) => void) | undefined;
  private readonly child: ChildProcess;
  private readonly pending = new Map<number, Pending>();
  private readonly log: LogTail;
  private nextId = 1;
  private ended: JaugeError | undefined;
  private closing = false;

  constructor(options: ConnectionOptions = {}) {
    this.onProgress = options.onProgress;
    this.log = new LogTail(options.onLog);
    this.child = fork(options.hostEntry ?? hostEntry(), [], {
      serialization: "advanced",
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      // Native calls run on libuv's threads. With one of them, all calls find ggml's thread pool and their caches warm.
      env: {
        ...process.env,
        UV_THREADPOOL_SIZE: "1",
        // glibc shares few heaps among many threads where cores are few. A software device's threads, which allocate all the
        // time, run at half their speed where they happen to share one.
        MALLOC_ARENA_MAX: process.env.MALLOC_ARENA_MAX ?? "128",
        GGML_OP_OFFLOAD_MIN_BATCH: String(options.streamsFrom ?? streamFromRows),
      },
      execArgv: [],
      // Ctrl-C in a terminal reaches every process of its group; this one is ours to end. (Windows would open a window.)
      detached: process.platform !== "win32",
    });
    this.child.stderr?.setEncoding("utf8").on("data", (text: string) => this.log.add(text));
    this.child.on("message", (message) => this.receive(message as FromHost));
    this.closed = new Promise((resolve) => {
      this.child.once("error", (error) => this.end(error.message));
      // `close` comes after stderr is read to its end: the log says why the process ended.
      this.child.once("close", (code, signal) => {
        this.end(signal ?? `exit code ${code}`);
        resolve();
      });
    });
  }

  get processId(): number | undefined {
    return this.child.pid;
  }

  /** The last lines of the native libraries' log. */
  get logTail(): string {
    return this.log.text;
  }

  get isOpen(): boolean {
    return this.ended === undefined;
  }

  ask<Name extends RequestName>(name: Name, asks: Asks<Name>): Promise<Answers<Name>> {
    if (this.ended) return Promise.reject(this.ended);
    const id = this.nextId++;
    return new Promise((resolve, reject) => {
      this.pending.set(id, { resolve: resolve as Pending["resolve"], reject });
      this.child.send({ id, name, asks }, (error) => {
        // The channel closed under us: the `close` event brings the reason.
        if (error && this.pending.delete(id)) void this.closed.then(() => reject(this.ended));
      });
    });
  }

  /** Asks the load under way to stop. */
  cancelLoad(): void {
    if (this.isOpen) this.child.send({ id: 0, name: "cancelLoad" });
  }

  /** Ends the host's process; its memory goes back to the system at once. */
  close(): Promise<void> {
    this.closing = true;
    this.child.kill("SIGKILL");
    return this.closed;
  }

  /** Ends the host's process as if it had died: what is pending fails with `host-crashed`. */
  kill(): void {
    this.child.kill("SIGKILL");
  }

  private receive(message: FromHost): void {
    if ("progress" in message) {
      this.onProgress?.(message.progress);
      return;
    }
    const pending = this.pending.get(message.id);
    if (!pending) return;
    this.pending.delete(message.id);
    if ("answer" in message) {
      pending.resolve(message.answer as never);
      return;
    }
    // The log comes through another pipe than the answer: let what was written before it arrive.
    setTimeout(() => pending.reject(this.restoreError(message.id, message.error)), 20);
  }

  private restoreError(request: number, error: HostError): Error {
    if ("code" in error) {
      const facts = error.facts as Record<string, unknown>;
      return new JaugeError(
        error.code as ErrorCode,
        ("log" in facts ? { ...facts, log: this.log.errorsOf(request) } : facts) as never,
      );
    }
    const unexpected = new Error(error.message);
    unexpected.stack = error.stack;
    return unexpected;
  }

  private end(signal: string): void {
    this.ended ??= this.closing
      ? new JaugeError("host-closed", {})
      : new JaugeError("host-crashed", { signal, log: this.log.errors });
    for (const { reject } of this.pending.values()) reject(this.ended);
    this.pending.clear();
  }
}

/** The host's compiled entry. Run from sources (in tests), it is the one that the build put in dist/. */
function hostEntry(): string {
  const here = import.meta.url;
  const entry = here.endsWith(".ts")
    ? new URL("../../dist/engine/host/main.js", here)
    : new URL("./host/main.js", here);
  return fileURLToPath(entry);
}
