// `npm start [-- ARGUMENTS]`: sets up what is missing, then does what `jauge ARGUMENTS` does: without any, it opens a chat
// on the embedded model; where there is neither a terminal nor a prompt, one answer shows that all is well.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureBuilt, ensureDependencies, root } from "./setup.mjs";

/** Time for whatever is piped in to say something. */
const patienceMs = 500;

ensureDependencies();
ensureBuilt();

const options = process.argv.slice(2);
const isAlone = options.length === 0 && !process.stdin.isTTY;
const beginning = isAlone ? await firstInput() : undefined;
if (isAlone && beginning === undefined) options.push("Once upon a time");

const child = spawn(process.execPath, [join(root, "dist", "cli", "main.js"), ...options], {
  stdio: [beginning === undefined ? (isAlone ? "ignore" : "inherit") : "pipe", "inherit", "inherit"],
});
if (beginning !== undefined) {
  child.stdin.on("error", () => {});
  child.stdin.write(beginning);
  process.stdin.pipe(child.stdin);
}
// The terminal sends Ctrl-C to both processes; the chat decides what it means.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));

/** What stands on standard input first; undefined where nothing does. */
function firstInput() {
  return new Promise((resolve) => {
    const settle = (chunk) => {
      clearTimeout(timer);
      process.stdin.removeAllListeners("data").pause();
      resolve(chunk);
    };
    const timer = setTimeout(settle, patienceMs);
    process.stdin.once("data", settle);
    process.stdin.once("end", () => settle());
    process.stdin.once("error", () => settle());
  });
}
