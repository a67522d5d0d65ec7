/** What a pickle can hold here. A list is an array; what a `PickleGlobal` makes is an object of its own class. */
export type PickleValue = null | boolean | number | bigint | string | Uint8Array | PickleValue[] | object;

export class PickleTuple {
  constructor(readonly items: readonly PickleValue[]) {}
}

export class PickleSet {
  readonly items: PickleValue[] = [];
}

/** A dictionary in the order it was filled. Most of a checkpoint's are empty, so memory is taken at the first entry. */
export class PickleDict {
  private map: Map<PickleValue, PickleValue> | undefined;

  set(key: PickleValue, value: PickleValue): void {
    this.map ??= new Map();
    this.map.set(key, value);
  }

  get(key: PickleValue): PickleValue | undefined {
    return this.map?.get(key);
  }

  get size(): number {
    return this.map?.size ?? 0;
  }

  entries(): Iterable<[PickleValue, PickleValue]> {
    return this.map?.entries() ?? [];
  }
}

/** A class or function that a pickle may name. What it does is written here: nothing of the file's is ever run. */
export class PickleGlobal {
  constructor(
    /** As Python names it: `collections.OrderedDict`. */
    readonly name: string,
    /** What it makes of these arguments; undefined where it does not take them. Absent: only ever handed over. */
    readonly call?: (args: readonly PickleValue[]) => PickleValue | undefined,
  ) {}
}
