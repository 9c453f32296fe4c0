// What an observer may rely on, on every protocol and inside the process: the table "Alike on every protocol" of docs/spec/observation.md.
import { App, type Client, type ReceivedAnswer, type Transport } from '@iopa/appbuilder'
import { coap } from '@iopa/coap'
import { http } from '@iopa/http'
import { toFetchHandler } from '@iopa/http/fetch'
import { mqtt } from '@iopa/mqtt'
import { router } from '@iopa/router'
import { tcp } from '@iopa/tcp'
import { memory } from '@iopa/testing'
import { afterEach, describe, expect, test } from 'vitest'
import { until } from './hostile-support.ts'

type Observe = (path: string, options?: { signal?: AbortSignal }) => AsyncIterable<ReceivedAnswer>

/** An app whose state is at /n, and one way to observe it. */
interface Served {
  readonly app: App
  readonly state: { n: number; gets: number }
  readonly observe: Observe
  readonly client: Client | null
  close(): Promise<void>
}

const TRANSPORTS: Readonly<Record<string, () => Transport>> = {
  http: () => http({ port: 0 }),
  tcp: () => tcp({ port: 0 }),
  coap: () => coap({ port: 0 }),
  mqtt: () => mqtt({ port: 0, statistics: false }),
  memory: () => memory()
}
const WAYS = [...Object.keys(TRANSPORTS), 'app.observe'] as const

const serve = async (way: string): Promise<Served> => {
  const state = { n: 0, gets: 0 }
  const app = new App({ logger: false }).use(router())
  app.get('/n', () => {
    state.gets++
    return { n: state.n }
  })
  app.put('/n', async context => {
    state.n = (await context.json<{ n: number }>()).n
  })
  const transport = TRANSPORTS[way]
  if (transport === undefined) {
    return { app, state, observe: (path, options) => app.observe(path, options), client: null, close: () => app.close({ timeout: 0 }) }
  }
  const [listener] = await app.use(transport()).listen()
  const clients = new App({ logger: false }).use(way === 'memory' ? memory() : transport())
  const client = await (way === 'memory' ? app : clients).connect(listener!.url)
  return {
    app,
    state,
    observe: (path, options) => client.observe(path, options),
    client,
    close: async () => {
      await client.close()
      await clients.close({ timeout: 0 })
      await app.close({ timeout: 100 })
    }
  }
}

const open: Served[] = []
const served = async (way: string): Promise<Served> => {
  const one = await serve(way)
  open.push(one)
  return one
}

afterEach(async () => {
  for (const one of open.splice(0)) await one.close()
})

/** Rejects when the work takes longer than two seconds: what ends "at once" must not wait for a timeout. */
const soon = async <T>(work: Promise<T>): Promise<T> => {
  let timer: ReturnType<typeof setTimeout>
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error('it does not end')), 2_000)
  })
  return Promise.race([work, late]).finally(() => clearTimeout(timer))
}

const n = async (next: IteratorResult<ReceivedAnswer, unknown>): Promise<unknown> =>
  next.done ? 'done' : ((await next.value.json()) as { n: number }).n

