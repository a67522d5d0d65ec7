import { spawn } from "node:child_process";
import { Agent, request as httpRequest } from "node:http";
import { createServer } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { type Plan, simplePlan } from "../src/plan/plan.js";
import { generatedModel, type ShapeName } from "./generate-model.js";
import { timed } from "./measurement.js";
import { fromRoot } from "./paths.js";
import { generate, loadPeer } from "./peer.js";
import { longestOf, type RequestWorkload, requestsOf, type TimedRequest } from "./request-workloads.js";
import { measuredSpeeds } from "./speed.js";
import { randomTokens } from "./workloads.js";

export const requestContenders = ["jauge", "peer", "server", "one at a time", "bound"] as const;
export type RequestContender = (typeof requestContenders)[number];

/** How a job went; of `bound`, how fast the engine computes outside of any job. */
export interface JobMeasurement {
  seconds: number;
  /** Sequences that ran at once. */
  slots: number;
  /** Tokens generated: all that were asked for. */
  generated: number;
  /** Tokens per second, of `bound` only: a prompt's, and of all sequences together. */
  speeds?: { prefill: number; decode: number };
}

export interface ContenderOptions {
  modelPath: string;
  threads: number;
  /** Sequences at once; 0 for jauge is what its plan finds. */
  slots: number;
  /** One KV cache for all sequences of the server, or one for each. */
  unified: boolean;
  /** Where llama-server is. */
  server: string;
}

const contenders: Record<
  RequestContender,
  (requests: TimedRequest[], options: ContenderOptions) => Promise<JobMeasurement>
> = {
  jauge: (requests, options) => withJauge(requests, options),
  "one at a time": (requests, options) => withJauge(requests, { ...options, slots: 1 }),
  peer: withPeer,
  server: withServer,
  bound,
};

/** jauge's batch() on a model loaded for the job, as `jauge batch` does it. */
async function withJauge(requests: TimedRequest[], options: ContenderOptions): Promise<JobMeasurement> {
  const built = pathToFileURL(fromRoot("dist", "index.js")).href;
  const { batch, load } = (await import(built)) as typeof import("../src/index.js");
  const { slots, threads, modelPath } = options;
  const mean = (of: (request: TimedRequest) => number) =>
    Math.round(requests.reduce((sum, request) => sum + of(request), 0) / requests.length);
  await using model = await load(modelPath, {
    ...{ threads, backend: "cpu", objective: "batch" },
    ...(slots > 0 && { sequences: slots }),
    job: {
      promptTokens: mean(({ prompt }) => prompt.length),
      answerTokens: mean(({ answer }) => answer),
      longest: longestOf(requests),
      requests: requests.length,
    },
  });
  await model.generate({ tokens: randomTokens(1, 256), maxTokens: 1 }).result;
  const lines = requests.map(({ prompt, answer }) => ({
    ...{ prompt: [...prompt], max_tokens: answer, temperature: 0, ignore_eos: true },
  }));
  const { seconds, result } = await timed(async () => {
    let generated = 0;
    for await (const line of batch(model, lines, { raw: true })) {
      if (line.error) throw new Error(JSON.stringify(line.error));
      generated += (line.response!.body as { usage: { completion_tokens: number } }).usage.completion_tokens;
    }
    return generated;
  });
  return { seconds, slots: model.plan.sequences, generated: result };
}

/** node-llama-cpp: as many sequences, each taking the next request; it keeps what it holds of a prompt. */
async function withPeer(requests: TimedRequest[], options: ContenderOptions): Promise<JobMeasurement> {
  const model = await loadPeer({ ...options });
  const context = await model.createContext({
    sequences: options.slots,
    contextSize: longestOf(requests),
    batchSize: 512,
    threads: options.threads,
    batching: { itemPrioritizationStrategy: "firstInFirstOut" },
  });
  const sequences = Array.from({ length: options.slots }, () => context.getSequence());
  await sequences[0]!.evaluateWithoutGeneratingNewTokens([...randomTokens(1, 256)]);
  await sequences[0]!.clearHistory();
  let next = 0;
  let generated = 0;
  const { seconds } = await timed(() =>
    Promise.all(
      sequences.map(async (sequence) => {
        while (next < requests.length) {
          const { prompt, answer } = requests[next++]!;
          await sequence.adaptStateToTokens([...prompt], false);
          const rest = prompt.subarray(sequence.nextTokenIndex);
          const tokens = await generate(sequence, rest, answer);
          generated += tokens.length;
        }
      }),
    ),
  );
  await context.dispose();
  return { seconds, slots: options.slots, generated };
}

