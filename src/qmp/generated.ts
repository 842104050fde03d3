// Written by scripts/generate-qmp-types.ts from the schema of QEMU 7.2; do not edit.
/* oxlint-disable max-lines */

/** A whole number. */
export type Integer = number;

export type NoMembers = Record<never, never>;

export type QueryVersionReturnQemu = { major: Integer; minor: Integer; micro: Integer };

export type VersionInfo = { qemu: QueryVersionReturnQemu; package: string };

export type QueryCommandsReturnItem = { name: string };

export type QueryNameReturn = { name?: string };

export type QueryUuidReturn = { UUID: string };

export type QueryTargetReturnArch =
  | "aarch64"
  | "alpha"
  | "arm"
  | "avr"
  | "cris"
  | "hppa"
  | "i386"
  | "loongarch64"
  | "m68k"
  | "microblaze"
  | "microblazeel"
  | "mips"
  | "mips64"
  | "mips64el"
  | "mipsel"
  | "nios2"
  | "or1k"
  | "ppc"
  | "ppc64"
  | "riscv32"
  | "riscv64"
  | "rx"
  | "s390x"
  | "sh4"
  | "sh4eb"
  | "sparc"
  | "sparc64"
  | "tricore"
  | "x86_64"
  | "xtensa"
  | "xtensaeb";

export type QueryTargetReturn = { arch: QueryTargetReturnArch };

export type QueryKvmReturn = { enabled: boolean; present: boolean };

export type MachineInfo = {
  name: string;
  alias?: string;
  "is-default"?: boolean;
  "cpu-max": Integer;
  "hotpluggable-cpus": boolean;
  "numa-mem-supported": boolean;
  deprecated: boolean;
  "default-cpu-type"?: string;
  "default-ram-id"?: string;
};

export type CurrentMachineParams = { "wakeup-suspend-support": boolean };

export type RunState =
  | "debug"
  | "inmigrate"
  | "internal-error"
  | "io-error"
  | "paused"
  | "postmigrate"
  | "prelaunch"
  | "finish-migrate"
  | "restore-vm"
  | "running"
  | "save-vm"
  | "shutdown"
  | "suspended"
  | "watchdog"
  | "guest-panicked"
  | "colo";

export type StatusInfo = { running: boolean; singlestep: boolean; status: RunState };

export type QueryCpusFastReturnItemProps = {
  "node-id"?: Integer;
  "socket-id"?: Integer;
  "die-id"?: Integer;
  "cluster-id"?: Integer;
  "core-id"?: Integer;
  "thread-id"?: Integer;
};

export type CpuInfoFast = {
  "cpu-index": Integer;
  "qom-path": string;
  "thread-id": Integer;
  props?: QueryCpusFastReturnItemProps;
} & ({ target: "aarch64" } | { target: "x86_64" });

export type QueryHotpluggableCpusReturnItem = {
  type: string;
  "vcpus-count": Integer;
  props: QueryCpusFastReturnItemProps;
  "qom-path"?: string;
};

export type Memdev = {
  id?: string;
  size: Integer;
  merge: boolean;
  dump: boolean;
  prealloc: boolean;
  share: boolean;
  reserve?: boolean;
  "host-nodes": readonly Integer[];
  policy: "default" | "preferred" | "bind" | "interleave";
};

export type QueryMemoryDevicesReturnItemDimmData = {
  id?: string;
  addr: Integer;
  size: Integer;
  slot: Integer;
  node: Integer;
  memdev: string;
  hotplugged: boolean;
  hotpluggable: boolean;
};

export type QueryMemoryDevicesReturnItemDimm = { data: QueryMemoryDevicesReturnItemDimmData };

export type QueryMemoryDevicesReturnItemVirtioMemData = {
  id?: string;
  memaddr: Integer;
  "requested-size": Integer;
  size: Integer;
  "max-size": Integer;
  "block-size": Integer;
  node: Integer;
  memdev: string;
};

export type QueryMemoryDevicesReturnItemVirtioMem = {
  data: QueryMemoryDevicesReturnItemVirtioMemData;
};

export type MemoryDeviceInfo =
  | ({ type: "dimm" } & QueryMemoryDevicesReturnItemDimm)
  | ({ type: "virtio-mem" } & QueryMemoryDevicesReturnItemVirtioMem);

export type QueryMemorySizeSummaryReturn = { "base-memory": Integer; "plugged-memory"?: Integer };

export type ChardevInfo = { label: string; filename: string; "frontend-open": boolean };

export type QueryPciReturnItemDevicesItemClassInfo = { desc?: string; class: Integer };

export type QueryPciReturnItemDevicesItemId = {
  device: Integer;
  vendor: Integer;
  subsystem?: Integer;
  "subsystem-vendor"?: Integer;
};

export type QueryPciReturnItemDevicesItemPciBridgeBusIoRange = { base: Integer; limit: Integer };

export type QueryPciReturnItemDevicesItemPciBridgeBus = {
  number: Integer;
  secondary: Integer;
  subordinate: Integer;
  io_range: QueryPciReturnItemDevicesItemPciBridgeBusIoRange;
  memory_range: QueryPciReturnItemDevicesItemPciBridgeBusIoRange;
  prefetchable_range: QueryPciReturnItemDevicesItemPciBridgeBusIoRange;
};

export type QueryPciReturnItemDevicesItemPciBridge = {
  bus: QueryPciReturnItemDevicesItemPciBridgeBus;
  devices?: readonly PciDeviceInfo[];
};

export type QueryPciReturnItemDevicesItemRegionsItem = {
  bar: Integer;
  type: string;
  address: Integer;
  size: Integer;
  prefetch?: boolean;
  mem_type_64?: boolean;
};

export type PciDeviceInfo = {
  bus: Integer;
  slot: Integer;
  function: Integer;
  class_info: QueryPciReturnItemDevicesItemClassInfo;
  id: QueryPciReturnItemDevicesItemId;
  irq?: Integer;
  irq_pin: Integer;
  qdev_id: string;
  pci_bridge?: QueryPciReturnItemDevicesItemPciBridge;
  regions: readonly QueryPciReturnItemDevicesItemRegionsItem[];
};

export type PciInfo = { bus: Integer; devices: readonly PciDeviceInfo[] };

export type IOThreadInfo = {
  id: string;
  "thread-id": Integer;
  "poll-max-ns": Integer;
  "poll-grow": Integer;
  "poll-shrink": Integer;
  "aio-max-batch": Integer;
};

export type QueryCommandLineOptionsArguments = { option?: string };

export type QueryCommandLineOptionsReturnItemParametersItem = {
  name: string;
  type: "string" | "boolean" | "number" | "size";
  help?: string;
  default?: string;
};

export type QueryCommandLineOptionsReturnItem = {
  option: string;
  parameters: readonly QueryCommandLineOptionsReturnItemParametersItem[];
};

export type QueryBalloonReturn = { actual: Integer };

export type XQueryRamblockReturn = { "human-readable-text": string };

export type SetActionArgumentsWatchdog =
  | "reset"
  | "shutdown"
  | "poweroff"
  | "pause"
  | "debug"
  | "none"
  | "inject-nmi";

export type SetActionArguments = {
  reboot?: "reset" | "shutdown";
  shutdown?: "poweroff" | "pause";
  panic?: "pause" | "shutdown" | "exit-failure" | "none";
  watchdog?: SetActionArgumentsWatchdog;
};

export type WatchdogSetActionArguments = { action: SetActionArgumentsWatchdog };

export type SendKeyArgumentsKeysItemNumber = { data: Integer };

