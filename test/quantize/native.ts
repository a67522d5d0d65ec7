import { fork } from "node:child_process";
import { once } from "node:events";
import { open, readFile } from "node:fs/promises";
import { fileURLToPath } from "node:url";
import { findLibraries } from "../../src/engine/native/libraries.js";

export interface QuantiseJob {
  input: string;
  /** Not written in a dry run. */
  output: string;
  /** The number of `enum llama_ftype`. */
  fileType: number;
  dry: boolean;
  /** A matrix for a tensor that no model has. */
  importanceMatrix?: boolean;
  /** A matrix with these values. */
  importance?: { name: string; values: number[] }[];
  /** Patterns over names, and numbers of `enum ggml_type`. */
  tensorTypes?: { pattern: string; type: number }[];
  /** Other fields of `llama_model_quantize_params`. */
  params?: Record<string, number | boolean>;
}

/**
 * Runs `llama_model_quantize` of the shipped library on each job. Returns the types, by tensor name, that it says it
 * gives to the tensors it changes; tensors that it copies are absent.
 */
export async function nativeTypes(logPath: string, jobs: QuantiseJob[]): Promise<Map<string, string>[]> {
  return (await nativeLogs(logPath, jobs)).map(typesIn);
}

/** What the library says while it does each job. */
export async function nativeLogs(logPath: string, jobs: QuantiseJob[]): Promise<string[]> {
  const log = await open(logPath, "w");
  const child = fork(scriptPath("quantize-child.mjs"), [], {
    stdio: ["ignore", "ignore", log.fd, "ipc"],
    execArgv: [],
  });
  child.send({ libraries: findLibraries({ backend: "cpu" }), jobs });
  let results: number[] = [];
  child.once("message", (message) => {
    results = message as number[];
  });
  const [code] = await once(child, "exit");
  await log.close();
  const text = await readFile(logPath, "utf8");
  if (code !== 0 || results.length !== jobs.length || results.some((result) => result !== 0))
    throw new Error(`llama_model_quantize failed (${code}; ${results})\n${text.slice(-4096)}`);
  return text.split(/^=== job \d+$/m).slice(1);
}

/** Lines like `[   3/ 291] blk.0.attn_k.weight - [4096, 1024, 1, 1], type = f16, size = 8.00 MiB -> 2.25 MiB (q4_K)`. */
function typesIn(log: string): Map<string, string> {
  const types = new Map<string, string>();
  for (const line of log.split("\n")) {
    const dry = /^\[ *\d+\/ *\d+\] (\S+) .*-> .*\((\w+)\)$/.exec(line);
    const real = /^\[ *\d+\/ *\d+\] (\S+) .*converting to (\w+)/.exec(line);
    const [, name, type] = dry ?? real ?? [];
    if (name && type) types.set(name, type.toUpperCase());
  }
  return types;
}

/** A script beside this file, which may also run compiled in bench/dist/. */
export function scriptPath(name: string): string {
  const isCompiled = import.meta.url.includes("/bench/dist/test/");
  return fileURLToPath(new URL(isCompiled ? `../../../../test/quantize/${name}` : name, import.meta.url));
}
