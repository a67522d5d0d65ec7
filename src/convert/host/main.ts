// The process that converts: it owns the native memory, does one conversion, and ends.
import { findLibraries, type Libraries } from "../../engine/native/libraries.js";
import { openQuantizer } from "../../engine/native/quantizer.js";
import { isJaugeError } from "../../errors.js";
import { readModel } from "../../gguf/model-file.js";
import { copyKernels } from "../../quantize/kernels.js";
import { type ConversionHooks, convertModel, copyModel } from "../conversion.js";
import type { FromConvertHost, LibraryChoice, ToConvertHost } from "../host-messages.js";
import { type MeasureHooks, measureTypes } from "../measure-types.js";
import { summaryOf } from "../summary.js";
import { nativeKernels } from "./kernels.js";
import { rehearse, verifyModel } from "./verify.js";

/** A hundred messages a second would tell a person no more. */
const progressMs = 100;

const cancel = new AbortController();
process.on("message", (message: ToConvertHost) => {
  if ("cancel" in message) cancel.abort();
  else void start(message.start);
});
// The parent is gone: nobody waits for the result. What is synced can be continued.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
// Ctrl-C in a terminal reaches every process of its group; the parent decides what it means.
process.on("SIGINT", () => {});

async function start({ request, libraries, version }: Extract<ToConvertHost, { start: unknown }>["start"]) {
  try {
    if ("measure" in request) {
      const { kernels } = native(libraries, request.threads);
      const onProgress: MeasureHooks["onProgress"] = (measuring) => send({ measuring });
      finish({ done: await measureTypes(request, { kernels, signal: cancel.signal, onProgress }) });
      return;
    }
    const hooks = { version, signal: cancel.signal, onProgress: throttled(), onPlanned };
    const bytes =
      "copy" in request
        ? await copyModel(request, { ...hooks, kernels: copyKernels, verify: readBack })
        : await convertModel(request, { ...hooks, ...native(libraries, request.threads) });
    finish({ done: { bytes, peakBytes: process.resourceUsage().maxRSS * 1024 } });
  } catch (error) {
    if (isJaugeError(error)) finish({ error: { code: error.code, facts: error.facts } });
    else finish({ error: { message: (error as Error).message, stack: (error as Error).stack ?? "" } });
  }
}

function native(
  choice: LibraryChoice,
  threads: number,
): Pick<ConversionHooks, "kernels" | "check" | "verify"> {
  const libraries = librariesFor(choice);
  return {
    kernels: nativeKernels(openQuantizer(libraries), threads),
    check: (source, files) => rehearse(source, files, libraries),
    verify: (path) => {
      send({ verifying: true });
      return verifyModel(path, libraries);
    },
  };
}

/** Quantising computes on the CPU: the libraries for a GPU would only take memory. */
function librariesFor(choice: LibraryChoice): Libraries {
  if (choice.directory !== undefined || (choice.backend ?? "auto") !== "auto") return findLibraries(choice);
  try {
    return findLibraries({ backend: "cpu" });
  } catch {
    return findLibraries({ backend: "auto" });
  }
}

async function readBack(path: string): Promise<void> {
  send({ verifying: true });
  await readModel(path);
}

const onPlanned: ConversionHooks["onPlanned"] = (plan) => send({ planned: summaryOf(plan) });

function throttled(): ConversionHooks["onProgress"] {
  let last = 0;
  return (progress) => {
    const now = performance.now();
    if (now - last < progressMs && progress.bytes < progress.totalBytes) return;
    last = now;
    send({ progress });
  };
}

function send(message: FromConvertHost): void {
  process.send?.(message);
}

function finish(message: FromConvertHost): void {
  process.send?.(message, () => process.exit(0));
}
