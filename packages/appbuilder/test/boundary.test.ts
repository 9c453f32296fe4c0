// Whatever handlers, errors and loggers do: the answer leaves, once, and nothing gets past the error boundary.

import { App, type Context, IopaError, type MiddlewareFunction, type ReceivedAnswer, reply } from '@iopa/appbuilder'
import type { LinkAnswer } from '@iopa/context'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'

const quiet = { logger: false } as const
const loose: unknown[] = []
const heard = (error: unknown): void => void loose.push(error)
beforeAll(() => {
  process.on('unhandledRejection', heard)
  process.on('uncaughtException', heard)
})
afterAll(async () => {
  await new Promise(resolve => setTimeout(resolve, 20))
  process.off('unhandledRejection', heard)
  process.off('uncaughtException', heard)
  expect(loose).toEqual([])
})

/** The answer, or a failure where none comes at all. */
const answered = (app: App, path = '/'): Promise<ReceivedAnswer> =>
  Promise.race([app.invoke({ 'iopa.Path': path }), new Promise<never>((_, reject) => setTimeout(() => reject(new Error('no answer came')), 500))])

const refuse = (): never => {
  throw new Error('refused')
}

/** What a handler gives, at once and as a promise. */
const bothWays = (handler: MiddlewareFunction<Context>): [string, MiddlewareFunction<Context>][] => [
  ['at once', handler],
  ['later', async (context, next) => handler(context, next)]
]

describe('an answer leaves as 500', () => {
  test.each(
    bothWays(context => {
      for (let count = 0; count < 3; count++) context.onSendingHeaders(refuse)
      return 'x'
    })
  )('where all of its callbacks fail, %s', async (_, handler) => {
    expect((await answered(new App(quiet).use(handler))).status).toBe(500)
  })

  test.each(
    bothWays(() => {
      throw new IopaError(401, 'who', 'Who?', { headers: { 'www-authenticate': 'Basic realm="a\r\nset-cookie: b"' } })
    })
  )('where the error wants a header that no message can carry, %s', async (_, handler) => {
    const answer = await answered(new App(quiet).use(handler))
    expect([answer.status, [...answer.headers]]).toEqual([500, []])
  })

  test.each(bothWays(refuse))('where the logger fails too, %s', async (_, handler) => {
    const logger = { error: refuse, warn: refuse, info: refuse, debug: refuse }
    expect((await answered(new App({ logger }).use(handler))).status).toBe(500)
  })

  test('where the headers were those of another answer', async () => {
    const inner = new App(quiet).use(() => reply(200, 'x', { etag: '"1"' }))
    const app = new App(quiet).use(async context => {
      context.response.headers = (await answered(inner)).headers
      return refuse()
    })
    const answer = await answered(app)
    expect([answer.status, answer.headers.has('etag')]).toEqual([500, false])
  })

  test('and in-flight requests are counted down in every case', async () => {
    const app = new App({ ...quiet, limits: { inFlight: 1 } }).use(context => {
      context.onSendingHeaders(refuse)
      context.onSendingHeaders(refuse)
      throw new IopaError(400, 'x', '', { headers: { 'bad name': 'x' } })
    })
    for (let count = 0; count < 3; count++) expect((await answered(app)).status).toBe(500)
  })
})

describe('an answer leaves', () => {
  test('with the headers of another answer, which stay as they are', async () => {
    const inner = new App(quiet).use(() => reply(200, 'x', { a: '1' }))
    const first = await answered(inner)
    const app = new App(quiet).use(context => {
      context.response.headers = first.headers
      context.response.headers.set('a', '2')
      return 'y'
    })
    expect([(await answered(app)).headers.get('a'), first.headers.get('a')]).toEqual(['2', '1'])
  })

  test('with its own headers, given to reply', async () => {
    const app = new App(quiet).use(context => {
      context.response.headers.append('a', '1')
      context.response.headers.append('a', '2')
      return reply(200, 'x', context.response.headers)
    })
    expect([...(await answered(app)).headers]).toEqual([
      ['a', '1'],
      ['a', '2']
    ])
  })

  const cycle: Record<string, unknown> = {}
  cycle['itself'] = cycle
  test.each([
    ['a bigint', { value: 1n }],
    ['a cycle', cycle]
  ])('as its problem where an extension has no JSON form: %s', async (_, extensions) => {
    const app = new App(quiet).use(() => Promise.reject(new IopaError(422, 'invalid', 'Not so.', { extensions })))
    expect(JSON.parse(((await answered(app)) as LinkAnswer).payload as string)).toEqual({
      type: 'about:blank',
      title: 'Unprocessable Content',
      status: 422,
      code: 'invalid',
      detail: 'Not so.'
    })
  })
})

