// An engine host that takes more than it is told: it opens every model with twice the context of its plan.
const on = process.on.bind(process);
process.on = (event, listener) => {
  if (event !== "message") return on(event, listener);
  return on(event, (message) => {
    const { plan, dry } = message.asks ?? {};
    if (message.name === "open" && !dry) {
      const asks = { ...message.asks, plan: { ...plan, contextLength: 2 * plan.contextLength } };
      return listener({ ...message, asks });
    }
    return listener(message);
  });
};
await import("../../dist/engine/host/main.js");
