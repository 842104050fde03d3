/** Exit status of the command line, as docs/SPECIFICATION.md promises it. */
export const exitStatus = {
  clean: 0,
  findings: 1,
  usage: 2,
  unobservable: 3,
  partial: 4,
} as const;

export type ExitStatus = (typeof exitStatus)[keyof typeof exitStatus];

export type ErrorCode = `KVMSEC_${string}`;

export type ErrorOptions = {
  /** What the user can do about it, as one sentence. */
  hint?: string;
  /** The status that the command line leaves with; `unobservable` unless told. */
  exit?: ExitStatus;
  cause?: unknown;
};

/** An error with a stable code, a sentence for the person who reads it, and what to do next. */
export class KvmsecError extends Error {
  override readonly name = "KvmsecError";
  readonly code: ErrorCode;
  readonly hint: string | undefined;
  readonly exit: ExitStatus;

  constructor(code: ErrorCode, message: string, options: ErrorOptions = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.hint = options.hint;
    this.exit = options.exit ?? exitStatus.unobservable;
  }
}

/** A mistake in how kvmsec was called: wrong arguments or configuration (exit status 2). */
export function usageError(code: ErrorCode, message: string, hint?: string): KvmsecError {
  return new KvmsecError(code, message, {
    exit: exitStatus.usage,
    ...(hint === undefined ? {} : { hint }),
  });
}

/** Whether what was thrown says that a kernel has no such symbol or type. */
export function isMissing(error: unknown): error is KvmsecError {
  return error instanceof KvmsecError && /_(TYPE|SYMBOL)_MISSING$/.test(error.code);
}

/** The system's own error code of a thrown value (`ENOENT`), or undefined. */
export function systemCode(error: unknown): string | undefined {
  const code = (error as { code?: unknown } | null)?.code;
  return typeof code === "string" ? code : undefined;
}
