import type { Command } from "commander";
import { exitStatus, usageError } from "../../base/errors.ts";
import { BaselineStore } from "../../baseline/baseline-store.ts";
import { diff, gapsOf } from "../../baseline/diff.ts";
import type { Difference } from "../../baseline/diff.ts";
import { observe } from "../../baseline/observe.ts";
import { GuestVolumes } from "../../files/guest-volumes.ts";
import { openHome } from "../../vm/home.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { timeText, write, writeDocument, writeTable } from "../output.ts";
import { printable } from "../text.ts";
import { attachWith, targetArgument } from "../view.ts";
import type { ViewOptions } from "../view.ts";
import { whoSays } from "../person.ts";

type Options = ViewOptions & {
  readonly name?: string;
  readonly note?: string;
  readonly by?: string;
  readonly replace?: boolean;
  readonly all?: boolean;
  readonly item?: readonly string[];
};

/** `kvmsec baseline`: what is known good of a guest. Optional: checks are right without it. */
export const define: CommandModule["define"] = (command, io) => {
  defineCreate(command, io);
  defineShow(command, io);
  defineDiff(command, io);
  defineAccept(command, io);
};

function withTarget(command: Command): Command {
  return targetArgument(command)
    .option("--name <name>", "of the baseline (default: the target as written)")
    .option("--json", "one JSON document");
}

function defineCreate(command: Command, io: CommandIo): void {
  withTarget(command.command("create"))
    .description("keeps what the guest is now as known good")
    .option("--note <text>", "why it is known to be good", "")
    .option("--by <name>", "who says so (default: this user)")
    .option("--replace", "in the place of the one that is there")
    .action(async (target: string, options: Options) => {
      using guest = await attachWith(target, options);
      using volumes = new GuestVolumes(guest, []);
      const { items, gaps } = observe(guest.kernel, volumes.root);
      guest.requireAlive();
      const name = options.name ?? target;
      const baseline = {
        name,
        createdAt: new Date().toISOString(),
        by: whoSays(options),
        note: options.note ?? "",
      };
      using store = new BaselineStore(openHome());
      store.create(baseline, items, options.replace === true);
      if (gaps.size > 0) io.exit(exitStatus.partial);
      if (options.json === true) {
        const missing = Object.fromEntries(gaps);
        return writeDocument(io, "kvmsec.baseline/1", { ...baseline, items, gaps: missing });
      }
      for (const [kind, reason] of gaps) io.stderr.write(`kvmsec: ${kind}: ${printable(reason)}\n`);
      await write(io.stdout, `${items.length} things of ${printable(name)} are known good.\n`);
    });
}

function defineShow(command: Command, io: CommandIo): void {
  command
    .command("show")
    .description(
      "what a baseline holds and what was accepted into it; without a name, which there are",
    )
    .argument("[name]", "of the baseline")
    .option("--json", "one JSON document")
    .action(async (name: string | undefined, { json }: Options) => {
      using store = new BaselineStore(openHome());
      if (name === undefined) {
        const baselines = store.list();
        if (json === true) return writeDocument(io, "kvmsec.baselines/1", { baselines });
        return writeTable(
          io,
          [
            { title: "NAME", value: (row) => row.name },
            { title: "MADE", value: (row) => timeText(new Date(row.createdAt)) },
            { title: "BY", value: (row) => row.by },
            { title: "NOTE", value: (row) => row.note },
          ],
          baselines,
        );
      }
      const items = store.items(name);
      const history = store.history(name);
      if (json === true) return writeDocument(io, "kvmsec.baseline/1", { name, items, history });
      await writeTable(
        io,
        [
          { title: "KIND", value: (row) => row.kind },
          { title: "KEY", value: (row) => row.key, shrink: 30 },
          { title: "VALUE", value: (row) => row.value, shrink: 30 },
        ],
        items,
      );
    });
}

function defineDiff(command: Command, io: CommandIo): void {
  withTarget(command.command("diff"))
    .description("what differs from the baseline now; exit status 1 where anything does")
    .action(async (target: string, options: Options) => {
      const { differences, gaps } = await compare(target, options);
      io.exit(statusOf(differences, gaps));
      if (options.json === true) {
        return writeDocument(io, "kvmsec.baseline-diff/1", {
          target,
          differences: differences.map(json),
          gaps: Object.fromEntries(gaps),
        });
      }
      for (const [kind, reason] of gaps) io.stderr.write(`kvmsec: ${kind}: ${printable(reason)}\n`);
      await write(io.stdout, `${differences.map(line).join("\n") || "Nothing differs."}\n`);
    });
}

function defineAccept(command: Command, io: CommandIo): void {
  withTarget(command.command("accept"))
    .description("takes what differs now over into the baseline")
    .option("--item <kind:key...>", "these only, as diff names them")
    .option("--all", "all that differs")
    .requiredOption("--note <text>", "why it is known to be good")
    .option("--by <name>", "who says so (default: this user)")
    .action(async (target: string, options: Options & { readonly note: string }) => {
      if (options.all !== true && options.item === undefined) {
        throw usageError("KVMSEC_USAGE", "Say what to accept: --item KIND:KEY, or --all.");
      }
      const { differences } = await compare(target, options);
      const chosen = differences.filter(
        ({ kind, key }) => options.all === true || options.item?.includes(`${kind}:${key}`),
      );
      const strange = options.item?.find(
        (item) => !chosen.some(({ kind, key }) => item === `${kind}:${key}`),
      );
      if (strange !== undefined) {
        throw usageError(
          "KVMSEC_BASELINE_NO_CHANGE",
          `${strange} does not differ from the baseline.`,
        );
      }
      using store = new BaselineStore(openHome());
      store.accept(options.name ?? target, chosen, { by: whoSays(options), note: options.note });
      if (options.json === true) {
        return writeDocument(io, "kvmsec.baseline-accept/1", {
          target,
          accepted: chosen.map(json),
        });
      }
      await write(io.stdout, `${chosen.length} changes are known good now.\n`);
    });
}

async function compare(target: string, options: Options) {
  using store = new BaselineStore(openHome());
  const known = store.items(options.name ?? target);
  using guest = await attachWith(target, options);
  using volumes = new GuestVolumes(guest, []);
  const seen = observe(guest.kernel, volumes.root);
  guest.requireAlive();
  return { differences: diff(known, seen), gaps: gapsOf(known, seen) };
}

function statusOf(differences: readonly Difference[], gaps: ReadonlyMap<string, string>) {
  if (differences.length > 0) return exitStatus.findings;
  return gaps.size > 0 ? exitStatus.partial : exitStatus.clean;
}

function json({ before, after, ...rest }: Difference): object {
  return { ...rest, before: before ?? null, after: after ?? null };
}

function line({ kind, key, change, before, after }: Difference): string {
  const values = change === "changed" ? ` ${before} → ${after}` : ` ${after ?? before ?? ""}`;
  return printable(`${change} ${kind}:${key}${values}`.trimEnd());
}
