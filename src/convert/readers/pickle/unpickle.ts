import { JaugeError } from "../../../errors.js";
import { malformed, printable, problems, unsupported } from "../problems.js";
import { opcodes as op, opcodeNames } from "./opcodes.js";
import { PickleDict, PickleGlobal, PickleSet, PickleTuple, type PickleValue } from "./values.js";

/** What the pickle is of, and what it may ask for. */
export interface PickleContext {
  readonly path: string;
  /** As errors name it. */
  readonly field: string;
  /** The class or function of that name; undefined where it is refused. */
  global(module: string, name: string): PickleGlobal | undefined;
  /** The object outside the pickle that an id stands for. */
  persistent(id: PickleValue): PickleValue;
}

/** The bytes end before the pickle does: more of them are needed, if there are any. */
export class PickleEndsEarly extends Error {}

/** Far above what 100,000 tensors take, and below what fills a memory. */
const mostOpcodes = 8_000_000;
const mostContainers = 1_000_000;
const mostStacked = 1_000_000;
/** Integers of a checkpoint are sizes; the longest is the magic number of old files. */
const longestInteger = 16;

/**
 * The value of the pickle that starts at `start`, and where it ends. Protocols 2 to 5, without what runs code: a global
 * is one that the context gives, calls are those that it has. Time and memory are bounded by the limits above.
 *
 * Source of the opcodes: Lib/pickletools.py of Python.
 * Errors: `checkpoint-malformed`, `checkpoint-unsupported`, `checkpoint-class-refused`; `PickleEndsEarly`.
 */
export function unpickle(
  bytes: Buffer,
  start: number,
  context: PickleContext,
): { value: PickleValue; end: number } {
  return new Unpickler(bytes, start, context).run();
}

class Unpickler {
  private stack: PickleValue[] = [];
  /** Stacks below the marks. */
  private readonly marks: PickleValue[][] = [];
  private marked = 0;
  private readonly memo = new Map<number, PickleValue>();
  private containers = 0;

  constructor(
    private readonly bytes: Buffer,
    private at: number,
    private readonly context: PickleContext,
  ) {}

  run(): { value: PickleValue; end: number } {
    for (let count = 0; ; count++) {
      if (count > mostOpcodes) throw this.wrong(problems.tooMany({ limit: mostOpcodes }));
      const position = this.at;
      const opcode = this.byte();
      if (opcode === op.STOP) return { value: this.pop(), end: this.at };
      if (!this.step(opcode)) {
        const name = opcodeNames.get(opcode) ?? `0x${opcode.toString(16).padStart(2, "0")}`;
        const problem = problems.opcode({ opcode: name, position });
        if (opcodeNames.has(opcode)) throw unsupported(this.context.path, this.context.field, problem);
        throw malformed(this.context.path, this.context.field, problem);
      }
      if (this.stack.length + this.marked > mostStacked)
        throw this.wrong(problems.tooMany({ limit: mostStacked }));
    }
  }

