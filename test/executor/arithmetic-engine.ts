import type { Engine } from "../../src/engine/engine.js";
import type { MemoryOperation, Run, Step, StepResult } from "../../src/engine/protocol.js";
import { isPlainGreedy, type SamplingSettings } from "../../src/engine/sampling.js";
import { JaugeError } from "../../src/errors.js";
import type { GenerationRequest } from "../../src/executor/request.js";

export interface ArithmeticOptions {
  sequences: number;
  contextLength: number;
  microBatch: number;
  outputs: number;
  layout: "separate" | "unified";
  /** Cells of a unified cache. */
  cells: number;
  recurrent: boolean;
  /** Runs when a step is asked for. */
  onStep?: (index: number) => void;
}

interface Cell {
  position: number;
  token: number;
  sequences: Set<number>;
}

export const endToken = 0;
const vocabulary = 24;

/**
 * An engine whose model is a little arithmetic and whose KV cache is a list of cells with the rules of llama.cpp's:
 * it refuses every run that does not find exactly the tokens before it, and every sampler that is not
 * where its text is. So a simulation of the executor over it proves the executor's bookkeeping.
 */
export class ArithmeticEngine {
  restarts = 0;
  steps = 0;
  /** The sequence ids of every step's runs. */
  readonly ran: number[][] = [];
  fulls = 0;
  readonly plan: { contextLength: number; kvLayout: "separate" | "unified" };
  readonly info: object;
  private cells: Cell[] = [];
  private samplers = new Map<number, { settings: SamplingSettings; seen: number[]; draws: number }>();
  private known = new Set<number>();
  private isDead = false;

  constructor(readonly options: ArithmeticOptions) {
    const { contextLength, layout, sequences, microBatch, outputs, recurrent } = options;
    this.plan = { contextLength, kvLayout: layout };
    this.info = {
      context: { length: contextLength, sequences, microBatch, batch: microBatch, outputs },
      model: { isRecurrent: recurrent },
      memory: [],
    };
  }

  asEngine(): Engine {
    return this as unknown as Engine;
  }

  kill(): void {
    this.isDead = true;
  }

  async restart(): Promise<void> {
    await undefined;
    if (!this.isDead) return;
    this.isDead = false;
    this.restarts++;
    this.cells = [];
    this.samplers.clear();
    this.known.clear();
  }

  async createSampler(id: number, settings: SamplingSettings, history: Int32Array): Promise<void> {
    await undefined;
    this.crashIfDead();
    check(!this.samplers.has(id), `sampler ${id} exists`);
    this.samplers.set(id, { settings, seen: [...history], draws: 0 });
  }

  async step(step: Step): Promise<StepResult> {
    this.options.onStep?.(this.steps++);
    await undefined;
    this.crashIfDead();
    this.checkStep(step);
    this.ran.push(step.runs.map(({ sequence }) => sequence));
    for (const id of step.freeSamplers) this.samplers.delete(id);
    for (const operation of step.memory) this.apply(operation);
    const result: StepResult = { status: "ok", chosen: [], pieces: [], decodeMs: 1 };
    const needed = step.runs.reduce((sum, { tokens }) => sum + tokens.length, 0);
    if (this.options.layout === "unified" && this.cells.length + needed > this.options.cells) {
      this.fulls++;
      return { ...result, status: "full" };
    }
    for (const run of step.runs) result.chosen.push(this.compute(run, result));
    return result;
  }

  get samplerCount(): number {
    return this.samplers.size;
  }

  private crashIfDead(): void {
    if (this.isDead) throw new JaugeError("host-crashed", { signal: "SIGKILL", log: "" });
  }

  private checkStep({ runs }: Step): void {
    const { microBatch, outputs, sequences } = this.options;
    check(runs.length > 0, "a step computes something");
    check(runs.reduce((sum, run) => sum + run.tokens.length, 0) <= microBatch, "the micro-batch holds it");
    check(runs.reduce((sum, run) => sum + run.outputs, 0) <= outputs, "the logits hold it");
    runs.forEach((run, index) => {
      check(run.sequence > (runs[index - 1]?.sequence ?? -1), "sequence ids rise");
      check(run.sequence < sequences, "the sequence id exists");
      check(run.tokens.length > 0 && run.outputs <= run.tokens.length, "a run has tokens");
    });
  }

