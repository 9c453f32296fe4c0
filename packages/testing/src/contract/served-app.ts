import type { Context } from '@iopa/appbuilder'
import { App, type AppOptions, type MiddlewareFunction } from '@iopa/appbuilder'
import type { Client, ConnectOptions, Listener } from '@iopa/transport'
import { type Relay, relay } from './peers.ts'
import { StalledStream } from './stalled-stream.ts'
import type { TransportSubject } from './subject.ts'

/** A served app and a client of another app that is connected to it. */
export interface Served {
  readonly app: App
  readonly client: Client
  /** The app of the client, for further ones. */
  readonly clients: App
  readonly listener: Listener
  /** What the server has logged as an error. */
  readonly errors: readonly unknown[][]
}

/** Serves `handler` with the subject's transport, connects a client, runs `body`, and closes everything. */
export const served = async (
  subject: TransportSubject,
  handler: MiddlewareFunction<Context>,
  body: (served: Served) => Promise<void>,
  options: { readonly app?: AppOptions; readonly timeout?: number; readonly clientLimits?: AppOptions['limits'] } = {}
): Promise<void> => {
  const errors: unknown[][] = []
  const logger = { error: (...data: unknown[]) => void errors.push(data), warn: () => undefined, info: () => undefined, debug: () => undefined }
  const transport = subject.transport({})
  const app = new App({ logger, ...options.app })
    .use(transport)
    // Some protocols run a CONNECT before the first request; the handlers of the suite are not about it.
    .use((context, next) => (context['iopa.Method'] === 'CONNECT' ? next() : handler(context, next)))
  const [listener] = (await app.listen()) as [Listener]
  const clients = new App({ logger: false }).use(transport)
  try {
    const client = await clients.connect(subject.url(listener), {
      timeout: options.timeout ?? 5000,
      ...(options.clientLimits === undefined ? {} : { limits: options.clientLimits })
    })
    try {
      await body({ app, client, clients, listener, errors })
    } finally {
      await client.close()
    }
  } finally {
    await clients.close({ timeout: 0 })
    await app.close({ timeout: 1000 })
  }
}

/** As `served`, by an app whose handler never answers; `arrived` resolves when the first request has come to it. */
export const unanswered = (
  subject: TransportSubject,
  body: (served: Served & { readonly arrived: Promise<Context> }) => Promise<void>,
  options: Parameters<typeof served>[3] = { app: { limits: { requestTimeout: 300 } } }
): Promise<void> => {
  const arrived = gate<Context>()
  return served(
    subject,
    context => {
      arrived.open(context)
      return new Promise(() => undefined)
    },
    all => body({ ...all, arrived: arrived.promise }),
    options
  )
}

/** As `served`, by an app that answers with a stream of which a part comes and the rest never does; `stalled` resolves when its client may have that part. */
export const stalling = (
  subject: TransportSubject,
  body: (served: Served & { readonly stalled: () => Promise<void> }) => Promise<void>,
  options: Parameters<typeof served>[3] = { app: { limits: { requestTimeout: 500 } } }
): Promise<void> => {
  const stream = new StalledStream()
  const stalled = async (): Promise<void> => {
    await eventually('the stream stalls', () => stream.stalls)
    // So that a client that streams has the head, and awaits the rest.
    await new Promise(resolve => setTimeout(resolve, 20))
  }
  return served(
    subject,
    () => stream,
    all => body({ ...all, stalled }),
    options
  )
}

/** A further client, whose connections lead through a relay that a test cuts. */
export const relayed = async (
  subject: TransportSubject,
  { clients, listener }: Served,
  body: (relayed: { readonly client: Client; readonly between: Relay }) => Promise<void>,
  options: ConnectOptions = {}
): Promise<void> => {
  const between = await relay(subject.url(listener))
  const client = await clients.connect(between.url, { timeout: 5000, ...options })
  try {
    await body({ client, between })
  } finally {
    await client.close()
    await between.close()
  }
}

/** Waits until `condition` holds, in real time; rejects after two seconds, saying what was waited for. */
export const eventually = async (what: string, condition: () => boolean): Promise<void> => {
  const end = Date.now() + 2000
  while (!condition()) {
    if (Date.now() > end) throw new Error(`did not happen: ${what}`)
    await new Promise(resolve => setTimeout(resolve, 5))
  }
}

/** A promise and what settles it. */
export const gate = <T = void>(): { readonly promise: Promise<T>; open(value: T): void } => {
  let open: (value: T) => void = () => undefined
  const promise = new Promise<T>(resolve => {
    open = resolve
  })
  return { promise, open: value => open(value) }
}

/** What `work` comes to; rejects when that takes longer than `ms` milliseconds: what ends at once must not wait for a timeout. */
export const soon = <T>(work: Promise<T>, ms = 1500): Promise<T> =>
  new Promise((resolve, reject) => {
    const timer = setTimeout(() => reject(new Error(`it takes longer than ${ms} ms`)), ms)
    work.then(resolve, reject).finally(() => clearTimeout(timer))
  })

/** What `work` rejects with, soon. */
export const rejection = async (work: Promise<unknown>): Promise<unknown> => {
  const outcome = await soon(
    work.then(
      value => ({ value }),
      (error: unknown) => ({ error })
    )
  )
  if ('error' in outcome) return outcome.error
  throw new Error(`it resolves with ${String(outcome.value)}`)
}
