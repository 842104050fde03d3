import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createConnection } from "node:net";
import { once } from "node:events";
import { setTimeout as sleep } from "node:timers/promises";
import { searchPath } from "./command.ts";
import { QmpClient } from "./qmp-client.ts";

/** A QEMU with firmware and nothing else. */
export type BareMachine = AsyncDisposable & { readonly pid: number; readonly monitor: QmpClient };

/** Starts a QEMU that has nothing to boot. It dies with this process, and when it is disposed. */
export async function bareMachine(
  name: string,
  more: readonly string[] = [],
  qemu = "qemu-system-x86_64",
): Promise<BareMachine> {
  const machine = qemu.endsWith("x86_64") ? "q35" : "virt";
  const home = mkdtempSync(join(tmpdir(), "kvmsec-bare-"));
  const socket = join(home, "qmp");
  const child = spawn(
    "setpriv",
    [
      ["--pdeathsig", "KILL", qemu, "-name", name, "-accel", "tcg"],
      [
        "-nodefaults",
        "-no-user-config",
        "-display",
        "none",
        "-machine",
        `${machine},memory-backend=ram`,
      ],
      ["-m", "128M", "-object", "memory-backend-memfd,id=ram,size=128M,share=on"],
      ["-qmp", `unix:${socket},server=on,wait=off`],
      more,
    ].flat(),
    { stdio: "ignore", env: { ...process.env, PATH: searchPath() } },
  );
  const ended = once(child, "exit");
  const dispose = async (): Promise<void> => {
    child.kill("SIGKILL");
    await ended;
    rmSync(home, { recursive: true, force: true });
  };
  while (child.exitCode === null) {
    const connection = createConnection(socket);
    const connected = await once(connection, "connect").then(
      () => true,
      () => false,
    );
    if (!connected) {
      await sleep(20);
      continue;
    }
    const monitor = new QmpClient(connection);
    await monitor.execute("qmp_capabilities");
    return { pid: child.pid ?? 0, monitor, [Symbol.asyncDispose]: dispose };
  }
  await dispose();
  throw new Error(`QEMU ended with status ${child.exitCode}`);
}