export type SendKeyArgumentsKeysItemQcodeData =
  | "unmapped"
  | "shift"
  | "shift_r"
  | "alt"
  | "alt_r"
  | "ctrl"
  | "ctrl_r"
  | "menu"
  | "esc"
  | "1"
  | "2"
  | "3"
  | "4"
  | "5"
  | "6"
  | "7"
  | "8"
  | "9"
  | "0"
  | "minus"
  | "equal"
  | "backspace"
  | "tab"
  | "q"
  | "w"
  | "e"
  | "r"
  | "t"
  | "y"
  | "u"
  | "i"
  | "o"
  | "p"
  | "bracket_left"
  | "bracket_right"
  | "ret"
  | "a"
  | "s"
  | "d"
  | "f"
  | "g"
  | "h"
  | "j"
  | "k"
  | "l"
  | "semicolon"
  | "apostrophe"
  | "grave_accent"
  | "backslash"
  | "z"
  | "x"
  | "c"
  | "v"
  | "b"
  | "n"
  | "m"
  | "comma"
  | "dot"
  | "slash"
  | "asterisk"
  | "spc"
  | "caps_lock"
  | "f1"
  | "f2"
  | "f3"
  | "f4"
  | "f5"
  | "f6"
  | "f7"
  | "f8"
  | "f9"
  | "f10"
  | "num_lock"
  | "scroll_lock"
  | "kp_divide"
  | "kp_multiply"
  | "kp_subtract"
  | "kp_add"
  | "kp_enter"
  | "kp_decimal"
  | "sysrq"
  | "kp_0"
  | "kp_1"
  | "kp_2"
  | "kp_3"
  | "kp_4"
  | "kp_5"
  | "kp_6"
  | "kp_7"
  | "kp_8"
  | "kp_9"
  | "less"
  | "f11"
  | "f12"
  | "print"
  | "home"
  | "pgup"
  | "pgdn"
  | "end"
  | "left"
  | "up"
  | "down"
  | "right"
  | "insert"
  | "delete"
  | "stop"
  | "again"
  | "props"
  | "undo"
  | "front"
  | "copy"
  | "open"
  | "paste"
  | "find"
  | "cut"
  | "lf"
  | "help"
  | "meta_l"
  | "meta_r"
  | "compose"
  | "pause"
  | "ro"
  | "hiragana"
  | "henkan"
  | "yen"
  | "muhenkan"
  | "katakanahiragana"
  | "kp_comma"
  | "kp_equals"
  | "power"
  | "sleep"
  | "wake"
  | "audionext"
  | "audioprev"
  | "audiostop"
  | "audioplay"
  | "audiomute"
  | "volumeup"
  | "volumedown"
  | "mediaselect"
  | "mail"
  | "calculator"
  | "computer"
  | "ac_home"
  | "ac_back"
  | "ac_forward"
  | "ac_refresh"
  | "ac_bookmarks"
  | "lang1"
  | "lang2";

export type SendKeyArgumentsKeysItemQcode = { data: SendKeyArgumentsKeysItemQcodeData };

export type SendKeyArgumentsKeysItem =
  | ({ type: "number" } & SendKeyArgumentsKeysItemNumber)
  | ({ type: "qcode" } & SendKeyArgumentsKeysItemQcode);

export type SendKeyArguments = { keys: readonly SendKeyArgumentsKeysItem[]; "hold-time"?: Integer };

export type QomGetArguments = { path: string; property: string };

export type QomSetArguments = { path: string; property: string; value: unknown };

export type QomListArguments = { path: string };

export type QomListReturnItem = {
  name: string;
  type: string;
  description?: string;
  "default-value"?: unknown;
};

export type ObjectAddArgumentsFilterDump = {
  netdev: string;
  queue?: "all" | "rx" | "tx";
  status?: string;
  position?: string;
  insert?: "before" | "behind";
  file: string;
  maxlen?: Integer;
};

export type ObjectAddArgumentsFilterMirror = {
  netdev: string;
  queue?: "all" | "rx" | "tx";
  status?: string;
  position?: string;
  insert?: "before" | "behind";
  outdev: string;
  vnet_hdr_support?: boolean;
};

export type ObjectAddArgumentsFilterRedirector = {
  netdev: string;
  queue?: "all" | "rx" | "tx";
  status?: string;
  position?: string;
  insert?: "before" | "behind";
  indev?: string;
  outdev?: string;
  vnet_hdr_support?: boolean;
};

export type ObjectAddArgumentsIothread = {
  "aio-max-batch"?: Integer;
  "thread-pool-min"?: Integer;
  "thread-pool-max"?: Integer;
  "poll-max-ns"?: Integer;
  "poll-grow"?: Integer;
  "poll-shrink"?: Integer;
};

export type ObjectAddArgumentsMemoryBackendFile = {
  dump?: boolean;
  "host-nodes"?: readonly Integer[];
  merge?: boolean;
  policy?: "default" | "preferred" | "bind" | "interleave";
  prealloc?: boolean;
  "prealloc-threads"?: Integer;
  "prealloc-context"?: string;
  share?: boolean;
  reserve?: boolean;
  size: Integer;
  "x-use-canonical-path-for-ramblock-id"?: boolean;
  align?: Integer;
  "discard-data"?: boolean;
  "mem-path": string;
  pmem?: boolean;
  readonly?: boolean;
};

export type ObjectAddArgumentsMemoryBackendMemfd = {
  dump?: boolean;
  "host-nodes"?: readonly Integer[];
  merge?: boolean;
  policy?: "default" | "preferred" | "bind" | "interleave";
  prealloc?: boolean;
  "prealloc-threads"?: Integer;
  "prealloc-context"?: string;
  share?: boolean;
  reserve?: boolean;
  size: Integer;
  "x-use-canonical-path-for-ramblock-id"?: boolean;
  hugetlb?: boolean;
  hugetlbsize?: Integer;
  seal?: boolean;
};

export type ObjectAddArgumentsMemoryBackendRam = {
  dump?: boolean;
  "host-nodes"?: readonly Integer[];
  merge?: boolean;
  policy?: "default" | "preferred" | "bind" | "interleave";
  prealloc?: boolean;
  "prealloc-threads"?: Integer;
  "prealloc-context"?: string;
  share?: boolean;
  reserve?: boolean;
  size: Integer;
  "x-use-canonical-path-for-ramblock-id"?: boolean;
};

export type ObjectAddArgumentsRngRandom = { opened?: boolean; filename?: string };

export type ObjectAddArgumentsSecret = {
  loaded?: boolean;
  format?: "raw" | "base64";
  keyid?: string;
  iv?: string;
  data?: string;
  file?: string;
};

export type ObjectAddArgumentsThrottleGroupLimits = {
  "iops-total"?: Integer;
  "iops-total-max"?: Integer;
  "iops-total-max-length"?: Integer;
  "iops-read"?: Integer;
  "iops-read-max"?: Integer;
  "iops-read-max-length"?: Integer;
  "iops-write"?: Integer;
  "iops-write-max"?: Integer;
  "iops-write-max-length"?: Integer;
  "bps-total"?: Integer;
  "bps-total-max"?: Integer;
  "bps-total-max-length"?: Integer;
  "bps-read"?: Integer;
  "bps-read-max"?: Integer;
  "bps-read-max-length"?: Integer;
  "bps-write"?: Integer;
  "bps-write-max"?: Integer;
  "bps-write-max-length"?: Integer;
  "iops-size"?: Integer;
};

export type ObjectAddArgumentsThrottleGroup = {
  limits?: ObjectAddArgumentsThrottleGroupLimits;
  "x-iops-total"?: Integer;
  "x-iops-total-max"?: Integer;
  "x-iops-total-max-length"?: Integer;
  "x-iops-read"?: Integer;
  "x-iops-read-max"?: Integer;
  "x-iops-read-max-length"?: Integer;
  "x-iops-write"?: Integer;
  "x-iops-write-max"?: Integer;
  "x-iops-write-max-length"?: Integer;
  "x-bps-total"?: Integer;
  "x-bps-total-max"?: Integer;
  "x-bps-total-max-length"?: Integer;
  "x-bps-read"?: Integer;
  "x-bps-read-max"?: Integer;
  "x-bps-read-max-length"?: Integer;
  "x-bps-write"?: Integer;
  "x-bps-write-max"?: Integer;
  "x-bps-write-max-length"?: Integer;
  "x-iops-size"?: Integer;
};

