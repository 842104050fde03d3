import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { CodeOwners } from "../../../src/linux/code-owner.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import type { Guest as Attached } from "../../../src/vm/guest.ts";
import { callbackTamperings } from "./callback-tamperings.ts";
import { deviceTamperings } from "./device-tamperings.ts";
import { interruptTamperings } from "./interrupt-tamperings.ts";
import { listTamperings } from "./list-tamperings.ts";
import { probeTamperings } from "./probe-tamperings.ts";
import { strangerTamperings } from "./stranger-tamperings.ts";
import { tableTamperings } from "./table-tamperings.ts";
import type { RamEditor } from "./ram-editor.ts";

/** A change that leads the kernel somewhere else, and what a check has to say of it. */
export type HookTampering = {
  readonly title: string;
  readonly check: string;
  /** Plants it; what it returns takes it back. */
  readonly tamper: () => () => void;
  readonly says: RegExp;
};

/** What the simulators share. */
export type HookPlace = {
  readonly kernel: Attached["kernel"];
  readonly editor: RamEditor;
  /** Start of a function of a module that is loaded. */
  readonly moduleFunction: GuestVirtual;
  /** Its `struct module`. */
  readonly module: GuestVirtual;
  /** Kernel memory that is no code: a place where unlinked modules hide theirs. */
  readonly nobody: GuestVirtual;
  /** A kernel function whose address stands in none of the places that are tampered with. */
  readonly wrong: GuestVirtual;
};

/** All of them, for one guest. Each leaves the guest able to run while it stands. */
export function hookTamperings({ kernel }: Attached, editor: RamEditor): HookTampering[] {
  const { module, code } = moduleFunction(kernel);
  const task = kernel.requireSymbol("init_task");
  const place: HookPlace = {
    kernel,
    editor,
    module,
    moduleFunction: code,
    nobody: kernel.space.pointer(task + kernel.offset("task_struct", "tasks")),
    wrong: kernel.requireSymbol("commit_creds"),
  };
  return [
    ...interruptTamperings(place),
    ...listTamperings(place),
    ...callbackTamperings(place),
    ...probeTamperings(place),
    ...tableTamperings(place),
    ...deviceTamperings(place),
    ...strangerTamperings(place),
  ];
}

/** Does several things, and takes them back in the opposite order. */
export function together(...undo: readonly (() => void)[]): () => void {
  return () => {
    for (const each of undo.toReversed()) each();
  };
}

function moduleFunction(kernel: Kernel): { module: GuestVirtual; code: GuestVirtual } {
  for (const { module, symbols } of new CodeOwners(kernel).modules) {
    const code = [...(symbols ?? [])].find(({ type }) => type === "t" || type === "T");
    if (code !== undefined) return { module, code: code.address };
  }
  return assert.fail("no module is loaded");
}
