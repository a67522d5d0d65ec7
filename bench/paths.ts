import { join } from "node:path";
import { fileURLToPath } from "node:url";

/** A path of the repository, from its root. This file runs as bench/dist/bench/paths.js. */
export function fromRoot(...segments: string[]): string {
  return join(fileURLToPath(new URL("../../..", import.meta.url)), ...segments);
}

/** The embedded default model. */
export const embeddedModel = fromRoot("models", "stories260K.gguf");
