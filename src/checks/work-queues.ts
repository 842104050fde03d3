import { WorkQueues } from "../linux/workqueue.ts";
import { LISTED, checkCallbacks } from "./callbacks.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";

/** No work queue runs hidden code. */
export const workQueues: Check = {
  id: "work-queues",
  proves:
    "Each work that is queued, held back or being done is the start of a function of the kernel or of a listed module.",
  reads: "worker_pool_idr with queued works and workers; workqueues with the works held back",
  attack: ["T1014"],
  limits:
    "Works take microseconds: one that is neither queued nor running while the sweep looks is not seen. Works that wait for a time are in the check of timers.",
  run(context) {
    const { kernel } = context;
    tellOwnerProblems(context);
    const queues = new WorkQueues(kernel);
    const problem = (reason: string): void => context.unseen(reason);
    const looked = checkCallbacks(context, queues.callbacks(kernel.budget(), problem), LISTED);
    // What is counted are the places: an idle guest has no work.
    if (queues.lists === 0)
      context.unseen("no pool of workers was found, and every kernel has some");
    context.cover(queues.lists + looked);
  },
};
