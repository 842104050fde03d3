import type { GuestVirtual } from "../../base/address.ts";
import type { CodeOwner, CodeOwners } from "../code-owner.ts";
import type { CodeFunction, FunctionMap } from "./function-map.ts";

/** What is known of the code that a branch may come from or lead to. */
export type CodeScene = {
  readonly owners: CodeOwners;
  /** The kernel's own functions. */
  readonly kernel: FunctionMap;
  /** Functions of the code that is looked at: the kernel's, or a module's. */
  readonly own: FunctionMap;
  /** Whether ftrace has a site at a function's beginning: it is compiled C then. */
  readonly traced: (start: GuestVirtual) => boolean;
  readonly probes: ReadonlySet<GuestVirtual>;
  /** Changes whenever generated code, modules, tracers or probes come and go. */
  readonly generation: string;
};

/** A direct branch that leaves its function. */
export type Branch = {
  readonly from: CodeFunction;
  readonly address: GuestVirtual;
  readonly target: GuestVirtual;
  readonly call: boolean;
};

/**
 * Why no compiler and no patching of the kernel makes this branch; undefined where one may. Measured
 * on Debian's 5.10 to 7.3: every call leads to a function's first byte, and jumps into the middle of
 * another function occur in assembly only, which ftrace has no sites in, and from split-off parts.
 */
export function branchFault(scene: CodeScene, branch: Branch): string | undefined {
  const { owners, kernel, own, probes } = scene;
  const { target, address } = branch;
  const home = own.at(target);
  if (home !== undefined) return insideFault(scene, branch, own, home);
  const there = kernel.at(target);
  if (there !== undefined) return insideFault(scene, branch, kernel, there);
  const owner = owners.ownerOf(target);
  if (owner === undefined) return "leads to memory of nobody";
  switch (owner.kind) {
    // Code that runs while booting only still names what was freed.
    case "freed":
      return owner.offset === 0 ? undefined : "leads into memory that was given back after boot";
    case "its":
      return undefined;
    case "kprobe":
      return probes.has(address) ? undefined : "leads to a probe's code where no probe is";
    case "module":
      return moduleFault(scene, owner);
    case "bpf":
      // What a dispatcher's function is patched to is code that was made for it (kernel/bpf/dispatcher.c).
      if (own.baseName(branch.from.start).startsWith("bpf_dispatcher_")) return undefined;
      return GENERATED;
    default:
      return GENERATED;
  }
}

const GENERATED = "leads to generated code from where the kernel puts no call of it";

/** The kernel reaches modules through pointers and its patch sites only; modules call each other. */
function moduleFault({ kernel, own }: CodeScene, owner: CodeOwner): string | undefined {
  if (own === kernel) return "leads out of the kernel into a module";
  const code = owner.part === "text" || owner.part === "init_text";
  if (!code) return "leads to a module's data";
  return owner.offset === 0 ? undefined : "leads into the middle of another module's function";
}

function insideFault(
  scene: CodeScene,
  { from, target, call }: Branch,
  map: FunctionMap,
  home: CodeFunction,
): string | undefined {
  if (target === home.start || home.start === from.start) return undefined;
  if (map !== scene.own) return "leads into the middle of a kernel function";
  if (map.baseName(home.start) === map.baseName(from.start)) return undefined;
  if (call) return "calls the middle of another function";
  // Parts split off may serve several functions; assembly jumps as its author liked.
  if (map.isCold(from.start)) return undefined;
  return scene.traced(from.start) ? "jumps into the middle of another function" : undefined;
}