export type ObjectOptions = { id: string } & (
  | ({ "qom-type": "filter-dump" } & ObjectAddArgumentsFilterDump)
  | ({ "qom-type": "filter-mirror" } & ObjectAddArgumentsFilterMirror)
  | ({ "qom-type": "filter-redirector" } & ObjectAddArgumentsFilterRedirector)
  | ({ "qom-type": "iothread" } & ObjectAddArgumentsIothread)
  | ({ "qom-type": "memory-backend-file" } & ObjectAddArgumentsMemoryBackendFile)
  | ({ "qom-type": "memory-backend-memfd" } & ObjectAddArgumentsMemoryBackendMemfd)
  | ({ "qom-type": "memory-backend-ram" } & ObjectAddArgumentsMemoryBackendRam)
  | ({ "qom-type": "rng-random" } & ObjectAddArgumentsRngRandom)
  | ({ "qom-type": "secret" } & ObjectAddArgumentsSecret)
  | ({ "qom-type": "throttle-group" } & ObjectAddArgumentsThrottleGroup)
);

export type ObjectDelArguments = { id: string };

export type DeviceAddArguments = { driver: string; bus?: string; id?: string };

export type DeviceDelArguments = { id: string };

export type ChardevAddArgumentsBackendFileData = {
  logfile?: string;
  logappend?: boolean;
  in?: string;
  out: string;
  append?: boolean;
};

export type ChardevAddArgumentsBackendFile = { data: ChardevAddArgumentsBackendFileData };

export type ChardevAddArgumentsBackendSocketDataAddrInetData = {
  host: string;
  port: string;
  numeric?: boolean;
  to?: Integer;
  ipv4?: boolean;
  ipv6?: boolean;
  "keep-alive"?: boolean;
  mptcp?: boolean;
};

export type ChardevAddArgumentsBackendSocketDataAddrInet = {
  data: ChardevAddArgumentsBackendSocketDataAddrInetData;
};

export type ChardevAddArgumentsBackendSocketDataAddrUnixData = {
  path: string;
  abstract?: boolean;
  tight?: boolean;
};

export type ChardevAddArgumentsBackendSocketDataAddrUnix = {
  data: ChardevAddArgumentsBackendSocketDataAddrUnixData;
};

export type ChardevAddArgumentsBackendSocketDataAddrVsockData = { cid: string; port: string };

export type ChardevAddArgumentsBackendSocketDataAddrVsock = {
  data: ChardevAddArgumentsBackendSocketDataAddrVsockData;
};

export type ChardevAddArgumentsBackendSocketDataAddrFdData = { str: string };

export type ChardevAddArgumentsBackendSocketDataAddrFd = {
  data: ChardevAddArgumentsBackendSocketDataAddrFdData;
};

export type ChardevAddArgumentsBackendSocketDataAddr =
  | ({ type: "inet" } & ChardevAddArgumentsBackendSocketDataAddrInet)
  | ({ type: "unix" } & ChardevAddArgumentsBackendSocketDataAddrUnix)
  | ({ type: "vsock" } & ChardevAddArgumentsBackendSocketDataAddrVsock)
  | ({ type: "fd" } & ChardevAddArgumentsBackendSocketDataAddrFd);

export type ChardevAddArgumentsBackendSocketData = {
  logfile?: string;
  logappend?: boolean;
  addr: ChardevAddArgumentsBackendSocketDataAddr;
  "tls-creds"?: string;
  "tls-authz"?: string;
  server?: boolean;
  wait?: boolean;
  nodelay?: boolean;
  telnet?: boolean;
  tn3270?: boolean;
  websocket?: boolean;
  reconnect?: Integer;
};

export type ChardevAddArgumentsBackendSocket = { data: ChardevAddArgumentsBackendSocketData };

export type ChardevAddArgumentsBackendPtyData = { logfile?: string; logappend?: boolean };

export type ChardevAddArgumentsBackendPty = { data: ChardevAddArgumentsBackendPtyData };

export type ChardevAddArgumentsBackendRingbufData = {
  logfile?: string;
  logappend?: boolean;
  size?: Integer;
};

export type ChardevAddArgumentsBackendRingbuf = { data: ChardevAddArgumentsBackendRingbufData };

export type ChardevAddArgumentsBackend =
  | ({ type: "file" } & ChardevAddArgumentsBackendFile)
  | ({ type: "socket" } & ChardevAddArgumentsBackendSocket)
  | ({ type: "pty" } & ChardevAddArgumentsBackendPty)
  | ({ type: "null" } & ChardevAddArgumentsBackendPty)
  | ({ type: "ringbuf" } & ChardevAddArgumentsBackendRingbuf);

export type ChardevAddArguments = { id: string; backend: ChardevAddArgumentsBackend };

export type ChardevAddReturn = { pty?: string };

export type ChardevRemoveArguments = { id: string };

export type GetfdArguments = { fdname: string };

export type ClosefdArguments = { fdname: string };

export type AddFdArguments = { "fdset-id"?: Integer; opaque?: string };

export type AddFdReturn = { "fdset-id": Integer; fd: Integer };

export type RemoveFdArguments = { "fdset-id": Integer; fd?: Integer };

export type QueryFdsetsReturnItemFdsItem = { fd: Integer; opaque?: string };

export type QueryFdsetsReturnItem = {
  "fdset-id": Integer;
  fds: readonly QueryFdsetsReturnItemFdsItem[];
};

export type HumanMonitorCommandArguments = { "command-line": string; "cpu-index"?: Integer };

export type NetdevAddArgumentsUser = {
  hostname?: string;
  restrict?: boolean;
  ipv4?: boolean;
  ipv6?: boolean;
  ip?: string;
  net?: string;
  host?: string;
  tftp?: string;
  bootfile?: string;
  dhcpstart?: string;
  dns?: string;
  dnssearch?: readonly ChardevAddArgumentsBackendSocketDataAddrFdData[];
  domainname?: string;
  "ipv6-prefix"?: string;
  "ipv6-prefixlen"?: Integer;
  "ipv6-host"?: string;
  "ipv6-dns"?: string;
  smb?: string;
  smbserver?: string;
  hostfwd?: readonly ChardevAddArgumentsBackendSocketDataAddrFdData[];
  guestfwd?: readonly ChardevAddArgumentsBackendSocketDataAddrFdData[];
  "tftp-server-name"?: string;
};

export type NetdevAddArgumentsTap = {
  ifname?: string;
  fd?: string;
  fds?: string;
  script?: string;
  downscript?: string;
  br?: string;
  helper?: string;
  sndbuf?: Integer;
  vnet_hdr?: boolean;
  vhost?: boolean;
  vhostfd?: string;
  vhostfds?: string;
  vhostforce?: boolean;
  queues?: Integer;
  "poll-us"?: Integer;
};

export type NetdevAddArgumentsSocket = {
  fd?: string;
  listen?: string;
  connect?: string;
  mcast?: string;
  localaddr?: string;
  udp?: string;
};

export type NetdevAddArgumentsStreamAddr =
  | ({ type: "inet" } & ChardevAddArgumentsBackendSocketDataAddrInetData)
  | ({ type: "unix" } & ChardevAddArgumentsBackendSocketDataAddrUnixData)
  | ({ type: "vsock" } & ChardevAddArgumentsBackendSocketDataAddrVsockData)
  | ({ type: "fd" } & ChardevAddArgumentsBackendSocketDataAddrFdData);

export type NetdevAddArgumentsStream = { addr: NetdevAddArgumentsStreamAddr; server?: boolean };

export type NetdevAddArgumentsDgram = {
  local?: NetdevAddArgumentsStreamAddr;
  remote?: NetdevAddArgumentsStreamAddr;
};

export type NetdevAddArgumentsBridge = { br?: string; helper?: string };

export type NetdevAddArgumentsHubport = { hubid: Integer; netdev?: string };

export type Netdev = { id: string } & (
  | ({ type: "user" } & NetdevAddArgumentsUser)
  | ({ type: "tap" } & NetdevAddArgumentsTap)
  | ({ type: "socket" } & NetdevAddArgumentsSocket)
  | ({ type: "stream" } & NetdevAddArgumentsStream)
  | ({ type: "dgram" } & NetdevAddArgumentsDgram)
  | ({ type: "bridge" } & NetdevAddArgumentsBridge)
  | ({ type: "hubport" } & NetdevAddArgumentsHubport)
);

