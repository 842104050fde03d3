import { z } from "zod";
import type { Finding } from "../checks/finding.ts";
import type { GuardEvent } from "../events/event.ts";
import { heldBecause } from "../policy/decide.ts";
import type { Decision } from "../policy/decide.ts";
import { reactions } from "../policy/schema.ts";
import type { Reaction } from "../policy/schema.ts";
import type { Life } from "./finding-life.ts";

/** A decision on record, and what became of its reactions. */
export type RecordedDecision = {
  /** The number of its event. */
  readonly number: number;
  readonly decision: Decision;
  /** Reactions that were done, failed or given up. */
  readonly settled: Set<Reaction>;
  /** Those of them that were done. */
  readonly done: Set<Reaction>;
  /** What a person said where one was asked; the first word counts. */
  readonly verdict: { given: "approved" | "denied" | "expired" | undefined };
  /** Folders of captures that were begun. */
  readonly folders: Map<Reaction, string>;
};

/** What is known of one run of a guest. */
export type KnownRun = {
  readonly guest: string;
  readonly lives: Map<string, Life>;
  readonly since: Map<string, Date>;
  /** Ids of findings that a person has seen and that need no reaction until they come back. */
  readonly acknowledged: Set<string>;
};

/** What an event has to tell to be taken in: the chain of the log proves who wrote it, not what. */
const told = {
  finding: z.object({
    event: z.string(),
    at: z.iso.datetime(),
    finding: z.custom<Finding>((value) => z.object({ id: z.string() }).safeParse(value).success),
  }),
  decision: z.object({
    rule: z.string(),
    findings: z.array(z.string()),
    reactions: z.array(z.enum(reactions)),
    held: z.array(z.object({ reaction: z.enum(reactions), because: z.enum(heldBecause) })),
  }),
  reaction: z.object({
    decision: z.int(),
    reaction: z.enum(reactions),
    state: z.string(),
    folder: z.string().optional(),
  }),
};

const KEPT_DECISIONS = 10_000;

/** What a guard knows, derived from nothing but its log; so it goes on after its own end. */
export class Recall {
  /** Runs whose end is not on record. */
  readonly runs = new Map<string, KnownRun>();
  readonly #decisions: RecordedDecision[] = [];

  get decisions(): readonly RecordedDecision[] {
    return this.#decisions;
  }

  /** Takes an event in; to be given each, in its order. */
  take(event: GuardEvent): void {
    const { kind, guest, data, sequence } = event;
    const run = data["run"];
    if (guest === null || typeof run !== "string") return;
    if (kind === "guest-found") {
      if (!this.runs.has(run)) {
        const nothing = { lives: new Map(), since: new Map(), acknowledged: new Set<string>() };
        this.runs.set(run, { guest, ...nothing });
      }
    } else if (kind === "guest-ended") this.runs.delete(run);
    else if (kind === "finding") this.#finding(run, data);
    else if (kind === "finding-acknowledged") {
      this.runs.get(run)?.acknowledged.add(String(data["id"]));
    } else if (kind === "decision") this.#decision(sequence, event, guest, run);
    else if (kind === "reaction") this.#reaction(data);
    else if (kind === "decision-approved") this.#verdict(data, "approved");
    else if (kind === "decision-denied") this.#verdict(data, "denied");
    else if (kind === "approval-expired") this.#verdict(data, "expired");
  }

  #finding(run: string, data: GuardEvent["data"]): void {
    const known = this.runs.get(run);
    const { data: said } = told.finding.safeParse(data);
    if (known === undefined || said === undefined) return;
    const { event, at, finding } = said;
    const persists = event === "persisting";
    known.lives.set(finding.id, { finding, open: event !== "resolved", persists });
    if (persists) return;
    known.acknowledged.delete(finding.id);
    if (event !== "resolved") known.since.set(finding.id, new Date(at));
  }

  #decision(number: number, event: GuardEvent, guest: string, run: string): void {
    const { data: said } = told.decision.safeParse(event.data);
    if (said === undefined) return;
    const decision = { at: new Date(event.at), guest, run, ...said };
    this.#decisions.push({
      number,
      decision,
      settled: new Set(),
      done: new Set(),
      verdict: { given: undefined },
      folders: new Map(),
    });
    if (this.#decisions.length > KEPT_DECISIONS) this.#decisions.shift();
  }

  #verdict(data: GuardEvent["data"], given: "approved" | "denied" | "expired"): void {
    const record = this.#decisions.findLast(({ number }) => number === data["decision"]);
    if (record !== undefined) record.verdict.given ??= given;
  }

  #reaction(data: GuardEvent["data"]): void {
    const { data: said } = told.reaction.safeParse(data);
    if (said === undefined) return;
    const { decision, reaction, state, folder } = said;
    const record = this.#decisions.findLast(({ number }) => number === decision);
    if (record === undefined) return;
    if (state === "begun") {
      if (folder !== undefined) record.folders.set(reaction, folder);
      return;
    }
    record.settled.add(reaction);
    if (state === "done") record.done.add(reaction);
  }
}
