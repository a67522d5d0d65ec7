import type { HardwareFacts, RowsSpeed } from "../hardware/facts.js";
import { attentionSeconds } from "./attention-cost.js";
import { type ModelLayout, ofLayers, type Part, type Stage, stages } from "./layout.js";
import { streamFromRows } from "./plan.js";
import { attentionWork, outputWork, type SmallWork, smallWorkOf } from "./small-work.js";
import { deviceTable, type HostMode, hostTable, matrixSeconds, rowsSeconds } from "./speed.js";

/** Host memory and CPU. Devices are their index in the hardware facts. */
export const host = -1;

/** Where everything is: for each layer (the output last) its KV cache and its parts, by place. */
export interface Placement {
  layers: { on: number; parts: number[] }[];
}

/** One graph that the model computes. */
export interface Load {
  /** Tokens computed at once. */
  rows: number;
  /** Sequences that they belong to: each has a KV cache of its own to read. */
  sequences: number;
  /** How many of them give logits. */
  outputs: number;
  /** Cells of the KV cache that each of them attends to. */
  depth: number;
  /** Weights on the host are pages of the file, which no device reads by itself. */
  mapped?: boolean;
}

/** Seconds of one graph by what takes them. */
export interface Cost {
  seconds: number;
  /** By place, the host first, then devices in order. */
  places: PlaceCost[];
  crossings: number;
  crossingSeconds: number;
  /** Weights and KV caches copied to devices because the batch is computed there. */
  streamedBytes: number;
  streamSeconds: number;
}

export interface PlaceCost {
  seconds: number;
  /** Reading weights and KV cache alone would take this long. */
  memorySeconds: number;
  bytesRead: number;
}

/** A hidden state goes on to a place, whose small operations take so long. */
type ChainStep = (from: number, to: number, nodeSeconds: number) => void;

/** What a part costs at each place under one load: the inner loop of the search adds these up. */
export class CostModel {
  /** Seconds of each part: [layer][part][place + 1]. */
  private readonly partSeconds: number[][][];
  private readonly partBytes: number[][];
  /** Attention over the KV cache of each layer: [layer][place + 1]. */
  private readonly attentionSeconds: number[][];
  private readonly attentionBytes: number[];
  /** A streamed batch is computed on the device, whatever lies on the host. */
  private readonly streams: boolean;
  private readonly nodeSeconds: number[];
  private readonly multiplySeconds: number[];
  /** Of what small operations read and write. */
  private readonly passSeconds: number[];
  private readonly hidden: number;
  private readonly feedForward: number;
  /** Indices of the parts of each stage: [layer][stage]. */
  private readonly stageParts: number[][][];
  /** What each stage takes beside its matrices: [layer][stage][place + 1]. */
  private readonly stageSeconds: number[][][];
  /** The same of what lies between the stages: attention, and the output. */
  private readonly attentionNodeSeconds: number[];
  private readonly outputNodeSeconds: number[];

