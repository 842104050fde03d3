export const nodeFlags: readonly string[];
export function compileCache(
  environment?: Readonly<Record<string, string | undefined>>,
): string | undefined;
