import assert from "node:assert/strict";
import { branchTarget, decodeInstruction } from "../../../src/arch/x86/instruction.ts";
import type { GuestVirtual } from "../../../src/base/address.ts";
import { CodeOwners } from "../../../src/linux/code-owner.ts";
import { vdsoImages } from "../../../src/linux/vdso.ts";
import type { Kernel } from "../../../src/linux/kernel.ts";
import { Modules } from "../../../src/linux/module.ts";
import type { Planted } from "./check-story.ts";
import type { RamEditor } from "./ram-editor.ts";

/** A change of code, made from the host; what it returns takes it back. */
export type CodeTampering = Planted & {
  readonly title: string;
  readonly tamper: (kernel: Kernel, editor: RamEditor) => () => void;
};

/** Loaded in the guests, and idle while it is changed. */
const MODULE = "nf_tables";
const VICTIM = "nft_do_chain";
const LONG = 0x800;

/** Hooks of a module's code and data. */
export const moduleTamperings: readonly CodeTampering[] = [
  {
    title: "a jump at the start of a module's function",
    check: "module-text",
    tamper: (kernel, editor) => editor.writeBranch(victim(kernel), symbol(kernel, "commit_creds")),
    says: /nft_do_chain \[nf_tables\].*jmp commit_creds/s,
  },
  {
    title: "a jump to memory of nobody behind the ftrace site of a module's function",
    check: "module-text",
    tamper: (kernel, editor) =>
      editor.writeBranch(behindFentry(kernel, victim(kernel)), nobody(kernel)),
    says: /nft_do_chain\+0x.*nobody's/s,
  },
  {
    title: "a call within a module sent elsewhere",
    check: "module-text",
    tamper: (kernel, editor) => {
      const call = callIn(kernel, victim(kernel));
      return editor.writeBranch(call, symbol(kernel, "commit_creds"), 0xe8);
    },
    says: /nft_do_chain\+0x.*call commit_creds/s,
  },
  {
    title: "a module's code through the direct map",
    check: "module-text",
    tamper: (kernel, editor) => {
      const page = kernel.space.physical(victim(kernel) + 0x20);
      return editor.writePhysical(page, Uint8Array.of(0x31, 0xc0, 0xc3));
    },
    says: /nft_do_chain\+0x2/,
  },
  {
    title: "a pointer in a module's table of functions",
    check: "module-text",
    tamper: (kernel, editor) => {
      const table = moduleSymbol(kernel, "nft_cmp_ops");
      const type = kernel.space.pointer(table);
      assert.ok(type < 0);
      return editor.writePointer(table, symbol(kernel, "commit_creds"));
    },
    says: /Constant data of the module nf_tables.*nft_cmp_ops/s,
  },
  {
    title: "code in the unused end of a module's pages",
    check: "module-text",
    tamper: (kernel, editor) => {
      const end = textEnd(kernel);
      return editor.writeHex(end - 16, "4831c0c3");
    },
    says: /Code of the module nf_tables/,
  },
];

/** A function of the kernel that is not running while it is changed. */
const KERNEL_VICTIM = "tcp4_seq_show";

