import type { Continuation, Generation, GenerationResult } from "./executor/request.js";

/** What a chat or completion gave, with how its prompt was made. */
export interface ChatResult extends GenerationResult {
  /** The prompt format in use. */
  format: string;
  /** Oldest turns that were left out because the conversation did not fit the context. */
  droppedTurns: number;
}

/** A generation whose prompt is made first; see `Generation`. */
export interface ChatGeneration extends Generation {
  readonly result: Promise<ChatResult>;
}

/** What making the prompt leads to. */
export interface PreparedGeneration {
  generation: Generation;
  format: string;
  droppedTurns: number;
}

/** A generation that starts once `prepare` has made its prompt; a failure there is its failure. */
export class PreparingGeneration implements ChatGeneration {
  readonly result: Promise<ChatResult>;
  private readonly prepared: Promise<PreparedGeneration>;
  private begun: Generation | undefined;
  private isCancelled = false;

  constructor(prepare: () => Promise<PreparedGeneration>) {
    this.prepared = prepare();
    this.result = this.prepared.then(async ({ generation, format, droppedTurns }) => {
      this.begun = generation;
      if (this.isCancelled) generation.cancel();
      return { ...(await generation.result), format, droppedTurns };
    });
    // A caller that only iterates sees the failure there; without this, Node would also end the process.
    this.result.catch(() => {});
  }

  get soFar(): Continuation {
    return this.begun?.soFar ?? { tokens: new Int32Array(0) };
  }

  cancel(): void {
    this.isCancelled = true;
    void this.prepared.then(
      ({ generation }) => generation.cancel(),
      () => {},
    );
  }

  async *[Symbol.asyncIterator](): AsyncIterator<string> {
    const { generation } = await this.prepared;
    yield* generation;
  }
}