describe('a thenable that is no promise', () => {
  const thenables: [string, (value: unknown) => PromiseLike<unknown>][] = [
    ['that calls back at once', value => ({ then: (done: (value: unknown) => void) => void done(value) }) as never],
    ['that calls back later', value => ({ then: (done: (value: unknown) => void) => void queueMicrotask(() => done(value)) }) as never],
    ['that calls back twice', value => ({ then: (done: (value: unknown) => void) => (done(value), done('again')) }) as never]
  ]

  test.each(thenables)('%s is awaited as a value of a handler', async (_, thenable) => {
    expect(((await answered(new App(quiet).use(() => thenable('x')))) as LinkAnswer).payload).toBe('x')
  })

  test.each(thenables)('%s is awaited below a mount', async (_, thenable) => {
    const app = new App(quiet).mount('/m', () => thenable('x'))
    expect(((await answered(app, '/m')) as LinkAnswer).payload).toBe('x')
  })

  test.each(thenables)('%s is a promise where next gives it', async (_, thenable) => {
    const app = new App(quiet)
      .use((_, next) => next().finally(() => undefined))
      .use((_, next) => thenable(next()))
      .use(() => 'x')
    expect(((await answered(app)) as LinkAnswer).payload).toBe('x')
  })

  test('that fails is a 500', async () => {
    const app = new App(quiet).use(() => ({ then: (_: unknown, failed: (error: unknown) => void) => void failed(new Error('mine')) }) as never)
    expect((await answered(app)).status).toBe(500)
  })
})

describe('a stream that nobody will read is given up', () => {
  const source = () => {
    const state = { cancelled: 0 }
    return { state, stream: new ReadableStream({ cancel: () => void state.cancelled++ }) }
  }

  test('when an error takes its place', async () => {
    const { state, stream } = source()
    const app = new App(quiet)
      .use(async (_, next) => {
        await next()
        refuse()
      })
      .use(() => stream)
    expect([(await answered(app)).status, state.cancelled]).toEqual([500, 1])
  })

  test.each([
    ['as it is', (stream: ReadableStream): unknown => stream],
    ['in a reply', (stream: ReadableStream): unknown => reply(200, stream)],
    ['in a web response', (stream: ReadableStream): unknown => new Response(stream)]
  ])('when it comes after the deadline, %s', async (_, wrap) => {
    const { state, stream } = source()
    let late = (): void => undefined
    const app = new App({ ...quiet, limits: { requestTimeout: 20 } }).use(
      () =>
        new Promise(resolve => {
          late = () => resolve(wrap(stream))
        })
    )
    const answer = await answered(app)
    late()
    await new Promise(resolve => setTimeout(resolve, 5))
    expect([answer.status, state.cancelled]).toEqual([504, 1])
  })
})

describe('a log', () => {
  test('has one line per message, whatever a peer puts into its path', async () => {
    const lines: string[] = []
    const logger = { error: (line: unknown) => void lines.push(String(line)), warn: () => undefined, info: () => undefined, debug: () => undefined }
    await answered(new App({ logger }).use(refuse), '/a\r\niopa: GET /b answered 200 \u2028\u001b[2J')
    expect(lines).toEqual(['iopa: GET /a%0D%0Aiopa: GET /b answered 200 %E2%80%A8%1B[2J IOPA/5.0 answered 500 internal-error'])
  })
})

describe('a listener of changes that fails', () => {
  test('spoils neither the answer nor the other listeners', async () => {
    const app = new App(quiet).use(() => 'x')
    const host = app.host()
    const heard: string[] = []
    host.changes(refuse)
    host.changes(({ path }) => void heard.push(path))
    const answer = await app.invoke({ 'iopa.Method': 'PUT', 'iopa.Path': '/x', 'iopa.Body': 1 })
    expect([answer.status, heard]).toEqual([200, ['/x']])
  })
})
