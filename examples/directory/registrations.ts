// The registrations of a resource directory (RFC 9176): each ends with its lifetime.
import { type Client, IopaError, type Peer } from '@iopa/appbuilder'
import { filterLinks, type ParsedLink } from '@iopa/coap'

type Clock = Pick<typeof globalThis, 'setTimeout' | 'clearTimeout'>

/** What a device says of itself when it registers. */
export interface Statement {
  /** `ep`, `d` and further parameters of the registration (section 5). */
  readonly attributes: Readonly<Record<string, string>>
  /** Seconds. */
  readonly lifetime: number
  /** Against this the links are resolved. */
  readonly base: string
  readonly links: readonly ParsedLink[]
  /** Who has registered: the directory can ask back over the session that the device has opened. */
  readonly peer: Peer | undefined
}

/** A statement that has not expired. */
export class Registration {
  readonly id: string
  statement: Statement
  timer: unknown
  #client: Promise<Client> | undefined

  constructor(id: string, statement: Statement) {
    this.id = id
    this.statement = statement
  }

  /** A client of the device, opened when it is first asked for, and kept. */
  client(): Promise<Client> {
    const { peer } = this.statement
    if (peer === undefined) throw new IopaError(409, 'no-way-back', 'This device has registered over a protocol with requests in one direction.')
    this.#client ??= peer.client().catch((error: unknown) => {
      this.#client = undefined
      throw error
    })
    return this.#client
  }

  /** The device has another session now, or is gone. */
  leave(): void {
    void this.#client?.then(
      client => client.close(),
      () => undefined
    )
    this.#client = undefined
  }

  /** The link of the registration itself, for an endpoint lookup (section 6.4). */
  get link(): ParsedLink {
    const { attributes, base } = this.statement
    return { href: `/rd/${this.id}`, attributes: { ...attributes, base, rt: 'core.rd-ep' } }
  }

  /** The links with absolute targets, for a resource lookup (section 6.2). */
  get links(): ParsedLink[] {
    const { base, links } = this.statement
    return links.map(({ href, attributes }) => ({ href: new URL(href, base).href, attributes: { ...attributes, anchor: new URL('/', base).href } }))
  }
}

/** All registrations, by id and by endpoint name and sector. */
export class Registrations {
  readonly #clock: Clock
  readonly #limit: number
  readonly #byId = new Map<string, Registration>()
  readonly #byName = new Map<string, Registration>()
  #lastId = 0

  constructor({ clock = globalThis, limit = 10_000 }: { clock?: Clock; limit?: number } = {}) {
    this.#clock = clock
    this.#limit = limit
  }

  get size(): number {
    return this.#byId.size
  }

  /** Registers an endpoint; the same name and sector keep their place (section 5). */
  register(statement: Statement): Registration {
    const name = nameOf(statement)
    const known = this.#byName.get(name)
    if (known !== undefined) return this.update(known, statement)
    if (this.#byId.size >= this.#limit) throw new IopaError(503, 'directory-full', 'The directory has no room for a further endpoint.')
    const registration = new Registration(String(++this.#lastId), statement)
    this.#byId.set(registration.id, registration)
    this.#byName.set(name, registration)
    this.#arm(registration)
    return registration
  }

  update(registration: Registration, statement: Statement): Registration {
    if (statement.peer !== registration.statement.peer) registration.leave()
    registration.statement = statement
    this.#arm(registration)
    return registration
  }

  /** @throws IopaError 404 */
  get(id: string): Registration {
    const found = this.#byId.get(id)
    if (found === undefined) throw new IopaError(404, 'no-registration', 'There is no such registration; register again.')
    return found
  }

  /** The endpoint of a name, and of a sector where it has one. @throws IopaError 404 */
  named(ep: string, d = ''): Registration {
    const found = this.#byName.get(JSON.stringify([ep, d]))
    if (found === undefined) throw new IopaError(404, 'no-endpoint', `No endpoint is registered as ${ep}.`)
    return found
  }

  remove(registration: Registration): void {
    this.#clock.clearTimeout(registration.timer as never)
    this.#byId.delete(registration.id)
    this.#byName.delete(nameOf(registration.statement))
    registration.leave()
  }

  /** Endpoints that match every `name=pattern`, by what they said of themselves or by one of their links (section 6.1). */
  endpoints(query: readonly string[]): ParsedLink[] {
    return this.#matching(query).map(({ link }) => link)
  }

  /** Links that match every `name=pattern`, by themselves or by their endpoint. */
  resources(query: readonly string[]): ParsedLink[] {
    return [...this.#byId.values()].flatMap(({ link, links }) => {
      const rest = query.filter(part => filterLinks([link], [part]).length === 0)
      return filterLinks(links, rest)
    })
  }

  #matching(query: readonly string[]): Registration[] {
    return [...this.#byId.values()].filter(({ link, links }) => query.every(part => filterLinks([link, ...links], [part]).length > 0))
  }

  #arm(registration: Registration): void {
    this.#clock.clearTimeout(registration.timer as never)
    const timer: unknown = this.#clock.setTimeout(() => this.remove(registration), Math.min(registration.statement.lifetime * 1000, 2 ** 31 - 1))
    registration.timer = timer
    // The directory must not keep a process alive.
    ;(timer as { unref?: () => void }).unref?.()
  }
}

const nameOf = ({ attributes }: Statement): string => JSON.stringify([attributes['ep'], attributes['d'] ?? ''])