  constructor(
    readonly layout: ModelLayout,
    readonly facts: HardwareFacts,
    readonly load: Load,
    readonly mode: HostMode,
    kvBytesPerCell: readonly number[],
  ) {
    this.streams = mode === "streamed" && load.rows >= streamFromRows && facts.devices.length > 0;
    const { outline } = layout.source;
    this.nodeSeconds = this.placesOf((place) => this.speedOf(place).nodeSeconds);
    this.multiplySeconds = this.placesOf((place) => {
      const { multiplySeconds, nodeSeconds } = this.speedOf(place);
      return multiplySeconds ?? nodeSeconds;
    });
    this.passSeconds = this.placesOf((place) => {
      const { passBytesPerSecond, memoryBytesPerSecond } = this.speedOf(place);
      return 1 / (passBytesPerSecond ?? memoryBytesPerSecond);
    });
    this.hidden = outline.hiddenSize ?? 0;
    this.feedForward = outline.experts
      ? (outline.expertFeedForwardSize ?? 0) * (outline.expertsUsed ?? 1)
      : (outline.feedForwardSize?.[0] ?? 0);
    this.stageParts = this.ofLayers((parts) =>
      stages.map((stage) => parts.flatMap((part, index) => (part.stage === stage ? [index] : []))),
    );
    const small = (layer: number, work: SmallWork, tokens: number) =>
      this.placesOf((place) => this.smallSeconds(layer, work, place, tokens));
    this.stageSeconds = this.ofLayers((parts, layer) => {
      const used = parts.some(({ isExpert }) => isExpert) ? (outline.expertsUsed ?? 1) : 0;
      return stages.map((stage) => small(layer, smallWorkOf(stage, used), this.tokensAt(stage, layer)));
    });
    this.attentionNodeSeconds = small(0, attentionWork, load.rows);
    this.outputNodeSeconds = small(layout.outputLayer, outputWork, load.outputs);
    this.partBytes = this.ofLayers((parts, layer) =>
      parts.map((part) => part.bytes * this.readShare(part, layer)),
    );
    this.partSeconds = this.ofLayers((parts, layer) =>
      parts.map((part, index) => this.placesOf((place) => this.seconds(part, layer, index, place))),
    );
    const cells = load.depth * load.sequences;
    this.attentionBytes = layout.layers.map((_, layer) => (kvBytesPerCell[layer] ?? 0) * cells);
    this.attentionSeconds = layout.layers.map((_, layer) => {
      const attention = {
        heads: outline.heads[layer] ?? 0,
        headSizes: (outline.headSizeK ?? 0) + (outline.headSizeV ?? 0),
        cacheBytesPerCell: kvBytesPerCell[layer] ?? 0,
      };
      return this.placesOf((place) => {
        const on = this.computedOn(place, load.rows);
        const seconds = attentionSeconds(this.speedOf(on), on === host, load, attention);
        return on === place ? seconds : seconds + this.cacheCopySeconds(layer);
      });
    });
  }

  /** Seconds of one layer at a placement, without what crosses between layers. */
  layerSeconds(layer: number, on: number, parts: readonly number[]): number {
    let seconds = this.attentionSeconds[layer]![on + 1]!;
    const table = this.partSeconds[layer]!;
    for (let index = 0; index < parts.length; index++) seconds += table[index]![parts[index]! + 1]!;
    const start = this.computedOn(on, this.load.rows);
    const end = this.follow(layer, on, parts, start, (from, to, nodeSeconds) => {
      seconds += nodeSeconds + this.crossing(from, to);
    });
    return seconds + this.crossing(end, start);
  }

  cost(placement: Placement): Cost {
    const places: PlaceCost[] = this.placesOf(() => ({ seconds: 0, memorySeconds: 0, bytesRead: 0 }));
    const add = (place: number, seconds: number, bytes: number) => {
      const cost = places[place + 1]!;
      cost.seconds += seconds;
      cost.bytesRead += bytes;
    };
    let crossings = 0;
    let crossingSeconds = 0;
    let streamedBytes = 0;
    let streamSeconds = 0;
    let at = host;
    for (const [layer, { on, parts }] of placement.layers.entries()) {
      const attends = this.computedOn(on, this.load.rows);
      const copySeconds = attends === on ? 0 : this.cacheCopySeconds(layer);
      if (attends !== on) streamedBytes += this.attentionBytes[layer]!;
      streamSeconds += copySeconds;
      add(attends, this.attentionSeconds[layer]![on + 1]! - copySeconds, this.attentionBytes[layer]!);
      for (const [index, place] of parts.entries()) {
        const part = this.layout.layers[layer]![index]!;
        const bytes = this.partBytes[layer]![index]!;
        const seconds = this.partSeconds[layer]![index]![place + 1]!;
        const computedOn = this.computedOn(place, this.tokensAt(part.stage, layer));
        if (part.isMatrix && computedOn !== place) {
          streamedBytes += bytes;
          streamSeconds += this.streamSeconds(bytes);
          add(computedOn, seconds - this.streamSeconds(bytes), bytes);
        } else add(place, seconds, bytes);
      }
      at = this.follow(layer, on, parts, at, (from, to, nodeSeconds) => {
        if (from !== to) crossings++;
        crossingSeconds += this.crossing(from, to);
        add(to, nodeSeconds, 0);
      });
    }
    for (const [index, place] of places.entries())
      place.memorySeconds = place.bytesRead / this.speedOf(index - 1).memoryBytesPerSecond;
    const seconds = places.reduce((sum, place) => sum + place.seconds, crossingSeconds + streamSeconds);
    return { seconds, places, crossings, crossingSeconds, streamedBytes, streamSeconds };
  }

