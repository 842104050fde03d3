import type { GuestVirtual } from "../base/address.ts";

/** What one of several independent lists of the same objects holds. */
export type ObjectView = {
  readonly members: ReadonlySet<GuestVirtual>;
  /** It could be read to its end: only then is what it does not hold missing from it. */
  readonly whole: boolean;
};

type Problem = (reason: string) => void;

/** Reads a list, and remembers whether that went to its end. */
export function objectView(
  read: (problem: Problem) => Iterable<GuestVirtual>,
  problem: Problem,
): ObjectView {
  let whole = true;
  const members = new Set(
    read((reason) => {
      whole = false;
      problem(reason);
    }),
  );
  return { members, whole };
}

/** Names of the views that should hold an object and do not. */
export function missingFrom<Name>(
  views: ReadonlyMap<Name, ObjectView>,
  object: GuestVirtual,
): Name[] {
  return [...views]
    .filter(([, { members, whole }]) => whole && !members.has(object))
    .map(([name]) => name);
}

/** Names of the views that hold an object. */
export function foundIn<Name>(views: ReadonlyMap<Name, ObjectView>, object: GuestVirtual): Name[] {
  return [...views].filter(([, { members }]) => members.has(object)).map(([name]) => name);
}

/** Every object that any of the views holds. */
export function inAnyView(views: ReadonlyMap<unknown, ObjectView>): Set<GuestVirtual> {
  return new Set([...views.values()].flatMap(({ members }) => [...members]));
}
