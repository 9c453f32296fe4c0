// Signals and close() end what waits at once, whatever it waits for: a layer, a channel, a handler, a body.
import { App, type Context, reply, type Transport } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import type { Link, OutgoingRequest } from '@iopa/transport'
import { afterEach, describe, expect, test, vi } from 'vitest'

const quiet = { logger: false } as const
const never = (): Promise<never> => new Promise(() => undefined)

const apps: App[] = []
const appOf = (): App => {
  const app = new App(quiet)
  apps.push(app)
  return app
}
afterEach(async () => {
  for (const app of apps.splice(0)) await app.close({ timeout: 0 })
})

/** A transport whose links do what the test says. */
const fake = (link: Partial<Link>, connecting?: Promise<void>): Transport & { closed: number } => {
  const transport = {
    name: 'fake',
    schemes: ['fake'],
    closed: 0,
    listen: never,
    open: async (): Promise<Link> => {
      await connecting
      return {
        concurrency: Number.POSITIVE_INFINITY,
        closed: never(),
        request: never,
        subscribe: never,
        close: async () => void transport.closed++,
        ...link
      }
    }
  }
  return transport
}

/** A signal that aborts in 10 ms, and its reason. */
const soon = () => {
  const stop = new AbortController()
  const reason = { what: 'a reason of any kind' }
  setTimeout(() => stop.abort(reason), 10)
  return { signal: stop.signal, reason }
}

describe('a client', () => {
  test('rejects with the reason while a layer or a channel waits, though they do not heed the signal', async () => {
    for (const app of [appOf().use(fake({})), appOf().use(fake({})).use({ dispatch: never })]) {
      const client = await app.connect('fake://host')
      for (const ask of [
        (signal: AbortSignal) => client.get('/', { signal }),
        (signal: AbortSignal) => client.put('/', 'x', { signal }),
        (signal: AbortSignal) => client.send({ 'iopa.Path': '/', 'iopa.CallCancelled': signal })
      ]) {
        const { signal, reason } = soon()
        await expect(ask(signal)).rejects.toBe(reason)
      }
      const waiting = client.get('/')
      await client.close()
      await expect(waiting).rejects.toMatchObject({ status: 503, code: 'closed' })
    }
  })

  test('does not begin where its signal has aborted, and leaves no listener behind', async () => {
    const sent: OutgoingRequest[] = []
    const layers = vi.fn((_: Context, next: () => Promise<unknown>) => next())
    const request = async (message: OutgoingRequest): Promise<LinkAnswer> => {
      sent.push(message)
      return (await appOf()
        .use(() => 'x')
        .invoke({})) as LinkAnswer
    }
    const client = await appOf().use(fake({ request })).use({ dispatch: layers }).connect('fake://host')
    await expect(client.put('/', 'x', { signal: AbortSignal.abort('before') })).rejects.toBe('before')
    expect([sent.length, layers.mock.calls.length]).toEqual([0, 0])
    expect(await (await client.put('/', 'x')).text()).toBe('x')
  })

  test('rejects with the reason while a connection is made, and closes one that comes too late', async () => {
    let open: () => void = () => undefined
    const transport = fake({}, new Promise(resolve => (open = resolve)))
    const { signal, reason } = soon()
    await expect(appOf().use(transport).connect('fake://host', { signal })).rejects.toBe(reason)
    open()
    await vi.waitFor(() => expect(transport.closed).toBe(1))
  })
})

describe('app.invoke', () => {
  test('runs nothing where the signal of its bag has aborted', async () => {
    let ran = 0
    const app = appOf().use(() => void ran++)
    const reason = new Error('before')
    await expect(app.invoke({ 'iopa.Method': 'PUT', 'iopa.CallCancelled': AbortSignal.abort(reason) })).rejects.toBe(reason)
    expect([ran, app.live]).toEqual([0, 0])
  })

  test('rejects with the reason at once; a change goes on and is known', async () => {
    let finish: () => void = () => undefined
    let state = 0
    const app = appOf().use(async context => {
      if (context.method === 'PUT') {
        await new Promise<void>(resolve => (finish = resolve))
        state++
        return undefined
      }
      return { state }
    })
    const answers = app.observe('/n')[Symbol.asyncIterator]()
    expect(await (await answers.next()).value?.json()).toEqual({ state: 0 })
    const { signal, reason } = soon()
    await expect(app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/n', 'iopa.CallCancelled': signal })).rejects.toBe(reason)
    finish()
    expect(await (await answers.next()).value?.json()).toEqual({ state: 1 })
    await answers.return?.()
    expect(app.live).toBe(0)
  })

  test('gives up a stream that comes after the abort, and one that is being read', async () => {
    const returned: string[] = []
    const stalled = (name: string) => ({
      count: 0,
      next(): Promise<IteratorResult<string>> {
        return this.count++ === 0 ? Promise.resolve({ done: false, value: 'x' }) : never()
      },
      async return(): Promise<IteratorResult<string>> {
        returned.push(name)
        return { done: true, value: undefined }
      },
      [Symbol.asyncIterator]() {
        return this
      }
    })
    let late: (value: unknown) => void = () => undefined
    const app = appOf().use(({ path }) => (path === '/late' ? new Promise(resolve => (late = resolve)) : reply(200, stalled('read'))))
    const first = soon()
    await expect(app.invoke({ 'iopa.Path': '/late', 'iopa.CallCancelled': first.signal })).rejects.toBe(first.reason)
    late(stalled('late'))
    await vi.waitFor(() => expect(returned).toEqual(['late']))
    const second = soon()
    const answer = await app.invoke({ 'iopa.Path': '/read', 'iopa.CallCancelled': second.signal })
    await expect(answer.text()).rejects.toBe(second.reason)
    await vi.waitFor(() => expect(returned).toEqual(['late', 'read']))
    expect(app.live).toBe(0)
  })
})

test('app.observe ends at once with its signal, though its GET and what its context owns do not end', async () => {
  let release: () => void = () => undefined
  const app = appOf().use(context => {
    context.defer(() => new Promise<void>(resolve => (release = resolve)))
    return never()
  })
  const { signal } = soon()
  expect((await app.observe('/n', { signal })[Symbol.asyncIterator]().next()).done).toBe(true)
  release()
})
