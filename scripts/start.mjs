// `npm start [-- ARGUMENTS]`: sets up what is missing, then opens a chat on the embedded model.
import { spawn } from "node:child_process";
import { join } from "node:path";
import { ensureBuilt, ensureDependencies, root } from "./setup.mjs";

ensureDependencies();
ensureBuilt();

const child = spawn(
  process.execPath,
  [join(root, "dist", "cli", "main.js"), "run", ...process.argv.slice(2)],
  { stdio: "inherit" },
);
// The terminal sends Ctrl-C to both processes; the chat decides what it means.
process.on("SIGINT", () => {});
process.on("SIGTERM", () => child.kill("SIGTERM"));
child.on("exit", (code, signal) => process.exit(signal ? 1 : (code ?? 1)));