describe.each(WAYS)('an observation over %s', way => {
  test('ends at once, without a request, if its signal has aborted before', async () => {
    const { observe, state } = await served(way)
    const read = async (): Promise<number> => {
      let count = 0
      for await (const _ of observe('/n', { signal: AbortSignal.abort() })) count++
      return count
    }
    expect([await soon(read()), state.gets]).toEqual([0, 0])
  })

  test('ends at once when its signal aborts before an answer', async () => {
    const { observe, app } = await served(way)
    const before = app.live
    const stop = new AbortController()
    const answers = observe('/n', { signal: stop.signal })[Symbol.asyncIterator]()
    expect(await n(await soon(answers.next()))).toBe(0)
    const waiting = answers.next()
    stop.abort()
    expect(await n(await soon(waiting))).toBe('done')
    expect(await n(await soon(answers.next()))).toBe('done')
    await until('the server has let the observer go', () => app.live <= before + 1)
  })

  test('ends at once when the loop is left before an answer', async () => {
    const { observe, app } = await served(way)
    const before = app.live
    const answers = observe('/n')[Symbol.asyncIterator]()
    expect(await n(await soon(answers.next()))).toBe(0)
    const waiting = answers.next()
    await soon(answers.return!())
    expect(await n(await soon(waiting))).toBe('done')
    await until('the server has let the observer go', () => app.live <= before + 1)
  })

  test('ends at once when the loop is left before the first answer', async () => {
    const { observe } = await served(way)
    const answers = observe('/n')[Symbol.asyncIterator]()
    const waiting = answers.next()
    await soon(answers.return!())
    expect(['done', 0]).toContain(await n(await soon(waiting)))
    expect(await n(await soon(answers.next()))).toBe('done')
  })

  test('starts again with the current state when it is iterated again', async () => {
    const { observe, state } = await served(way)
    const observed = observe('/n')
    for (const expected of [0, 1]) {
      state.n = expected
      for await (const answer of observed) {
        expect(await answer.json()).toEqual({ n: expected })
        break
      }
    }
  })

  // The client of CoAP registers again by itself, which brings the same state: it passes on what differs.
  const again = way === 'coap' ? 'gets the next different state after' : 'gets'
  test(`${again} a change that leaves the state as it was`, async () => {
    const { observe, app } = await served(way)
    const put = (value: number): Promise<ReceivedAnswer> => app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/n', 'iopa.Body': { n: value } })
    const seen: unknown[] = []
    for await (const answer of observe('/n')) {
      seen.push(((await answer.json()) as { n: number }).n)
      if (seen.at(-1) === 1) break
      if (seen.length === 1) await put(0)
      if (way === 'coap' || seen.length === 2) await put(1)
    }
    expect(seen).toEqual(way === 'coap' ? [0, 1] : [0, 0, 1])
  })

  test(`of a missing path ${way === 'mqtt' ? 'waits until there is one' : 'throws 404'}`, async () => {
    const { observe } = await served(way)
    const answers = observe('/none')[Symbol.asyncIterator]()
    const first = answers.next().catch((error: { status?: number }) => error.status)
    if (way === 'mqtt') {
      const waited = await Promise.race([first, new Promise(resolve => setTimeout(() => resolve('waits'), 200))])
      expect(waited).toBe('waits')
      await soon(answers.return!())
    } else expect(await soon(first)).toBe(404)
  })

  test('throws after close, instead of waiting', async () => {
    const { observe, client, app } = await served(way)
    await (client === null ? app.close({ timeout: 0 }) : client.close())
    await expect(soon(observe('/n')[Symbol.asyncIterator]().next())).rejects.toMatchObject({ status: 503 })
  })

  test('ends when its client or its app closes', async () => {
    const { observe, client, app } = await served(way)
    const answers = observe('/n')[Symbol.asyncIterator]()
    await soon(answers.next())
    const waiting = answers.next()
    await (client === null ? app.close({ timeout: 0 }) : client.close())
    expect(await n(await soon(waiting))).toBe('done')
  })
})

describe('the event stream of a fetch handler', () => {
  const request = (path: string, signal?: AbortSignal): Request =>
    new Request(`http://localhost${path}`, { headers: { accept: 'text/event-stream' }, ...(signal && { signal }) })

  test('ends with its request, also for a waiting reader', async () => {
    const { app } = await served('app.observe')
    const fetch = toFetchHandler(app)
    const before = app.live
    const stop = new AbortController()
    const response = await fetch(request('/n', stop.signal))
    const reader = response.body!.getReader()
    await soon(reader.read())
    const waiting = reader.read()
    stop.abort()
    await expect(soon(waiting)).rejects.toMatchObject({ name: 'AbortError' })
    expect(app.live).toBe(before)
  })

  test('ends when its reader cancels', async () => {
    const { app } = await served('app.observe')
    const before = app.live
    const reader = (await toFetchHandler(app)(request('/n'))).body!.getReader()
    await soon(reader.read())
    await soon(reader.cancel())
    expect(app.live).toBe(before)
  })

  test('gets 404 for a missing path, and ends when the app closes', async () => {
    const { app } = await served('app.observe')
    const fetch = toFetchHandler(app)
    expect((await fetch(request('/none'))).status).toBe(404)
    const reader = (await fetch(request('/n'))).body!.getReader()
    await soon(reader.read())
    const waiting = reader.read()
    await app.close({ timeout: 0 })
    expect((await soon(waiting)).done).toBe(true)
  })
})
