// A process that converts many models, one after the other, with the kernels of the process that converts.

import { convertModel } from "../../dist/convert/conversion.js";
import { nativeKernels } from "../../dist/convert/host/kernels.js";
import { openQuantizer } from "../../dist/engine/native/quantizer.js";

process.once("message", async ({ libraries, requests }) => {
  const kernels = nativeKernels(openQuantizer(libraries), 2);
  const results = [];
  for (const request of requests)
    results.push(await convertModel(request, { kernels, version: "test" }).catch((error) => error.message));
  process.send(results, () => process.exit(0));
});
