// Multiplies on the workbench of the calibration, in a process of its own, and prints operands and results as JSON.
import { weightsBufferType } from "../../dist/engine/host/calibration-buffers.js";
import { Workbench } from "../../dist/engine/host/calibration-workbench.js";
import { openBackend, openGraphFunctions } from "../../dist/engine/native/graph.js";
import { findLibraries } from "../../dist/engine/native/libraries.js";
import { openNative } from "../../dist/engine/native/open.js";

const libraries = findLibraries({ backend: "cpu" });
const { ggml } = openNative(libraries);
const functions = openGraphFunctions(libraries);
const device = ggml.deviceByType(0);
const workbench = new Workbench(ggml, functions, device, openBackend(functions, ggml, device, 2));
const length = 256;
// Two tiles of AMX, which takes no fewer.
const columns = 32;
const rows = 3;

const products = { f32: await multiply("F32", readF32), q4: await multiply("Q4_0", readQ4) };
// What a pipe has not taken yet is lost at an exit.
process.stdout.write(JSON.stringify(products), () => process.exit(0));

async function multiply(type, read) {
  // Plain memory gives the stored bytes back; the same values are multiplied where the kernels want them.
  const plain = workbench.tensors(1);
  const stored = plain.make(type, [length, columns]);
  await workbench.fillWeights(plain, type, workbench.bufferType);
  const repacked = weightsBufferType(workbench, type, { asExperts: false, repacked: true });
  const weights = workbench.tensors(1);
  const matrix = weights.make(type, [length, columns]);
  await workbench.fillWeights(weights, type, repacked ?? workbench.bufferType);

  const work = workbench.tensors(4);
  const input = work.make("F32", [length, rows]);
  const result = functions.multiply(work.context, matrix, input);
  const graph = work.graph(result);
  work.allocate();
  const values = Float32Array.from({ length: length * rows }, (_, index) => Math.sin(index * 1.7) + 0.3);
  await workbench.write(input, (target) => target.set(new Uint8Array(values.buffer)));
  await workbench.compute(graph);
  return {
    weights: split(read(await workbench.read(stored)), length),
    input: split(values, length),
    result: split(readF32(await workbench.read(result)), columns),
  };
}

function split(values, size) {
  return Array.from({ length: values.length / size }, (_, index) => [
    ...values.subarray(index * size, (index + 1) * size),
  ]);
}

function readF32(bytes) {
  return new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
}

/** block_q4_0 of ggml-common.h: a half scale, then 32 values of 4 bits; the low halves come first. */
function readQ4(bytes) {
  const values = new Float32Array((bytes.length / 18) * 32);
  for (let block = 0; block < bytes.length / 18; block++) {
    const at = block * 18;
    const scale = half(bytes[at] | (bytes[at + 1] << 8));
    for (let index = 0; index < 16; index++) {
      values[block * 32 + index] = scale * ((bytes[at + 2 + index] & 15) - 8);
      values[block * 32 + 16 + index] = scale * ((bytes[at + 2 + index] >> 4) - 8);
    }
  }
  return values;
}

function half(bits) {
  const exponent = (bits >> 10) & 31;
  const mantissa = bits & 1023;
  const size = exponent === 0 ? mantissa * 2 ** -24 : (1 + mantissa / 1024) * 2 ** (exponent - 15);
  return bits & 0x8000 ? -size : size;
}
