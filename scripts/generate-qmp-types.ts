/**
 * Writes src/qmp/generated.ts: TypeScript types of the QMP commands and events that kvmsec uses,
 * taken from what a QEMU on this machine says of itself (query-qmp-schema).
 *
 *   node --conditions=kvmsec-source scripts/generate-qmp-types.ts [QEMU]
 */
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { writeFileSync } from "node:fs";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";
import { TypeWriter } from "./qmp-schema-types.ts";
import type { SchemaEntity } from "./qmp-schema-types.ts";
import { commandsInUse, eventsInUse } from "./qmp-commands-in-use.ts";

const qemu = process.argv[2] ?? "qemu-system-x86_64";
const target = fileURLToPath(new URL("../src/qmp/generated.ts", import.meta.url));

/** Starts an empty machine with QMP on its standard input and output and asks it for its schema. */
async function schemaOf(binary: string): Promise<{ version: string; schema: SchemaEntity[] }> {
  const child = spawn(
    binary,
    ["-machine", "none", "-nodefaults", "-display", "none", "-S", "-qmp", "stdio"],
    { stdio: ["pipe", "pipe", "inherit"] },
  );
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  const next = async () => JSON.parse((await lines.next()).value ?? "");
  const greeting = await next();
  const ask = async (execute: string) => {
    child.stdin.write(JSON.stringify({ execute }));
    for (;;) {
      const answer = await next();
      if ("return" in answer) return answer.return;
      if ("error" in answer) throw new Error(answer.error.desc);
    }
  };
  await ask("qmp_capabilities");
  const schema = await ask("query-qmp-schema");
  const { major, minor } = greeting.QMP.version.qemu;
  await ask("quit");
  await once(child, "exit");
  return { version: `${major}.${minor}`, schema };
}

const { version, schema } = await schemaOf(qemu);
const writer = new TypeWriter(schema);
const text = writer.module(commandsInUse, eventsInUse);
writeFileSync(
  target,
  `// Written by scripts/generate-qmp-types.ts from the schema of QEMU ${version}; do not edit.\n` +
    `/* oxlint-disable max-lines */\n\n${text}`,
);
execFileSync("node_modules/.bin/oxfmt", [target], { stdio: "inherit" });
process.stdout.write(`${target}: ${commandsInUse.length} commands, ${eventsInUse.length} events\n`);
