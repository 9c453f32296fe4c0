import { HeaderMap } from './header-map.ts'

/** What a run may read of its peer, as bits. `Private` stands for all inputs that are not compared: a run that reads one is not shared. */
export const READ = {
  Host: 1,
  Port: 2,
  /** The header field `host`, as it was sent. */
  HostField: 4,
  Query: 8,
  Accept: 16,
  User: 32,
  Scheme: 64,
  Protocol: 128,
  RawPath: 256,
  Private: 512,
  /** The codec that Accept chooses for a value, and nothing else of the header. */
  Codec: 1024,
  /** The same for a value of a special format. */
  SpecialCodec: 2048
} as const

/** Records what the run of a notification reads of its peer, so that its answer goes to equal observers only. */
export class Reads {
  #paused = 0
  /** The bits of `READ` that have been read; set by `add`. */
  bits = 0
  /** Called at the first read that makes the run private. */
  onPrivate: (() => void) | null = null
  /** The context whose change led to the run; null where none is known, and once the run is over. */
  origin: object | null = null

  add(bit: number): void {
    if (this.#paused > 0 || (this.bits & bit) === bit) return
    this.bits |= bit
    if (bit === READ.Private) this.onPrivate?.()
  }

  /** Reads do not count until `resume` has been called as often. */
  pause(): void {
    this.#paused++
  }

  resume(): void {
    this.#paused--
  }

  /** Runs `work` without counting its reads. */
  ignoring<T>(work: () => T): T {
    this.#paused++
    try {
      return work()
    } finally {
      this.#paused--
    }
  }
}

const READS = Symbol('reads')
const VALUES = Symbol('values')

/** A context whose reads are recorded. */
type TrackedBag = Record<string, unknown> & { [READS]: Reads; [VALUES]: Record<string, unknown> }

/** The record of a context; undefined for an ordinary one. */
export const readsOf = (context: object): Reads | undefined => (context as Partial<TrackedBag>)[READS]

/** Keys that the constructor has set, and what reading them means. */
const EAGER: Readonly<Record<string, number>> = {
  'iopa.QueryString': READ.Query,
  'iopa.Scheme': READ.Scheme,
  'iopa.Protocol': READ.Protocol,
  'server.RawPath': READ.RawPath,
  'server.RemoteAddress': READ.Private,
  'server.RemotePort': READ.Private,
  'server.ParentContext': READ.Private,
  'server.User': READ.User
}

/** Accessors of the prototype, and what reading them means. */
const LAZY: Readonly<Record<string, number>> = {
  'iopa.Host': READ.Host,
  'iopa.Port': READ.Port,
  'server.LocalAddress': READ.Private,
  'server.LocalPort': READ.Private,
  'server.TLS': READ.Private,
  'server.SessionId': READ.Private,
  'server.RawTransport': READ.Private,
  'server.Connection': READ.Private,
  'server.Inform': READ.Private,
  'server.Trailers': READ.Private,
  'ssl.ClientCertificate': READ.Private,
  endpoint: READ.Private
}

// The accessors are the same functions for all contexts, so that these share their shapes, too.
const EAGER_ACCESSORS: PropertyDescriptorMap = Object.fromEntries(
  Object.entries(EAGER).map(([key, bit]) => [
    key,
    {
      get(this: TrackedBag): unknown {
        this[READS].add(bit)
        return this[VALUES][key]
      },
      set(this: TrackedBag, value: unknown): void {
        this[VALUES][key] = value
      },
      enumerable: true,
      configurable: true
    }
  ])
)

/** A key of the connection is its peer's own until the run sets it: then it is derived from what the run has read. */
const inheritedAccessor = (value: unknown): PropertyDescriptor => {
  let inherited = true
  let current = value
  return {
    get(this: TrackedBag): unknown {
      if (inherited) this[READS].add(READ.Private)
      return current
    },
    set(given: unknown): void {
      inherited = false
      current = given
    },
    enumerable: true,
    configurable: true
  }
}

let trackedPrototype: object | null = null

/** The prototype of contexts whose reads are recorded: that of all, below accessors that record. */
const prototypeOver = (base: object): object => {
  if (trackedPrototype !== null) return trackedPrototype
  const made = Object.create(base) as object
  const override = (key: string, around: (reads: Reads, get: () => unknown) => unknown): void => {
    const { get, set } = Object.getOwnPropertyDescriptor(base, key) as PropertyDescriptor & { get: () => unknown }
    const accessor: PropertyDescriptor = {
      get(this: TrackedBag): unknown {
        return around(this[READS], () => get.call(this))
      },
      enumerable: false,
      configurable: true
    }
    Object.defineProperty(made, key, set === undefined ? accessor : { ...accessor, set })
  }
  for (const [key, bit] of Object.entries(LAZY)) {
    override(key, (reads, get) => {
      reads.add(bit)
      return get()
    })
  }
  // It looks at the parent itself, which is no read of the run.
  override('server.Capabilities', (reads, get) => reads.ignoring(get))
  trackedPrototype = made
  return made
}

const isInherited = (key: string): boolean => !key.startsWith('iopa.') && !key.startsWith('server.') && key !== 'response'

/** How many keys a context has without those of its connection. */
let ownKeys = 0

/** Records from now on what is read of `context`; ordinary contexts keep their shape. */
export const trackReads = (context: object, reads: Reads): void => {
  const bag = context as TrackedBag
  bag[VALUES] = {
    'iopa.QueryString': bag['iopa.QueryString'],
    'iopa.Scheme': bag['iopa.Scheme'],
    'iopa.Protocol': bag['iopa.Protocol'],
    'server.RawPath': bag['server.RawPath'],
    'server.RemoteAddress': bag['server.RemoteAddress'],
    'server.RemotePort': bag['server.RemotePort'],
    'server.ParentContext': bag['server.ParentContext'],
    'server.User': bag['server.User']
  }
  bag[READS] = reads
  const keys = Object.keys(bag)
  if (keys.length !== ownKeys) {
    const inherited = keys.filter(isInherited)
    ownKeys = keys.length - inherited.length
    for (const key of inherited) Object.defineProperty(bag, key, inheritedAccessor((bag as unknown as Record<string, unknown>)[key]))
  }
  Object.defineProperties(bag, EAGER_ACCESSORS)
  Object.setPrototypeOf(bag, prototypeOver(Object.getPrototypeOf(bag) as object))
}

/** Header fields that record which of them are read. Names in `unrecorded` are never there, or are compared in any case, so reading them says nothing. */
export class TrackedHeaders extends HeaderMap {
  readonly #reads: Reads
  readonly #unrecorded: ReadonlySet<string>

  constructor(pairs: string[], reads: Reads, unrecorded: ReadonlySet<string>) {
    super(pairs)
    this.#reads = reads
    this.#unrecorded = unrecorded
  }

  override get size(): number {
    this.#reads.add(READ.Private)
    return super.size
  }

  override get(name: string): string | undefined {
    this.#read(name)
    return super.get(name)
  }

  override getAll(name: string): string[] {
    this.#read(name)
    return super.getAll(name)
  }

  override has(name: string): boolean {
    this.#read(name)
    return super.has(name)
  }

  override *[Symbol.iterator](): Generator<[name: string, value: string]> {
    this.#reads.add(READ.Private)
    yield* super[Symbol.iterator]()
  }

  override pairs(): readonly string[] {
    this.#reads.add(READ.Private)
    return super.pairs()
  }

  #read(name: string): void {
    const lower = name.toLowerCase()
    if (lower === 'accept') this.#reads.add(READ.Accept)
    else if (lower === 'host') this.#reads.add(READ.HostField)
    else if (!this.#unrecorded.has(lower)) this.#reads.add(READ.Private)
  }
}
