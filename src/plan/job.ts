/** What the requests of a job are like, in tokens: what its plan is made for. */
export interface JobProfile {
  /** Of a usual request. */
  promptTokens: number;
  /** 0 of embeddings. */
  answerTokens: number;
  /** Prompt and answer of the longest request: no context is planned shorter. */
  longest: number;
  /** How many requests there are, where that is known: more sequences than that would stay empty. */
  requests?: number;
}

/** A conversation's turn: what predictions assume where no job is known. */
export const usualTurn = { promptTokens: 512, answerTokens: 256 };

/** Tokens that a decoded token attends to, on the average. Of a chat, whose answer has just begun, its prompt. */
export function usualDepth(job: JobProfile | undefined): number {
  return job ? job.promptTokens + job.answerTokens / 2 : usualTurn.promptTokens;
}