export type NetdevDelArguments = { id: string };

export type SetLinkArguments = { name: string; up: boolean };

export type QueryRxFilterArguments = { name?: string };

export type QueryRxFilterReturnItem = {
  name: string;
  promiscuous: boolean;
  multicast: "normal" | "none" | "all";
  unicast: "normal" | "none" | "all";
  vlan: "normal" | "none" | "all";
  "broadcast-allowed": boolean;
  "multicast-overflow": boolean;
  "unicast-overflow": boolean;
  "main-mac": string;
  "vlan-table": readonly Integer[];
  "unicast-table": readonly string[];
  "multicast-table": readonly string[];
};

export type MemsaveArguments = {
  val: number | bigint;
  size: Integer;
  filename: string;
  "cpu-index"?: Integer;
};

export type PmemsaveArguments = { val: Integer; size: Integer; filename: string };

export type DumpGuestMemoryArgumentsFormat =
  | "elf"
  | "kdump-zlib"
  | "kdump-lzo"
  | "kdump-snappy"
  | "win-dmp";

export type DumpGuestMemoryArguments = {
  paging: boolean;
  protocol: string;
  detach?: boolean;
  begin?: Integer;
  length?: Integer;
  format?: DumpGuestMemoryArgumentsFormat;
};

export type DumpQueryResult = {
  status: "none" | "active" | "completed" | "failed";
  completed: Integer;
  total: Integer;
};

export type QueryDumpGuestMemoryCapabilityReturn = {
  formats: readonly DumpGuestMemoryArgumentsFormat[];
};

export type ScreendumpArguments = {
  filename: string;
  device?: string;
  head?: Integer;
  format?: "ppm" | "png";
};

export type QueryBlockReturnItemInsertedImageSnapshotsItem = {
  id: string;
  name: string;
  "vm-state-size": Integer;
  "date-sec": Integer;
  "date-nsec": Integer;
  "vm-clock-sec": Integer;
  "vm-clock-nsec": Integer;
  icount?: Integer;
};

export type QueryBlockReturnItemInsertedImageFormatSpecificQcow2DataEncrypt = {} & {
  format: string;
};

export type QueryBlockReturnItemInsertedImageFormatSpecificQcow2DataBitmapsItem = {
  name: string;
  granularity: Integer;
  flags: readonly ("in-use" | "auto")[];
};

export type QueryBlockReturnItemInsertedImageFormatSpecificQcow2Data = {
  compat: string;
  "data-file"?: string;
  "data-file-raw"?: boolean;
  "extended-l2"?: boolean;
  "lazy-refcounts"?: boolean;
  corrupt?: boolean;
  "refcount-bits": Integer;
  encrypt?: QueryBlockReturnItemInsertedImageFormatSpecificQcow2DataEncrypt;
  bitmaps?: readonly QueryBlockReturnItemInsertedImageFormatSpecificQcow2DataBitmapsItem[];
  "compression-type": "zlib" | "zstd";
};

export type QueryBlockReturnItemInsertedImageFormatSpecificQcow2 = {
  data: QueryBlockReturnItemInsertedImageFormatSpecificQcow2Data;
};

export type QueryBlockReturnItemInsertedImageFormatSpecific = {
  type: "qcow2";
} & QueryBlockReturnItemInsertedImageFormatSpecificQcow2;

export type ImageInfo = {
  filename: string;
  format: string;
  "dirty-flag"?: boolean;
  "actual-size"?: Integer;
  "virtual-size": Integer;
  "cluster-size"?: Integer;
  encrypted?: boolean;
  compressed?: boolean;
  "backing-filename"?: string;
  "full-backing-filename"?: string;
  "backing-filename-format"?: string;
  snapshots?: readonly QueryBlockReturnItemInsertedImageSnapshotsItem[];
  "backing-image"?: ImageInfo;
  "format-specific"?: QueryBlockReturnItemInsertedImageFormatSpecific;
};

export type QueryBlockReturnItemInsertedCache = {
  writeback: boolean;
  direct: boolean;
  "no-flush": boolean;
};

export type QueryBlockReturnItemInsertedDirtyBitmapsItem = {
  name?: string;
  count: Integer;
  granularity: Integer;
  recording: boolean;
  busy: boolean;
  persistent: boolean;
  inconsistent?: boolean;
};

export type BlockDeviceInfo = {
  file: string;
  "node-name"?: string;
  ro: boolean;
  drv: string;
  backing_file?: string;
  backing_file_depth: Integer;
  encrypted: boolean;
  detect_zeroes: "off" | "on" | "unmap";
  bps: Integer;
  bps_rd: Integer;
  bps_wr: Integer;
  iops: Integer;
  iops_rd: Integer;
  iops_wr: Integer;
  image: ImageInfo;
  bps_max?: Integer;
  bps_rd_max?: Integer;
  bps_wr_max?: Integer;
  iops_max?: Integer;
  iops_rd_max?: Integer;
  iops_wr_max?: Integer;
  bps_max_length?: Integer;
  bps_rd_max_length?: Integer;
  bps_wr_max_length?: Integer;
  iops_max_length?: Integer;
  iops_rd_max_length?: Integer;
  iops_wr_max_length?: Integer;
  iops_size?: Integer;
  group?: string;
  cache: QueryBlockReturnItemInsertedCache;
  write_threshold: Integer;
  "dirty-bitmaps"?: readonly QueryBlockReturnItemInsertedDirtyBitmapsItem[];
};

export type BlockInfo = {
  device: string;
  qdev?: string;
  type: string;
  removable: boolean;
  locked: boolean;
  inserted?: BlockDeviceInfo;
  tray_open?: boolean;
  "io-status"?: "ok" | "failed" | "nospace";
};

export type QueryNamedBlockNodesArguments = { flat?: boolean };

export type QueryBlockstatsArguments = { "query-nodes"?: boolean };

export type QueryBlockstatsReturnItemStatsTimedStatsItem = {
  interval_length: Integer;
  min_rd_latency_ns: Integer;
  max_rd_latency_ns: Integer;
  avg_rd_latency_ns: Integer;
  min_wr_latency_ns: Integer;
  max_wr_latency_ns: Integer;
  avg_wr_latency_ns: Integer;
  min_flush_latency_ns: Integer;
  max_flush_latency_ns: Integer;
  avg_flush_latency_ns: Integer;
  avg_rd_queue_depth: number;
  avg_wr_queue_depth: number;
};

export type QueryBlockstatsReturnItemStatsRdLatencyHistogram = {
  boundaries: readonly Integer[];
  bins: readonly Integer[];
};

export type QueryBlockstatsReturnItemStats = {
  rd_bytes: Integer;
  wr_bytes: Integer;
  unmap_bytes: Integer;
  rd_operations: Integer;
  wr_operations: Integer;
  flush_operations: Integer;
  unmap_operations: Integer;
  rd_total_time_ns: Integer;
  wr_total_time_ns: Integer;
  flush_total_time_ns: Integer;
  unmap_total_time_ns: Integer;
  wr_highest_offset: Integer;
  rd_merged: Integer;
  wr_merged: Integer;
  unmap_merged: Integer;
  idle_time_ns?: Integer;
  failed_rd_operations: Integer;
  failed_wr_operations: Integer;
  failed_flush_operations: Integer;
  failed_unmap_operations: Integer;
  invalid_rd_operations: Integer;
  invalid_wr_operations: Integer;
  invalid_flush_operations: Integer;
  invalid_unmap_operations: Integer;
  account_invalid: boolean;
  account_failed: boolean;
  timed_stats: readonly QueryBlockstatsReturnItemStatsTimedStatsItem[];
  rd_latency_histogram?: QueryBlockstatsReturnItemStatsRdLatencyHistogram;
  wr_latency_histogram?: QueryBlockstatsReturnItemStatsRdLatencyHistogram;
  flush_latency_histogram?: QueryBlockstatsReturnItemStatsRdLatencyHistogram;
};

export type QueryBlockstatsReturnItemDriverSpecificFile = {
  "discard-nb-ok": Integer;
  "discard-nb-failed": Integer;
  "discard-bytes-ok": Integer;
};