/** llama-server with as many slots; all requests are sent at once and wait in its own queue. */
async function withServer(requests: TimedRequest[], options: ContenderOptions): Promise<JobMeasurement> {
  const { slots, threads, modelPath, unified, server } = options;
  const port = await freePort();
  const context = Math.ceil(longestOf(requests) / 256) * 256;
  const child = spawn(
    server,
    [
      ...["-m", modelPath, "--port", String(port), "-t", String(threads), "-np", String(slots)],
      ...["-c", String(context * slots), unified ? "--kv-unified" : "--no-kv-unified", "--log-disable"],
    ],
    { stdio: "ignore" },
  );
  const agent = new Agent({ keepAlive: true, maxSockets: requests.length });
  try {
    await healthy(port);
    await complete(port, agent, { prompt: randomTokens(1, 256), answer: 1 });
    const { seconds, result } = await timed(() =>
      Promise.all(requests.map((request) => complete(port, agent, request))),
    );
    return { seconds, slots, generated: result.reduce((sum, count) => sum + count, 0) };
  } finally {
    agent.destroy();
    child.kill("SIGKILL");
  }
}

/** What the engine reaches outside of any job: a prompt alone, and all sequences at once, each at a usual depth. */
async function bound(requests: TimedRequest[], options: ContenderOptions): Promise<JobMeasurement> {
  const { slots, threads, modelPath } = options;
  const plan: Plan = simplePlan({
    ...{ modelPath, threads, sequences: slots, contextLength: longestOf(requests) },
    ...{ devices: [], loadMode: "read" },
  });
  const speeds = await measuredSpeeds(plan, {
    libraries: { backend: "cpu" },
    ...{ prompt: 256, generated: 16, repeats: 3 },
  });
  return { seconds: 0, slots, generated: 0, speeds };
}

/** Tokens that were generated. */
function complete(port: number, agent: Agent, { prompt, answer }: TimedRequest): Promise<number> {
  const body = JSON.stringify({
    prompt: [...prompt],
    ...{ n_predict: answer, temperature: 0, ignore_eos: true, cache_prompt: true },
  });
  return new Promise((resolve, reject) => {
    const sent = httpRequest(
      { port, agent, path: "/completion", method: "POST", headers: { "content-type": "application/json" } },
      (response) => {
        let text = "";
        response.setEncoding("utf8").on("data", (part: string) => {
          text += part;
        });
        response.on("end", () => {
          const { tokens_predicted: count } = JSON.parse(text) as { tokens_predicted?: number };
          if (count === undefined) reject(new Error(`llama-server: ${text}`));
          else resolve(count);
        });
      },
    );
    sent.on("error", reject);
    sent.end(body);
  });
}

async function healthy(port: number): Promise<void> {
  for (let attempt = 0; attempt < 600; attempt++) {
    const answer = await fetch(`http://127.0.0.1:${port}/health`).catch(() => undefined);
    if (answer?.ok) return;
    await sleep(200);
  }
  throw new Error("llama-server does not come up");
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const probe = createServer();
    probe.on("error", reject);
    probe.listen(0, "127.0.0.1", () => {
      const { port } = probe.address() as { port: number };
      probe.close(() => resolve(port));
    });
  });
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? "").href) {
  const { values } = parseArgs({
    options: {
      contender: { type: "string", default: "jauge" },
      workload: { type: "string", default: "mixed" },
      requests: { type: "string", default: "256" },
      slots: { type: "string", default: "32" },
      unified: { type: "boolean", default: false },
      server: { type: "string", default: "llama-server" },
      shape: { type: "string", default: "1b" },
      threads: { type: "string", default: "2" },
    },
  });
  const requests = requestsOf(values.workload as RequestWorkload, Number(values.requests));
  const measured = await contenders[values.contender as RequestContender](requests, {
    modelPath: await generatedModel(values.shape as ShapeName),
    threads: Number(values.threads),
    slots: Number(values.slots),
    unified: values.unified,
    server: values.server,
  });
  process.stdout.write(`${JSON.stringify(measured)}\n`);
  process.exit(0);
}
