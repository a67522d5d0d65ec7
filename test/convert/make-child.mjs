// A process that makes a model of made-up bytes and is killed, as by `kill -9`, once the journal has so many finished
// tensors.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import { makeFiles } from "../../dist/convert/make-model.js";
import { outputFiles } from "../../dist/convert/output-files.js";
import { copyKernels } from "../../dist/quantize/kernels.js";

const [path, killAt, shapes] = process.argv.slice(2);
const synced = () => JSON.parse(readFileSync(`${path}.part.json`, "utf8")).finished.length;
// as model-double.ts has it
const tensors = JSON.parse(shapes).map((shape, index) => ({
  name: `blk.${index}.ffn_up.weight`,
  type: "F32",
  shape,
  async readRows(target, firstRow) {
    // not far ahead of the disk: there shall be many moments to be killed at
    for (let waits = 0; index > synced() + 10 && waits < 40; waits++) await sleep(5);
    for (let at = 0; at < target.length; at++) target[at] = (firstRow * shape[0] * 4 + at) * (index + 3);
  },
}));
const metadata = new Map([["general.architecture", { type: "string", value: "llama" }]]);
const model = {
  path: "made up",
  format: "none",
  metadata,
  tensors,
  fingerprint: "one",
  close: async () => {},
};
const types = tensors.map(({ type }) => type);
await makeFiles(model, outputFiles(path, model, types, metadata, { kind: "whole", order: "source" }), {
  kernels: copyKernels,
  threads: 2,
  version: "test",
  syncMs: 0,
  onProgress: () => synced() >= Number(killAt) && process.kill(process.pid, "SIGKILL"),
});