export type QueryBlockstatsReturnItemDriverSpecific =
  | ({ driver: "file" } & QueryBlockstatsReturnItemDriverSpecificFile)
  | ({ driver: "host_device" } & QueryBlockstatsReturnItemDriverSpecificFile)
  | { driver: "copy-before-write" }
  | { driver: "copy-on-read" }
  | { driver: "nbd" }
  | { driver: "null-co" }
  | { driver: "qcow2" }
  | { driver: "raw" }
  | { driver: "throttle" };

export type BlockStats = {
  device?: string;
  qdev?: string;
  "node-name"?: string;
  stats: QueryBlockstatsReturnItemStats;
  "driver-specific"?: QueryBlockstatsReturnItemDriverSpecific;
  parent?: BlockStats;
  backing?: BlockStats;
};

export type BlockdevAddArgumentsCache = { direct?: boolean; "no-flush"?: boolean };

export type BlockdevAddArgumentsCopyBeforeWriteBitmap = { node: string; name: string };

export type BlockdevAddArgumentsCopyBeforeWrite = {
  file: BlockdevOptions | string;
  target: BlockdevOptions | string;
  bitmap?: BlockdevAddArgumentsCopyBeforeWriteBitmap;
  "on-cbw-error"?: "break-guest-write" | "break-snapshot";
  "cbw-timeout"?: Integer;
};

export type BlockdevAddArgumentsCopyOnRead = { file: BlockdevOptions | string; bottom?: string };

export type BlockdevAddArgumentsFile = {
  filename: string;
  "pr-manager"?: string;
  locking?: "auto" | "on" | "off";
  aio?: "threads" | "native" | "io_uring";
  "aio-max-batch"?: Integer;
  "drop-cache"?: boolean;
  "x-check-cache-dropped"?: boolean;
};

export type BlockdevAddArgumentsNbd = {
  server: NetdevAddArgumentsStreamAddr;
  export?: string;
  "tls-creds"?: string;
  "tls-hostname"?: string;
  "x-dirty-bitmap"?: string;
  "reconnect-delay"?: Integer;
  "open-timeout"?: Integer;
};

export type BlockdevAddArgumentsNullCo = {
  size?: Integer;
  "latency-ns"?: Integer;
  "read-zeroes"?: boolean;
};

export type BlockdevAddArgumentsQcow2OverlapCheck = {
  template?: "none" | "constant" | "cached" | "all";
  "main-header"?: boolean;
  "active-l1"?: boolean;
  "active-l2"?: boolean;
  "refcount-table"?: boolean;
  "refcount-block"?: boolean;
  "snapshot-table"?: boolean;
  "inactive-l1"?: boolean;
  "inactive-l2"?: boolean;
  "bitmap-directory"?: boolean;
};

export type BlockdevAddArgumentsQcow2Encrypt = {} & { format: string };

export type BlockdevAddArgumentsQcow2 = {
  file: BlockdevOptions | string;
  backing?: BlockdevOptions | string | null;
  "lazy-refcounts"?: boolean;
  "pass-discard-request"?: boolean;
  "pass-discard-snapshot"?: boolean;
  "pass-discard-other"?: boolean;
  "overlap-check"?: BlockdevAddArgumentsQcow2OverlapCheck | "none" | "constant" | "cached" | "all";
  "cache-size"?: Integer;
  "l2-cache-size"?: Integer;
  "l2-cache-entry-size"?: Integer;
  "refcount-cache-size"?: Integer;
  "cache-clean-interval"?: Integer;
  encrypt?: BlockdevAddArgumentsQcow2Encrypt;
  "data-file"?: BlockdevOptions | string;
};

export type BlockdevAddArgumentsRaw = {
  file: BlockdevOptions | string;
  offset?: Integer;
  size?: Integer;
};

export type BlockdevAddArgumentsThrottle = {
  "throttle-group": string;
  file: BlockdevOptions | string;
};

export type BlockdevOptions = {
  "node-name"?: string;
  discard?: "ignore" | "unmap";
  cache?: BlockdevAddArgumentsCache;
  "read-only"?: boolean;
  "auto-read-only"?: boolean;
  "force-share"?: boolean;
  "detect-zeroes"?: "off" | "on" | "unmap";
} & (
  | ({ driver: "copy-before-write" } & BlockdevAddArgumentsCopyBeforeWrite)
  | ({ driver: "copy-on-read" } & BlockdevAddArgumentsCopyOnRead)
  | ({ driver: "file" } & BlockdevAddArgumentsFile)
  | ({ driver: "host_device" } & BlockdevAddArgumentsFile)
  | ({ driver: "nbd" } & BlockdevAddArgumentsNbd)
  | ({ driver: "null-co" } & BlockdevAddArgumentsNullCo)
  | ({ driver: "qcow2" } & BlockdevAddArgumentsQcow2)
  | ({ driver: "raw" } & BlockdevAddArgumentsRaw)
  | ({ driver: "throttle" } & BlockdevAddArgumentsThrottle)
);

export type BlockdevDelArguments = { "node-name": string };

export type BlockdevReopenArguments = { options: readonly BlockdevOptions[] };

export type BlockdevBackupArgumentsSync = "top" | "full" | "none" | "incremental" | "bitmap";

export type BlockdevBackupArgumentsOnSourceError = "report" | "ignore" | "enospc" | "stop" | "auto";

export type BlockdevBackupArgumentsXPerf = {
  "use-copy-range"?: boolean;
  "max-workers"?: Integer;
  "max-chunk"?: Integer;
};

export type BlockdevBackupArguments = {
  "job-id"?: string;
  device: string;
  sync: BlockdevBackupArgumentsSync;
  speed?: Integer;
  bitmap?: string;
  "bitmap-mode"?: "on-success" | "never" | "always";
  compress?: boolean;
  "on-source-error"?: BlockdevBackupArgumentsOnSourceError;
  "on-target-error"?: BlockdevBackupArgumentsOnSourceError;
  "auto-finalize"?: boolean;
  "auto-dismiss"?: boolean;
  "filter-node-name"?: string;
  "x-perf"?: BlockdevBackupArgumentsXPerf;
  target: string;
};

export type BlockdevMirrorArguments = {
  "job-id"?: string;
  device: string;
  target: string;
  replaces?: string;
  sync: BlockdevBackupArgumentsSync;
  speed?: Integer;
  granularity?: Integer;
  "buf-size"?: Integer;
  "on-source-error"?: BlockdevBackupArgumentsOnSourceError;
  "on-target-error"?: BlockdevBackupArgumentsOnSourceError;
  "filter-node-name"?: string;
  "copy-mode"?: "background" | "write-blocking";
  "auto-finalize"?: boolean;
  "auto-dismiss"?: boolean;
};

export type BlockdevSnapshotArguments = { node: string; overlay: string };

export type BlockdevSnapshotSyncArguments = {
  device?: string;
  "node-name"?: string;
  "snapshot-file": string;
  "snapshot-node-name"?: string;
  format?: string;
  mode?: "existing" | "absolute-paths";
};

export type BlockCommitArguments = {
  "job-id"?: string;
  device: string;
  "base-node"?: string;
  base?: string;
  "top-node"?: string;
  top?: string;
  "backing-file"?: string;
  speed?: Integer;
  "on-error"?: BlockdevBackupArgumentsOnSourceError;
  "filter-node-name"?: string;
  "auto-finalize"?: boolean;
  "auto-dismiss"?: boolean;
};

export type BlockStreamArguments = {
  "job-id"?: string;
  device: string;
  base?: string;
  "base-node"?: string;
  "backing-file"?: string;
  bottom?: string;
  speed?: Integer;
  "on-error"?: BlockdevBackupArgumentsOnSourceError;
  "filter-node-name"?: string;
  "auto-finalize"?: boolean;
  "auto-dismiss"?: boolean;
};

export type BlockResizeArguments = { device?: string; "node-name"?: string; size: Integer };

export type BlockDirtyBitmapAddArguments = {
  node: string;
  name: string;
  granularity?: Integer;
  persistent?: boolean;
  disabled?: boolean;
};

export type TransactionArgumentsActionsItemAbort = { data: NoMembers };

