import type { Limits, RouteInfo, Transport } from '@iopa/transport'
import type { AppHandle } from './app-types.ts'
import { buildReport } from './build-checks.ts'
import { routesFor } from './coverage.ts'
import { declarationsOf } from './declarations.ts'
import type { NestedApp } from './nested-app.ts'

/** What `app.explain()` tells; `toString()` prints it. */
export interface Explanation {
  readonly pipeline: readonly { readonly name: string; readonly provides: readonly string[]; readonly requires: readonly string[] }[]
  readonly routes: readonly RouteInfo[]
  /** What middleware that says who is asking does not cover, in sentences. */
  readonly open: readonly string[]
  /** Namespaces of keys and their owners. */
  readonly keys: readonly { readonly namespace: string; readonly owner: string; readonly names: readonly string[] }[]
  readonly transports: ReturnType<AppHandle['transports']>
  readonly limits: Limits
  toString(): string
}

/** The transports of an app and where they listen. */
export const transportsOf = (app: NestedApp, urlsOf: (transport: Transport) => readonly string[]): Explanation['transports'] =>
  app.transports.map(transport => ({ name: transport.name, schemes: transport.schemes, urls: urlsOf(transport) }))

/** The explanation of an app; `urlsOf` says where a transport listens. */
export const explanationOf = (app: NestedApp, urlsOf: (transport: Transport) => readonly string[]): Explanation => {
  const { entries, limits } = app
  const routes = [...routesFor(app, null)]
  const open = buildReport(app)
  const transports = transportsOf(app, urlsOf)
  const transportKeys = app.transports.flatMap(transport => declarationsOf(transport, transport.name).keys)
  const pipeline = entries.map(({ name, provides, requires }) => ({ name, provides, requires }))
  const keys = [...entries.flatMap(entry => entry.keys), ...transportKeys].map(({ namespace, owner, keys: declared }) => ({
    namespace,
    owner,
    names: Object.entries(declared).map(([name, { redact }]) => (redact === true ? `${name} (redacted)` : name))
  }))
  return {
    pipeline,
    routes,
    open,
    keys,
    transports,
    limits,
    toString: () =>
      [
        'pipeline',
        ...pipeline.map(
          entry =>
            `  ${entry.name}${entry.requires.length > 0 ? ` requires ${entry.requires.join(', ')}` : ''}${entry.provides.length > 0 ? ` provides ${entry.provides.join(', ')}` : ''}`
        ),
        'routes',
        ...routes.map(
          ({ method = '*', pattern, middleware = [] }) =>
            `  ${[method.padEnd(8), pattern, ...(middleware.length > 0 ? [`(${middleware.join(', ')})`] : [])].join(' ')}`
        ),
        ...(open.length > 0 ? ['open', ...open.map(sentence => `  ${sentence}`)] : []),
        ...(keys.length > 0 ? ['keys', ...keys.map(({ namespace, owner, names }) => `  ${namespace}.* of ${owner}: ${names.join(', ')}`)] : []),
        'transports',
        ...transports.map(({ name, schemes, urls }) => `  ${name} (${schemes.join(', ')}) ${urls.join(' ')}`),
        'limits',
        ...Object.entries(limits).map(([name, value]) => `  ${name} ${value}`)
      ].join('\n')
  }
}
