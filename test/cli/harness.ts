import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { mkdtempSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";

export const root = fileURLToPath(new URL("../../", import.meta.url));
export const stories = join(root, "models", "stories260K.gguf");
const main = join(root, "dist", "cli", "main.js");

/** A new folder for a test's files. */
export function temporaryFolder(): string {
  return mkdtempSync(join(tmpdir(), "jauge-cli-"));
}

const environment = { ...process.env, LC_ALL: "C", JAUGE_BACKEND: "cpu", NO_COLOR: "1" };

/** Runs `jauge` without a terminal, to its end. */
export function jauge(
  given: string[],
  options: { input?: string; env?: NodeJS.ProcessEnv; cwd?: string } = {},
): { status: number | null; stdout: string; stderr: string } {
  return spawnSync(process.execPath, [main, ...given], {
    input: options.input ?? "",
    ...(options.cwd !== undefined && { cwd: options.cwd }),
    encoding: "utf8",
    timeout: 60_000,
    env: { ...environment, ...options.env },
  });
}

/** Starts `jauge` without a terminal. */
export function startJauge(given: string[], stdin: "pipe" | "ignore" = "ignore"): ChildProcess {
  return spawn(process.execPath, [main, ...given], { stdio: [stdin, "pipe", "pipe"], env: environment });
}

/** Waits for a process to end, and gives its status. */
export function ended(child: ChildProcess): Promise<number | null> {
  return new Promise((resolve) => child.once("close", (code) => resolve(code)));
}

/** A program in a pseudo-terminal, which `script` of util-linux provides. */
export class Terminal {
  private readonly child: ChildProcess;
  private output = "";
  private seen = 0;
  private readonly closed: Promise<number | null>;

  constructor(command: string, state: string) {
    const { status } = spawnSync("script", ["--version"]);
    if (status !== 0) throw new Error("These tests need `script` (util-linux): apt-get install bsdutils");
    const env = { ...environment, NO_COLOR: undefined, TERM: "xterm", XDG_STATE_HOME: state };
    this.child = spawn("script", ["-qefc", command, "/dev/null"], {
      cwd: root,
      stdio: ["pipe", "pipe", "inherit"],
      env,
    });
    this.child.stdout!.setEncoding("utf8").on("data", (text: string) => {
      this.output += text;
    });
    this.closed = ended(this.child);
  }

  /** All that was shown so far, without control sequences. */
  get text(): string {
    // biome-ignore lint/suspicious/noControlCharactersInRegex: a terminal's control sequences begin so
    return this.output.replace(/\x1b\[[?0-9;]*[a-zA-Z]/g, "").replaceAll("\r", "");
  }

  type(keys: string): void {
    this.child.stdin!.write(keys);
  }

  /** Waits for a text that comes after what was waited for before; gives what was shown up to its end. */
  async sees(pattern: RegExp, limitMs = 30_000): Promise<string> {
    const deadline = Date.now() + limitMs;
    for (;;) {
      const unseen = this.text.slice(this.seen);
      const match = pattern.exec(unseen);
      if (match) {
        this.seen += match.index + match[0].length;
        return unseen.slice(0, match.index + match[0].length);
      }
      if (Date.now() > deadline) throw new Error(`${pattern} did not come; last shown: ${unseen}`);
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** Types a line, and waits for a pattern and the next prompt. */
  async line(text: string, pattern: RegExp): Promise<string> {
    this.type(`${text}\r`);
    const shown = await this.sees(pattern);
    return shown + (await this.sees(/\n> $/));
  }

  async exit(): Promise<number | null> {
    return await this.closed;
  }

  async kill(): Promise<void> {
    this.child.kill();
    await this.closed;
  }
}

/** What `npm start` runs. `npm test` has installed the packages, so it installs nothing under the tests' own feet. */
export function startCommand(...given: string[]): string {
  return [process.execPath, join(root, "scripts", "start.mjs"), ...given].join(" ");
}
