import { Modules } from "../linux/module.ts";
import type { Module } from "../linux/module.ts";
import type { View } from "./view.ts";

/** The guest's loaded modules, newest first, as lsmod shows them. */
export const modules: View<Module> = {
  schema: "kvmsec.modules/1",
  list: "modules",
  of: "modules",
  read: (kernel, _options, problem) => new Modules(kernel).all(kernel.budget(), problem),
  json: ({ parts, parameters, ...row }, kernel) => ({
    ...row,
    base: kernel.format(row.base),
    version: row.version ?? null,
    srcversion: row.srcversion ?? null,
    buildId: row.buildId ?? null,
    init: row.init === 0 ? null : kernel.format(row.init),
    exit: row.exit === 0 ? null : kernel.format(row.exit),
    parameters: Object.fromEntries(parameters.map(({ name, value }) => [name, value ?? null])),
    memory: parts.map(({ kind, base, size }) => ({ kind, base: kernel.format(base), size })),
    module: kernel.format(row.module),
  }),
};
