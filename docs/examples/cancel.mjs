// Four ways to end a generation early. Each keeps what it has.
//   node cancel.mjs [MODEL.gguf]
import { defaultModelPath, load } from "jauge";

const model = await load(process.argv[2] ?? defaultModelPath);
try {
  const prompt = "Once upon a time";
  // Without these, this model would stop by itself.
  const endless = { ignoreEndOfGeneration: true, seed: 1 };
  const report = (how, { finishReason, text }) => console.log(`${how}: ${finishReason}, "${text.trim()}"`);

  const cancelled = model.complete(prompt, endless);
  let pieces = 0;
  for await (const _ of cancelled) if (++pieces === 10) cancelled.cancel();
  report("cancel()", await cancelled.result);

  const controller = new AbortController();
  const aborted = model.complete(prompt, { ...endless, signal: controller.signal });
  for await (const _ of aborted) controller.abort();
  report("signal", await aborted.result);

  report("time limit", await model.complete(prompt, { ...endless, timeLimitMs: 10 }).result);
  report("stop string", await model.complete(prompt, { ...endless, stop: ["."] }).result);
} finally {
  await model.close();
}
