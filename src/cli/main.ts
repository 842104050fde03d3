import { enableCompileCache } from "node:module";

// Keeps the stripped and compiled form of each file, which halves the start-up time.
enableCompileCache();

const { run } = await import("./run.ts");
process.exitCode = await run(process.argv.slice(2));