export type TransactionArgumentsActionsItemBlockDirtyBitmapAdd = {
  data: BlockDirtyBitmapAddArguments;
};

export type TransactionArgumentsActionsItemBlockDirtyBitmapRemove = {
  data: BlockdevAddArgumentsCopyBeforeWriteBitmap;
};

export type TransactionArgumentsActionsItemBlockdevBackup = { data: BlockdevBackupArguments };

export type TransactionArgumentsActionsItemBlockdevSnapshot = { data: BlockdevSnapshotArguments };

export type TransactionArgumentsActionsItemBlockdevSnapshotSync = {
  data: BlockdevSnapshotSyncArguments;
};

export type TransactionAction =
  | ({ type: "abort" } & TransactionArgumentsActionsItemAbort)
  | ({ type: "block-dirty-bitmap-add" } & TransactionArgumentsActionsItemBlockDirtyBitmapAdd)
  | ({ type: "block-dirty-bitmap-remove" } & TransactionArgumentsActionsItemBlockDirtyBitmapRemove)
  | ({ type: "block-dirty-bitmap-clear" } & TransactionArgumentsActionsItemBlockDirtyBitmapRemove)
  | ({ type: "block-dirty-bitmap-enable" } & TransactionArgumentsActionsItemBlockDirtyBitmapRemove)
  | ({ type: "block-dirty-bitmap-disable" } & TransactionArgumentsActionsItemBlockDirtyBitmapRemove)
  | ({ type: "blockdev-backup" } & TransactionArgumentsActionsItemBlockdevBackup)
  | ({ type: "blockdev-snapshot" } & TransactionArgumentsActionsItemBlockdevSnapshot)
  | ({ type: "blockdev-snapshot-sync" } & TransactionArgumentsActionsItemBlockdevSnapshotSync);

export type TransactionArgumentsProperties = { "completion-mode"?: "individual" | "grouped" };

export type TransactionArguments = {
  actions: readonly TransactionAction[];
  properties?: TransactionArgumentsProperties;
};

export type BlockExportAddArgumentsNbd = {
  name?: string;
  description?: string;
  bitmaps?: readonly (string | BlockdevAddArgumentsCopyBeforeWriteBitmap)[];
  "allocation-depth"?: boolean;
};

export type BlockExportOptions = {
  id: string;
  "fixed-iothread"?: boolean;
  iothread?: string;
  "node-name": string;
  writable?: boolean;
  writethrough?: boolean;
} & ({ type: "nbd" } & BlockExportAddArgumentsNbd);

export type BlockExportDelArguments = { id: string; mode?: "safe" | "hard" };

export type BlockExportInfo = {
  id: string;
  type: "nbd" | "vhost-user-blk" | "fuse" | "vduse-blk";
  "node-name": string;
  "shutting-down": boolean;
};

export type NbdServerStartArguments = {
  addr: ChardevAddArgumentsBackendSocketDataAddr;
  "tls-creds"?: string;
  "tls-authz"?: string;
  "max-connections"?: Integer;
};

export type JobType =
  | "commit"
  | "stream"
  | "mirror"
  | "backup"
  | "create"
  | "amend"
  | "snapshot-load"
  | "snapshot-save"
  | "snapshot-delete";

export type JobStatus =
  | "undefined"
  | "created"
  | "running"
  | "paused"
  | "ready"
  | "standby"
  | "waiting"
  | "pending"
  | "aborting"
  | "concluded"
  | "null";

export type JobInfo = {
  id: string;
  type: JobType;
  status: JobStatus;
  "current-progress": Integer;
  "total-progress": Integer;
  error?: string;
};

export type JobCancelArguments = { id: string };

export type JobCompleteArguments = { id: string };

export type JobDismissArguments = { id: string };

export type JobFinalizeArguments = { id: string };

export type JobPauseArguments = { id: string };

export type JobResumeArguments = { id: string };

export type SnapshotSaveArguments = {
  "job-id": string;
  tag: string;
  vmstate: string;
  devices: readonly string[];
};

export type SnapshotLoadArguments = {
  "job-id": string;
  tag: string;
  vmstate: string;
  devices: readonly string[];
};

export type SnapshotDeleteArguments = { "job-id": string; tag: string; devices: readonly string[] };

export type MigrateArguments = {
  uri: string;
  blk?: boolean;
  inc?: boolean;
  detach?: boolean;
  resume?: boolean;
};

export type MigrateContinueArgumentsState =
  | "none"
  | "setup"
  | "cancelling"
  | "cancelled"
  | "active"
  | "postcopy-active"
  | "postcopy-paused"
  | "postcopy-recover"
  | "completed"
  | "failed"
  | "colo"
  | "pre-switchover"
  | "device"
  | "wait-unplug";

export type MigrateContinueArguments = { state: MigrateContinueArgumentsState };

export type MigrateIncomingArguments = { uri: string };

export type MigrateSetCapabilitiesArgumentsCapabilitiesItemCapability =
  | "xbzrle"
  | "rdma-pin-all"
  | "auto-converge"
  | "zero-blocks"
  | "compress"
  | "events"
  | "postcopy-ram"
  | "x-colo"
  | "release-ram"
  | "block"
  | "return-path"
  | "pause-before-switchover"
  | "multifd"
  | "dirty-bitmaps"
  | "postcopy-blocktime"
  | "late-block-activate"
  | "x-ignore-shared"
  | "validate-uuid"
  | "background-snapshot"
  | "zero-copy-send"
  | "postcopy-preempt";

export type MigrateSetCapabilitiesArgumentsCapabilitiesItem = {
  capability: MigrateSetCapabilitiesArgumentsCapabilitiesItemCapability;
  state: boolean;
};

export type MigrateSetCapabilitiesArguments = {
  capabilities: readonly MigrateSetCapabilitiesArgumentsCapabilitiesItem[];
};

export type MigrateSetParametersArgumentsBlockBitmapMappingItemBitmapsItemTransform = {
  persistent?: boolean;
};

export type MigrateSetParametersArgumentsBlockBitmapMappingItemBitmapsItem = {
  name: string;
  alias: string;
  transform?: MigrateSetParametersArgumentsBlockBitmapMappingItemBitmapsItemTransform;
};

export type MigrateSetParametersArgumentsBlockBitmapMappingItem = {
  "node-name": string;
  alias: string;
  bitmaps: readonly MigrateSetParametersArgumentsBlockBitmapMappingItemBitmapsItem[];
};

export type MigrateSetParametersArguments = {
  "announce-initial"?: Integer;
  "announce-max"?: Integer;
  "announce-rounds"?: Integer;
  "announce-step"?: Integer;
  "compress-level"?: Integer;
  "compress-threads"?: Integer;
  "compress-wait-thread"?: boolean;
  "decompress-threads"?: Integer;
  "throttle-trigger-threshold"?: Integer;
  "cpu-throttle-initial"?: Integer;
  "cpu-throttle-increment"?: Integer;
  "cpu-throttle-tailslow"?: boolean;
  "tls-creds"?: string | null;
  "tls-hostname"?: string | null;
  "tls-authz"?: string | null;
  "max-bandwidth"?: Integer;
  "downtime-limit"?: Integer;
  "x-checkpoint-delay"?: Integer;
  "block-incremental"?: boolean;
  "multifd-channels"?: Integer;
  "xbzrle-cache-size"?: Integer;
  "max-postcopy-bandwidth"?: Integer;
  "max-cpu-throttle"?: Integer;
  "multifd-compression"?: "none" | "zlib" | "zstd";
  "multifd-zlib-level"?: Integer;
  "multifd-zstd-level"?: Integer;
  "block-bitmap-mapping"?: readonly MigrateSetParametersArgumentsBlockBitmapMappingItem[];
};

export type QueryMigrateReturnRam = {
  transferred: Integer;
  remaining: Integer;
  total: Integer;
  duplicate: Integer;
  skipped: Integer;
  normal: Integer;
  "normal-bytes": Integer;
  "dirty-pages-rate": Integer;
  mbps: number;
  "dirty-sync-count": Integer;
  "postcopy-requests": Integer;
  "page-size": Integer;
  "multifd-bytes": Integer;
  "pages-per-second": Integer;
  "precopy-bytes": Integer;
  "downtime-bytes": Integer;
  "postcopy-bytes": Integer;
  "dirty-sync-missed-zero-copy": Integer;
};

