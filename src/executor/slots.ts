import type { MemoryOperation } from "../engine/protocol.js";
import type { Sequence } from "./sequence.js";
import { TokenList } from "./tokens.js";

/** One sequence id of the engine's KV cache and what it holds. */
export interface Slot {
  readonly id: number;
  /** Whose tokens it holds: those of the sequence that runs here, or of the last one that did. */
  tokens: TokenList;
  /** How many of them are in the KV cache. While a sequence runs here, its `computed` says so. */
  length: number;
  owner: Sequence | undefined;
  /** Order of last use, for eviction. */
  lastUsed: number;
}

export interface SlotTableOptions {
  count: number;
  /** One KV stream per slot (whole streams are copied), or one cache for all (cells are shared). */
  layout: "separate" | "unified";
  /** The state cannot be cut at any token: only a whole cached sequence can be continued. */
  wholeOnly: boolean;
  /** Whether a sequence may continue from what another computed. */
  sharing: boolean;
  /** Tokens that must be shared before a copy between streams costs less than computing them. */
  leastToCopy: () => number;
}

/**
 * The KV cache as a table of slots. Finds the longest prefix of a request that some slot holds, running or
 * lately finished, and hands out slots, least recently used first. With at most 256 slots a scan over them
 * is as quick as a tree and has no state of its own to keep right.
 */
export class SlotTable {
  readonly slots: Slot[];
  private clock = 0;

  constructor(private readonly options: SlotTableOptions) {
    this.slots = Array.from({ length: options.count }, (_, id) => emptySlot(id));
  }

  get free(): number {
    return this.slots.reduce((count, slot) => count + (slot.owner ? 0 : 1), 0);
  }

  /** Forgets everything: the KV cache was lost. */
  clear(): void {
    for (const slot of this.slots) Object.assign(slot, emptySlot(slot.id));
  }

  /** Tokens of the sequence that some running one holds or will soon have computed. */
  longestExpected(sequence: Sequence): number {
    let longest = 0;
    // Its state will have gone beyond what is shared.
    if (this.options.wholeOnly || !this.options.sharing) return 0;
    for (const { owner } of this.slots) {
      if (!owner) continue;
      longest = Math.max(longest, owner.tokens.commonPrefix(owner.promptLength, sequence.tokens));
    }
    return Math.min(longest, usableLength(sequence));
  }

  /** Tokens of the sequence that are in the KV cache now. */
  longestCached(sequence: Sequence): number {
    return this.bestSource(sequence)?.shared ?? 0;
  }

  /**
   * Gives the sequence a free slot that holds as much of its beginning as can be had, and adds the memory
   * operations that make it so. Undefined where no slot is free.
   */
  assign(sequence: Sequence, operations: MemoryOperation[]): Slot | undefined {
    const source = this.bestSource(sequence);
    const target = this.chooseTarget(source);
    if (!target) return undefined;
    let shared = source?.shared ?? 0;
    if (source && source.slot !== target) {
      if (this.options.layout === "separate" && shared < this.options.leastToCopy()) {
        // Cheaper to compute again than to copy a whole stream; what the target itself holds may still serve.
        shared = this.sharedWith(target, sequence);
      } else this.copy(source.slot, target, shared, operations);
    }
    // Always cut: the cache may hold tokens beyond what was counted (speculation, a stop inside a run).
    operations.push({ kind: "remove", sequence: target.id, from: shared, to: -1 });
    target.owner = sequence;
    target.tokens = sequence.tokens;
    target.length = shared;
    target.lastUsed = ++this.clock;
    sequence.slotId = target.id;
    sequence.admitted(shared);
    return target;
  }

  /** The sequence leaves its slot; what it computed stays for others to share. */
  release(sequence: Sequence): void {
    if (sequence.slotId === undefined) return;
    const slot = this.slots[sequence.slotId]!;
    slot.length = Math.min(sequence.computed, sequence.tokens.length);
    slot.owner = undefined;
    slot.lastUsed = ++this.clock;
    sequence.slotId = undefined;
  }

