import type { LibraryHandle } from "koffi";
import type { Pointer } from "./ffi.js";

type Reserve = (
  ...asks: [context: Pointer, tokens: number, sequences: number, outputs: number]
) => Pointer | null;

const declared = new WeakMap<LibraryHandle, Reserve>();

/**
 * Makes the buffers of a context large enough for a graph of `tokens` tokens of `sequences` sequences, with so many
 * outputs, and lays them out for it; false where there is not enough memory. Not in the C header: `llama_graph_reserve`,
 * src/llama-ext.h.
 */
export function reserveGraph(
  library: LibraryHandle,
  context: Pointer,
  tokens: number,
  sequences: number,
  outputs: number,
): boolean {
  const reserve = declared.get(library) ?? declare(library);
  return reserve(context, tokens, sequences, outputs) !== null;
}

function declare(library: LibraryHandle): Reserve {
  const name =
    process.platform === "win32"
      ? "?llama_graph_reserve@@YAPEAUggml_cgraph@@PEAUllama_context@@III@Z"
      : "_Z19llama_graph_reserveP13llama_contextjjj";
  const reserve: Reserve = library.func(name, "void *", ["void *", "uint32", "uint32", "uint32"]);
  declared.set(library, reserve);
  return reserve;
}
