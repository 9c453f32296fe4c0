import type { App, Bag } from '@iopa/appbuilder'
import type { SealedAnswer } from '@iopa/context'
import type { OwnedContext } from '@iopa/context/host'

/** A request as over HTTP, made inside the process. */
export const ask = (app: Pick<App, 'invoke'>, headers: Record<string, string | string[]>, bag: Bag = {}): ReturnType<App['invoke']> =>
  app.invoke({ 'iopa.Scheme': 'http', 'iopa.Host': 'api.example.com', 'iopa.Headers': headers, ...bag })

export const preflight = (
  app: Pick<App, 'invoke'>,
  origin: string,
  method = 'PUT',
  path = '/',
  headers: Record<string, string> = {}
): ReturnType<App['invoke']> =>
  ask(app, { origin, 'access-control-request-method': method, ...headers }, { 'iopa.Method': 'OPTIONS', 'iopa.Path': path })

export const fieldsOf = (answer: { readonly headers: Iterable<[string, string]> }): Record<string, string> => {
  const fields: Record<string, string> = {}
  for (const [name, value] of answer.headers) {
    const lower = name.toLowerCase()
    fields[lower] = lower in fields ? `${fields[lower]}, ${value}` : value
  }
  return fields
}

/** What observers were told: last, and first. */
interface Observed {
  readonly told: readonly string[]
  readonly first: readonly SealedAnswer[]
}

/** Registers observers of /x over HTTP, each with its own header fields; `told` has what each was told last. */
export const observers = async (app: Pick<App, 'host'>, headers: readonly Record<string, string>[]): Promise<Observed> => {
  const host = app.host('http')
  const told: string[] = []
  const first: SealedAnswer[] = []
  for (const [at, fields] of headers.entries()) {
    const endpoint = {
      scheme: 'http',
      protocol: 'HTTP/1.1',
      remoteAddress: `10.0.${at >> 8}.${at & 255}`,
      remotePort: 1000,
      localAddress: '127.0.0.1',
      localPort: 80,
      tls: false,
      sessionId: `s${at}`,
      rawTransport: null,
      bodyLimit: 1000
    }
    const source = { headers: () => Object.entries(fields).flat(), authority: () => 'api.example.com' }
    const context = host.create({ method: 'GET', path: '/x', query: '', rawPath: '/x', endpoint, source }) as OwnedContext
    context['iopa.Observe'] = true
    await host.observe(context, async answer => {
      first[at] ??= answer
      told[at] = String(answer.payload)
    })
  }
  return { told, first }
}

/** Lets what is under way come to rest. */
export const settle = async (): Promise<void> => {
  for (let turn = 0; turn < 60; turn++) await new Promise(resolve => setImmediate(resolve))
}
