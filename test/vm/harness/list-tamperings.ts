import assert from "node:assert/strict";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { lsmHooks } from "../../../src/linux/lsm-hooks.ts";
import { forge, makeForeign, scratch } from "./forged-object.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";

/** A tracepoint that is off, and a security hook that is only called for PTRACE_TRACEME. */
const TRACEPOINT = "sys_exit";
const HOOK = "ptrace_traceme";

/** Callbacks that are planted in the kernel's lists. */
export function listTamperings(place: HookPlace): HookTampering[] {
  return [
    ...ftraceTamperings(place),
    ...probeTamperings(place),
    ...securityTamperings(place),
    ...notifierTamperings(place),
  ];
}

function ftraceTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, moduleFunction, nobody } = place;
  const ops = scratch(place);
  const register = (target: GuestVirtual): (() => void) =>
    together(
      forge(place, "ftrace_ops", ops, {
        func: target,
        next: kernel.requireSymbol("ftrace_list_end"),
      }),
      editor.writePointer(kernel.requireSymbol("ftrace_ops_list"), ops),
    );
  return [
    {
      title: "a callback in a module from elsewhere",
      check: "ftrace",
      tamper: () => together(makeForeign(place), register(moduleFunction)),
      says: /callback of an ftrace user leads to code of a module that is not/,
    },
    {
      title: "a callback in memory of nobody",
      check: "ftrace",
      tamper: () => register(nobody),
      says: /callback of an ftrace user leads to memory of nobody/,
    },
    // Only one user before 6.12; no direct calls where nobody asked for them.
    ...(Number.isNaN(kernel.symbol("fgraph_array")) ? [] : [graphTampering(place)]),
    ...(Number.isNaN(kernel.symbol("direct_functions")) ? [] : [directTampering(place)]),
  ];
}

/** A place among the graph tracer's users that is free: without a bit for it nobody is called. */
function graphTampering(place: HookPlace): HookTampering {
  const { kernel, editor, nobody } = place;
  const user = scratch(place) + 0xc00;
  const array = kernel.requireSymbol("fgraph_array");
  return {
    title: "a user of the graph tracer in memory of nobody",
    check: "ftrace",
    tamper: () =>
      together(
        forge(place, "fgraph_ops", user, { entryfunc: nobody }),
        editor.writePointer(array + 15 * 8, user),
      ),
    says: /entryfunc of a graph tracer's user leads to memory of nobody/,
  };
}

/** A table of direct calls of its own, with one entry. */
function directTampering(place: HookPlace): HookTampering {
  const { kernel, editor, moduleFunction } = place;
  const hash = scratch(place) + 0xe00;
  const bucket = hash + kernel.types.size("ftrace_hash");
  const entry = bucket + 16;
  const inEntry = (member: string): GuestVirtual =>
    entry + kernel.offset("ftrace_func_entry", member);
  return {
    title: "a function that is called in another's place",
    check: "ftrace",
    tamper: () =>
      together(
        makeForeign(place),
        editor.write(hash, new Uint8Array(0x100)),
        editor.writePointer(hash + kernel.offset("ftrace_hash", "buckets"), bucket),
        editor.writePointer(bucket, entry),
        editor.writePointer(inEntry("ip"), kernel.requireSymbol("tcp4_seq_show")),
        editor.writePointer(inEntry("direct"), moduleFunction),
        editor.writePointer(kernel.requireSymbol("direct_functions"), hash),
      ),
    says: /direct call at tcp4_seq_show leads to code of a module that is not/,
  };
}

function probeTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, moduleFunction, nobody } = place;
  const probe = scratch(place);
  const victim = kernel.requireSymbol("tcp4_seq_show");
  const functions = scratch(place) + 0x400;
  const tracepoint = kernel.requireSymbol(`__tracepoint_${TRACEPOINT}`);
  return [
    {
      title: "a handler in a module from elsewhere",
      check: "kprobes",
      tamper: () =>
        together(
          makeForeign(place),
          forge(place, "kprobe", probe, { addr: victim, pre_handler: moduleFunction }),
          editor.writePointer(kernel.requireSymbol("kprobe_table"), probe),
        ),
      says: /pre_handler of a probe at tcp4_seq_show leads to code of a module/,
    },
    {
      title: "a probe in memory of nobody",
      check: "tracepoints",
      tamper: () =>
        together(
          editor.write(functions, new Uint8Array(128)),
          editor.writePointer(functions, nobody),
          editor.writePointer(tracepoint + kernel.offset("tracepoint", "funcs"), functions),
        ),
      says: new RegExp(`probe of tracepoint ${TRACEPOINT} leads to memory of nobody`),
    },
  ];
}

function securityTamperings({ kernel, editor, moduleFunction, wrong }: HookPlace): HookTampering[] {
  const hook = [...lsmHooks(kernel, () => {})].find(({ hook: name }) => name === HOOK);
  assert.ok(hook !== undefined);
  const slot = hook.entry + kernel.offset("security_hook_list", "hook");
  const table = kernel.symbol("static_calls_table");
  const next = kernel.space.pointer(hook.entry);
  const unlink =
    table === table
      ? editor.writePointer.bind(
          editor,
          table +
            kernel.offset("lsm_static_calls_table", HOOK) +
            kernel.offset("lsm_static_call", "hl"),
          0,
        )
      : editor.writePointer.bind(
          editor,
          kernel.requireSymbol("security_hook_heads") + kernel.offset("security_hook_heads", HOOK),
          next,
        );
  return [
    {
      title: "a hook that leads into a module",
      check: "lsm-hooks",
      tamper: () => editor.writePointer(slot, moduleFunction),
      says: /Security hook ptrace_traceme leads to code of a module/,
    },
    {
      title: "a hook that leads into the middle of a function",
      check: "lsm-hooks",
      tamper: () => editor.writePointer(slot, wrong + 8),
      says: /middle of a kernel function: commit_creds\+0x8/,
    },
    {
      title: "a hook that was taken away",
      check: "lsm-hooks",
      tamper: unlink,
      says: /ptrace_traceme of \w+_hooks is not called any more/,
    },
  ];
}

function notifierTamperings(place: HookPlace): HookTampering[] {
  const { kernel, editor, moduleFunction, nobody } = place;
  const block = scratch(place) + 0x800;
  const chain = (symbol: string, kind: string, target: GuestVirtual): (() => void) => {
    const head = kernel.requireSymbol(symbol) + kernel.offset(`${kind}_notifier_head`, "head");
    return together(
      forge(place, "notifier_block", block, { notifier_call: target }),
      editor.writePointer(head, block),
    );
  };
  return [
    {
      title: "a keyboard listener in a module from elsewhere",
      check: "notifiers",
      tamper: () =>
        together(makeForeign(place), chain("keyboard_notifier_list", "atomic", moduleFunction)),
      says: /keyboard_notifier_list leads to code of a module.*T1056\.001|T1056\.001.*keyboard_notifier_list/s,
    },
    {
      title: "a listener in memory of nobody",
      check: "notifiers",
      tamper: () => chain("module_notify_list", "blocking", nobody),
      says: /module_notify_list leads to memory of nobody/,
    },
  ];
}
