import { rmSync } from "node:fs";
import { join } from "node:path";
import { exitStatus } from "../../base/errors.ts";
import { demoStory } from "../../daemon/demo-story.ts";
import type { DemoStep } from "../../daemon/demo-story.ts";
import { deleteVm, listVms, openVm, stopVm } from "../../vm/guest-vm.ts";
import { openHome } from "../../vm/home.ts";
import type { Home } from "../../vm/home.ts";
import { buildImage } from "../../vm/image-build.ts";
import { defaultImageName, imageRecipe } from "../../vm/image-recipe.ts";
import { findImage, openImage } from "../../vm/images.ts";
import { canAct } from "../../vm/process-identity.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { guardDemo } from "../demo-guard.ts";
import { onInterrupt } from "../interrupt.ts";
import { durationText, outputColours, write, writeJsonLine } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import type { StageProgress } from "../stage-progress.ts";

type Options = {
  readonly json?: boolean;
  readonly exit?: boolean;
  readonly image?: string;
  readonly keep?: string;
};

/** `kvmsec demo`: the whole story on a throwaway guest. */
export const define: CommandModule["define"] = (command, io) => {
  command
    .option("--image <name>", "the golden image to use (default: Debian's, built when missing)")
    .option("--keep <folder>", "leave the evidence package there instead of removing it")
    .option("--exit", "leave at the end instead of guarding the guest")
    .option("--json", "one JSON object a step")
    .action((options: Options) => demo(io, options));
};

async function demo(io: CommandIo, options: Options): Promise<void> {
  const home = openHome();
  await removeOrphans(home);
  const name = `demo-${process.pid}`;
  const evidence = options.keep ?? join(home.root, "evidence", name);
  try {
    await tell(io, home, name, evidence, options);
    if (options.exit !== true) await guardDemo(io, name, options.json === true);
    io.exit(exitStatus.clean);
  } finally {
    await remove(home, name);
    if (options.keep === undefined) rmSync(evidence, { recursive: true, force: true });
  }
}

async function tell(
  io: CommandIo,
  home: Home,
  name: string,
  evidence: string,
  options: Options,
): Promise<void> {
  using interruption = onInterrupt();
  const { signal } = interruption;
  using shown = stageProgress(io);
  const image = await imageFor(home, options, signal, shown);
  const { step: onStage, detail: onDetail } = shown;
  for await (const step of demoStory({ home, name, image, evidence, signal, onStage, onDetail })) {
    shown.done();
    await tellStep(io, step, options);
  }
}

async function tellStep(io: CommandIo, step: DemoStep, options: Options): Promise<void> {
  if (options.json === true) {
    const { facts, says, ...rest } = step;
    return writeJsonLine(io, "kvmsec.demo/1", { ...rest, at: new Date(), says, ...facts });
  }
  const paint = outputColours(io);
  const time = durationText(step.durationMs).padStart(9);
  const head = paint.green(step.step.padEnd(9));
  await write(io.stdout, `${head} ${paint.dim(time)}  ${step.says}\n`);
}

/** The image that was named, else the default one, which is built where it is missing. */
async function imageFor(
  home: Home,
  options: Options,
  signal: AbortSignal,
  shown: StageProgress,
): Promise<string> {
  if (options.image !== undefined) return openImage(home, options.image).name;
  const recipe = imageRecipe("debian");
  const name = defaultImageName(recipe);
  if (findImage(home, name) === undefined) {
    await buildImage(home, recipe, name, { signal, onStage: shown.step });
    shown.done();
  }
  return name;
}

async function remove(home: Home, name: string): Promise<void> {
  if (!listVms(home).some((vm) => vm.name === name)) return;
  if (openVm(name, home).run !== undefined) await stopVm(name, { force: true }, home);
  await deleteVm(name, home);
}

/** Guests of demos that were killed before they could tidy up. */
async function removeOrphans(home: Home): Promise<void> {
  for (const { name } of listVms(home)) {
    const pid = /^demo-(\d+)$/.exec(name)?.[1];
    if (pid === undefined || canAct(Number(pid))) continue;
    await remove(home, name);
    rmSync(join(home.root, "evidence", name), { recursive: true, force: true });
  }
}