  /** Drops the least recently used content that no one runs on; false where there is none. */
  evict(operations: MemoryOperation[]): boolean {
    const victim = this.leastRecentlyUsed((slot) => slot.length > 0);
    if (!victim) return false;
    this.drop(victim.id, operations);
    return true;
  }

  /** Empties a free slot. */
  drop(id: number, operations: MemoryOperation[]): void {
    operations.push({ kind: "remove", sequence: id, from: -1, to: -1 });
    Object.assign(this.slots[id]!, { length: 0, tokens: new TokenList() });
  }

  /**
   * Moves running sequences from the highest slots into gaps between them. With separate streams, a micro-batch
   * is split where sequence ids are not consecutive, and every part reads all the weights.
   */
  compact(operations: MemoryOperation[]): void {
    for (;;) {
      const lowest = this.slots.findIndex((slot) => slot.owner);
      const highest = this.slots.findLast((slot) => slot.owner);
      const gap = this.slots.find((slot) => !slot.owner && slot.id > lowest);
      if (!gap || !highest || gap.id > highest.id) return;
      const sequence = highest.owner!;
      this.copy(highest, gap, sequence.computed, operations);
      operations.push({ kind: "remove", sequence: gap.id, from: sequence.computed, to: -1 });
      this.release(sequence);
      gap.owner = sequence;
      gap.tokens = sequence.tokens;
      gap.lastUsed = ++this.clock;
      sequence.slotId = gap.id;
    }
  }

  private bestSource(sequence: Sequence): { slot: Slot; shared: number } | undefined {
    let best: { slot: Slot; shared: number } | undefined;
    if (!this.options.sharing) return best;
    for (const slot of this.slots) {
      const shared = this.sharedWith(slot, sequence);
      if (shared === 0 || (best && shared < best.shared)) continue;
      // Of equals, a free slot is continued in place without a copy.
      if (best && shared === best.shared && (slot.owner || !best.slot.owner)) continue;
      best = { slot, shared };
    }
    return best;
  }

  private sharedWith(slot: Slot, sequence: Sequence): number {
    const held = slot.owner ? slot.owner.computed : slot.length;
    if (held === 0) return 0;
    const shared = Math.min(slot.tokens.commonPrefix(held, sequence.tokens), usableLength(sequence));
    return this.options.wholeOnly && shared !== held ? 0 : shared;
  }

  private chooseTarget(source: { slot: Slot; shared: number } | undefined): Slot | undefined {
    // Continue in place where most of the slot is shared anyway; all prompts may share their first token.
    if (source && !source.slot.owner && source.shared * 2 >= source.slot.length) return source.slot;
    const empty = this.slots.find((slot) => !slot.owner && slot.length === 0);
    return empty ?? this.leastRecentlyUsed(() => true);
  }

  private leastRecentlyUsed(condition: (slot: Slot) => boolean): Slot | undefined {
    let oldest: Slot | undefined;
    for (const slot of this.slots) {
      if (slot.owner || !condition(slot)) continue;
      if (!oldest || slot.lastUsed < oldest.lastUsed) oldest = slot;
    }
    return oldest;
  }

  private copy(source: Slot, target: Slot, length: number, operations: MemoryOperation[]): void {
    const whole = this.options.layout === "separate" || this.options.wholeOnly;
    if (!whole) operations.push({ kind: "remove", sequence: target.id, from: -1, to: -1 });
    operations.push({ kind: "copy", source: source.id, target: target.id, from: 0, to: whole ? -1 : length });
    source.lastUsed = ++this.clock;
  }
}

/** The last token of a sequence is always computed: its logits choose the next. A replay needs more of them. */
function usableLength(sequence: Sequence): number {
  return sequence.replayFrom ?? sequence.tokens.length - 1;
}

function emptySlot(id: number): Slot {
  return { id, tokens: new TokenList(), length: 0, owner: undefined, lastUsed: 0 };
}
