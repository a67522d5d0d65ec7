// Imports point one way: cli → batch → executor → engine → engine/native. See docs/ARCHITECTURE.md.
const folder = (name) => `^src/${name}(/|\\.ts$)`;
const forbid = (name, from, to, comment) => ({ name, comment, severity: "error", from: { path: from }, to: { path: to } });

/** The folders each folder may import from, beside itself, `errors.ts`, `units.ts` and `messages/`. */
const allowed = {
  gguf: [],
  quantize: ["gguf"],
  convert: ["quantize", "gguf"],
  hardware: [],
  plan: ["gguf", "hardware"],
  engine: ["plan", "gguf", "hardware"],
  planner: ["engine", "plan", "convert", "quantize", "gguf", "hardware"],
  executor: ["engine", "plan", "gguf", "hardware"],
  compare: ["planner", "engine", "plan", "convert", "quantize", "gguf", "hardware"],
  batch: ["executor", "planner", "engine", "plan", "gguf", "hardware"],
};
const folders = [...Object.keys(allowed), "cli"];

module.exports = {
  forbidden: [
    { name: "no-circular", severity: "error", from: {}, to: { circular: true } },
    ...Object.entries(allowed).map(([from, to]) =>
      forbid(
        `${from}-imports`,
        // the process that quantises opens the native libraries
        from === "convert" ? "^src/convert/(?!host/)" : folder(from),
        `^src/(${[...folders.filter((name) => name !== from && !to.includes(name)), "index", "model"].join("|")})(/|\\.ts$)`,
        `${from} may import only: ${to.join(", ") || "nothing"}`,
      ),
    ),
    forbid("units-imports-nobody", "^src/units\\.ts$", "^src/(?!errors|messages)", "units imports only errors"),
    {
      name: "native-only-in-host",
      comment: "nothing outside the engine host touches koffi or a pointer",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/(engine/(native|host)|convert/host)/" },
      to: { path: ["^src/engine/native/", "^src/engine/host/", "koffi"], pathNot: "^src/engine/native/libraries\\.ts$" },
    },
    {
      name: "koffi-only-in-native",
      severity: "error",
      from: { path: "^src/", pathNot: "^src/engine/native/" },
      to: { path: "koffi" },
    },
    {
      name: "no-undeclared-packages",
      severity: "error",
      from: { path: "^src/" },
      to: { dependencyTypes: ["npm-no-pkg", "npm-unknown", "npm-dev"] },
    },
  ],
  options: {
    doNotFollow: { path: "node_modules" },
    tsPreCompilationDeps: true,
    tsConfig: { fileName: "tsconfig.json" },
    enhancedResolveOptions: { exportsFields: ["exports"], conditionNames: ["import", "node", "default"] },
  },
};
