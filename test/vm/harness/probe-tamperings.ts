import type { GuestVirtual } from "../../../src/base/address.ts";
import { forge, linked, makeForeign, scratch } from "./forged-object.ts";
import type { HookPlace, HookTampering } from "./hook-tamperings.ts";
import { together } from "./hook-tamperings.ts";

/** Probes, counters and patches that came past the interfaces of the kernel. */
export function probeTamperings(place: HookPlace): HookTampering[] {
  const { moduleFunction, nobody } = place;
  return [
    {
      title: "a handler in a module from elsewhere",
      check: "uprobes",
      tamper: () => together(makeForeign(place), plantUprobe(place, moduleFunction)),
      says: /handler of a uprobe at offset 0x123 leads to code of a module that is not/,
    },
    {
      title: "a handler in memory of nobody",
      check: "uprobes",
      tamper: () => plantUprobe(place, nobody),
      says: /handler of a uprobe at offset 0x123 leads to memory of nobody/,
    },
    {
      title: "a breakpoint that calls memory of nobody",
      check: "perf-events",
      tamper: () => plantEvent(place, nobody),
      says: /overflow handler of a perf event \(type 5\) of a processor leads to memory of nobody/,
    },
    {
      title: "a patch of a module that is not listed",
      check: "livepatch",
      tamper: () => plantPatch(place, nobody, moduleFunction),
      says: /livepatch of 1 functions belongs to no module/,
    },
    {
      title: "a patch that leads out of its module",
      check: "livepatch",
      tamper: () => plantPatch(place, place.module, nobody),
      says: /in place of cmdline_proc_show is not one of its module/,
    },
    {
      title: "a patch from elsewhere of what lists folders",
      check: "livepatch",
      tamper: () =>
        together(makeForeign(place), plantPatch(place, place.module, moduleFunction, "filldir64")),
      says: /is not the distribution's .* replaces filldir64, which shows/,
    },
  ];
}

function plantUprobe(place: HookPlace, target: GuestVirtual): () => void {
  const { kernel, editor } = place;
  const probe = scratch(place);
  const consumer = probe + 0x400;
  const consumers = probe + kernel.offset("uprobe", "consumers");
  const offset = Buffer.alloc(8);
  offset.writeUInt32LE(0x123);
  const isList = kernel.types.has("uprobe_consumer", "cons_node");
  return together(
    forge(place, "uprobe", probe, {}),
    editor.write(probe + kernel.offset("uprobe", "offset"), offset),
    forge(place, "uprobe_consumer", consumer, { handler: target }),
    isList
      ? linked(place, consumers, consumer + kernel.offset("uprobe_consumer", "cons_node"))
      : editor.writePointer(consumers, consumer),
    editor.writePointer(
      kernel.requireSymbol("uprobes_tree"),
      probe + kernel.offset("uprobe", "rb_node"),
    ),
  );
}

/** On the list of a processor's events, which is only walked when the processor is taken away. */
function plantEvent(place: HookPlace, target: GuestVirtual): () => void {
  const { kernel, editor } = place;
  const event = scratch(place);
  const field = (name: string): GuestVirtual => event + kernel.offset("perf_event", name);
  return together(
    forge(place, "perf_event", event, { overflow_handler: target }),
    editor.write(field("attr.type"), Uint8Array.of(5)),
    linked(place, eventList(place), field("event_entry")),
  );
}

function eventList({ kernel }: HookPlace): GuestVirtual {
  const path = "ctx.event_list";
  const own = kernel.symbol("perf_cpu_context");
  if (own === own) return kernel.perCpu(own, 0) + kernel.offset("perf_cpu_context", path);
  const pmus = kernel.requireSymbol("pmus");
  const pmu = kernel.space.pointer(pmus) - kernel.offset("pmu", "entry");
  const variable = kernel.space.pointer(pmu + kernel.offset("pmu", "pmu_cpu_context"));
  return kernel.perCpu(variable, 0) + kernel.offset("perf_cpu_context", path);
}

function plantPatch(
  place: HookPlace,
  module: GuestVirtual,
  target: GuestVirtual,
  replaced = "cmdline_proc_show",
): () => void {
  const { kernel, editor } = place;
  const patch = scratch(place);
  const object = patch + 0x200;
  const call = patch + 0x400;
  const name = patch + 0x600;
  const at = (struct: string, base: GuestVirtual, member: string): GuestVirtual =>
    base + kernel.offset(struct, member);
  return together(
    forge(place, "klp_patch", patch, { mod: module }),
    forge(place, "klp_object", object, {}),
    forge(place, "klp_func", call, { old_name: name, new_func: target }),
    editor.write(name, Buffer.from(`${replaced}\0`)),
    linked(place, at("klp_patch", patch, "obj_list"), at("klp_object", object, "node")),
    linked(place, at("klp_object", object, "func_list"), at("klp_func", call, "node")),
    linked(place, kernel.requireSymbol("klp_patches"), at("klp_patch", patch, "list")),
  );
}
