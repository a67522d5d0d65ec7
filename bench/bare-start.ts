import { BareEngine } from "./bare-engine.js";
import { embeddedModel } from "./paths.js";

/** The least a cold start can be: libraries, model, context, one token, one byte of output. */
const engine = new BareEngine({
  modelPath: process.argv[2] ?? embeddedModel,
  threads: Number(process.argv[3] ?? 2),
  sequences: 1,
  contextLength: 512,
  microBatch: 512,
  batch: 512,
  flashAttention: "auto",
});
engine.add(1, 0, 0, true);
engine.decode();
process.stdout.write(`${engine.greedy(1)[0]}\n`);