  private seconds(part: Part, layer: number, index: number, place: number): number {
    if (!part.isMatrix) return 0;
    const rows = this.rowsOf(part, layer);
    const bytes = this.partBytes[layer]![index]!;
    const ofAll = bytes / part.bytes;
    const passed = {
      bytes,
      matrixRows: ofAll * part.shape.slice(1).reduce((all, length) => all * length, 1),
    };
    const on = this.computedOn(place, this.tokensAt(part.stage, layer));
    const speed = this.speedOf(on);
    const table =
      on === host
        ? hostTable(speed, part.type, part.isExpert, this.mode)
        : deviceTable(speed, part.type, part.isExpert);
    const seconds = this.multiplySeconds[on + 1]! + matrixSeconds(table, part.type, passed, rows);
    return on === place ? seconds : seconds + this.streamSeconds(bytes);
  }

  /** Where so many tokens are computed whose weights or KV cache are at a place. */
  private computedOn(place: number, tokens: number): number {
    return place === host && this.streams && tokens >= streamFromRows ? this.streamDevice : place;
  }

  /** Tokens that a stage computes: behind the last layer's attention, those that give logits. */
  private tokensAt(stage: Stage, layer: number): number {
    const { outputLayer } = this.layout;
    const isBehind = layer === outputLayer || (layer === outputLayer - 1 && stage.startsWith("feedForward"));
    return isBehind ? this.load.outputs : this.load.rows;
  }

  /** A KV cache of the host goes to the device for attention, and what is new of it came from there: two of each. */
  private cacheCopySeconds(layer: number): number {
    if (this.attentionBytes[layer] === 0) return 0;
    const { toDevice } = this.facts.devices[this.streamDevice]!.link;
    const copySeconds = this.attentionBytes[layer]! / toDevice.pageableBytesPerSecond;
    return copySeconds + 4 * this.crossing(host, this.streamDevice);
  }

  private streamSeconds(bytes: number): number {
    const { toDevice } = this.facts.devices[this.streamDevice]!.link;
    return bytes / (this.load.mapped ? toDevice.pageableBytesPerSecond : toDevice.pinnedBytesPerSecond);
  }

  /** Rows that each matrix of a part is multiplied by. */
  private rowsOf(part: Part, layer: number): number {
    const tokens = this.tokensAt(part.stage, layer);
    if (!part.isExpert) return tokens;
    const { experts = 1, expertsUsed = 1 } = this.layout.source.outline;
    return Math.max(1, (tokens * expertsUsed) / (experts * this.readShare(part, layer)));
  }

  /** Of a part's bytes, those that a batch reads: experts are chosen per token, independently here. */
  private readShare(part: Part, layer: number): number {
    const { experts = 0, expertsUsed = 0 } = this.layout.source.outline;
    if (!part.isExpert || experts === 0) return 1;
    return 1 - (1 - expertsUsed / experts) ** this.tokensAt(part.stage, layer);
  }