/** Hooks that show by their form, without a file to compare with. */
export const formTamperings: readonly CodeTampering[] = [
  {
    title: "a jump to memory of nobody at a function's start",
    check: "text-forms",
    tamper: (kernel, editor) => editor.writeBranch(symbol(kernel, KERNEL_VICTIM), nobody(kernel)),
    says: /tcp4_seq_show.*nobody's/s,
  },
  {
    title: "an ftrace site that calls a function of the kernel",
    check: "text-forms",
    tamper: (kernel, editor) => {
      const site = behindFentry(kernel, symbol(kernel, KERNEL_VICTIM)) - 5;
      return editor.writeBranch(site, symbol(kernel, "commit_creds"), 0xe8);
    },
    says: /tcp4_seq_show.*mcount site.*call commit_creds/s,
  },
  {
    title: "a jump into a module behind the ftrace site",
    check: "text-forms",
    tamper: (kernel, editor) =>
      editor.writeBranch(behindFentry(kernel, symbol(kernel, KERNEL_VICTIM)), victim(kernel)),
    says: /tcp4_seq_show\+0x.*out of the kernel into a module.*jmp nft_do_chain/s,
  },
  {
    title: "a call of the middle of a function",
    check: "text-forms",
    tamper: (kernel, editor) => {
      const call = callIn(kernel, symbol(kernel, KERNEL_VICTIM));
      return editor.writeBranch(call, symbol(kernel, "commit_creds") + 0x20, 0xe8);
    },
    says: /calls the middle of another function.*call commit_creds\+0x20/s,
  },
  {
    title: "a jump through a register with the address in the code",
    check: "text-forms",
    tamper: (kernel, editor) => {
      const at = behindFentry(kernel, symbol(kernel, KERNEL_VICTIM));
      const code = Buffer.from("48b80000000000000000ffe0", "hex");
      code.writeBigUInt64LE(kernel.space.folding.unfold(symbol(kernel, "init_task")), 2);
      return editor.write(at, code);
    },
    says: /jumps to an address that it holds itself.*init_task/s,
  },
  {
    title: "a return to an address that was pushed",
    check: "text-forms",
    tamper: (kernel, editor) => {
      const at = behindFentry(kernel, symbol(kernel, KERNEL_VICTIM));
      const code = Buffer.from("6800000000c3", "hex");
      code.writeInt32LE(symbol(kernel, "commit_creds"), 1);
      return editor.write(at, code);
    },
    says: /returns to an address that it holds.*commit_creds/s,
  },
  {
    title: "a static call sent to another function",
    check: "text-forms",
    tamper: (kernel, editor) =>
      editor.writeBranch(symbol(kernel, "__SCT__cond_resched"), symbol(kernel, "commit_creds")),
    says: /__SCT__cond_resched.*static-call site/s,
  },
  {
    title: "a breakpoint that is no probe's",
    check: "text-forms",
    tamper: (kernel, editor) => editor.writeHex(symbol(kernel, KERNEL_VICTIM), "cc"),
    says: /tcp4_seq_show (begins with a breakpoint|holds none of the forms)/,
  },
  {
    title: "a jump out of a module at its function's start",
    check: "text-forms",
    tamper: (kernel, editor) => editor.writeBranch(victim(kernel), nobody(kernel)),
    says: /nft_do_chain.*nobody's/s,
  },
];

/** Changes of code that may be running: the guest has to stand still. */
export const hotTamperings: readonly CodeTampering[] = [
  {
    title: "code inside an alternative",
    check: "kernel-text",
    tamper: (kernel, editor) =>
      editor.writeHex(symbol(kernel, "__x86_indirect_thunk_array"), "4831c0c3"),
    says: /__x86_indirect_thunk/,
  },
  {
    title: "code of the vDSO that every process gets",
    check: "vdso",
    tamper: (kernel, editor) => {
      const image = vdsoImages(kernel, assert.fail).find(({ name }) => name === "vdso64");
      assert.ok(image !== undefined);
      return editor.writeHex(image.data + 0x900, "0f05c3");
    },
    says: /vdso64\+0x900/,
  },
];

function symbol(kernel: Kernel, name: string): GuestVirtual {
  return kernel.requireSymbol(name);
}

function moduleSymbol(kernel: Kernel, name: string): GuestVirtual {
  const module = new CodeOwners(kernel).modules.find((each) => each.name === MODULE);
  const address = module?.symbols?.address(name) ?? Number.NaN;
  assert.ok(address < 0, name);
  return address;
}

function victim(kernel: Kernel): GuestVirtual {
  return moduleSymbol(kernel, VICTIM);
}

/** Data of the kernel: nothing is to be executed there, and it is within a jump's reach. */
export function nobody(kernel: Kernel): GuestVirtual {
  return kernel.requireSymbol("_end") + 0x10_0000;
}

function textEnd(kernel: Kernel): GuestVirtual {
  const all = [...new Modules(kernel).all(kernel.budget())];
  const part = all.find(({ name }) => name === MODULE)?.parts.find(({ kind }) => kind === "text");
  assert.ok(part !== undefined);
  return part.base + part.size;
}

/** `endbr64` may come first; the site for ftrace is of five bytes. */
export function behindFentry(kernel: Kernel, start: GuestVirtual): GuestVirtual {
  return start + (kernel.space.u32(start) === 0xfa1e0ff3 ? 9 : 5);
}

/** The first direct call of another function behind a function's start. */
export function callIn(kernel: Kernel, start: GuestVirtual): GuestVirtual {
  const code = kernel.space.bytes(start, LONG);
  assert.ok(code !== undefined);
  for (let at = 16; at < code.length;) {
    const instruction = decodeInstruction(code, at);
    assert.ok(instruction !== undefined);
    const target = branchTarget(code, at, start + at, instruction);
    if (code[at] === 0xe8 && Math.abs(target - start) > LONG) return start + at;
    at += instruction.length;
  }
  return assert.fail("no call");
}
