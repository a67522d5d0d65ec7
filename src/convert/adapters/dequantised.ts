import { JaugeError } from "../../errors.js";
import { type TensorTypeName, tensorTypes } from "../../gguf/tensor-types.js";
import { adapterProblems } from "../../messages/adapters.js";
import { localized } from "../../messages/locale.js";
import { bytesOfRows, type KernelLane, type QuantizeKernels } from "../../quantize/kernels.js";
import type { ConvertibleTensor } from "../model.js";
import { asFloat32 } from "../views/decoded.js";
import type { View } from "../views/view.js";

const problems = localized(adapterProblems);
/** Elements that are turned at a time; a longer row is turned alone. */
const bandElements = 2 ** 18;

/**
 * Gives the rows of a converted model's tensors as F32, whatever they are stored in: blocks go through the kernels, in
 * lanes that are lent to one read at a time. Without kernels, a model can be planned, but not read.
 */
export class FloatRows {
  private readonly free: KernelLane[] = [];
  private readonly room: { sourceBytes: number; targetBytes: number };

  constructor(
    private readonly path: string,
    tensors: readonly ConvertibleTensor[],
    private readonly kernels: QuantizeKernels | undefined,
  ) {
    const quantised = tensors.filter(({ type }) => tensorTypes[type].quantised);
    const most = (bytes: (tensor: ConvertibleTensor) => number) => Math.max(0, ...quantised.map(bytes));
    this.room = {
      sourceBytes: most(({ type, shape }) => bytesOfRows(type, rowsInBand(shape), shape[0] ?? 1)),
      targetBytes: most(({ shape }) => 4 * rowsInBand(shape) * (shape[0] ?? 1)),
    };
  }

  /** Errors: `adapter-base-differs` where it holds no numbers that could be added to. */
  of(tensor: ConvertibleTensor, adapter: string): View {
    const { type } = tensor;
    const rows = tensor.shape.slice(1).reduce((product, size) => product * size, 1);
    const rowElements = tensor.shape[0] ?? 1;
    const stored = { rows, rowBytes: bytesOfRows(type, 1, rowElements) };
    if (type === "F32" || type === "F16" || type === "BF16")
      return asFloat32({
        type,
        ...stored,
        readRows: (target, firstRow) => tensor.readRows(target, firstRow),
      });
    if (!tensorTypes[type].quantised) {
      const facts = { path: adapter, base: this.path, tensor: tensor.name };
      throw new JaugeError("adapter-base-differs", { ...facts, problem: problems.notFloat({ type }) });
    }
    const rowBytes = 4 * rowElements;
    const atOnce = rowsInBand(tensor.shape);
    return {
      type: "F32",
      rows,
      rowBytes,
      readRows: async (target, firstRow) => {
        const count = target.byteLength / rowBytes;
        const lane = this.take();
        try {
          for (let done = 0; done < count; done += atOnce) {
            const part = Math.min(atOnce, count - done);
            await tensor.readRows(lane.source.subarray(0, part * stored.rowBytes), firstRow + done);
            target.set(await floatsOf(lane, tensor.name, type, part, rowElements), done * rowBytes);
          }
        } finally {
          this.free.push(lane);
        }
      },
    };
  }

  private take(): KernelLane {
    const { kernels, room } = this;
    if (!kernels) throw new TypeError(`${this.path}: nothing here turns blocks into numbers`);
    const elements = room.targetBytes / 4;
    return this.free.pop() ?? kernels.lane({ ...room, elements, rowElements: 0 });
  }
}

function rowsInBand([rowElements = 1]: readonly number[]): number {
  return Math.max(1, Math.floor(bandElements / rowElements));
}

function floatsOf(lane: KernelLane, tensor: string, from: TensorTypeName, rows: number, rowElements: number) {
  return lane.convert({ tensor, from, to: "F32", rows, rowElements, weighted: false });
}