export type QueryMigrateReturnVfio = { transferred: Integer };

export type QueryMigrateReturnXbzrleCache = {
  "cache-size": Integer;
  bytes: Integer;
  pages: Integer;
  "cache-miss": Integer;
  "cache-miss-rate": number;
  "encoding-rate": number;
  overflow: Integer;
};

export type QueryMigrateReturnCompression = {
  pages: Integer;
  busy: Integer;
  "busy-rate": number;
  "compressed-size": Integer;
  "compression-rate": number;
};

export type MigrationInfo = {
  status?: MigrateContinueArgumentsState;
  ram?: QueryMigrateReturnRam;
  disk?: QueryMigrateReturnRam;
  vfio?: QueryMigrateReturnVfio;
  "xbzrle-cache"?: QueryMigrateReturnXbzrleCache;
  "total-time"?: Integer;
  "expected-downtime"?: Integer;
  downtime?: Integer;
  "setup-time"?: Integer;
  "cpu-throttle-percentage"?: Integer;
  "error-desc"?: string;
  "blocked-reasons"?: readonly string[];
  "postcopy-blocktime"?: Integer;
  "postcopy-vcpu-blocktime"?: readonly Integer[];
  compression?: QueryMigrateReturnCompression;
  "socket-address"?: readonly NetdevAddArgumentsStreamAddr[];
};

export type MigrationParameters = {
  "announce-initial"?: Integer;
  "announce-max"?: Integer;
  "announce-rounds"?: Integer;
  "announce-step"?: Integer;
  "compress-level"?: Integer;
  "compress-threads"?: Integer;
  "compress-wait-thread"?: boolean;
  "decompress-threads"?: Integer;
  "throttle-trigger-threshold"?: Integer;
  "cpu-throttle-initial"?: Integer;
  "cpu-throttle-increment"?: Integer;
  "cpu-throttle-tailslow"?: boolean;
  "tls-creds"?: string;
  "tls-hostname"?: string;
  "tls-authz"?: string;
  "max-bandwidth"?: Integer;
  "downtime-limit"?: Integer;
  "x-checkpoint-delay"?: Integer;
  "block-incremental"?: boolean;
  "multifd-channels"?: Integer;
  "xbzrle-cache-size"?: Integer;
  "max-postcopy-bandwidth"?: Integer;
  "max-cpu-throttle"?: Integer;
  "multifd-compression"?: "none" | "zlib" | "zstd";
  "multifd-zlib-level"?: Integer;
  "multifd-zstd-level"?: Integer;
  "block-bitmap-mapping"?: readonly MigrateSetParametersArgumentsBlockBitmapMappingItem[];
};

export type ShutdownCause =
  | "none"
  | "host-error"
  | "host-qmp-quit"
  | "host-qmp-system-reset"
  | "host-signal"
  | "host-ui"
  | "guest-shutdown"
  | "guest-reset"
  | "guest-panic"
  | "subsystem-reset"
  | "snapshot-load";

export type ShutdownData = { guest: boolean; reason: ShutdownCause };

export type ResetData = { guest: boolean; reason: ShutdownCause };

export type WatchdogData = { action: SetActionArgumentsWatchdog };

export type GuestPanickedDataInfoHyperV = {
  arg1: Integer;
  arg2: Integer;
  arg3: Integer;
  arg4: Integer;
  arg5: Integer;
};

export type GuestPanicInformation = { type: "hyper-v" } & GuestPanickedDataInfoHyperV;

export type GuestPanickedData = {
  action: "pause" | "poweroff" | "run";
  info?: GuestPanicInformation;
};

export type GuestCrashloadedData = {
  action: "pause" | "poweroff" | "run";
  info?: GuestPanicInformation;
};

export type MemoryFailureDataFlags = { "action-required": boolean; recursive: boolean };

export type MemoryFailureData = {
  recipient: "hypervisor" | "guest";
  action: "ignore" | "inject" | "fatal" | "reset";
  flags: MemoryFailureDataFlags;
};

export type BlockIoErrorData = {
  device: string;
  "node-name"?: string;
  operation: "read" | "write";
  action: "ignore" | "report" | "stop";
  nospace?: boolean;
  reason: string;
};

export type BlockImageCorruptedData = {
  device: string;
  "node-name"?: string;
  msg: string;
  offset?: Integer;
  size?: Integer;
  fatal: boolean;
};

export type BlockJobCompletedData = {
  type: JobType;
  device: string;
  len: Integer;
  offset: Integer;
  speed: Integer;
  error?: string;
};

export type BlockJobCancelledData = {
  type: JobType;
  device: string;
  len: Integer;
  offset: Integer;
  speed: Integer;
};

export type BlockJobErrorData = {
  device: string;
  operation: "read" | "write";
  action: "ignore" | "report" | "stop";
};

export type BlockJobReadyData = {
  type: JobType;
  device: string;
  len: Integer;
  offset: Integer;
  speed: Integer;
};

export type BlockExportDeletedData = { id: string };

export type JobStatusChangeData = { id: string; status: JobStatus };

export type VserportChangeData = { id: string; open: boolean };

export type DumpCompletedData = { result: DumpQueryResult; error?: string };

export type MigrationData = { status: MigrateContinueArgumentsState };

export type DeviceDeletedData = { device?: string; path: string };

export type DeviceUnplugGuestErrorData = { device?: string; path: string };

export type NicRxFilterChangedData = { name?: string; path: string };

