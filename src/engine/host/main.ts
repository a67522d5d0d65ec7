// The engine host: the child process that owns all native memory. It answers requests one at a time, in order.
import { writeSync } from "node:fs";
import { isJaugeError, JaugeError } from "../../errors.js";
import { logMark } from "../../log-tail.js";
import { openGraphFunctions } from "../native/graph.js";
import { findLibraries, type LibraryWish } from "../native/libraries.js";
import { type Native, openNative } from "../native/open.js";
import type { Answers, Asks, FromHost, RequestName, ToHost } from "../protocol.js";
import { calibrate } from "./calibration.js";
import { listDevices, offloadDevices } from "./devices.js";
import { ImportanceCollector } from "./importance.js";
import { measurePlan, Session } from "./session.js";

let native: Native | undefined;
let backend = "";
let session: Session | undefined;
let loadCancelled = false;

type Handlers = { [Name in RequestName]: (asks: Asks<Name>) => Promise<Answers<Name>> | Answers<Name> };

const handlers: Handlers = {
  devices: ({ wish }) => listDevices(loadNative(wish)),
  async open({ wish, plan, dry, importance }) {
    const libraries = loadNative(wish);
    const collector = importance && new ImportanceCollector(findLibraries(wish), importance);
    let lastSent = -1;
    const onProgress = (fraction: number) => {
      // Native code reports each tensor: a hundred messages tell a person all there is to see.
      if (fraction - lastSent >= 0.01 || fraction === 1) {
        lastSent = fraction;
        send({ progress: fraction });
      }
      return !loadCancelled;
    };
    session = await Session.open(libraries, backend, plan, dry, onProgress, collector);
    return session.opened;
  },
  measure: ({ wish, plan }) => measurePlan(loadNative(wish), plan),
  step: (asks) => open().steps.run(asks),
  createSampler: ({ id, settings, history }) => open().steps.createSampler(id, settings, history),
  tokenize: ({ text, addSpecial, parseSpecial }) =>
    open().vocabulary.tokenize(text, addSpecial, parseSpecial),
  detokenize: ({ tokens, removeSpecial, unparseSpecial }) =>
    open().vocabulary.detokenize(tokens, removeSpecial, unparseSpecial),
  controlTokens: () => open().vocabulary.controlTokenTexts(),
  pieces: ({ tokens }) => tokens.map((token) => open().vocabulary.piece(token)),
  embed: ({ texts, pooling }) => open().embedder.embed(texts, pooling),
  score: async (window) => {
    await open().steps.settle();
    return open().scorer.score(window);
  },
  importance: () => collector().entries(),
  importanceSums: ({ name }) => collector().sums(name),
  addImportance: ({ entry, sums }) => collector().add(entry, sums),
  saveState: async ({ path, sequence, tokens }) => ({
    bytes: await open().saveState(path, sequence, tokens),
  }),
  loadState: async ({ path, sequence }) => ({ tokens: await open().loadState(path, sequence) }),
  memory: () => open().memory(),
  calibrate: ({ wish, task }) =>
    calibrate(loadNative(wish), openGraphFunctions(findLibraries(wish)), task, (progress) =>
      send({ progress }),
    ),
};

let queue: Promise<void> = Promise.resolve();
process.on("message", (message: ToHost) => {
  if (message.name === "cancelLoad") {
    loadCancelled = true;
    return;
  }
  queue = queue.then(() => answer(message));
});

// The parent is gone: nothing is left to serve. No orderly shutdown, the system takes the memory back at once.
process.on("disconnect", () => process.kill(process.pid, "SIGKILL"));
// Ctrl-C in a terminal reaches every process of its group; the parent decides what it means.
process.on("SIGINT", () => {});

async function answer(message: Exclude<ToHost, { name: "cancelLoad" }>): Promise<void> {
  // Many grammars may be wrong at once, and the log alone says how each of them is.
  if (message.name === "createSampler" && message.asks.settings.grammar !== undefined)
    writeSync(2, `${logMark(message.id)}\n`);
  try {
    const handler = handlers[message.name] as (asks: unknown) => unknown;
    send({ id: message.id, answer: await handler(message.asks) });
  } catch (error) {
    if (isJaugeError(error)) send({ id: message.id, error: { code: error.code, facts: error.facts } });
    else
      send({
        id: message.id,
        error: { message: (error as Error).message, stack: (error as Error).stack ?? "" },
      });
  }
}

function send(message: FromHost): void {
  process.send?.(message);
}

function loadNative(wish: LibraryWish): Native {
  if (native) return native;
  const libraries = findLibraries(wish);
  const opened = openNative(libraries);
  backend = libraries.backend;
  // Asked for by name, a GPU backend that finds no GPU must not compute on the CPU in silence.
  const isGpu = wish.backend === "cuda" || wish.backend === "vulkan" || wish.backend === "metal";
  if (isGpu && !wish.directory && offloadDevices(opened).length === 0) {
    throw new JaugeError("backend-no-device", { backend });
  }
  native = opened;
  return native;
}

function collector(): ImportanceCollector {
  const { importance } = open();
  if (!importance) throw new Error("the model was not opened to collect importance");
  return importance;
}

function open(): Session {
  if (!session) throw new Error("no model is open");
  return session;
}
