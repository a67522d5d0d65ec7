import { type ChildProcess, fork } from "node:child_process";
import { once } from "node:events";
import { existsSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** How llama.cpp, alone in its process, took a file. */
export type NativeOutcome =
  | { kind: "ran"; peakBytes: number }
  /** A clean refusal, at this step. */
  | { kind: "refused"; at: string; log: string; peakBytes: number }
  | { kind: "crashed"; log: string }
  | { kind: "hung"; log: string };

const root = fileURLToPath(new URL("../..", import.meta.url));
/** Only a hang takes this long: a load of the test model takes milliseconds. */
const hangMs = 60_000;

/** The folder of this platform's plain CPU build, where it is installed. */
export function librariesFolder(): string | undefined {
  for (let folder = root; ; folder = join(folder, "..")) {
    const bins = join(folder, "node_modules/@node-llama-cpp", `${process.platform}-${process.arch}`, "bins");
    const found = join(bins, `${process.platform}-${process.arch}`);
    if (existsSync(found)) return found;
    if (join(folder, "..") === folder) return undefined;
  }
}

/** One long-lived child process that loads files natively; started again after each crash or hang. */
export class NativeOracle {
  private child: ChildProcess | undefined;
  private log = "";

  /** `harness`: the child's script, where it is not beside this file. */
  constructor(
    private readonly libraries: string,
    private readonly harness = fileURLToPath(new URL("native-child.mjs", import.meta.url)),
  ) {}

  async load(path: string): Promise<NativeOutcome> {
    const child = this.child ?? (await this.start());
    this.log = "";
    const controller = new AbortController();
    const timer = setTimeout(() => controller.abort(), hangMs);
    const { signal } = controller;
    try {
      child.send(path);
      const outcome = await Promise.race([
        once(child, "message", { signal }).then(
          ([message]) => message as { refusedAt?: string; peakBytes: number },
        ),
        once(child, "close", { signal }).then(() => "crashed" as const),
      ]);
      if (outcome === "crashed") {
        this.child = undefined;
        return { kind: "crashed", log: this.log };
      }
      const { refusedAt, peakBytes } = outcome;
      return refusedAt
        ? { kind: "refused", at: refusedAt, log: this.log, peakBytes }
        : { kind: "ran", peakBytes };
    } catch {
      child.kill("SIGKILL");
      this.child = undefined;
      return { kind: "hung", log: this.log };
    } finally {
      clearTimeout(timer);
      controller.abort();
    }
  }

  async close(): Promise<void> {
    const { child } = this;
    this.child = undefined;
    if (!child) return;
    child.disconnect();
    if (child.exitCode === null) await once(child, "exit");
  }

  private async start(): Promise<ChildProcess> {
    const child = fork(this.harness, [this.libraries], {
      stdio: ["ignore", "ignore", "pipe", "ipc"],
      env: { ...process.env, GGML_NO_BACKTRACE: "1" },
      execArgv: [],
    });
    child.stderr?.on("data", (text: Buffer) => {
      this.log = (this.log + text).slice(-4096);
    });
    await once(child, "message");
    this.child = child;
    return child;
  }
}
