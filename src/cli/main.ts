import process from "node:process";

// bin/kvmsec.js holds the other end: when it is gone, so is who asked. SIGTERM, because commands
// that follow know how to leave on it.
process.on("disconnect", () => process.kill(process.pid, "SIGTERM"));
process.channel?.unref();

const { run } = await import("./run.ts");
process.exitCode = await run(process.argv.slice(2));
