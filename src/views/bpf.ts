import { bpfHolders } from "../linux/bpf-holders.ts";
import { BpfLinks } from "../linux/bpf-link.ts";
import type { BpfLink } from "../linux/bpf-link.ts";
import { BpfMaps } from "../linux/bpf-map.ts";
import type { BpfMap } from "../linux/bpf-map.ts";
import { BpfPrograms } from "../linux/bpf-program.ts";
import type { BpfProgram } from "../linux/bpf-program.ts";
import type { Kernel } from "../linux/kernel.ts";
import type { NamedProcess } from "../linux/named-process.ts";
import type { View } from "./view.ts";

/** Processes that hold the object by a file descriptor. */
type Held = { readonly processes: readonly NamedProcess[] };

/** A program, map or link, told apart by `kind`. */
export type BpfRow =
  | ({ readonly kind: "program" } & BpfProgram & Held)
  | ({ readonly kind: "map" } & BpfMap & Held)
  | ({ readonly kind: "link" } & BpfLink & Held);

/** Only these kinds; all unless told. */
export type BpfSelection = { readonly kind?: readonly BpfRow["kind"][] };

/** Everything that BPF has loaded: programs, then maps, then links, each by id. */
export const bpf: View<BpfRow, BpfSelection> = {
  schema: "kvmsec.bpf/1",
  list: "objects",
  of: "bpf",
  *read(kernel, { kind = ["program", "map", "link"] }, problem) {
    const budget = kernel.budget();
    const holders = bpfHolders(kernel, budget, problem);
    const held = (object: number): Held => ({ processes: holders.get(object) ?? [] });
    if (kind.includes("program")) {
      for (const program of new BpfPrograms(kernel).all(budget, problem)) {
        yield { kind: "program", ...program, ...held(program.program) };
      }
    }
    if (kind.includes("map")) {
      for (const map of new BpfMaps(kernel).all(budget, problem)) {
        yield { kind: "map", ...map, ...held(map.map) };
      }
    }
    if (kind.includes("link")) {
      for (const link of new BpfLinks(kernel).all(budget, problem)) {
        yield { kind: "link", ...link, ...held(link.link) };
      }
    }
  },
  json: (row, kernel) => {
    const pids = row.processes.map(({ pid }) => pid);
    if (row.kind === "program") return { ...programJson(row, kernel), pids };
    if (row.kind === "map") {
      return { ...row, btf: row.btf ?? null, map: kernel.format(row.map), pids };
    }
    return {
      ...row,
      pids,
      program: row.program ?? null,
      attachType: row.attachType ?? null,
      link: kernel.format(row.link),
    };
  },
};

function programJson(row: BpfProgram, kernel: Kernel): object {
  const { jited } = row;
  return {
    ...row,
    loadedAt: row.loadedAt ?? null,
    jited: jited === undefined ? null : { ...jited, address: kernel.format(jited.address) },
    btf: row.btf ?? null,
    attachFunction: row.attachFunction ?? null,
    program: kernel.format(row.program),
  };
}
