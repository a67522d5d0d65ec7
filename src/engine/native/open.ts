import { basename } from "node:path";
import type { LibraryHandle } from "koffi";
import { JaugeError } from "../../errors.js";
import { openLibrary } from "./ffi.js";
import { type Ggml, ggmlFunctions } from "./ggml.js";
import { checkLayouts } from "./layouts.js";
import { type Libraries, llamaVersion } from "./libraries.js";
import { type Llama, llamaFunctions } from "./llama.js";

/** Libraries in memory, checked: the right version and the right struct layouts. */
export interface Native {
  ggml: Ggml;
  llama: Llama;
  /** libllama itself, for what its C header does not declare. */
  library: LibraryHandle;
  version: string;
}

/**
 * Loads the libraries into this process and registers their backends. Errors: `library-unloadable`,
 * `library-version`, `library-layout`.
 */
export function openNative(libraries: Libraries): Native {
  const base = openLibrary(libraries.ggmlBase);
  const ggmlLibrary = openLibrary(libraries.ggml);
  const library = openLibrary(libraries.llama);
  const version = versionOf(library, libraries.llama);
  const ggml = ggmlFunctions(ggmlLibrary, base);
  const llama = llamaFunctions(library);
  checkLayouts(llama);
  ggml.loadBackends(libraries.directory);
  llama.llama_backend_init();
  return { ggml, llama, library, version };
}

function versionOf(library: LibraryHandle, path: string): string {
  let found: string;
  try {
    found = (library.func("llama_version", "str", []) as () => string)();
  } catch {
    // llama_version() came with 0.4: an older library has no such symbol.
    throw new JaugeError("library-version", {
      path: basename(path),
      found: "older than 0.4",
      expected: llamaVersion,
    });
  }
  // Builds outside llama.cpp's own release process, the npm packages among them, add `-dev`.
  if (found.replace(/-dev$/, "") !== llamaVersion) {
    throw new JaugeError("library-version", { path: basename(path), found, expected: llamaVersion });
  }
  return found;
}