  private apply(operation: MemoryOperation): void {
    switch (operation.kind) {
      case "remove": {
        const { sequence, from, to } = operation;
        const end = to < 0 ? Number.POSITIVE_INFINITY : to;
        const held = this.held(sequence);
        const gone = held.filter(({ position }) => position >= from && position < end);
        if (this.options.recurrent)
          check(gone.length === 0 || gone.length === held.length, "a recurrent state is removed whole");
        this.removeFrom(sequence, gone);
        break;
      }
      case "copy": {
        const { source, target, from, to } = operation;
        check(source !== target, "a copy goes elsewhere");
        if (this.options.layout === "separate" || this.options.recurrent) {
          check(from === 0 && to === -1, "streams are copied whole");
          this.removeFrom(target, this.held(target));
          for (const cell of this.held(source)) this.cells.push({ ...cell, sequences: new Set([target]) });
        } else {
          const end = to < 0 ? Number.POSITIVE_INFINITY : to;
          for (const cell of this.held(source))
            if (cell.position >= from && cell.position < end) cell.sequences.add(target);
        }
        break;
      }
      case "clear":
        this.cells = [];
        break;
      case "shift":
        throw new Error("nothing is shifted");
    }
  }

  private held(sequence: number): Cell[] {
    return this.cells.filter((cell) => cell.sequences.has(sequence));
  }

  private removeFrom(sequence: number, cells: Cell[]): void {
    for (const cell of cells) cell.sequences.delete(sequence);
    this.cells = this.cells.filter((cell) => cell.sequences.size > 0);
  }

  private compute(run: Run, result: StepResult): Int32Array {
    const held = this.held(run.sequence).sort((a, b) => a.position - b.position);
    check(held.length === run.position, `${held.length} cells before position ${run.position}`);
    held.forEach((cell, index) => {
      check(cell.position === index, "positions follow one another");
    });
    const text = [...held.map(({ token }) => token), ...run.tokens];
    check(text.length <= this.options.contextLength, "the context holds it");
    run.tokens.forEach((token, index) => {
      this.cells.push({ position: run.position + index, token, sequences: new Set([run.sequence]) });
    });

    const sampler = run.sampler === undefined ? undefined : this.samplers.get(run.sampler);
    check(run.sampler === undefined || sampler !== undefined, `no sampler ${run.sampler}`);
    const chosen: number[] = [];
    for (let index = run.tokens.length - run.outputs; index < run.tokens.length; index++) {
      const before = text.slice(0, run.position + index + 1);
      if (sampler) check(sampler.seen.join() === before.join(), "the sampler is where its text is");
      const last = index === run.tokens.length - 1;
      const following = last ? run.next : run.tokens[index + 1];
      const choice = chooseToken(before, sampler?.settings.seed, sampler?.draws ?? 0);
      const token = run.mode === "replay" && following !== undefined ? following : choice;
      check(token === choice, "what is replayed is what was chosen");
      if (sampler) {
        sampler.draws++;
        sampler.seen.push(token);
      }
      this.introduce(token, result);
      chosen.push(token);
      if (run.mode === "verify" && !last && token !== following) {
        const wrong = this.held(run.sequence).filter(({ position }) => position >= before.length);
        this.removeFrom(run.sequence, wrong);
        break;
      }
    }
    return Int32Array.from(chosen);
  }

  private introduce(token: number, result: StepResult): void {
    if (this.known.has(token)) return;
    this.known.add(token);
    result.pieces.push({
      token,
      bytes: Uint8Array.of(96 + token),
      control: false,
      endOfGeneration: token === endToken,
    });
  }
}

/** The answer that a request has by itself, token by token. */
export function expectedTokens(request: GenerationRequest, contextLength: number): number[] {
  const text = [...request.tokens];
  const answer: number[] = [];
  const seed = isPlainGreedy(request.sampling) ? undefined : request.sampling.seed;
  while (answer.length < (request.maxTokens ?? Number.POSITIVE_INFINITY) && text.length < contextLength) {
    const token = chooseToken(text, seed, answer.length);
    if (token === endToken || request.stopTokens?.includes(token)) break;
    text.push(token);
    answer.push(token);
  }
  return answer;
}

/** Mostly a function of the last two tokens, so that texts fall into loops; now and then of all of them. */
function chooseToken(text: readonly number[], seed: number | undefined, draws: number): number {
  const seen = text.length % 11 === 0 ? text : text.slice(-2);
  let hash = text.length % 11 === 0 && seed !== undefined ? seed * 31 + draws : 7;
  for (const token of seen) hash = (Math.imul(hash ^ token, 0x9e3779b1) >>> 5) + token;
  const choice = (hash >>> 0) % (vocabulary * 2);
  return choice >= vocabulary ? 1 + (choice % 5) : choice;
}

function check(condition: boolean, rule: string): void {
  if (!condition) throw new Error(`not so: ${rule}`);
}
