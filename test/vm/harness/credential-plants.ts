import type { GuestVirtual } from "../../../src/base/address.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { startIntruder, taskOf } from "./intruder.ts";
import { inOrder } from "./process-plant.ts";
import type { ProcessPlant, ProcessScene } from "./process-plant.ts";
import type { RamEditor } from "./ram-editor.ts";

const IDS = ["uid", "gid", "euid", "egid", "suid", "sgid", "fsuid", "fsgid"];
const CAPABILITIES = ["cap_permitted", "cap_effective", "cap_bset"];
const SECUREBITS_WITHOUT_MEANING = 1 << 20;
const THREAD_KEYRING = 1;

/** Credentials and flags, written from the host into a process that an ordinary user runs. */
export const credentialPlants: readonly ProcessPlant[] = [
  {
    title: "every id of a user's process set to root's, as rootkits do on a signal",
    check: "forged-credentials",
    says: /its uid is 0 but its account is that of 1000/,
    plant: (scene) => onUser(scene, ({ kernel, editor }, cred) => [setIds(kernel, editor, cred)]),
  },
  {
    title: "the same, as the kernel's own word on the program contradicts it",
    check: "root-without-cause",
    says: /started by uid 1000 and gained no rights by that, but has uid 0/,
    plant: (scene) => onUser(scene, ({ kernel, editor }, cred) => [setIds(kernel, editor, cred)]),
  },
  {
    title: "capabilities that are effective without being permitted",
    check: "forged-credentials",
    says: /effective capabilities that are not permitted/,
    plant: (scene) =>
      onUser(scene, ({ kernel, editor }, cred) => [
        editor.writeHex(cred + kernel.offset("cred", "cap_effective"), "00 00 20 00 00 00 00 00"),
      ]),
  },
  {
    title: "all capabilities, of which some do not exist",
    check: "forged-credentials",
    says: /capabilities that this kernel does not know/,
    plant: (scene) =>
      onUser(scene, ({ kernel, editor }, cred) =>
        CAPABILITIES.map((name) =>
          editor.writeHex(cred + kernel.offset("cred", name), "ff ff ff ff ff ff ff 00"),
        ),
      ),
  },
  {
    title: "securebits that do not exist",
    check: "forged-credentials",
    says: /securebits that do not exist/,
    plant: (scene) =>
      onUser(scene, ({ kernel, editor }, cred) => [
        editor.write(
          cred + kernel.offset("cred", "securebits"),
          littleEndian(SECUREBITS_WITHOUT_MEANING),
        ),
      ]),
  },
  {
    title: "credentials in memory that is not theirs",
    check: "forged-credentials",
    says: /do not lie where the kernel keeps credentials/,
    plant: async (scene) => {
      const { guest, kernel, editor } = scene;
      const { task, end } = await startIntruder(guest, kernel, "user");
      // Stands in for memory that an intruder allocated: nothing reads it but a shutdown.
      const copy = kernel.requireSymbol("poweroff_cmd");
      const bytes = kernel.space.bytes(credOf(kernel, task), kernel.types.size("cred"));
      if (bytes === undefined) throw new Error("its credentials cannot be read");
      const undo = [
        editor.write(copy, bytes),
        ...["real_cred", "cred"].map((name) =>
          editor.writePointer(task + kernel.offset("task_struct", name), copy),
        ),
      ];
      return inOrder(...undo.toReversed(), end);
    },
  },
  {
    title: "another's credentials, of which nobody counted the reference",
    check: "forged-credentials",
    says: /references are held but/,
    plant: async ({ guest, kernel, editor }) => {
      const one = await startIntruder(guest, kernel, "user");
      const other = await startIntruder(guest, kernel, "user");
      const cred = credOf(kernel, one.task);
      const undo = ["real_cred", "cred"].map((name) =>
        editor.writePointer(other.task + kernel.offset("task_struct", name), cred),
      );
      return inOrder(...undo, one.end, other.end);
    },
  },
  {
    title: "credentials as prepare_kernel_cred makes them",
    check: "root-without-cause",
    says: /started by uid 1000/,
    plant: (scene) => onUser(scene, ({ kernel, editor }, cred) => becomeRoot(kernel, editor, cred)),
  },
  {
    title: "a child that was made root before it executed anything",
    check: "root-without-cause",
    says: /its parent \d+ is and was uid 1000/,
    plant: async ({ guest, kernel, editor }) => {
      const { pid, end } = await startIntruder(guest, kernel, "family");
      const child = Number(await guest.run(`pgrep -P ${pid}`));
      const cred = credOf(kernel, taskOf(kernel, child));
      becomeRoot(kernel, editor, cred, false);
      await guest.run(`kill -USR1 ${child}; sleep 0.5`);
      return end;
    },
  },
  {
    title: "a program of root's with a kernel helper's credentials",
    check: "root-without-cause",
    says: /such as the kernel makes for its own helpers/,
    plant: async ({ guest, kernel, editor }) => {
      const pid = Number(await guest.run("sleep 1000 >/dev/null 2>&1 & echo $!; sleep 0.5"));
      const cred = credOf(kernel, taskOf(kernel, pid));
      const undo = markAsKernels(kernel, editor, cred);
      return inOrder(...undo, () => guest.run(`kill ${pid}; sleep 0.2`));
    },
  },
  ...["00 00 00 10", "00 00 00 02"].map((bits): ProcessPlant => ({
    title: `a task with the flag ${bits}`,
    check: "task-flags",
    says: /marked with the flag 0x1?[02]0*/,
    plant: async ({ guest, kernel, editor }) => {
      const { task, end } = await startIntruder(guest, kernel, "user");
      const flags = task + kernel.offset("task_struct", "flags");
      const added = Buffer.from(bits.replaceAll(" ", ""), "hex").readUInt32LE();
      const undo = editor.write(flags, littleEndian(kernel.space.u32(flags) | added));
      return inOrder(undo, end);
    },
  })),
];

