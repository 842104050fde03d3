import type { Kernel } from "../../../src/linux/kernel.ts";
import type { Guest } from "../harness/guest.ts";
import {
  linksAreThoseOfBpftool,
  mapsAreThoseOfBpftool,
  objectsHaveTheirHolders,
  programsAreThoseOfBpftool,
} from "./bpf.ts";
import { commandsTellHowMuchTheySaw } from "./commands.ts";
import { logIsThatOfKmsg } from "./dmesg.ts";
import { gatesAreThoseOfTheProcessor, gatesLeadIntoTheKernel } from "./idt.ts";
import {
  modulesAreThoseOfProc,
  modulesAreThoseOfSysfs,
  parametersAreThoseOfSysfs,
  symbolsHaveTheirOwners,
} from "./modules.ts";
import { holesAreTold, memoryIsWhatOthersRead } from "./memory.ts";
import {
  cachedFilesAreListed,
  cachedFilesAreSelected,
  filesHaveTheirContent,
  holesOfFilesAreTold,
  swappedPagesAreTold,
} from "./pagecache.ts";
import { symbolsAreFound, symbolsAreThoseOfKallsyms, typesAreThoseOfBpftool } from "./symbols.ts";
import { syscallsAreNumberedAsInHeaders, syscallsLeadIntoTheKernel } from "./syscalls.ts";

type Holds = (guest: Guest, kernel: Kernel) => void | Promise<void>;

/** What every view of the kernel promises on every kernel, by the guest's own words. */
export const promises: readonly (readonly [name: string, holds: Holds])[] = [
  ["modules are those of /proc/modules", modulesAreThoseOfProc],
  ["modules' versions and build ids are those of /sys/module", modulesAreThoseOfSysfs],
  ["modules' parameters are those of /sys/module", parametersAreThoseOfSysfs],
  ["each symbol of /proc/kallsyms has its owner", symbolsHaveTheirOwners],
  ["system calls have the numbers of unistd_64.h", syscallsAreNumberedAsInHeaders],
  ["system calls lead to the kernel's own functions, by every way", syscallsLeadIntoTheKernel],
  ["gates are those that the processor uses", gatesAreThoseOfTheProcessor],
  ["gates lead into the kernel", gatesLeadIntoTheKernel],
  ["symbols are those of /proc/kallsyms", symbolsAreThoseOfKallsyms],
  ["symbols are found by name, pattern and address", symbolsAreFound],
  ["types are those that bpftool lists", typesAreThoseOfBpftool],
  ["memory is what the guest and QEMU read", memoryIsWhatOthersRead],
  ["memory that is not there is told", holesAreTold],
  ["BPF programs are those of bpftool", programsAreThoseOfBpftool],
  ["BPF maps are those of bpftool", mapsAreThoseOfBpftool],
  ["BPF links are those of bpftool", linksAreThoseOfBpftool],
  ["BPF objects have their holders and owners", objectsHaveTheirHolders],
  ["cached files have their content", filesHaveTheirContent],
  ["cached files are listed as stat tells them", cachedFilesAreListed],
  ["cached files are selected by mount, path and process", cachedFilesAreSelected],
  ["holes of cached files are told", holesOfFilesAreTold],
  ["swapped pages of files in memory are told", swappedPagesAreTold],
  ["the log is that of /dev/kmsg", logIsThatOfKmsg],
];

/** What does not depend on the kernel, so that one guest is enough; they come after the others. */
export const promisesOfTheHost: typeof promises = [
  ["commands tell by their status how much they saw", commandsTellHowMuchTheySaw],
];