  /** Does what an opcode says; false where it is none of those that are known. */
  private step(opcode: number): boolean {
    switch (opcode) {
      case op.PROTO: {
        const version = this.byte();
        if (version < 2 || version > 5) throw this.wrong(problems.protocol({ version }));
        return true;
      }
      case op.FRAME:
        this.take(8);
        return true;
      case op.NONE:
        return this.push(null);
      case op.NEWTRUE:
        return this.push(true);
      case op.NEWFALSE:
        return this.push(false);
      case op.BININT:
        return this.push(this.take(4).readInt32LE());
      case op.BININT1:
        return this.push(this.byte());
      case op.BININT2:
        return this.push(this.take(2).readUInt16LE());
      case op.LONG1:
        return this.push(this.integer(this.byte()));
      case op.LONG4:
        return this.push(this.integer(this.take(4).readUInt32LE()));
      case op.BINFLOAT:
        return this.push(this.take(8).readDoubleBE());
      case op.SHORT_BINUNICODE:
      case op.SHORT_BINSTRING:
        return this.push(this.take(this.byte()).toString("utf8"));
      case op.BINUNICODE:
      case op.BINSTRING:
        return this.push(this.take(this.take(4).readUInt32LE()).toString("utf8"));
      case op.BINUNICODE8:
        return this.push(this.take(this.length8()).toString("utf8"));
      case op.SHORT_BINBYTES:
        return this.push(this.take(this.byte()));
      case op.BINBYTES:
        return this.push(this.take(this.take(4).readUInt32LE()));
      case op.BINBYTES8:
      case op.BYTEARRAY8:
        return this.push(this.take(this.length8()));
      case op.EMPTY_TUPLE:
        return this.make(new PickleTuple([]));
      case op.TUPLE1:
        return this.make(new PickleTuple(this.popMany(1)));
      case op.TUPLE2:
        return this.make(new PickleTuple(this.popMany(2)));
      case op.TUPLE3:
        return this.make(new PickleTuple(this.popMany(3)));
      case op.EMPTY_LIST:
        return this.make([]);
      case op.EMPTY_DICT:
        return this.make(new PickleDict());
      case op.EMPTY_SET:
        return this.make(new PickleSet());
      default:
        return this.stepOnMarked(opcode) || this.stepOnObjects(opcode) || this.stepOnMemo(opcode);
    }
  }

  private stepOnMarked(opcode: number): boolean {
    switch (opcode) {
      case op.MARK:
        this.marks.push(this.stack);
        this.marked += this.stack.length + 1;
        this.stack = [];
        return true;
      case op.POP_MARK:
        this.popMark();
        return true;
      case op.TUPLE:
        return this.make(new PickleTuple(this.popMark()));
      case op.LIST:
        return this.make(this.popMark());
      case op.DICT: {
        const items = this.popMark();
        return this.make(this.fill(new PickleDict(), items));
      }
      case op.FROZENSET: {
        const set = new PickleSet();
        for (const item of this.popMark()) set.items.push(item);
        return this.make(set);
      }
      case op.APPENDS: {
        const items = this.popMark();
        const list = this.top();
        if (!Array.isArray(list)) throw this.wrong(problems.notA({ expected: "list" }));
        for (const item of items) list.push(item);
        return true;
      }
      case op.SETITEMS: {
        const items = this.popMark();
        this.fill(this.top(), items);
        return true;
      }
      case op.ADDITEMS: {
        const items = this.popMark();
        const set = this.top();
        if (!(set instanceof PickleSet)) throw this.wrong(problems.notA({ expected: "set" }));
        for (const item of items) set.items.push(item);
        return true;
      }
      default:
        return false;
    }
  }

  private stepOnObjects(opcode: number): boolean {
    switch (opcode) {
      case op.POP:
        this.pop();
        return true;
      case op.DUP:
        return this.push(this.top());
      case op.APPEND: {
        const item = this.pop();
        const list = this.top();
        if (!Array.isArray(list)) throw this.wrong(problems.notA({ expected: "list" }));
        list.push(item);
        return true;
      }
      case op.SETITEM: {
        const items = this.popMany(2);
        this.fill(this.top(), items);
        return true;
      }
      case op.GLOBAL:
        return this.push(this.global(this.line(), this.line()));
      // refuses by name; a file of torch.save has none
      case op.INST:
        this.global(this.line(), this.line());
        return false;
      case op.STACK_GLOBAL: {
        const [module, name] = this.popMany(2);
        if (typeof module !== "string" || typeof name !== "string")
          throw this.wrong(problems.notA({ expected: "name" }));
        return this.push(this.global(module, name));
      }
      case op.REDUCE:
      case op.NEWOBJ: {
        const [callable, args] = this.popMany(2);
        return this.make(this.call(callable!, args!));
      }
      case op.BUILD: {
        this.pop();
        // ordered dictionaries carry _metadata, the versions of modules; nothing else has a state
        if (!(this.top() instanceof PickleDict)) throw this.wrong(problems.setState());
        return true;
      }
      case op.BINPERSID:
        return this.make(this.context.persistent(this.pop()));
      default:
        return false;
    }
  }

