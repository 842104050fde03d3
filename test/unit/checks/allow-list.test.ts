import assert from "node:assert/strict";
import { test } from "node:test";
import { allowSchema, applyAllowList } from "../../../src/checks/allow-list.ts";
import type { Finding, Json } from "../../../src/checks/finding.ts";
import type { Sweep } from "../../../src/checks/sweep.ts";

const KERNEL = "0123456789abcdef0123";
const MODULE = "fedcba9876543210fedc";

function finding(
  id: string,
  check: string,
  subject: Readonly<Record<string, Json>>,
  evidence: Readonly<Record<string, Json>> = {},
): Finding {
  const said = { severity: "critical", confidence: "high", title: id, attack: [] } as const;
  return { id, check, ...said, subject, evidence };
}

const findings: readonly Finding[] = [
  finding("text-1", "kernel-text", { function: "do_exit+0x5" }, { leadsTo: "hook [edr]" }),
  finding("text-2", "kernel-text", { function: "do_exit_more+0x5" }),
  finding("probe-1", "kprobes", { place: "do_exit" }, { target: "handler+0x0 [edr]" }),
  finding("hook-1", "netfilter", { hook: 1, target: "edr_hook [edr]" }),
  finding("hook-2", "netfilter", { hook: 2, target: "edr_hook [edr2]" }),
];

function sweepOf(reason?: string): Sweep {
  const ids = (check: string) => findings.filter((one) => one.check === check).map(({ id }) => id);
  const common = { status: "fail", durationMs: 1, coverage: { looked: 1, of: 1 }, reason } as const;
  const checks = ["kernel-text", "kprobes", "netfilter"].map((id) => ({
    id,
    ...common,
    findings: ids(id),
  }));
  return { startedAt: new Date("2026-06-01"), durationMs: 1, checks, findings, allowed: [] };
}

function allowed(entry: object, modules: readonly (readonly [string, string | undefined])[] = []) {
  const entries = [allowSchema.parse({ name: "ours", reason: "because", ...entry })];
  const kernel = { identity: { banner: "", release: "", buildId: KERNEL } };
  const result = applyAllowList(sweepOf(), kernel as never, entries, () => new Map(modules));
  assert.equal(result.findings.length + result.allowed.length, findings.length);
  return result.allowed.map(({ finding: { id } }) => id);
}

const edr = [["edr", MODULE]] as const;

test("one finding is allowed by its id, and no other", () => {
  assert.deepEqual(allowed({ finding: "text-1" }), ["text-1"]);
  assert.deepEqual(allowed({ finding: "text" }), []);
});

test("a place in the kernel is allowed for that build id, that symbol and that check only", () => {
  const kernel = { buildId: KERNEL, symbol: "do_exit" };
  assert.deepEqual(allowed({ check: "kernel-text", kernel }), ["text-1"]);
  assert.deepEqual(allowed({ check: "kprobes", kernel }), ["probe-1"]);
  assert.deepEqual(allowed({ check: "idt", kernel }), []);
  const other = { ...kernel, buildId: MODULE };
  assert.deepEqual(allowed({ check: "kernel-text", kernel: other }), []);
});

test("a module's functions are allowed while a module of that name and build id is the only one", () => {
  const module = { name: "edr", buildId: MODULE };
  assert.deepEqual(allowed({ check: "netfilter", module }, edr), ["hook-1"]);
  assert.deepEqual(allowed({ check: "kprobes", module }, edr), ["probe-1"]);
  assert.deepEqual(allowed({ check: "netfilter", module }, [["edr", KERNEL]]), []);
  assert.deepEqual(allowed({ check: "netfilter", module }, [["edr", undefined]]), []);
  assert.deepEqual(allowed({ check: "netfilter", module }, []), []);
  // Changed code that leads to the module is not the module's own.
  assert.deepEqual(allowed({ check: "kernel-text", module }, edr), []);
});

test("an entry whose time is over allows nothing", () => {
  assert.deepEqual(allowed({ finding: "text-1", until: "2026-05-31T00:00:00Z" }), []);
  assert.deepEqual(allowed({ finding: "text-1", until: "2026-06-02T00:00:00Z" }), ["text-1"]);
});

test("a check of which all is allowed passes, unless it did not see everything", () => {
  const entries = [
    allowSchema.parse({ name: "ours", reason: "because", finding: "probe-1" }),
    allowSchema.parse({ name: "ours", reason: "because", finding: "hook-1" }),
  ];
  const kernel = { identity: { buildId: KERNEL } } as never;
  const statuses = (reason?: string) =>
    applyAllowList(sweepOf(reason), kernel, entries, () => new Map()).checks.map(
      ({ status }) => status,
    );
  assert.deepEqual(statuses(), ["fail", "pass", "fail"]);
  assert.deepEqual(statuses("a part is unreadable"), ["fail", "error", "fail"]);
});