type Edit = (scene: ProcessScene, cred: GuestVirtual) => readonly (() => void)[];

/** Edits the credentials of a process that an ordinary user runs. */
async function onUser(scene: ProcessScene, edit: Edit): Promise<() => Promise<void>> {
  const { task, end } = await startIntruder(scene.guest, scene.kernel, "user");
  const undo = edit(scene, credOf(scene.kernel, task));
  return inOrder(...undo, end);
}

function credOf(kernel: Kernel, task: GuestVirtual): GuestVirtual {
  return kernel.reader("task_struct", "real_cred")(task);
}

function setIds(kernel: Kernel, editor: RamEditor, cred: GuestVirtual): () => void {
  const undo = IDS.map((name) => editor.write(cred + kernel.offset("cred", name), littleEndian(0)));
  return () => undo.forEach((step) => step());
}

/** Consistent in itself: account, counters and capabilities are root's as well. */
function becomeRoot(
  kernel: Kernel,
  editor: RamEditor,
  cred: GuestVirtual,
  marked = true,
): readonly (() => void)[] {
  const init = kernel.requireSymbol("init_cred");
  const pointers = ["user", "ucounts", "group_info"].filter((name) =>
    kernel.types.has("cred", name),
  );
  return [
    setIds(kernel, editor, cred),
    ...pointers.map((name) =>
      editor.writePointer(
        cred + kernel.offset("cred", name),
        kernel.space.pointer(init + kernel.offset("cred", name)),
      ),
    ),
    ...CAPABILITIES.map((name) => {
      const offset = kernel.offset("cred", name);
      const set = kernel.space.bytes(init + offset, 8);
      return editor.write(cred + offset, set ?? new Uint8Array(8));
    }),
    ...(marked ? markAsKernels(kernel, editor, cred) : []),
  ];
}

/** What prepare_kernel_cred leaves in the members for keys. */
function markAsKernels(
  kernel: Kernel,
  editor: RamEditor,
  cred: GuestVirtual,
): readonly (() => void)[] {
  return [
    editor.write(cred + kernel.offset("cred", "jit_keyring"), Uint8Array.of(THREAD_KEYRING)),
    editor.writePointer(cred + kernel.offset("cred", "session_keyring"), 0),
  ];
}

function littleEndian(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32LE(value >>> 0);
  return bytes;
}
