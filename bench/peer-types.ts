/**
 * What the bench uses of node-llama-cpp 3.22.1, stated here so that everything compiles where the peer is not
 * installed. Source: its own type declarations.
 */
export interface NodeLlamaCpp {
  getLlama(options: {
    gpu: false;
    build: "never";
    logLevel: "error";
    maxThreads: number;
  }): Promise<{ loadModel(options: { modelPath: string }): Promise<PeerModel> }>;
}

export interface PeerModel {
  createContext(options: {
    sequences?: number;
    /** Tokens that one sequence may hold. */
    contextSize: number;
    batchSize: number;
    threads: number;
    batching?: { itemPrioritizationStrategy: "maximumParallelism" | "firstInFirstOut" };
  }): Promise<PeerContext>;
}

export interface PeerContext {
  getSequence(): PeerSequence;
  dispose(): Promise<void>;
}

export interface PeerSequence {
  readonly nextTokenIndex: number;
  clearHistory(): Promise<void>;
  adaptStateToTokens(tokens: number[], allowShift: boolean): Promise<void>;
  evaluate(
    tokens: number[],
    options: { temperature: 0; yieldEogToken: true },
  ): AsyncGenerator<number, void, void>;
  evaluateWithoutGeneratingNewTokens(tokens: number[]): Promise<void>;
  saveStateToFile(path: string): Promise<unknown>;
  loadStateFromFile(path: string, options: { acceptRisk: true }): Promise<void>;
}
