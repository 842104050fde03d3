import { z } from "zod";

const text = z.string().max(4096);

/** What a person may put on record beside the guard. */
export const handRecord = z.discriminatedUnion("kind", [
  z.strictObject({
    kind: z.literal("finding-acknowledged"),
    guest: text,
    data: z.strictObject({ run: text, id: text, by: text, note: text }),
  }),
  z.strictObject({
    kind: z.enum(["decision-approved", "decision-denied"]),
    guest: text,
    data: z.strictObject({ run: text, decision: z.int(), by: text, note: text }),
  }),
  z.strictObject({
    kind: z.enum(["evidence-held", "evidence-released"]),
    guest: text.nullable(),
    data: z.strictObject({ folder: text, id: text, by: text, note: text }),
  }),
  z.strictObject({
    kind: z.literal("evidence-pruned"),
    guest: text.nullable(),
    data: z.strictObject({
      folder: text,
      id: text.nullable(),
      by: text,
      why: text,
      bytes: z.int(),
    }),
  }),
]);
export type HandRecord = z.output<typeof handRecord>;

/** What the guard can be asked through its socket: one object a line, one answer each. */
export const controlRequest = z.discriminatedUnion("ask", [
  z.strictObject({ ask: z.literal("status") }),
  z.strictObject({ ask: z.literal("reload") }),
  z.strictObject({ ask: z.literal("record"), record: handRecord }),
]);
export type ControlRequest = z.output<typeof controlRequest>;

export const controlAnswer = z.discriminatedUnion("ok", [
  z.object({ ok: z.literal(true), said: z.record(z.string(), z.unknown()) }),
  z.object({ ok: z.literal(false), code: z.string(), message: z.string() }),
]);
export type ControlAnswer = Readonly<z.output<typeof controlAnswer>>;
