import type { ActiveProtection, ProtectionEnvironment, RequestProtection, User } from '@iopa/transport'
import { protectingTo } from './client/request-protecting.ts'
import type { ContextSource } from './contexts/context-source.ts'
import { ContextTable } from './contexts/context-table.ts'
import { FixedContext } from './contexts/fixed-context.ts'
import { RederivedContexts } from './contexts/rederived-contexts.ts'
import { type CheckedContext, hostAndPort } from './options.ts'
import { Challenges } from './server/challenges.ts'
import { RequestOpening } from './server/request-opening.ts'
import { NumberBlocks } from './store/number-blocks.ts'
import type { NumberStore, OpenNumberStore } from './store/number-store.ts'
import { StoredNumbers } from './store/stored-numbers.ts'

/** The contexts of one `oscore()` while it is used: by listeners, and by clients. */
export class Protection {
  /** Resolves when the store was opened. */
  readonly ready: Promise<void>
  readonly #require: boolean | ((path: string) => boolean)
  readonly #clients = new Map<string, RequestProtection>()
  #table: ContextTable = new ContextTable([])
  #opening: RequestOpening
  #store: OpenNumberStore | undefined

  constructor(
    contexts: readonly CheckedContext[],
    require: boolean | ((path: string) => boolean),
    store: NumberStore | undefined,
    environment: ProtectionEnvironment
  ) {
    this.#require = require
    this.#opening = new RequestOpening(this.#table, new Challenges(environment.clock))
    this.ready = this.#begin(contexts, store, environment)
  }

  /** The protection for one user of the shared state. */
  use(release: () => Promise<void>): ActiveProtection {
    let closed: Promise<void> | undefined
    return {
      open: request => this.#opening.open(request),
      requires: path => (typeof this.#require === 'boolean' ? this.#require : this.#require(path)),
      requests: target => this.#clients.get(hostAndPort(target)),
      revoke: matches => this.#table.end(matches),
      close: () => (closed ??= release())
    }
  }

  /** Overwrites the keys, and closes the store. */
  async close(): Promise<void> {
    this.#table.end(() => true)
    this.#clients.clear()
    await this.#store?.close()
  }

  async #begin(contexts: readonly CheckedContext[], store: NumberStore | undefined, { clock, logger }: ProtectionEnvironment): Promise<void> {
    let blocks: NumberBlocks | undefined
    if (store !== undefined && contexts.some(({ derive }) => derive === 'once')) {
      this.#store = await store.open(clock.now())
      blocks = new NumberBlocks(this.#store, clock, logger)
      // A first block is there when it is needed; if that fails, the message that needs it says so.
      blocks.claim(-1).catch(() => undefined)
    }
    const sources = contexts.map((context): readonly [CheckedContext, ContextSource] => [context, sourceOf(context)])
    this.#table = new ContextTable(sources.map(([, source]) => source))
    this.#opening = new RequestOpening(this.#table, new Challenges(clock))
    for (const [{ servers }, source] of sources) for (const server of servers) this.#clients.set(server, protectingTo(source))

    function sourceOf({ id, realm, keys, derive }: CheckedContext): ContextSource {
      const user: User = Object.freeze({ id, by: 'oscore', ...(realm === undefined ? {} : { realm }) })
      return blocks === undefined || derive === 'each-start'
        ? new RederivedContexts(keys, user, clock)
        : new FixedContext({ keys, user, numbers: new StoredNumbers(blocks), kidContext: keys.idContext, fresh: false })
    }
  }
}
