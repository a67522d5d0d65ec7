// A process that opens an engine, says which process hosts it, and leaves it running.
import { Engine, simplePlan } from "../../dist/index.js";

const engine = await Engine.open(simplePlan({ modelPath: process.argv[2], threads: 1, contextLength: 256 }));
process.send(engine.processId);
