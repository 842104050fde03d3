import type { CommandIo } from "./command.ts";
import { durationText } from "./output.ts";
import { progress } from "./progress.ts";

/** Stages of long work, of which the present one shows on a terminal how long it goes on. */
export type StageProgress = Disposable & {
  readonly step: (text: string) => void;
  /** What the stage is at. */
  readonly detail: (text: string) => void;
  done(): void;
};

const TICK_MS = 250;

/** Shows the stages on standard error. */
export function stageProgress(io: Pick<CommandIo, "stderr">): StageProgress {
  const shown = progress(io);
  let began = 0;
  let detail = "";
  const draw = () => shown.detail(`${durationText(performance.now() - began)}  ${detail}`);
  const timer = setInterval(draw, TICK_MS).unref();
  return {
    step(text) {
      began = performance.now();
      detail = "";
      shown.step(text);
    },
    detail(text) {
      detail = text;
    },
    done() {
      clearInterval(timer);
      shown.done();
    },
    [Symbol.dispose]() {
      clearInterval(timer);
      shown[Symbol.dispose]();
    },
  };
}
