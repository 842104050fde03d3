import { createHash } from "node:crypto";
import { z } from "zod";
import { documentKind, parseDocument } from "../base/document.ts";
import type { DocumentKind } from "../base/document.ts";
import { processShape } from "../vm/process-identity.ts";
import type { ProcessIdentity } from "../vm/process-identity.ts";

type More = Readonly<Record<string, unknown>>;

/** Whom a job is about. */
export type JobTarget = { readonly text: string; readonly identity: ProcessIdentity };

/** What an entry says, by its kind: a job begins, takes a step, or ends; a torn line was cut off. */
export type EntryData = {
  readonly begin: More & {
    readonly action: string;
    readonly target: JobTarget;
    readonly worker?: ProcessIdentity | undefined;
  };
  readonly step: More & { readonly name: string };
  readonly end: More & { readonly result: string };
  readonly torn: More & { readonly bytes: number };
};
export type EntryKind = keyof EntryData;

/** An entry but for its place in the chain. */
export type EntryContent = {
  [Kind in EntryKind]: {
    readonly kind: Kind;
    readonly job: string;
    readonly data: EntryData[Kind];
  };
}[EntryKind];

/** One line of the journal. Each holds the hash of the one before, so that none can be changed or left out. */
export type JournalEntry = EntryContent & {
  readonly schema: "kvmsec.journal/1";
  readonly sequence: number;
  readonly at: string;
  /** Hash of the entry before; 64 zeros in the first. */
  readonly previous: string;
  /** SHA-256 over all of the above as JSON. */
  readonly hash: string;
};

const content: z.ZodType<EntryContent> = z.discriminatedUnion("kind", [
  z.object({
    kind: z.literal("begin"),
    job: z.string(),
    data: z.looseObject({
      action: z.string(),
      target: z.object({ text: z.string(), identity: processShape }),
      worker: processShape.optional(),
    }),
  }),
  z.object({
    kind: z.literal("step"),
    job: z.string(),
    data: z.looseObject({ name: z.string() }),
  }),
  z.object({
    kind: z.literal("end"),
    job: z.string(),
    data: z.looseObject({ result: z.string() }),
  }),
  z.object({
    kind: z.literal("torn"),
    job: z.string(),
    data: z.looseObject({ bytes: z.number() }),
  }),
]);

const head = documentKind("kvmsec.journal/1", {
  sequence: z.int().positive(),
  at: z.string(),
  previous: z.string(),
  hash: z.string(),
});
const journalEntryKind: DocumentKind<JournalEntry> = { ...head, shape: head.shape.and(content) };

const FIRST = "0".repeat(64);

/** The entry that follows the one given, or the first. */
export function nextEntry(
  before: JournalEntry | undefined,
  { kind, job, data }: EntryContent,
): JournalEntry {
  // In the order in which it is written: the hash is over it.
  const entry = {
    schema: "kvmsec.journal/1" as const,
    sequence: (before?.sequence ?? 0) + 1,
    at: new Date().toISOString(),
    kind,
    job,
    data,
    previous: before?.hash ?? FIRST,
  };
  return { ...entry, hash: hashOf(entry) } as JournalEntry;
}

/** The entry in a line, or undefined where it holds none. */
export function parseEntry(line: string): JournalEntry | undefined {
  const entry = parseDocument(line, journalEntryKind);
  return typeof entry === "string" ? undefined : entry;
}

/** Whether an entry is whole and follows from the one before. */
export function follows(before: JournalEntry | undefined, entry: JournalEntry): boolean {
  const { hash, ...rest } = entry;
  return (
    hash === hashOf(rest) &&
    entry.sequence === (before?.sequence ?? 0) + 1 &&
    entry.previous === (before?.hash ?? FIRST)
  );
}

function hashOf(entry: object): string {
  return createHash("sha256").update(JSON.stringify(entry)).digest("hex");
}