  /**
   * Follows the hidden state through a layer from a place: where it changes place, and what its small operations cost.
   * `step` is told of each place it goes on to; returns where the state is at the end.
   */
  private follow(layer: number, on: number, parts: readonly number[], from: number, step: ChainStep): number {
    let at = from;
    const visit = (weightsAt: number, seconds: readonly number[], tokens: number) => {
      const place = this.computedOn(weightsAt, tokens);
      step(at, place, seconds[place + 1]!);
      at = place;
    };
    if (layer === this.layout.outputLayer) {
      const output = this.layout.layers[layer]!.findIndex((part) => part.isMatrix);
      visit(output < 0 ? on : parts[output]!, this.outputNodeSeconds, this.load.outputs);
      return at;
    }
    const byStage = this.stageParts[layer]!;
    const seconds = this.stageSeconds[layer]!;
    for (let stage = 0; stage < stages.length; stage++) {
      // Attention itself runs where the KV cache is.
      if (stages[stage] === "attentionOut") visit(on, this.attentionNodeSeconds, this.load.rows);
      const members = byStage[stage]!;
      const tokens = this.tokensAt(stages[stage]!, layer);
      // Each place that has a part of the stage is visited once, in the order of the parts.
      let seen = 0;
      for (let index = 0; index < members.length; index++) {
        const place = this.computedOn(parts[members[index]!]!, tokens);
        const bit = 1 << (place + 1);
        if (seen & bit) continue;
        seen |= bit;
        visit(place, seconds[stage]!, tokens);
      }
    }
    return at;
  }

  private smallSeconds(layer: number, work: SmallWork, place: number, tokens: number): number {
    const { norm, rope } = this.speedOf(place);
    let { nodes, hiddenPasses } = work;
    let seconds = 0;
    if (norm) seconds += work.norms * rowsSeconds(norm, tokens, this.hidden);
    else {
      nodes += 2 * work.norms;
      hiddenPasses += 4 * work.norms;
    }
    if (work.rope && rope) seconds += this.ropeSeconds(layer, rope);
    else if (work.rope) {
      nodes += 2;
      hiddenPasses += 4;
    }
    const passes = hiddenPasses * this.hidden + work.feedForwardPasses * this.feedForward;
    const passSeconds = tokens * 4 * passes * this.passSeconds[place + 1]!;
    return seconds + nodes * this.nodeSeconds[place + 1]! + passSeconds;
  }

  /** Of queries and of keys. */
  private ropeSeconds(layer: number, speed: RowsSpeed): number {
    const { heads, kvHeads, headSizeK = 0 } = this.layout.source.outline;
    return [heads[layer] ?? 0, kvHeads[layer] ?? 0].reduce(
      (sum, count) => sum + (count === 0 ? 0 : rowsSeconds(speed, this.load.rows * count, headSizeK)),
      0,
    );
  }

  /** Seconds in which a hidden state goes from one place to another: between two devices through the host. */
  private crossing(from: number, to: number): number {
    if (from === to) return 0;
    const { devices } = this.facts;
    const end = (place: number) => (place === host ? 0 : devices[place]!.link.crossingSeconds);
    return end(from) + end(to);
  }

  private speedOf(place: number) {
    return place === host ? this.facts.host.speed : this.facts.devices[place]!.speed;
  }

  /** llama.cpp computes streamed batches on the first device. */
  private get streamDevice(): number {
    return 0;
  }

  /** One for each layer; the last one computes fewer tokens than those that are like it. */
  private ofLayers<T>(make: (parts: Part[], layer: number) => T): T[] {
    const made = ofLayers(this.layout, make);
    const last = this.layout.outputLayer - 1;
    if (last >= 0) made[last] = make(this.layout.layers[last]!, last);
    return made;
  }

  private placesOf<T>(make: (place: number) => T): T[] {
    return Array.from({ length: this.facts.devices.length + 1 }, (_, index) => make(index - 1));
  }
}
