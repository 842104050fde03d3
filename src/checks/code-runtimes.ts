import { isVolatilePath, withoutDeleted } from "./paths.ts";

/** A program or library that makes machine code while it runs, and so has memory to execute it from. */
type Runtime = {
  readonly name: string;
  /** Of the last component of the mapped file's path. */
  readonly file: RegExp;
  /** The only sizes of areas that it makes, in bytes; unless told any. */
  readonly sizes?: (bytes: number) => boolean;
};

const KIB = 1024;
/** sljit takes its memory in chunks of this (SLJIT's executable allocator, in PCRE). */
const SLJIT_CHUNK = 64 * KIB;

/**
 * Runtimes that make code. The list explains memory that is executable and belongs to no file, and
 * nothing else: what lies in there is looked at all the same. A file of these names in a folder
 * where anybody may write explains nothing.
 */
const RUNTIMES: readonly Runtime[] = [
  { name: "PCRE", file: /^libpcre/, sizes: (bytes) => bytes % SLJIT_CHUNK === 0 },
  { name: "libffi", file: /^libffi\.so/, sizes: (bytes) => bytes <= SLJIT_CHUNK },
  // cffi's own copy of libffi's closures.
  { name: "cffi", file: /^_cffi_backend\./, sizes: (bytes) => bytes <= SLJIT_CHUNK },
  {
    name: "V8",
    file: /^(node|nodejs|deno|bun|chrome|chromium|electron)$|^lib(v8|node)[.\w-]*\.so/,
  },
  { name: "V8", file: /^(v8_context_snapshot|snapshot_blob)[\w.]*\.bin$/ },
  { name: "SpiderMonkey", file: /^libmozjs|^libxul\.so|^mongod$/ },
  { name: "JavaScriptCore", file: /^libjavascriptcoregtk|^libQt\d*(Qml|Script|WebEngineCore)\.so/ },
  { name: "Java", file: /^libjvm\.so|^libj9jit/ },
  { name: ".NET", file: /^libcoreclr\.so|^libclrjit\.so|^libmono|^mono(-sgen)?$/ },
  { name: "LLVM", file: /^libLLVM|^llvmjit\.so|^clickhouse/ },
  { name: "LuaJIT", file: /^libluajit|^luajit|^n?vim$|^openresty$/ },
  { name: "PHP", file: /^php|^libphp|^opcache\.so/ },
  { name: "Ruby", file: /^ruby|^libruby/ },
  { name: "PyPy", file: /^pypy|^libpypy/ },
  { name: "Guile", file: /^libguile/ },
  { name: "Lisp", file: /^sbcl|\.core$|^ccl|^clisp|^scheme$|^petite$|^racket/ },
  { name: "Erlang", file: /^beam(\.\w+)*$/ },
  { name: "Julia", file: /^libjulia/ },
  { name: "an emulator", file: /^qemu-|^box(64|86)|^FEX|^(valgrind|rr)|-(amd64|x86)-linux$/ },
  { name: "Wine", file: /^wine|^ntdll\.so/ },
  { name: "gVisor", file: /^runsc/ },
  { name: "WebAssembly", file: /^(lib)?(wasmtime|wasmer|wasmedge|wamr|iwasm)|^envoy$/i },
  { name: "ORC", file: /^liborc-/ },
  { name: "a compiler library", file: /^lib(gccjit|tcc|lightning|jit|asmjit|nvrtc|nvidia-|cuda)/ },
];

/** The name of a mapped runtime that accounts for an executable area of that size. */
export function explainingRuntime(paths: Iterable<string>, bytes: number): string | undefined {
  for (const path of paths) {
    if (isVolatilePath(path) || !path.startsWith("/")) continue;
    const plain = withoutDeleted(path);
    const file = plain.slice(plain.lastIndexOf("/") + 1);
    const runtime = RUNTIMES.find((each) => each.file.test(file) && (each.sizes?.(bytes) ?? true));
    if (runtime !== undefined) return runtime.name;
  }
  return undefined;
}
