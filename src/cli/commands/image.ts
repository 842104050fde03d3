import type { Command } from "commander";
import { exitStatus } from "../../base/errors.ts";
import { openHome } from "../../vm/home.ts";
import { buildImage } from "../../vm/image-build.ts";
import { exportImage, importImage } from "../../vm/image-transfer.ts";
import { defaultImageName, imageRecipe, recipeKey } from "../../vm/image-recipe.ts";
import { listImages, removeImage } from "../../vm/images.ts";
import type { Image } from "../../vm/images.ts";
import { parseSize } from "../../vm/size.ts";
import { vmsOnImage } from "../../vm/vm-state.ts";
import type { CommandIo, CommandModule } from "../command.ts";
import { onInterrupt } from "../interrupt.ts";
import { durationText, sizeText, write, writeDocument, writeTable } from "../output.ts";
import { stageProgress } from "../stage-progress.ts";
import type { Column } from "../table.ts";
import { tellDamage } from "../tell-error.ts";

type JsonOption = { readonly json?: boolean };
type BuildOptions = JsonOption & {
  readonly name?: string;
  readonly release?: string;
  readonly kernel?: string;
  readonly packages?: string;
  readonly size?: string;
  readonly rebuild?: boolean;
};

/** `kvmsec image`: golden images. */
export const define: CommandModule["define"] = (command, io) => {
  command.addHelpText(
    "after",
    "\nImages are for throwaway guests: root has no password and is logged in on the serial console,\nwhich only the owner of the VM can reach.",
  );
  defineBuild(command, io);
  command
    .command("list")
    .description("the images that are there")
    .option("--json", "one JSON document")
    .action((options: JsonOption) => list(io, options));
  command
    .command("rm")
    .description("removes an image that no VM stands on")
    .argument("<name>", "the image's name")
    .option("--json", "one JSON document")
    .action((name: string, options: JsonOption) => remove(io, name, options));
  command
    .command("export")
    .description("packs an image into one file, for another host")
    .argument("<name>", "the image's name")
    .argument("<file>", "a file that is not there yet")
    .option("--json", "one JSON document")
    .action((name: string, file: string, options: JsonOption) => pack(io, name, file, options));
  command
    .command("import")
    .description("takes an image out of such a file")
    .argument("<file>", "what export made")
    .option("--name <name>", "what to call it; as it was called there unless given")
    .option("--json", "one JSON document")
    .action((file: string, options: BuildOptions) => unpack(io, file, options));
};

function defineBuild(command: Command, io: CommandIo): void {
  command
    .command("build")
    .description("makes a golden image; at once where the same one was made before")
    .argument("<distribution>", "debian")
    .option("--name <name>", "what to call it; a name made of the recipe unless given")
    .option(
      "--release <codename>",
      "bookworm, trixie, …, or bookworm-backports (default: bookworm)",
    )
    .option("--kernel <kernel>", "cloud, generic, or a linux-image package (default: cloud)")
    .option("--packages <list>", "further packages, with commas between")
    .option("--size <size>", "of the guest's disk (default: 4G; takes what is used)")
    .option("--rebuild", "make it anew, with today's packages")
    .option("--json", "one JSON document")
    .action((distribution: string, options: BuildOptions) => build(io, distribution, options));
}

async function build(io: CommandIo, distribution: string, options: BuildOptions): Promise<void> {
  const recipe = imageRecipe(distribution, {
    release: options.release,
    kernel: options.kernel,
    packages: options.packages?.split(",").filter((name) => name !== ""),
    size: options.size === undefined ? undefined : parseSize(options.size),
  });
  using interruption = onInterrupt();
  using shown = stageProgress(io);
  const { image, cached } = await buildImage(
    openHome(),
    recipe,
    options.name ?? defaultImageName(recipe),
    {
      rebuild: options.rebuild === true,
      signal: interruption.signal,
      onStage: shown.step,
    },
  );
  shown.done();
  if (options.json === true) {
    await writeDocument(io, "kvmsec.image/1", { ...json(image), cached });
  } else {
    const old = image.key === recipeKey(recipe) ? "" : ", made by another kvmsec; see --rebuild";
    const took = cached ? `was there already${old}` : `made in ${durationText(image.buildMs)}`;
    await write(
      io.stdout,
      `${image.name}: Debian ${image.release}, Linux ${image.kernelRelease}, ${sizeText(image.bytes)}, ${took}.\n` +
        `Make a VM on it: kvmsec vm create NAME --image ${image.name} --start\n`,
    );
  }
  io.exit(exitStatus.clean);
}

const columns: readonly Column<Image>[] = [
  { title: "NAME", value: (image) => image.name, shrink: 16 },
  { title: "RELEASE", value: (image) => image.release },
  { title: "KERNEL", value: (image) => image.kernelRelease, shrink: 12 },
  { title: "DISK", value: (image) => sizeText(image.size), align: "right" },
  { title: "TAKES", value: (image) => sizeText(image.bytes), align: "right" },
  { title: "MADE", value: (image) => image.createdAt.slice(0, 16).replace("T", " ") },
  { title: "PACKAGES", value: (image) => image.packages.join(","), shrink: 10 },
];

async function list(io: CommandIo, options: JsonOption): Promise<void> {
  const images = listImages(openHome(), tellDamage(io));
  if (options.json === true) {
    await writeDocument(io, "kvmsec.images/1", { images: images.map(json) });
  } else if (images.length === 0) {
    await write(io.stdout, "There is no image yet. Make one: kvmsec image build debian\n");
  } else {
    await writeTable(io, columns, images);
  }
}

async function remove(io: CommandIo, name: string, options: JsonOption): Promise<void> {
  const home = openHome();
  const image = removeImage(home, name, vmsOnImage(home, name));
  if (options.json === true) {
    await writeDocument(io, "kvmsec.image/1", { ...json(image), removed: true });
  } else {
    await write(io.stdout, `${name} is removed; ${sizeText(image.bytes)} are free again.\n`);
  }
}

async function pack(io: CommandIo, name: string, file: string, options: JsonOption): Promise<void> {
  using interruption = onInterrupt();
  const image = await exportImage(openHome(), name, file, interruption.signal);
  if (options.json === true) {
    await writeDocument(io, "kvmsec.image/1", { ...json(image), file });
  } else {
    await write(io.stdout, `${name} is in ${file}.\n`);
  }
}

async function unpack(io: CommandIo, file: string, options: BuildOptions): Promise<void> {
  using interruption = onInterrupt();
  const image = await importImage(openHome(), file, options.name, interruption.signal);
  if (options.json === true) {
    await writeDocument(io, "kvmsec.image/1", json(image));
  } else {
    await write(io.stdout, `${image.name} is there: Linux ${image.kernelRelease}.\n`);
  }
}

function json({ schema: _schema, ...image }: Image): object {
  return image;
}
