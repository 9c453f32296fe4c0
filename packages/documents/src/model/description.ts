import type { RouteInfo } from '@iopa/appbuilder/extension'
import type { Address, DescribedTransport } from './addresses.ts'
import type { Omissions } from './omissions.ts'
import { declaredSubject, type Operation, operationsOf } from './operation.ts'

/** What documents say of an app as a whole. */
export interface ApiInfo {
  readonly title: string
  /** Of the app: `1.4.0`. */
  readonly version: string
  readonly description?: string
  readonly contact?: { readonly name?: string; readonly url?: string; readonly email?: string }
  readonly license?: { readonly name: string; readonly identifier?: string; readonly url?: string }
}

/** An app at one moment: all that a document is made of. */
export interface Description {
  readonly info: ApiInfo
  readonly routes: readonly RouteInfo[]
  readonly transports: readonly DescribedTransport[]
  readonly addresses: readonly Address[]
  /** True where the app itself serves the document at its own addresses: they may be relative to it. */
  readonly isOwn: boolean
  /** Before the paths of HTTP, where the app is reached below a prefix. */
  readonly base: string
  /** Of the topics on which workers share states; undefined where the app has a broker of its own or none. */
  readonly statePrefix: string | undefined
}

/** Routes that a document describes at most. */
const MOST_ROUTES = 50_000

/** The operations of a description, in the order of the routes; what documents cannot say is noted. */
export const describedOperations = function* ({ routes }: Pick<Description, 'routes'>, omissions: Omissions): Generator<Operation> {
  const described = routes.slice(0, MOST_ROUTES).filter(({ attributes }) => attributes.discoverable !== false)
  const subjects = new Map<string, string>()
  for (const route of described) {
    const subject = declaredSubject(route)
    if (subject !== undefined && !subjects.has(route.pattern)) subjects.set(route.pattern, subject)
  }
  for (const route of described) {
    if (route.method === undefined) omissions.add(route.pattern, 'a route for every method: only routes of one method are described')
    yield* operationsOf(route, subjects.get(route.pattern))
  }
  if (routes.length > MOST_ROUTES) omissions.add('the app', `${routes.length - MOST_ROUTES} of its ${routes.length} routes are beyond ${MOST_ROUTES}`)
}
