import { HighResolutionTimers } from "../linux/hrtimer.ts";
import { TimerWheels } from "../linux/timer-wheel.ts";
import { LISTED, checkCallbacks } from "./callbacks.ts";
import type { Check } from "./check.ts";
import { tellOwnerProblems } from "./function-target.ts";

/** No timer brings hidden code back. */
export const timers: Check = {
  id: "timers",
  proves:
    "Each pending timer, and each work that waits for one, calls the start of a function of the kernel or of a listed module.",
  reads: "timer_bases and hrtimer_bases of each processor; the delayed works behind timers",
  attack: ["T1014"],
  limits:
    "A timer that is not pending while the sweep looks is not seen. What a listed module's timer does is not judged.",
  run(context) {
    const { kernel } = context;
    const budget = kernel.budget();
    const problem = (reason: string): void => context.unseen(reason);
    tellOwnerProblems(context);
    const wheel = new TimerWheels(kernel).callbacks(budget, problem);
    const precise = new HighResolutionTimers(kernel).callbacks(budget, problem);
    const looked =
      checkCallbacks(context, wheel, LISTED) + checkCallbacks(context, precise, LISTED);
    // The tick of a processor that is awake alone is one.
    if (looked === 0) context.unseen("no timer was found, and a kernel that runs has some");
    context.cover(looked);
  },
};
