import type { Context } from '@iopa/appbuilder'
import type { AppHandle, RouteInfo } from '@iopa/appbuilder/extension'
import { CAPABILITIES } from '@iopa/transport'
import { addressesOf, type DescribedTransport, givenAddresses } from '../model/addresses.ts'
import type { Description } from '../model/description.ts'
import { type ApiOptions, type DocumentsOptions, infoOf } from '../options.ts'
import { isDocument } from './document-routes.ts'

type Capabilities = Readonly<Record<string, Readonly<Record<string, unknown>>>>

/** An app as documents ask for it: now, and for one request. */
export class DescribedApp {
  readonly #app: AppHandle
  readonly #options: DocumentsOptions

  constructor(app: AppHandle, options: DocumentsOptions) {
    this.#app = app
    this.#options = options
  }

  /** True where what one user sees is not for another. */
  get isProtected(): boolean {
    return this.#options.protect !== undefined
  }

  /** True where the user of a request may see what is at a path of the app. */
  mayGet(path: string, context: Context): boolean | Promise<boolean> {
    return !this.isProtected || this.#app.mayGet(path, context)
  }

  /** The app as the user of a request may see it, at the addresses that are open now. */
  describe(context: Context): Description {
    const { servers } = this.#options
    // Documents for everybody leave out what its own middleware keeps to some, such as the administration of a broker.
    const routes = this.isProtected ? this.#app.routes(context) : Array.from(this.#app.routes()).filter(({ permits }) => permits === undefined)
    const transports = this.#app.transports()
    return {
      ...descriptionOf(this.#options, routes, transports, this.#app.capabilities, hostnameOf(context)),
      isOwn: servers === undefined,
      base: context['iopa.PathBase']
    }
  }
}

/** What documents are made of, for an app that is not asked by a request. */
export const descriptionOf = (
  options: ApiOptions,
  routes: Iterable<RouteInfo>,
  transports: readonly DescribedTransport[],
  capabilities: Capabilities,
  hostname: string
): Description => {
  const { servers } = options
  const statePrefix = capabilities[CAPABILITIES.Mqtt]?.['statePrefix']
  return {
    info: infoOf(options),
    routes: Array.from(routes).filter(({ attributes }) => !isDocument(attributes)),
    transports,
    addresses: servers === undefined ? addressesOf(transports, hostname) : givenAddresses(servers),
    isOwn: false,
    base: '',
    statePrefix: typeof statePrefix === 'string' ? statePrefix : undefined
  }
}

/** The name by which the asking client reached the app. */
const hostnameOf = (context: Context): string => {
  const host = context['iopa.Host']
  return typeof host === 'string' && host !== '' ? (host.includes(':') && !host.startsWith('[') ? `[${host}]` : host) : 'localhost'
}
