import type { GuardEvent } from "../events/event.ts";
import { printable } from "./text.ts";

/** An event as one line for people. */
export function eventText({ at, kind, guest, data }: GuardEvent): string {
  const facts = Object.entries(data)
    .filter(([, value]) => value !== null)
    .map(([name, value]) => `${name}=${factText(value)}`);
  return printable(`${at} ${kind} ${guest ?? "-"} ${facts.join(" ")}`.trimEnd());
}

function factText(value: unknown): string {
  return typeof value === "string" && !/\s/.test(value) ? value : JSON.stringify(value);
}
