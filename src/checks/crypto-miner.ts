import { heldByGroup } from "../linux/process-selection.ts";
import { Tasks } from "../linux/task.ts";
import { VmaLists } from "../linux/vma-list.ts";
import type { Check, CheckContext } from "./check.ts";
import { processes } from "./user-facts.ts";
import type { CalledProcess } from "./user-facts.ts";

/** How miners name the pool that they work for (the Stratum protocol). */
const POOL = /^(?:--?[\w-]+=)?(stratum\d?\+(?:tcp|ssl|tls|udp|ws|wss):\/\/\S+)/i;
/** RANDOMX_DATASET_BASE_SIZE and RANDOMX_DATASET_EXTRA_SIZE in whole pages: 2080 MiB. */
const DATASET = 2080 * 2 ** 20;
/** What is shown of a pool's name. */
const LONGEST = 128;

/** No process has the shape of a miner of coins. */
export const cryptoMiner: Check = {
  id: "crypto-miner",
  proves:
    "No process was called with a mining pool, and none has memory of the very size that RandomX works on.",
  reads: "arguments of every process; the mappings of those with more than 2 GiB",
  attack: ["T1496"],
  limits:
    "A miner that reads its pool from a file and mines something else than RandomX is not told from other work. How much of a processor a process used is in the evidence, and no reason by itself.",
  run(context) {
    const { rows, problems } = context.facts.get(processes);
    for (const problem of problems) context.unseen(problem);
    const datasets = new Datasets(context);
    for (const row of rows) {
      if (row.kthread) continue;
      const pool = (row.argv ?? []).map((word) => POOL.exec(word)?.[1]).find(Boolean);
      const dataset = datasets.has(row);
      if (pool !== undefined || dataset) report(context, row, pool, dataset);
    }
    context.cover(rows.length);
  },
};

class Datasets {
  readonly #context: CheckContext;
  readonly #tasks: Tasks;
  readonly #areas: VmaLists;

  constructor(context: CheckContext) {
    this.#context = context;
    this.#tasks = new Tasks(context.kernel);
    this.#areas = new VmaLists(context.kernel);
  }

  has({ task, vsz }: CalledProcess): boolean {
    if (!(vsz >= DATASET)) return false;
    const budget = this.#context.kernel.budget();
    const mm = heldByGroup(this.#tasks, task, this.#tasks.mm, budget);
    const areas = mm === undefined ? [] : this.#areas.areas(mm, budget);
    return areas.some((area) => this.#areas.end(area) - this.#areas.start(area) === DATASET);
  }
}

function report(
  context: CheckContext,
  { pid, comm, exe, uid, task, cpuTimeMs, startTime }: CalledProcess,
  pool: string | undefined,
  dataset: boolean,
): void {
  const signs = [
    ...(pool === undefined ? [] : [`it works for a mining pool (${pool.slice(0, LONGEST)})`]),
    ...(dataset ? ["it has memory of the size that RandomX works on"] : []),
  ];
  context.report({
    severity: "medium",
    confidence: "medium",
    title: `Process ${pid} (${comm}) looks like a miner of coins: ${signs.join(", ")}.`,
    subject: { pid, task: context.kernel.format(task) },
    evidence: {
      exe: exe ?? null,
      uid,
      cpuTimeMs: Math.round(cpuTimeMs),
      startTime: startTime?.toISOString() ?? null,
    },
  });
}