/** Each command's arguments and what it returns. */
export type QmpCommands = {
  "query-version": { arguments: NoMembers; returns: VersionInfo };
  "query-commands": { arguments: NoMembers; returns: readonly QueryCommandsReturnItem[] };
  "query-name": { arguments: NoMembers; returns: QueryNameReturn };
  "query-uuid": { arguments: NoMembers; returns: QueryUuidReturn };
  "query-target": { arguments: NoMembers; returns: QueryTargetReturn };
  "query-kvm": { arguments: NoMembers; returns: QueryKvmReturn };
  "query-machines": { arguments: NoMembers; returns: readonly MachineInfo[] };
  "query-current-machine": { arguments: NoMembers; returns: CurrentMachineParams };
  "query-status": { arguments: NoMembers; returns: StatusInfo };
  "query-cpus-fast": { arguments: NoMembers; returns: readonly CpuInfoFast[] };
  "query-hotpluggable-cpus": {
    arguments: NoMembers;
    returns: readonly QueryHotpluggableCpusReturnItem[];
  };
  "query-memdev": { arguments: NoMembers; returns: readonly Memdev[] };
  "query-memory-devices": { arguments: NoMembers; returns: readonly MemoryDeviceInfo[] };
  "query-memory-size-summary": { arguments: NoMembers; returns: QueryMemorySizeSummaryReturn };
  "query-chardev": { arguments: NoMembers; returns: readonly ChardevInfo[] };
  "query-pci": { arguments: NoMembers; returns: readonly PciInfo[] };
  "query-iothreads": { arguments: NoMembers; returns: readonly IOThreadInfo[] };
  "query-command-line-options": {
    arguments: QueryCommandLineOptionsArguments;
    returns: readonly QueryCommandLineOptionsReturnItem[];
  };
  "query-balloon": { arguments: NoMembers; returns: QueryBalloonReturn };
  "x-query-ramblock": { arguments: NoMembers; returns: XQueryRamblockReturn };
  "x-query-irq": { arguments: NoMembers; returns: XQueryRamblockReturn };
  stop: { arguments: NoMembers; returns: NoMembers };
  cont: { arguments: NoMembers; returns: NoMembers };
  quit: { arguments: NoMembers; returns: NoMembers };
  system_powerdown: { arguments: NoMembers; returns: NoMembers };
  system_reset: { arguments: NoMembers; returns: NoMembers };
  system_wakeup: { arguments: NoMembers; returns: NoMembers };
  "set-action": { arguments: SetActionArguments; returns: NoMembers };
  "watchdog-set-action": { arguments: WatchdogSetActionArguments; returns: NoMembers };
  "inject-nmi": { arguments: NoMembers; returns: NoMembers };
  "send-key": { arguments: SendKeyArguments; returns: NoMembers };
  "qom-get": { arguments: QomGetArguments; returns: unknown };
  "qom-set": { arguments: QomSetArguments; returns: NoMembers };
  "qom-list": { arguments: QomListArguments; returns: readonly QomListReturnItem[] };
  "object-add": { arguments: ObjectOptions; returns: NoMembers };
  "object-del": { arguments: ObjectDelArguments; returns: NoMembers };
  device_add: { arguments: DeviceAddArguments & Record<string, unknown>; returns: NoMembers };
  device_del: { arguments: DeviceDelArguments; returns: NoMembers };
  "chardev-add": { arguments: ChardevAddArguments; returns: ChardevAddReturn };
  "chardev-remove": { arguments: ChardevRemoveArguments; returns: NoMembers };
  getfd: { arguments: GetfdArguments; returns: NoMembers };
  closefd: { arguments: ClosefdArguments; returns: NoMembers };
  "add-fd": { arguments: AddFdArguments; returns: AddFdReturn };
  "remove-fd": { arguments: RemoveFdArguments; returns: NoMembers };
  "query-fdsets": { arguments: NoMembers; returns: readonly QueryFdsetsReturnItem[] };
  "human-monitor-command": { arguments: HumanMonitorCommandArguments; returns: string };
  netdev_add: { arguments: Netdev; returns: NoMembers };
  netdev_del: { arguments: NetdevDelArguments; returns: NoMembers };
  set_link: { arguments: SetLinkArguments; returns: NoMembers };
  "query-rx-filter": {
    arguments: QueryRxFilterArguments;
    returns: readonly QueryRxFilterReturnItem[];
  };
  memsave: { arguments: MemsaveArguments; returns: NoMembers };
  pmemsave: { arguments: PmemsaveArguments; returns: NoMembers };
  "dump-guest-memory": { arguments: DumpGuestMemoryArguments; returns: NoMembers };
  "query-dump": { arguments: NoMembers; returns: DumpQueryResult };
  "query-dump-guest-memory-capability": {
    arguments: NoMembers;
    returns: QueryDumpGuestMemoryCapabilityReturn;
  };
  screendump: { arguments: ScreendumpArguments; returns: NoMembers };
  "query-block": { arguments: NoMembers; returns: readonly BlockInfo[] };
  "query-named-block-nodes": {
    arguments: QueryNamedBlockNodesArguments;
    returns: readonly BlockDeviceInfo[];
  };
  "query-blockstats": { arguments: QueryBlockstatsArguments; returns: readonly BlockStats[] };
  "blockdev-add": { arguments: BlockdevOptions; returns: NoMembers };
  "blockdev-del": { arguments: BlockdevDelArguments; returns: NoMembers };
  "blockdev-reopen": { arguments: BlockdevReopenArguments; returns: NoMembers };
  "blockdev-backup": { arguments: BlockdevBackupArguments; returns: NoMembers };
  "blockdev-mirror": { arguments: BlockdevMirrorArguments; returns: NoMembers };
  "blockdev-snapshot": { arguments: BlockdevSnapshotArguments; returns: NoMembers };
  "blockdev-snapshot-sync": { arguments: BlockdevSnapshotSyncArguments; returns: NoMembers };
  "block-commit": { arguments: BlockCommitArguments; returns: NoMembers };
  "block-stream": { arguments: BlockStreamArguments; returns: NoMembers };
  block_resize: { arguments: BlockResizeArguments; returns: NoMembers };
  "block-dirty-bitmap-add": { arguments: BlockDirtyBitmapAddArguments; returns: NoMembers };
  "block-dirty-bitmap-remove": {
    arguments: BlockdevAddArgumentsCopyBeforeWriteBitmap;
    returns: NoMembers;
  };
  "block-dirty-bitmap-clear": {
    arguments: BlockdevAddArgumentsCopyBeforeWriteBitmap;
    returns: NoMembers;
  };
  "block-dirty-bitmap-enable": {
    arguments: BlockdevAddArgumentsCopyBeforeWriteBitmap;
    returns: NoMembers;
  };
  "block-dirty-bitmap-disable": {
    arguments: BlockdevAddArgumentsCopyBeforeWriteBitmap;
    returns: NoMembers;
  };
  transaction: { arguments: TransactionArguments; returns: NoMembers };
  "block-export-add": { arguments: BlockExportOptions; returns: NoMembers };
  "block-export-del": { arguments: BlockExportDelArguments; returns: NoMembers };
  "query-block-exports": { arguments: NoMembers; returns: readonly BlockExportInfo[] };
  "nbd-server-start": { arguments: NbdServerStartArguments; returns: NoMembers };
  "nbd-server-stop": { arguments: NoMembers; returns: NoMembers };
  "query-jobs": { arguments: NoMembers; returns: readonly JobInfo[] };
  "job-cancel": { arguments: JobCancelArguments; returns: NoMembers };
  "job-complete": { arguments: JobCompleteArguments; returns: NoMembers };
  "job-dismiss": { arguments: JobDismissArguments; returns: NoMembers };
  "job-finalize": { arguments: JobFinalizeArguments; returns: NoMembers };
  "job-pause": { arguments: JobPauseArguments; returns: NoMembers };
  "job-resume": { arguments: JobResumeArguments; returns: NoMembers };
  "snapshot-save": { arguments: SnapshotSaveArguments; returns: NoMembers };
  "snapshot-load": { arguments: SnapshotLoadArguments; returns: NoMembers };
  "snapshot-delete": { arguments: SnapshotDeleteArguments; returns: NoMembers };
  migrate: { arguments: MigrateArguments; returns: NoMembers };
  migrate_cancel: { arguments: NoMembers; returns: NoMembers };
  "migrate-continue": { arguments: MigrateContinueArguments; returns: NoMembers };
  "migrate-incoming": { arguments: MigrateIncomingArguments; returns: NoMembers };
  "migrate-set-capabilities": { arguments: MigrateSetCapabilitiesArguments; returns: NoMembers };
  "migrate-set-parameters": { arguments: MigrateSetParametersArguments; returns: NoMembers };
  "query-migrate": { arguments: NoMembers; returns: MigrationInfo };
  "query-migrate-capabilities": {
    arguments: NoMembers;
    returns: readonly MigrateSetCapabilitiesArgumentsCapabilitiesItem[];
  };
  "query-migrate-parameters": { arguments: NoMembers; returns: MigrationParameters };
};

/** Each event's data. */
export type QmpEvents = {
  SHUTDOWN: ShutdownData;
  POWERDOWN: NoMembers;
  RESET: ResetData;
  STOP: NoMembers;
  RESUME: NoMembers;
  SUSPEND: NoMembers;
  WAKEUP: NoMembers;
  WATCHDOG: WatchdogData;
  GUEST_PANICKED: GuestPanickedData;
  GUEST_CRASHLOADED: GuestCrashloadedData;
  MEMORY_FAILURE: MemoryFailureData;
  BLOCK_IO_ERROR: BlockIoErrorData;
  BLOCK_IMAGE_CORRUPTED: BlockImageCorruptedData;
  BLOCK_JOB_COMPLETED: BlockJobCompletedData;
  BLOCK_JOB_CANCELLED: BlockJobCancelledData;
  BLOCK_JOB_ERROR: BlockJobErrorData;
  BLOCK_JOB_READY: BlockJobReadyData;
  BLOCK_EXPORT_DELETED: BlockExportDeletedData;
  JOB_STATUS_CHANGE: JobStatusChangeData;
  VSERPORT_CHANGE: VserportChangeData;
  DUMP_COMPLETED: DumpCompletedData;
  MIGRATION: MigrationData;
  DEVICE_DELETED: DeviceDeletedData;
  DEVICE_UNPLUG_GUEST_ERROR: DeviceUnplugGuestErrorData;
  NIC_RX_FILTER_CHANGED: NicRxFilterChangedData;
};
