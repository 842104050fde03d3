import { connect } from "node:net";
import { join } from "node:path";
import { KvmsecError, systemCode } from "../base/errors.ts";
import { EventLog, eventLogPath } from "../events/event-log.ts";
import { tryLockFile } from "../native/file-lock.ts";
import type { Home } from "../vm/home.ts";
import { lockHolder, signLock } from "../vm/vm-lock.ts";
import { controlAnswer } from "./control-request.ts";
import type { ControlAnswer, ControlRequest, HandRecord } from "./control-request.ts";
import { ControlSocketPath, MAX_MESSAGE } from "./control-socket.ts";

const PATIENCE_MS = 15_000;

/** The guard's answer, or undefined where none serves this home. Throws what the guard refuses with. */
export async function askGuard(
  home: Home,
  request: ControlRequest,
): Promise<Readonly<Record<string, unknown>> | undefined> {
  using place = new ControlSocketPath(home.root);
  const line = await exchange(place.path, `${JSON.stringify(request)}\n`);
  if (line === undefined) return undefined;
  const answer = answerIn(line);
  if (answer.ok) return answer.said;
  const code = answer.code.startsWith("KVMSEC_") ? answer.code.slice(7) : "INTERNAL";
  throw new KvmsecError(`KVMSEC_${code}`, answer.message);
}

function answerIn(line: string): ControlAnswer {
  try {
    return controlAnswer.parse(JSON.parse(line));
  } catch {
    throw silent();
  }
}

/** Puts a person's deed on record: through the guard where it runs, else straight into its log. */
export async function recordByHand(home: Home, record: HandRecord): Promise<void> {
  for (let tries = 0; tries < 2; tries++) {
    if ((await askGuard(home, { ask: "record", record })) !== undefined) return;
    const path = join(home.root, "daemon.lock");
    using lock = tryLockFile(path);
    // A guard took the lock between the two: now it can be asked.
    if (lock === undefined) continue;
    signLock(lock, record.kind);
    using log = EventLog.open(eventLogPath(home.root));
    log.append(record);
    return;
  }
  const holder = lockHolder(join(home.root, "daemon.lock"));
  throw new KvmsecError("KVMSEC_GUARD_SILENT", `${holder} has this home, and does not answer.`, {
    hint: "Wait for it to end, then try again.",
  });
}

function exchange(path: string, request: string): Promise<string | undefined> {
  return new Promise((resolve, reject) => {
    const client = connect(path);
    let text = "";
    client.setTimeout(PATIENCE_MS, () => client.destroy(silent()));
    client.setEncoding("utf8").on("connect", () => client.write(request));
    client.on("data", (piece: string) => {
      text += piece;
      if (text.length > MAX_MESSAGE) client.destroy(silent());
    });
    client.on("error", (error) => {
      const absent = ["ENOENT", "ECONNREFUSED"].includes(systemCode(error) ?? "");
      return absent ? resolve(undefined) : reject(error);
    });
    client.on("close", () => (text.endsWith("\n") ? resolve(text) : reject(silent())));
  });
}

function silent(): KvmsecError {
  return new KvmsecError("KVMSEC_GUARD_SILENT", "The guard of this home does not answer.", {
    hint: "It may be ending: try again.",
  });
}