  private stepOnMemo(opcode: number): boolean {
    switch (opcode) {
      case op.BINGET:
        return this.push(this.memorised(this.byte()));
      case op.LONG_BINGET:
        return this.push(this.memorised(this.take(4).readUInt32LE()));
      case op.BINPUT:
        return this.memorise(this.byte());
      case op.LONG_BINPUT:
        return this.memorise(this.take(4).readUInt32LE());
      case op.MEMOIZE:
        return this.memorise(this.memo.size);
      default:
        return false;
    }
  }

  private call(callable: PickleValue, args: PickleValue): PickleValue {
    if (!(callable instanceof PickleGlobal) || !(args instanceof PickleTuple))
      throw this.wrong(problems.notCallable());
    const made = callable.call?.(args.items);
    if (made === undefined) throw this.wrong(problems.arguments({ class: callable.name }));
    return made;
  }

  private global(module: string, name: string): PickleGlobal {
    const known = this.context.global(module, name);
    if (known) return known;
    const { path } = this.context;
    throw new JaugeError("checkpoint-class-refused", { path, class: printable(`${module}.${name}`) });
  }

  private fill(dict: PickleValue, items: readonly PickleValue[]): PickleDict {
    if (!(dict instanceof PickleDict)) throw this.wrong(problems.notA({ expected: "dict" }));
    if (items.length % 2 !== 0) throw this.wrong(problems.stackEmpty());
    for (let index = 0; index < items.length; index += 2) dict.set(items[index]!, items[index + 1]!);
    return dict;
  }

  private memorised(index: number): PickleValue {
    const value = this.memo.get(index);
    if (value === undefined) throw this.wrong(problems.notMemorised({ index }));
    return value;
  }

  private memorise(index: number): true {
    if (this.memo.size >= mostContainers) throw this.wrong(problems.tooMany({ limit: mostContainers }));
    this.memo.set(index, this.top());
    return true;
  }

  private push(value: PickleValue): true {
    this.stack.push(value);
    return true;
  }

  /** As `push`, for what takes more memory than its opcode. */
  private make(value: PickleValue): true {
    if (++this.containers > mostContainers) throw this.wrong(problems.tooMany({ limit: mostContainers }));
    return this.push(value);
  }

  private top(): PickleValue {
    const value = this.stack.at(-1);
    if (value === undefined) throw this.wrong(problems.stackEmpty());
    return value;
  }

  private pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined) throw this.wrong(problems.stackEmpty());
    return value;
  }

  private popMany(count: number): PickleValue[] {
    if (this.stack.length < count) throw this.wrong(problems.stackEmpty());
    return this.stack.splice(-count);
  }

  private popMark(): PickleValue[] {
    const items = this.stack;
    const below = this.marks.pop();
    if (!below) throw this.wrong(problems.stackEmpty());
    this.stack = below;
    this.marked -= below.length + 1;
    return items;
  }

  private byte(): number {
    if (this.at >= this.bytes.length) throw new PickleEndsEarly();
    return this.bytes[this.at++]!;
  }

  private take(length: number): Buffer {
    if (length > this.bytes.length - this.at) throw new PickleEndsEarly();
    const start = this.at;
    this.at += length;
    return this.bytes.subarray(start, this.at);
  }

  private length8(): number {
    return Number(this.take(8).readBigUInt64LE());
  }

  /** The text up to the next line feed. */
  private line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    if (end < 0) throw new PickleEndsEarly();
    const text = this.bytes.toString("utf8", this.at, end);
    this.at = end + 1;
    return text;
  }

  /** A two's complement integer of any length, little-endian. */
  private integer(length: number): number | bigint {
    if (length > longestInteger) throw this.wrong(problems.outsideInteger({ bytes: length }));
    let value = 0n;
    for (const byte of this.take(length).toReversed()) value = (value << 8n) | BigInt(byte);
    value = BigInt.asIntN(length * 8, value);
    const number = Number(value);
    return Number.isSafeInteger(number) ? number : value;
  }

  private wrong(reason: string): JaugeError<"checkpoint-malformed"> {
    const { path, field } = this.context;
    return malformed(path, field, problems.pickle({ position: this.at, reason }));
  }
}
