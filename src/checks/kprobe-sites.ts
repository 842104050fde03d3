import { kprobes } from "../linux/kprobe.ts";
import { fact } from "./sweep-facts.ts";

/** Addresses at which a kprobe is registered. */
export const kprobeSites = fact(
  ({ kernel }) => new Set(Array.from(kprobes(kernel), ({ address }) => address)),
);
