import { randomInt } from "node:crypto";
import { basename } from "node:path";
import { JaugeError } from "../errors.js";
import { IdSet } from "./id-set.js";
import { readObject, readText } from "./input/read-object.js";
import { Template } from "./input/template.js";
import type { BatchModel } from "./model.js";
import { type BatchOptions, checkBatchOptions, checkIterable } from "./options.js";
import { InOrder } from "./ordered.js";
import type { BatchItem } from "./request.js";
import type { BatchResultLine } from "./result.js";
import { resultLine } from "./result-line.js";
import { Runner } from "./runner.js";

/** A line of a job: a text, or an object as a line of `jauge batch` has it. */
export type BatchInput = string | object;

/**
 * Answers any number of requests, as many at once as the model's plan has sequences, and gives each result as it is
 * there: `for await (const result of batch(model, requests))`. Requests are read only as fast as they are answered. What
 * is wrong with one is its result (`error`); where the engine cannot be kept alive, the loop throws. Errors:
 * `batch-options-invalid`, `sampling-invalid`, `batch-template-invalid`, `host-closed` and other errors of the engine.
 */
export async function* batch(
  model: BatchModel,
  requests: AsyncIterable<BatchInput> | Iterable<BatchInput>,
  options: BatchOptions = {},
): AsyncGenerator<BatchResultLine, void, void> {
  checkBatchOptions(options);
  checkIterable(requests);
  const { template, system, raw, ordered, lookAhead, signal, ...defaults } = options;
  const runner = new Runner(model, {
    defaults,
    seed: options.seed ?? randomInt(2 ** 32 - 1),
    ...(lookAhead !== undefined && { lookAhead }),
    isHeldBack: () => inOrder?.isFull ?? false,
  });
  const inOrder = ordered ? new InOrder<{ line: string; result: BatchResultLine }>() : undefined;
  const reading = {
    ...(template !== undefined && { template: new Template(template) }),
    ...(system !== undefined && { system }),
    ...(raw !== undefined && { raw }),
  };
  const name = model.outline.name ?? basename(model.path);
  const stop = () => runner.stop();
  signal?.addEventListener("abort", stop);
  try {
    if (signal?.aborted) throw new JaugeError("cancelled", {});
    const items = numbered(requests, (item) => inOrder?.announce(item.number));
    for await (const outcome of runner.run(items(reading))) {
      const result = resultLine(outcome, name, Math.floor(Date.now() / 1000));
      if (!inOrder) yield result;
      else {
        for (const ready of inOrder.settle(outcome.number, { line: JSON.stringify(result), result }))
          yield ready.result;
        runner.wake();
      }
    }
    if (signal?.aborted) throw new JaugeError("cancelled", {});
  } finally {
    signal?.removeEventListener("abort", stop);
    runner.stop();
  }
}

function numbered(
  requests: AsyncIterable<BatchInput> | Iterable<BatchInput>,
  announce: (item: BatchItem) => void,
): (reading: Parameters<typeof readObject>[2]) => AsyncGenerator<BatchItem, void, void> {
  return async function* (reading) {
    const seen = new IdSet();
    let number = 0;
    for await (const request of requests) {
      number++;
      const item =
        typeof request === "string"
          ? readText(request, number, reading)
          : readObject(request, number, reading);
      announce(item);
      const { customId } = item;
      yield seen.add(customId)
        ? item
        : { ...item, request: new JaugeError("line-duplicate-id", { customId }) };
    }
  };
}
