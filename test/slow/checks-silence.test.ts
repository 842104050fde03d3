import { readFileSync } from "node:fs";
import { test } from "node:test";
import { attach } from "../../src/vm/guest.ts";
import { lookWithFiles } from "../vm/harness/all-checks.ts";
import { kernel as debianKernel } from "../vm/harness/debian-kernel.ts";
import { parseKernel } from "../vm/harness/guest-matrix.ts";
import { bootTiny } from "../vm/harness/guest.ts";
import { harmlessCauses } from "../vm/harness/harmless.ts";
import { helperProgram } from "../vm/harness/helper-program.ts";
import { silentDuring } from "../vm/harness/silence.ts";

test("harmless causes on the newest kernel", async (t) => {
  const kernel = await debianKernel(parseKernel("trixie-backports/cloud"));
  await using guest = await bootTiny({
    kernel,
    cpus: 2,
    ram: "file",
    memory: "1G",
    availableModules: ["dummy", "bridge", "tun"],
    files: {
      "/root/vmlinuz": readFileSync(kernel.vmlinuz),
      "/usr/sbin/kexec-load": {
        data: readFileSync(await helperProgram("kexec-load")),
        mode: 0o755,
      },
    },
  });
  using attached = await attach(`pid:${guest.pid}`);
  const look = await lookWithFiles(guest, attached);
  const kexec = {
    title: "a kernel loaded for kexec",
    commands: "kexec-load /root/vmlinuz; sleep 2; kexec-load",
  };
  for (const { title, commands } of [kexec, ...harmlessCauses]) {
    await t.test(title, async (inner) => {
      inner.diagnostic(`${await silentDuring(guest, look, commands)} sweeps`);
    });
  }
});
