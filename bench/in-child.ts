import { spawn } from "node:child_process";
import { fromRoot } from "./paths.js";

/** Runs a compiled script of the bench in a process of its own: what it printed as JSON in its last line. */
export function inChild<Result>(script: string, args: readonly string[]): Promise<Result> {
  const child = spawn(process.execPath, [fromRoot("bench", "dist", "bench", script), ...args], {
    stdio: ["ignore", "pipe", "pipe"],
  });
  let output = "";
  let log = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    output += text;
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    log = (log + text).slice(-4000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", reject);
    child.on("close", (code) => {
      if (code === 0) resolve(JSON.parse(output.trim().split("\n").at(-1)!) as Result);
      else reject(new Error(`${script} ${args.join(" ")} ended with ${code}:\n${log}`));
    });
  });
}
