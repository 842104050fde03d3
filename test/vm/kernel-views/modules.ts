import assert from "node:assert/strict";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { CodeOwners } from "../../../src/linux/code-owner.ts";
import { modules } from "../../../src/views/modules.ts";
import type { Guest } from "../harness/guest.ts";
import { kallsyms } from "./kallsyms.ts";
import { readAll } from "./read-all.ts";

/** Each line of /proc/modules, word for word: size, references, users, state, address, taints. */
export async function modulesAreThoseOfProc(guest: Guest, kernel: Kernel): Promise<void> {
  const lines = readAll(modules, kernel).map((row) => {
    const users = [...row.usedBy, ...(row.permanent ? ["[permanent]"] : [])];
    const used = users.length === 0 ? "-" : `${users.join(",")},`;
    const taints = row.taints === "" ? "" : ` (${row.taints})`;
    const { name, size, refcount, state } = row;
    return `${name} ${size} ${refcount} ${used} ${state} ${kernel.format(row.base)}${taints}`;
  });
  assert.deepEqual(lines, (await guest.run("cat /proc/modules")).trim().split("\n"));
}

/** What /sys/module tells of each: build id, version, source version. */
export async function modulesAreThoseOfSysfs(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = readAll(modules, kernel);
  const told = await guest.run(
    `cd /sys/module; for m in ${rows.map(({ name }) => name).join(" ")}; do
      id=$(od -An -tx1 -j16 $m/notes/.note.gnu.build-id | tr -d ' \\n')
      echo $m $id $(cat $m/version || echo -) $(cat $m/srcversion || echo -)
    done 2>/dev/null`,
  );
  const ours = rows.map(({ name, buildId, version, srcversion }) =>
    [name, buildId, version ?? "-", srcversion ?? "-"].join(" "),
  );
  assert.deepEqual(ours, told.trim().split("\n"));
}

/** Every symbol that /proc/kallsyms gives to a module, BPF, ftrace or kprobes has that owner. */
export async function symbolsHaveTheirOwners(guest: Guest, kernel: Kernel): Promise<void> {
  const owners = new CodeOwners(kernel);
  assert.deepEqual(owners.problems, []);
  let found = 0;
  for (const { address, type, name, module } of await kallsyms(guest, kernel)) {
    // Since 6.15 per-CPU variables of modules have addresses inside the kernel's image.
    if (module === undefined || !(address < 0) || type === "a") continue;
    const owner = owners.ownerOf(address);
    const place = `${name} [${module}] at ${kernel.format(address)}`;
    assert.ok(owner !== undefined, place);
    assert.equal(owner.offset, 0, place);
    if (owner.kind === "module") assert.equal(owner.name, module, place);
    else assert.equal(owner.symbol, name, place);
    found++;
  }
  assert.ok(found > 1000, `${found} symbols`);
}

/** Every file under /sys/module/NAME/parameters that can be read holds the same. */
export async function parametersAreThoseOfSysfs(guest: Guest, kernel: Kernel): Promise<void> {
  const rows = readAll(modules, kernel);
  const told = await guest.run("cd /sys/module; grep -s '' */parameters/* || true");
  const values = new Map(
    rows.flatMap(({ name, parameters }) =>
      parameters.map((each) => [`${name}/${each.name}`, each.value]),
    ),
  );
  let compared = 0;
  for (const [, module, name, value] of told.matchAll(/^(\w+)\/parameters\/(\w+):(.*)$/gm)) {
    const key = `${module}/${name}`;
    // Not listed: the kernel's own parameters. Undefined: a module that formats its own.
    if (values.get(key) === undefined) continue;
    assert.equal(values.get(key), value, key);
    compared++;
  }
  assert.ok(compared >= 5, `${compared} compared`);
}
