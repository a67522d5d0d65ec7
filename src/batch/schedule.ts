/** A request that waits to be submitted. */
export interface Schedulable {
  /** Of its prompt. */
  tokens: Int32Array;
  /** Tokens that its answer will probably have. */
  expectedTokens: number;
}

interface Entry<T> {
  item: T;
  /** A hash of the prompt's beginning at each of `depths`; 0 where the prompt is shorter. */
  beginnings: Uint32Array;
  /** Takes before this one: how long it waits. */
  since: number;
}

/** Lengths of shared beginnings that are told apart. Fewer tokens are not worth going together. */
const depths = [32, 64, 128, 256, 512, 1024, 2048, 4096] as const;

export interface ScheduleOptions {
  /** Requests that it holds at most, and tokens of their prompts. */
  mostRequests: number;
  mostTokens: number;
}

/**
 * Decides the order in which the requests of a job run, within a window: those whose prompts share a beginning go
 * together, so that it is computed once; the longest expected answer goes first among them, so that the end of the job has
 * no tail of single sequences. None is overtaken more often than twice the window.
 */
export class Schedule<T extends Schedulable> {
  private readonly entries: Entry<T>[] = [];
  private readonly last = new Uint32Array(depths.length);
  private takes = 0;
  private heldTokens = 0;

  constructor(private readonly options: ScheduleOptions) {}

  get size(): number {
    return this.entries.length;
  }

  get isFull(): boolean {
    return this.size >= this.options.mostRequests || this.heldTokens >= this.options.mostTokens;
  }

  add(item: T): void {
    this.entries.push({ item, beginnings: beginningsOf(item.tokens), since: this.takes });
    this.heldTokens += item.tokens.length;
  }

  /** The request to run next. */
  take(): T | undefined {
    if (this.entries.length === 0) return undefined;
    return this.remove(this.overdue() ?? this.sharing() ?? this.largestGroup());
  }

  /** The request that waits longest. */
  takeOldest(): T | undefined {
    return this.entries.length === 0 ? undefined : this.remove(0);
  }

  private remove(index: number): T {
    const [entry] = this.entries.splice(index, 1);
    this.takes++;
    this.last.set(entry!.beginnings);
    this.heldTokens -= entry!.item.tokens.length;
    return entry!.item;
  }

  /** The oldest entry is the first. */
  private overdue(): number | undefined {
    return this.takes - this.entries[0]!.since > 2 * this.options.mostRequests ? 0 : undefined;
  }

  /** Of those that share most with the last one, the longest. */
  private sharing(): number | undefined {
    // The last one was too short to share anything.
    if (this.last[0] === 0) return undefined;
    let best: number | undefined;
    let bestDepth = 0;
    for (let index = 0; index < this.entries.length; index++) {
      const entry = this.entries[index]!;
      const depth = sharedDepths(entry.beginnings, this.last);
      if (depth < bestDepth || depth === 0) continue;
      if (depth === bestDepth && !this.isLonger(index, best!)) continue;
      best = index;
      bestDepth = depth;
    }
    return best;
  }

  /** The longest of the group that saves most: the tokens that it shares, once for each but the first. */
  private largestGroup(): number {
    const { entries } = this;
    const groups = new Map<number, { count: number; longest: number }>();
    let best = 0;
    let mostTokens = entries[0]!.item.expectedTokens;
    for (let index = 0; index < entries.length; index++) {
      const { item, beginnings } = entries[index]!;
      if (item.expectedTokens > mostTokens) {
        best = index;
        mostTokens = item.expectedTokens;
      }
      const key = beginnings[0]!;
      if (key === 0) continue;
      const group = groups.get(key);
      if (!group) groups.set(key, { count: 1, longest: index });
      else {
        group.count++;
        if (this.isLonger(index, group.longest)) group.longest = index;
      }
    }
    let most = 1;
    for (const { count, longest } of groups.values()) {
      if (count <= most) continue;
      most = count;
      best = longest;
    }
    return best;
  }

  private isLonger(index: number, other: number): boolean {
    return this.entries[index]!.item.expectedTokens > this.entries[other]!.item.expectedTokens;
  }
}

/** FNV-1a over tokens, read off at each depth. Two beginnings with one hash would only run after one another. */
function beginningsOf(tokens: Int32Array): Uint32Array {
  const beginnings = new Uint32Array(depths.length);
  let hash = 0x811c9dc5;
  let index = 0;
  for (const [place, depth] of depths.entries()) {
    // The last token is always computed: it is nothing to share.
    if (depth >= tokens.length) break;
    for (; index < depth; index++) hash = Math.imul(hash ^ tokens[index]!, 0x01000193);
    beginnings[place] = hash >>> 0 || 1;
  }
  return beginnings;
}

function sharedDepths(a: Uint32Array, b: Uint32Array): number {
  let depth = 0;
  while (depth < a.length && a[depth] !== 0 && a[depth] === b[depth]) depth++;
  return depth;
}
